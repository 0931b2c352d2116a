"""What `train` and `evaluate` ask for, and the steps that they take."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.cost import Meter
from flows.errors import RequestInvalid
from flows.progress import Progress
from flows.settings import Settings
from models.card import ModelCard
from models.data.kinds import ALL, PICTURES, Kind, SetOptions, open_set
from models.evaluation import Number, evaluate
from models.predict import load
from models.registry import find

Request = TypeVar("Request", bound=BaseModel)
DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"


class TrainRequest(BaseModel):
    """A training: its config, and where its outcome goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path = Field(description="TOML or JSON")
    out: Path = Field(description="Folder of the card, the weights, the log and the checkpoint")
    root: Path | None = Field(default=None, description="Folder of the data, if not the config's")


class EvaluateRequest(BaseModel):
    """A model, and the labels that it is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Name or folder of a model")
    dataset: Kind
    root: Path = Field(description="Folder of the data")
    split: str = ALL
    drop: tuple[str, ...] = Field(default=(), description="Images that it is not given")
    options: SetOptions = PICTURES
    device: str = Field(default="auto", pattern=DEVICE)


def checked(make: Callable[[], Request]) -> Request:
    """Return a request, or say which field is wrong.

    Raises:
        RequestInvalid: with the first field that is wrong.
    """
    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise RequestInvalid(f"{place} is not valid: {said}") from error


def learn(request: TrainRequest, progress: Progress) -> ModelCard:
    """Train a model, from where the last run of the same training ended.

    Raises:
        ModelError, StoreError: see `models.training.train`.
    """
    from models.training import at_root, read_config, train  # noqa: PLC0415 (imports torch)

    config = read_config(request.config)
    if request.root is not None:
        config = at_root(config, request.root)
    meter = Meter.start()
    return train(
        config, out=request.out, progress=progress, energy_wh=lambda: meter.read().energy_wh
    )


def assess(request: EvaluateRequest, progress: Progress) -> dict[str, Number]:
    """Score a model on a split.

    Raises:
        ModelError: see `models.evaluation.evaluate`, `models.registry.find`.
    """
    labelled = open_set(request.dataset, request.root, split=request.split, options=request.options)
    model = load(find(request.model, extra=Settings().models), device=request.device)
    scores = evaluate(model, labelled, drop=request.drop, progress=progress)
    return {"dataset": request.dataset.value, "split": request.split, **scores.as_json()}
