"""The commands that make and measure models: train, pretrain, evaluate, adapt, page."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from flows.cli.app import print_json, print_rows, print_scores
from flows.cli.options import (
    DataAt,
    Direct,
    Json,
    Quiet,
    RequestCommand,
    make_from,
    request_options,
)
from flows.config import Settings, quiet_prefect
from flows.learning import (
    Adapted,
    AdaptRequest,
    EvaluateRequest,
    PageRequest,
    TrainRequest,
    adapt_model,
    evaluate_model,
    pretrain_encoder,
    train_model,
    write_model_page,
)
from flows.reports.progress import Progress, progress_on
from models.cards.card import Adaptation

app = typer.Typer(add_completion=False)
Out = TypeVar("Out")

_MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1_two": "macro F1, damaged or not",
    "macro_f1_four": "macro F1, four grades",
    "auc_damaged": "AUC, damaged",
    "auc": "AUC",
    "log_loss": "log loss (lower is better)",
}
_Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML or JSON of a training.")]


@app.command()
def train(  # noqa: PLR0917 (typer reads options from parameters)
    config: _Config,
    out: Annotated[
        Path, typer.Option(help="Folder of card, weights, log and checkpoint; a run begins there.")
    ],
    root: DataAt = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on labelled imagery; a killed run continues where it was."""
    request = TrainRequest(config=config, out=out, root=root)
    card = _run(train_model, request, direct=direct, quiet=quiet)
    rows = [score.model_dump(mode="json") for score in card.scores]
    if as_json:
        print_json({"model": card.name, "digest": card.digest, "out": str(out), "scores": rows})
    else:
        print_rows(rows, empty="nothing was left out, so there is no score")
        print(f"\nmodel: {out}")


@app.command()
def pretrain(
    config: _Config,
    out: Annotated[Path, typer.Option(help="Folder of the encoder, log and checkpoint.")],
    root: DataAt = None,
    direct: Direct = False,
    quiet: Quiet = False,
) -> None:
    """Train the encoder of a network on the images of a training, without their labels."""
    request = TrainRequest(config=config, out=out, root=root)
    print(f"encoder: {_run(pretrain_encoder, request, direct=direct, quiet=quiet)}")


@app.command(cls=RequestCommand)
@request_options(EvaluateRequest)
def evaluate(
    *,
    given: dict[str, Any],
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on labelled imagery; several are pooled, with mean and spread."""
    request = make_from(EvaluateRequest, given)
    scores = _run(evaluate_model, request, direct=direct, quiet=quiet)
    if as_json:
        print_json(scores)
    else:
        print_scores(scores)


@app.command(cls=RequestCommand)
@request_options(PageRequest)
def page(*, given: dict[str, Any], quiet: Quiet = False) -> None:
    """Measure a model on the data of its page.toml; write its card's scores and its page."""
    print(f"page: {write_model_page(make_from(PageRequest, given), progress_on(quiet=quiet))}")


@app.command(cls=RequestCommand)
@request_options(AdaptRequest)
def adapt(
    *,
    given: dict[str, Any],
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Adapt a model to a new event, from 3 to 200 labelled buildings or flood polygons."""
    adapted = _run(adapt_model, make_from(AdaptRequest, given), direct=direct, quiet=quiet)
    _print_adapted(adapted, as_json=as_json)


def _run(
    function: Callable[[Any, Progress], Out], request: BaseModel, *, direct: bool, quiet: bool
) -> Out:
    """Run in this process, or as the Prefect flow of the function's name."""
    if direct:
        return function(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.mapping import flows  # noqa: PLC0415 (after Prefect was told to be quiet)

    result: Out = getattr(flows, function.__name__)(request, quiet=quiet)
    return result


def _print_adapted(adapted: Adapted, *, as_json: bool) -> None:
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
    print_rows(rows)
    print("\n".join([_labels(adaptation), _verdict(adaptation), *adapted.notes]))
    print(f"\nmodel: {adapted.out}")


def _labels(adaptation: Adaptation) -> str:
    labels = adaptation.labels
    counts = ", ".join(f"{count} {name}" for name, count in labels.counts.items())
    left = ", ".join(f"{count} {reason}" for reason, count in labels.skipped.items())
    return f"{sum(labels.counts.values())} labels: {counts}{f'; not used: {left}' if left else ''}."


def _verdict(adaptation: Adaptation) -> str:
    """Return, as sentences, whether adapting helped."""
    if adaptation.helped:
        return "The model was adapted: it predicts held-out labels better (leave-one-out)."
    return (
        "Adapting did not help: the log loss of held-out labels (leave-one-out) is no lower. The "
        f"model has the numbers of {adaptation.parent.name}, unchanged."
    )


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
