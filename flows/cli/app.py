"""The command line: thin; results on stdout, progress on stderr, one sentence for an error."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import adapt as cli_adapt
from flows.cli import explain as cli_explain
from flows.cli import models as cli_training
from flows.cli import products as cli_store
from flows.cli import validate as cli_validate
from flows.cli.options import (
    After,
    AfterDate,
    Area,
    BackscatterOf,
    Bands,
    Baseline,
    Before,
    BeforeDate,
    CloudsOf,
    DeviceOrNone,
    Direct,
    DomainCheck,
    Json,
    Prefer,
    Quiet,
    SensorOf,
    SourceCrs,
    StoreAt,
    TileRows,
    UnitsOf,
    specs,
    split,
)
from flows.cli.output import print_json, print_photos, print_product, quiet_prefect
from flows.config import FlowError, HomeUnwritable, RequestInvalid, Settings
from flows.mapping.photos import PublishedPhotos, photos_in, walk_photos
from flows.mapping.records import Published, built_up, class_raster
from flows.reports.progress import progress_on
from flows.request import MapRequest, make_request, read_request
from geo.errors import GeoError, StoreError
from geo.vector.hazards import Hazard
from models.errors import ModelError
from models.evaluation.score_product import Positive, grade_column, score_buildings, score_product

app = typer.Typer(
    name="aftermap",
    help="Flood and damage layers from satellite and drone imagery.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
BAD_INPUT, FAILURE, STOPPED = 2, 1, 130


@app.command("map")
def map_(  # noqa: PLR0917 (typer reads options from parameters)
    request_file: Annotated[
        Path | None, typer.Argument(metavar="[REQUEST.json]", help="A request in a file.")
    ] = None,
    event: Annotated[str | None, typer.Option(help="Short name: small letters, digits, -.")] = None,
    name: Annotated[str | None, typer.Option(help="Title of the map.")] = None,
    hazard: Annotated[Hazard | None, typer.Option(help="What happened.")] = None,
    area: Area = None,
    before: Before = None,
    after: After = None,
    sensor: SensorOf = None,
    bands: Bands = None,
    units: UnitsOf = None,
    baseline: Baseline = None,
    backscatter: BackscatterOf = None,
    source_crs: SourceCrs = None,
    tile_rows: TileRows = None,
    before_date: BeforeDate = None,
    after_date: AfterDate = None,
    buildings: Annotated[Path | None, typer.Option(help="Building footprints.")] = None,
    find_buildings: Annotated[
        bool | None,
        typer.Option("--find-buildings", help="Find the buildings in the images, and grade them."),
    ] = None,
    damaged_areas: Annotated[
        bool | None,
        typer.Option("--damaged-areas", help="Look for damaged ground beside the buildings."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model, or none.")] = None,
    store: StoreAt = None,
    resolution: Annotated[float | None, typer.Option(help="Pixel of the map, metres.")] = None,
    crs: Annotated[str | None, typer.Option(help="Projected CRS of the map.")] = None,
    min_area: Annotated[float | None, typer.Option(help="Minimum mapping unit, m2.")] = None,
    simplify: Annotated[float | None, typer.Option(help="Tolerance of outlines, metres.")] = None,
    prefer: Prefer = None,
    clouds: CloudsOf = None,
    domain_check: DomainCheck = None,
    device: DeviceOrNone = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Map an event: imagery in, published layers out; of photos, a mask of each."""
    said = {
        "sensor": sensor, "bands": split(bands), "units": units, "baseline": baseline,
        "backscatter": backscatter, "crs": source_crs, "rows": tile_rows,
    }  # fmt: skip
    fields = {
        "event": event, "name": name, "hazard": hazard, "area": area,
        "before": specs(before, taken=before_date, **said),
        "after": specs(after, taken=after_date, **said),
        "buildings": buildings, "find_buildings": find_buildings,
        "damaged_areas": damaged_areas, "model": model, "store": store, "resolution_m": resolution,
        "crs": crs, "min_area_m2": min_area, "simplify_m": simplify, "prefer": prefer,
        "clouds": clouds, "domain_check": domain_check, "device": device,
    }  # fmt: skip
    given = {key: value for key, value in fields.items() if value is not None}
    request = read_request(request_file, **given) if request_file else _from_options(given)
    if photos := photos_in(request):
        print_photos(_run_photos(request, photos, direct=direct, quiet=quiet), as_json=as_json)
        return
    print_product(_run(request, direct=direct, quiet=quiet), as_json=as_json)


