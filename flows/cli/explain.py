"""The command `explain`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import AfterNow, BeforeNow, Device, Json, ProductNamed, Quiet, StoreAt
from flows.cli.output import print_json, print_rows
from flows.config import Settings
from flows.mapping.records import find_product
from flows.reports.progress import progress_on
from geo.store.store import LocalStore


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


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
    """Draw what the model saw at one polygon, and what moved its answer."""
    from flows.review.explain import draw_explained, explain_feature, explained_json, explained_rows  # noqa: PLC0415 (imports matplotlib)
    from flows.review.inputs import places_of  # noqa: PLC0415 (listing a store needs none of it)

    settings = Settings()
    found = find_product(product, LocalStore(store or settings.store))
    explained = explain_feature(
        found,
        feature,
        places=places_of(found, before=before or (), after=after or (), model=model),
        settings=settings,
        device=device,
        progress=progress_on(quiet=quiet),
    )
    picture = out or Path(f"{feature}.png")
    draw_explained(explained, picture)
    if as_json:
        print_json({**explained_json(explained), "picture": str(picture)})
        return
    explanation = explained.explanation
    print_rows(explained_rows(explained), as_json=False, empty="nothing could be left out")
    print(
        f"\n{explained.polygon.notation}: mean probability {explanation.mean:.3f}, "
        f"{explanation.window.mean_percent / 100:.3f} in the product; at a pixel they differ by at "
        f"most {explanation.largest_difference:.3f}\npicture: {picture}"
    )
