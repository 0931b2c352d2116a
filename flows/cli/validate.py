"""The command `validate`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import AfterNow, BeforeNow, Json, ProductNamed, Quiet, StoreAt
from flows.cli.output import print_json, print_rows
from flows.config import RequestInvalid, Settings
from flows.mapping.records import find_product
from flows.reports.progress import progress_on
from geo.store.manifest import Product
from geo.store.store import LocalStore
from models.evaluation.sample_design import Design


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(validate)


def validate(  # noqa: PLR0917 (typer reads options from parameters)
    product: ProductNamed,
    out: Annotated[
        Path | None, typer.Option(help="Draw a sample into this folder, to check by eye.")
    ] = None,
    draw: Annotated[int, typer.Option(min=1, help="Buildings that are drawn.")] = 100,
    design: Annotated[
        Design, typer.Option(help="By published grade (stratified), or of all alike (simple).")
    ] = Design.STRATIFIED,
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
    """Draw buildings to check by eye (--out), or say what the eye found (--answers)."""
    if (out is None) == (answers is None):
        raise RequestInvalid(
            "give --out FOLDER to draw a sample of buildings, or --answers FILE.csv to read its "
            "answers back; one of the two"
        )
    found = find_product(product, LocalStore(store or Settings().store))
    if answers is not None:
        _evaluate(found, answers, sample or answers.parent, as_json=as_json)
        return
    from flows.review.inputs import places_of  # noqa: PLC0415 (listing a store needs none of it)
    from flows.review.sample import PAGE, SampleRequest, draw_sample, sample_rows  # noqa: PLC0415 (the same)

    folder = out or Path()
    record = draw_sample(
        found,
        SampleRequest(folder, draw, design, seed),
        places=places_of(found, before=before or (), after=after or (), model=None),
        progress=progress_on(quiet=quiet),
    )
    if as_json:
        print_json({**record.model_dump(mode="json"), "page": str(folder / PAGE)})
        return
    print_rows(sample_rows(record), as_json=False, empty="")
    print(f"\npage: {folder / PAGE}")


def _evaluate(product: Product, answers: Path, sample: Path, *, as_json: bool) -> None:
    from flows.review import answers as words  # noqa: PLC0415 (drawing needs none of it)
    from flows.review.answers import RESULT, evaluate_answers  # noqa: PLC0415 (the same)

    validation = evaluate_answers(product, answers, sample)
    if as_json:
        print_json(validation.as_json())
        return
    print(words.headline(validation))
    for rows in (words.amount_rows, words.score_rows, words.confusion_rows):
        print_rows(rows(validation), as_json=False, empty="")
    print(f"\nresult: {sample / RESULT}")