@app.command()
def demo(  # noqa: PLR0917 (typer reads options from parameters)
    store: StoreAt = None,
    seed: Annotated[int, typer.Option(min=0, help="Another number makes another place.")] = 7,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a small event, map it, and hold the map against the truth."""
    from flows.mapping.demo import make_demo, score_demo  # noqa: PLC0415 (only this command makes one)

    event = make_demo(store or Settings().store, seed=seed, model=model)
    published = _run(event.request, direct=direct, quiet=quiet)
    scores = score_demo(event, published, Settings(), progress_on(quiet=quiet))
    print_product(published, as_json=as_json, extra=scores)


@app.command()
def score(
    product: Annotated[Path, typer.Argument(help="Folder of a product.")],
    truth: Annotated[Path, typer.Option(help="Raster of labels, or polygons.")],
    value: Annotated[
        list[int] | None, typer.Option(help="Label that counts as found; may be repeated.")
    ] = None,
    positive: Annotated[
        Positive, typer.Option(help="event, or water for all water after it.")
    ] = Positive.EVENT,
) -> None:
    """Hold a product against the truth of its event, or its buildings against labels; as JSON."""
    if (column := grade_column(truth)) is not None:
        print_json(score_buildings(built_up(product), truth, column=column).as_json())
        return
    result = score_product(
        class_raster(product), truth, positive=positive, values=frozenset(value or [1])
    )
    print_json(result.as_json())


cli_adapt.register(app)
cli_explain.register(app)
cli_store.register(app)
cli_training.register(app)
cli_validate.register(app)


def main() -> None:
    """Run a command; an error is one sentence on stderr and an exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv[1:])
    # Service managers and schedulers stop with SIGTERM: as by Ctrl+C, what was begun is cleared
    # away, and the server that Prefect started for the run goes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments, debug=debug))


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run a command and return its exit status: 2 for bad input, 1 for a failure.

    Raises:
        Exception: what went wrong, with `debug`.
    """
    command = typer.main.get_command(app)
    try:
        result = command.main(list(arguments), prog_name="aftermap", standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error)
    except Exception as error:
        if debug:
            raise
        return _report(error)
    if result == STOPPED:
        return _failed("stopped; a product that was not finished was not published", STOPPED)
    return result if isinstance(result, int) else 0


def _misused(error: typer.TyperException) -> int:
    """Say how a command was misused; where its help was printed instead, that says enough."""
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    if not said:
        return error.exit_code
    context: typer.Context | None = getattr(error, "ctx", None)
    return _failed(f"{said}; see {context.command_path if context else 'aftermap'} --help", 2)


def _report(error: Exception) -> int:
    if isinstance(error, StoreError | HomeUnwritable | OSError):
        return _failed(str(error), FAILURE)
    if isinstance(error, GeoError | ModelError | FlowError):
        return _failed(str(error), BAD_INPUT)
    name = type(error).__name__
    return _failed(f"{name}: {error}; this is a fault of ours: --debug shows where", FAILURE)


def _failed(sentence: str, status: int) -> int:
    # A library may put a line break into what it says.
    print(f"aftermap: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return status


def _run(request: MapRequest, *, direct: bool, quiet: bool) -> Published:
    """Walk, in this process or as a Prefect flow."""
    settings = Settings()
    if direct:
        from flows.mapping.map_run import walk  # noqa: PLC0415 (listing a store needs none of it)

        return walk(request, settings, progress_on(quiet=quiet))
    quiet_prefect(settings.home)
    from flows.mapping.flows import map_event  # noqa: PLC0415 (after Prefect was told to be quiet)

    published: Published = map_event(request, quiet=quiet)
    return published


def _run_photos(
    request: MapRequest, photos: Sequence[Path], *, direct: bool, quiet: bool
) -> PublishedPhotos:
    """Walk through photos, in this process or as a Prefect flow."""
    settings = Settings()
    if direct:
        return walk_photos(request, photos, settings, progress_on(quiet=quiet))
    quiet_prefect(settings.home)
    from flows.mapping.flows import map_photos  # noqa: PLC0415 (after Prefect was told to be quiet)

    published: PublishedPhotos = map_photos(request, quiet=quiet)
    return published


def _from_options(given: dict[str, Any]) -> MapRequest:
    missing = [name for name in ("event", "hazard", "after") if name not in given]
    if missing:
        options = " and ".join(f"--{name}" for name in missing)
        raise RequestInvalid(f"{options} must be given, or a REQUEST.json that says it")
    return make_request(**given)
