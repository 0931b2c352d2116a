"""The commands `train` and `evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.learning import EvaluateRequest, TrainRequest, assess, checked, learn
from flows.printing import print_json, print_rows
from flows.progress import progress_on
from flows.quiet import quiet_prefect
from flows.settings import Settings
from models.card import ModelCard
from models.data.kinds import ALL, PICTURES, Kind, SetOptions
from models.evaluation import Number

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Direct = Annotated[
    bool, typer.Option("--direct", help="Run in this process, without Prefect's run history.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(evaluate)


def train(  # noqa: PLR0917 (typer reads options from parameters)
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML or JSON.")],
    out: Annotated[
        Path, typer.Option(help="Folder of card, weights, log and checkpoint; a run begins there.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder of the data, if not the config's.")
    ] = None,
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


def evaluate(  # noqa: PLR0917 (typer reads options from parameters)
    model: Annotated[str, typer.Option(help="Name or folder of a model.")],
    dataset: Annotated[Kind, typer.Option(help="Layout of the data.")],
    root: Annotated[Path, typer.Option(help="Folder of the data.")],
    split: Annotated[str, typer.Option(help="train, test, fold-0-of-5, or all.")] = ALL,
    drop: Annotated[
        list[str] | None, typer.Option(help="Image that it is not given; may be repeated.")
    ] = None,
    sensor: Annotated[str, typer.Option(help="Sensor of pairs.")] = PICTURES.sensor,
    bands: Annotated[
        str, typer.Option(help="Bands of pairs, in the order of the files.")
    ] = ",".join(PICTURES.bands),
    block: Annotated[int, typer.Option(help="Pairs with near numbers in a group.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    direct: Direct = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on labelled imagery."""
    request = checked(
        lambda: EvaluateRequest(
            model=model,
            dataset=dataset,
            root=root,
            split=split,
            drop=tuple(drop or ()),
            options=SetOptions(sensor=sensor, bands=tuple(bands.split(",")), block=block),
            device=device,
        )
    )
    scores = _evaluate(request, direct=direct, quiet=quiet)
    if as_json:
        print_json(scores)
    else:
        rows = [{"what": name, "value": _plain(value)} for name, value in scores.items()]
        print_rows(rows, as_json=False, empty="")


def _train(request: TrainRequest, *, direct: bool, quiet: bool) -> ModelCard:
    if direct:
        return learn(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.train_model import train_model  # noqa: PLC0415 (after Prefect was told)

    card: ModelCard = train_model(request, quiet=quiet)
    return card


def _evaluate(request: EvaluateRequest, *, direct: bool, quiet: bool) -> dict[str, Number]:
    if direct:
        return assess(request, progress_on(quiet=quiet))
    quiet_prefect(Settings().home)
    from flows.evaluate_model import evaluate_model  # noqa: PLC0415 (after Prefect was told)

    scores: dict[str, Number] = evaluate_model(request, quiet=quiet)
    return scores


def _plain(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
