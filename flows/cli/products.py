"""The commands that look at what there is: products, models, fields; explain, validate, serve."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.app import print_json, print_rows
from flows.cli.options import AfterNow, BeforeNow, Device, Json, ProductNamed, Quiet, StoreAt
from flows.config import RequestInvalid, Settings
from geo.store.store import LocalStore

if TYPE_CHECKING:
    from geo.store.manifest import Product

app = typer.Typer(add_completion=False)


@app.command()
def events(store: StoreAt = None, as_json: Json = False) -> None:
    """List the events of a store, each with its current product."""
    from flows.mapping.records import event_rows  # noqa: PLC0415 (help needs none of it)

    rows = event_rows(_store(store))
    print_rows(rows, as_json=as_json, empty="no event has been published in this store")


@app.command()
def products(
    event: Annotated[str | None, typer.Argument(help="Only those of this event.")] = None,
    store: StoreAt = None,
    as_json: Json = False,
) -> None:
    """List the products of a store, oldest first."""
    from flows.mapping.records import product_rows  # noqa: PLC0415 (help needs none of it)

    rows = product_rows(_store(store), event)
    print_rows(rows, as_json=as_json, empty="no product has been published in this store")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Name or folder of a model.")] = None,
    as_json: Json = False,
) -> None:
    """List the models, or print the card of one."""
    from models.cards.registry import all_cards, find  # noqa: PLC0415 (help needs none of it)

    extra = Settings().models
    if name is not None:
        print_json(find(name, extra=extra).card.model_dump(mode="json"))
        return
    cards = [ref.card for ref in all_cards(extra)]
    rows = [
        {"name": c.name, "version": c.version, "task": str(c.task), "what": c.summary}
        for c in cards
    ]
    print_rows(rows, as_json=as_json, empty="there is no model")


@app.command()
def fields() -> None:
    """Print the table of fields of every layer, as Markdown."""
    from geo.vector.schema import schema_markdown  # noqa: PLC0415 (only this command prints it)

    print(schema_markdown(), end="")


@app.command()
def serve(
    store: StoreAt = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8765,
) -> None:
    """Serve a store over HTTP, for QGIS, GDAL and web maps."""
    from flows.serving.serve import serve as run  # noqa: PLC0415 (only this command needs a web server)

    run(_store(store).root, host=host, port=port)


@app.command()
def doctor(store: StoreAt = None, as_json: Json = False) -> None:
    """Say what this machine can do, and what is missing."""
    from rich.console import Console  # noqa: PLC0415 (only this command draws its table)

    from flows.serving.doctor import as_table, checkup, healthy  # noqa: PLC0415 (imports torch and Prefect)

    findings = checkup(_store(store).root, models=Settings().models)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        Console().print(as_table(findings))
    if not healthy(findings):
        raise typer.Exit(1)


@app.command()
def explain(  # noqa: PLR0917 (typer reads options from parameters)
    product: ProductNamed,
    feature: Annotated[
        str, typer.Argument(metavar="FEATURE-ID", help="Field id of a feature of the product.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File of the picture; default: FEATURE-ID.png.")
    ] = None,
    store: StoreAt = None,
    before: BeforeNow = None,
    after: AfterNow = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the product's model.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain one feature: a picture of the images there, and what the model's answer rests on."""
    found = _product(product, store)
    from flows.reports.progress import progress_on  # noqa: PLC0415 (help needs none of it)
    from flows.review.explain_feature import explain_feature  # noqa: PLC0415 (imports matplotlib)
    from flows.review.product_inputs import input_paths  # noqa: PLC0415 (the same)

    report = explain_feature(
        found,
        feature,
        paths=input_paths(found, before=before or (), after=after or (), model=model),
        settings=Settings(),
        device=device,
        progress=progress_on(quiet=quiet),
    )
    picture = out or Path(f"{feature}.png")
    report.save_picture(picture)
    if as_json:
        print_json({**report.figures, "picture": str(picture)})
        return
    print_rows(report.rows, empty="nothing could be left out")
    print(f"\n{report.sentence}\npicture: {picture}")


@app.command()
def validate(  # noqa: PLR0917 (typer reads options from parameters)
    product: ProductNamed,
    out: Annotated[
        Path | None, typer.Option(help="Draw a sample into this folder, to check visually.")
    ] = None,
    draw: Annotated[int, typer.Option(min=1, help="Buildings that are drawn.")] = 100,
    design: Annotated[
        Literal["stratified", "simple"],
        typer.Option(help="By published grade (stratified), or of all alike (simple)."),
    ] = "stratified",
    seed: Annotated[int, typer.Option(min=0, help="Another number draws others.")] = 0,
    answers: Annotated[
        Path | None, typer.Option(help="CSV: sample.csv filled in, or as the page saves it.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="Folder of the sample; default: that of the answers.")
    ] = None,
    store: StoreAt = None,
    before: BeforeNow = None,
    after: AfterNow = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw buildings to check visually (--out), or evaluate the answers (--answers)."""
    if (out is None) == (answers is None):
        raise RequestInvalid(
            "give --out FOLDER to draw a sample of buildings, or --answers FILE.csv to read its "
            "answers back; one of the two"
        )
    found = _product(product, store)
    if answers is not None:
        _evaluate(found, answers, sample or answers.parent, as_json=as_json)
        return
    from flows.reports.progress import progress_on  # noqa: PLC0415 (help needs none of it)
    from flows.review.product_inputs import input_paths  # noqa: PLC0415 (the same)
    from flows.review.sample import SampleRequest, draw_sample, sample_rows  # noqa: PLC0415 (the same)
    from flows.review.sample_page import PAGE  # noqa: PLC0415 (the same)
    from models.evaluation.sampling import Design  # noqa: PLC0415 (the same)

    folder = out or Path()
    record = draw_sample(
        found,
        SampleRequest(folder, draw, Design(design), seed),
        paths=input_paths(found, before=before or (), after=after or (), model=None),
        progress=progress_on(quiet=quiet),
    )
    if as_json:
        print_json({**record.model_dump(mode="json"), "page": str(folder / PAGE)})
        return
    print_rows(sample_rows(record))
    print(f"\npage: {folder / PAGE}")


def _evaluate(product: "Product", answers: Path, sample: Path, *, as_json: bool) -> None:
    from flows.review import answers as review  # noqa: PLC0415 (imports scipy)

    validation = review.validate_product(product, answers, sample)
    if as_json:
        print_json(validation.figures)
        return
    print(review.validation_text(validation))
    for rows in (review.count_rows, review.confusion_rows):
        print()
        print_rows(rows(validation))
    print(f"\nresult: {sample / review.RESULT}")


def _store(folder: Path | None) -> LocalStore:
    return LocalStore(folder or Settings().store)


def _product(name: str, store: Path | None) -> "Product":
    from flows.mapping.records import find_product  # noqa: PLC0415 (help needs none of it)

    return find_product(name, _store(store))
