"""The commands `train`, `pretrain`, `evaluate` and `page`."""

from pathlib import Path
from typing import Annotated, TypeGuard

import typer

from flows.cli.options import DataAt, Device, Direct, Json, Quiet
from flows.cli.output import print_json, print_rows, quiet_prefect
from flows.config import Settings
from flows.learning import (
    EvaluateRequest,
    PageRequest,
    TrainRequest,
    assess,
    checked,
    learn,
    prepare,
    present,
)
from flows.reports.progress import progress_on
from models.cards.card import ModelCard
from models.datasets.catalog import ALL, PICTURES, Kind, SetOptions
from models.evaluation.metrics import Detail


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(pretrain)
    app.command()(evaluate)
    app.command()(page)


def train(  # noqa: PLR0917 (typer reads options from parameters)
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML or JSON.")],
    out: Annotated[
        Path, typer.Option(help="Folder of card, weights, log and checkpoint; a run begins there.")
    ],
    root: DataAt = None,
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn a model from labelled imagery; a killed run goes on where it was."""
    request = TrainRequest(config=config, out=out, root=root)
    card = _train(request, direct=direct, quiet=quiet)
    rows = [score.model_dump(mode="json") for score in card.scores]
    if as_json:
        print_json({"model": card.name, "digest": card.digest, "out": str(out), "scores": rows})
    else:
        print_rows(rows, as_json=False, empty="nothing was left out, so there is no score")
        print(f"\nmodel: {out}")


def pretrain(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="That of a training.")],
    out: Annotated[Path, typer.Option(help="Folder of the encoder, log and checkpoint.")],
    root: DataAt = None,
    direct: Direct = False,
    quiet: Quiet = False,
) -> None:
    """Teach the encoder of a training on its images, labels unseen; see encoder_weights."""
    request = TrainRequest(config=config, out=out, root=root)
    print(f"encoder: {_prepare(request, direct=direct, quiet=quiet)}")


def evaluate(  # noqa: PLR0917 (typer reads options from parameters)
    model: Annotated[
        list[str],
        typer.Option(help="Name or folder of a model; repeated: pooled, with mean and spread."),
    ],
    dataset: Annotated[Kind, typer.Option(help="Layout of the data.")],
    root: Annotated[Path, typer.Option(help="Folder of the data.")],
    split: Annotated[
        str, typer.Option(help="train, test, fold-0-of-5, all, or left-out: as the card says.")
    ] = ALL,
    drop: Annotated[
        list[str] | None, typer.Option(help="Image that it is not given; may be repeated.")
    ] = None,
    sensor: Annotated[str, typer.Option(help="Sensor of pairs.")] = PICTURES.sensor,
    bands: Annotated[
        str, typer.Option(help="Bands of pairs, in the order of the files.")
    ] = ",".join(PICTURES.bands),
    block: Annotated[int, typer.Option(help="Pairs with near numbers in a group.")] = 1,
    groups: Annotated[
        Path | None, typer.Option(help="CSV of stem and group of pairs, instead of --block.")
    ] = None,
    by: Annotated[
        Detail | None, typer.Option(help="group or tile: list their counts and scores, too.")
    ] = None,
    device: Device = "auto",
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on labelled imagery."""
    request = checked(
        lambda: EvaluateRequest(
            models=tuple(model),
            dataset=dataset,
            root=root,
            split=split,
            drop=tuple(drop or ()),
            options=SetOptions(
                sensor=sensor, bands=tuple(bands.split(",")), block=block, groups=groups
            ),
            by=by,
            device=device,
        )
    )
    scores = _evaluate(request, direct=direct, quiet=quiet)
    if as_json:
        print_json(scores)
    else:
        _print_scores(scores)


def page(  # noqa: PLR0917 (typer reads options from parameters)
    model: Annotated[str, typer.Option(help="Name or folder of a model.")],
    root: Annotated[Path, typer.Option(help="Folder that holds the folders of the data.")],
    plan: Annotated[
        Path | None, typer.Option(help="TOML of the data; default: page.toml beside the card.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: the folder of the model.")] = None,
    seed: Annotated[
        list[Path] | None, typer.Option(help="The same training with another seed; repeated.")
    ] = None,
    fold: Annotated[
        list[Path] | None,
        typer.Option(help="A training that left out another fold; repeated for every fold."),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure a model on the data of its page.toml; write its card's scores and its page."""
    request = checked(
        lambda: PageRequest(
            model=model, root=root, plan=plan, out=out,
            seeds=tuple(seed or ()), folds=tuple(fold or ()), device=device,
        )
    )  # fmt: skip
    print(f"page: {present(request, progress_on(quiet=quiet))}")


def _train(request: TrainRequest, *, direct: bool, quiet: bool) -> ModelCard:
    if direct:
        return learn(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.mapping.flows import train_model  # noqa: PLC0415 (after Prefect was told)

    card: ModelCard = train_model(request, quiet=quiet)
    return card


def _prepare(request: TrainRequest, *, direct: bool, quiet: bool) -> Path:
    if direct:
        return prepare(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.mapping.flows import pretrain_encoder  # noqa: PLC0415 (after Prefect was told)

    path: Path = pretrain_encoder(request, quiet=quiet)
    return path


def _evaluate(request: EvaluateRequest, *, direct: bool, quiet: bool) -> dict[str, object]:
    if direct:
        return assess(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.mapping.flows import evaluate_model  # noqa: PLC0415 (after Prefect was told)

    scores: dict[str, object] = evaluate_model(request, quiet=quiet)
    return scores


def _print_scores(scores: dict[str, object]) -> None:
    """Print scores as a table, and each list among them as a table of its own below."""
    tables = {name: rows for name, rows in scores.items() if _is_table(rows)}
    single = {name: value for name, value in scores.items() if name not in tables}
    print_rows(
        [{"what": k, "value": _plain(v)} for k, v in single.items()], as_json=False, empty=""
    )
    for rows in tables.values():
        plain = [{k: _plain(v) for k, v in row.items()} for row in rows]
        print_rows(plain, as_json=False, empty="")


def _is_table(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
