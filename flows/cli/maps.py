"""The commands `map`, `demo` and `score`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.app import print_json
from flows.cli.options import (
    Direct,
    Json,
    Quiet,
    RequestCommand,
    StoreAt,
    make_from,
    request_options,
)
from flows.config import Settings, quiet_prefect
from flows.request import MapRequest, read_request
from geo.scenes.source import expanded, files_of

if TYPE_CHECKING:
    from flows.mapping.records import Published

app = typer.Typer(add_completion=False)
_WILD = frozenset("*?[")


@app.command("map", cls=RequestCommand)
@request_options(MapRequest)
def map_(
    request_file: Annotated[
        Path | None, typer.Argument(metavar="REQUEST.json", help="A request in a file.")
    ] = None,
    *,
    given: dict[str, Any],
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Map an event: imagery in, published layers out; of photos, a mask of each.

    An option that takes imagery takes several files: --after a.tif b.tif, or --after *.tif.
    """
    if request_file is not None:
        request = read_request(request_file, **given)
    else:
        request = make_from(MapRequest, given, otherwise=", or a REQUEST.json that says it")
    for note in request.notes:
        print(f"aftermap: {note}", file=sys.stderr)
    print_product(run_map(request, direct=direct, quiet=quiet), as_json=as_json)


@app.command()
def demo(  # noqa: PLR0917 (typer reads options from parameters)
    store: StoreAt = None,
    seed: Annotated[int, typer.Option(min=0, help="Another number makes another place.")] = 7,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic flood, map it, and compare the map with its reference."""
    from flows.mapping.demo import make_demo, score_demo  # noqa: PLC0415 (only this command makes one)
    from flows.reports.progress import progress_on  # noqa: PLC0415 (the same)

    event = make_demo(store or Settings().store, seed=seed, model=model)
    published = run_map(event.request, direct=direct, quiet=quiet)
    scores = score_demo(event, published, Settings(), progress_on(quiet=quiet))
    print_product(published, as_json=as_json, extra=scores)


@app.command()
def score(
    product: Annotated[Path, typer.Argument(help="Folder of a product.")],
    truth: Annotated[Path, typer.Option(help="The reference: raster of labels, or polygons.")],
    value: Annotated[
        list[int] | None, typer.Option(help="Label that counts as found; may be repeated.")
    ] = None,
    positive: Annotated[
        str, typer.Option(help="event, or water for all water after it.")
    ] = "event",
) -> None:
    """Compare a product with a reference, or its buildings with labels; as JSON."""
    from flows.mapping.records import product_file  # noqa: PLC0415 (reads rasters and layers)
    from models.evaluation import score_product as scores  # noqa: PLC0415 (the same)

    if (column := scores.grade_column(truth)) is not None:
        layer = product_file(product, "layers/built_up.geojson")
        print_json(scores.score_buildings(layer, truth, column=column).as_json())
        return
    result = scores.score_product(
        product_file(product, "rasters/class.tif"),
        truth,
        positive=scores.Positive(positive),
        values=frozenset(value or [1]),
    )
    print_json(result.as_json())


def run_map(request: MapRequest, *, direct: bool, quiet: bool) -> "Published":
    """Map, in this process or as a Prefect flow; what was published before is found without it."""
    for spec in (*request.before, *request.after):
        if not (expanded(Path(spec.path)).exists() or _WILD.intersection(spec.path)):
            files_of(spec.as_source())  # says so, before anything heavy is imported
    from flows.mapping.map_run import find_map, map_event  # noqa: PLC0415 (help needs none of it)
    from flows.reports.progress import progress_on  # noqa: PLC0415 (the same)

    settings = Settings()
    if direct:
        return map_event(request, settings, progress_on(quiet=quiet))
    if (published := find_map(request, settings)) is not None:
        return published
    quiet_prefect(settings.home)
    from flows.mapping import flows  # noqa: PLC0415 (after Prefect was told to be quiet)

    found: Published = flows.map_event(request, quiet=quiet)
    return found


def print_product(
    published: "Published", *, as_json: bool, extra: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Print a product: for people its summary and where it is, for scripts one JSON object.

    Args:
        extra: further figures, by their title.
    """
    more = dict(extra or {})
    if as_json:
        print_json(
            {
                "product": str(published.folder),
                "product_id": published.product_id,
                "event": published.event_id,
                "new": published.new,
                "summary": published.summary.model_dump(mode="json"),
                **more,
            }
        )
        return
    from rich.console import Console  # noqa: PLC0415 (takes as long as a small command)
    from rich.markdown import Markdown  # noqa: PLC0415 (the same)

    Console().print(Markdown(published.markdown(str(published.folder))))
    for title, figures in more.items():
        print(f"\n{title}: " + ", ".join(f"{k} {_figure(v)}" for k, v in figures.items()))
    if not published.new:
        print("\nThese inputs had been published before: nothing was computed.")
    print(f"\n{published.main_file}\nproduct: {published.folder}")


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
