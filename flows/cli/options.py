"""Options that several commands share, each said once.

The options of the command line that say where imagery lies and what it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from geo.scenes.source import Clouds, Rows

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Direct = Annotated[
    bool, typer.Option("--direct", help="Run in this process, without Prefect's run history.")
]
StoreAt = Annotated[Path | None, typer.Option(help="Folder of the products; default: store.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DataAt = Annotated[Path | None, typer.Option(help="Folder of the data, if not the config's.")]
ProductNamed = Annotated[str, typer.Argument(help="Id of a product, or its folder.")]
BeforeNow = Annotated[
    list[str] | None,
    typer.Option(help="Where a before source lies now, in the order of the request."),
]
AfterNow = Annotated[
    list[str] | None,
    typer.Option(help="Where an after source lies now, in the order of the request."),
]


Area = Annotated[
    str | None, typer.Option(help="west,south,east,north, or GeoJSON, or a file of it.")
]
Before = Annotated[list[str] | None, typer.Option(help="File, folder or glob; may be repeated.")]
After = Annotated[list[str] | None, typer.Option(help="File, folder or glob; may be repeated.")]
SensorOf = Annotated[str | None, typer.Option(help="Sensor of all sources.")]
Bands = Annotated[str | None, typer.Option(help="Bands of the files in order, comma-separated.")]
UnitsOf = Annotated[str | None, typer.Option(help="How values are stored, such as dB.")]
Baseline = Annotated[
    str | None, typer.Option(help="Sentinel-2 processing baseline, such as 05.10.")
]
BackscatterOf = Annotated[str | None, typer.Option(help="sigma0 or gamma0, of radar images.")]
SourceCrs = Annotated[
    str | None, typer.Option(help="CRS of the images that state none, such as EPSG:32633.")
]
TileRows = Annotated[
    Rows | None, typer.Option(help="Rows of tile trees count from north (XYZ) or south (TMS).")
]
BeforeDate = Annotated[str | None, typer.Option(help="When the before images were taken.")]
AfterDate = Annotated[str | None, typer.Option(help="When the after images were taken.")]
Prefer = Annotated[str | None, typer.Option(help="newest or least-cloudy.")]
CloudsOf = Annotated[
    Clouds | None,
    typer.Option(help="Mask of clouds: the provider's, a network's, or auto: what there is."),
]
DomainCheck = Annotated[
    bool | None,
    typer.Option(
        "--domain-check/--no-domain-check",
        help="Leave out what is unlike anything that a network learned from, or not.",
    ),
]
DeviceOrNone = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def split(bands: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated list."""
    return tuple(band.strip() for band in bands.split(",")) if bands else None


def specs(paths: Sequence[str] | None, **said: object) -> list[dict[str, object]] | None:
    """Return sources, each with what was said of all; None where there are none."""
    told = {key: value for key, value in said.items() if value is not None}
    return [{"path": path, **told} for path in paths] if paths else None
