"""The command `adapt`."""

from pathlib import Path
from typing import Annotated, Any

import typer

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
    TileRows,
    UnitsOf,
    specs,
    split,
)
from flows.cli.output import print_json, print_rows, quiet_prefect
from flows.config import RequestInvalid, Settings
from flows.learning import Adapted, AdaptRequest, adapt, checked
from flows.reports.progress import progress_on
from models.cards.training_record import Adaptation

_MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1_two": "macro F1, damaged or not",
    "macro_f1_four": "macro F1, four grades",
    "auc_damaged": "AUC, damaged",
    "auc": "AUC",
    "log_loss": "log loss (lower is better)",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("adapt")(adapt_)


def adapt_(  # noqa: PLR0917 (typer reads options from parameters)
    model: Annotated[str, typer.Option(help="Name or folder of the model that learns on.")],
    labels: Annotated[
        Path, typer.Option(help="Polygons with damage_gra (buildings) or notation (floods).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.")],
    name: Annotated[str | None, typer.Option(help="Of the new model.")] = None,
    before: Before = None,
    after: After = None,
    area: Area = None,
    buildings: Annotated[
        Path | None, typer.Option(help="All footprints, where the labels are of some of them.")
    ] = None,
    sensor: SensorOf = None,
    bands: Bands = None,
    units: UnitsOf = None,
    baseline: Baseline = None,
    backscatter: BackscatterOf = None,
    source_crs: SourceCrs = None,
    tile_rows: TileRows = None,
    before_date: BeforeDate = None,
    after_date: AfterDate = None,
    prefer: Prefer = None,
    clouds: CloudsOf = None,
    domain_check: DomainCheck = None,
    device: DeviceOrNone = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach a model a new event from 3 to 200 labelled buildings or flood polygons."""
    if not after:
        raise RequestInvalid("--after must be given: the imagery that the labels were drawn on")
    said = {
        "sensor": sensor, "bands": split(bands), "units": units, "baseline": baseline,
        "backscatter": backscatter, "crs": source_crs, "rows": tile_rows,
    }  # fmt: skip
    fields: dict[str, Any] = {
        "model": model, "labels": labels, "out": out, "name": name, "area": area,
        "before": specs(before, taken=before_date, **said),
        "after": specs(after, taken=after_date, **said), "buildings": buildings,
        "prefer": prefer, "clouds": clouds, "domain_check": domain_check, "device": device,
    }  # fmt: skip
    given = {key: value for key, value in fields.items() if value is not None}
    request = checked(lambda: AdaptRequest.model_validate(given))
    _print(_adapt(request, direct=direct, quiet=quiet), as_json=as_json)


def _adapt(request: AdaptRequest, *, direct: bool, quiet: bool) -> Adapted:
    settings = Settings()
    if direct:
        return adapt(request, settings, progress_on(quiet=quiet))
    quiet_prefect(settings.home)
    from flows.mapping.flows import adapt_model  # noqa: PLC0415 (after Prefect was told)

    adapted: Adapted = adapt_model(request, quiet=quiet)
    return adapted


def _print(adapted: Adapted, *, as_json: bool) -> None:
    """Print the scores side by side, and what they say."""
    card, adaptation = adapted.card, adapted.card.adaptation
    if adaptation is None:
        raise TypeError("the card of an adapted model says from what it was adapted")
    if as_json:
        print_json({
            "model": card.name, "digest": card.digest, "out": str(adapted.out),
            "helped": adaptation.helped, **adaptation.model_dump(mode="json"),
            "notes": adapted.notes,
        })  # fmt: skip
        return
    rows = [
        {
            "held-out labels (leave-one-out)": _MEASURES[score.measure],
            adaptation.parent.name: _figure(score.parent),
            "adapted": _figure(score.adapted),
        }
        for score in adaptation.scores
    ]
    print_rows(rows, as_json=False, empty="")
    print("\n".join([_labels(adaptation), *_verdict(adaptation), *adapted.notes]))
    print(f"\nmodel: {adapted.out}")


def _labels(adaptation: Adaptation) -> str:
    labels = adaptation.labels
    counts = ", ".join(f"{count} {name}" for name, count in labels.counts.items())
    left = ", ".join(f"{count} {reason}" for reason, count in labels.skipped.items())
    return f"{sum(labels.counts.values())} labels: {counts}{f'; not used: {left}' if left else ''}."


def _verdict(adaptation: Adaptation) -> tuple[str, ...]:
    """Return, as sentences, whether adapting helped."""
    if adaptation.helped:
        return ("The model was adapted: it predicts held-out labels better (leave-one-out).",)
    return (
        "Adapting did not help: the log loss of held-out labels (leave-one-out) is no lower. The "
        f"model has the numbers of {adaptation.parent.name}, unchanged.",
    )


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
