"""What `train` and `evaluate` ask for, and the steps that they take."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.cost import Meter
from flows.errors import RequestInvalid
from flows.progress import Progress
from flows.settings import Settings
from models.agreement import Detail
from models.card import ModelCard
from models.damage_evaluation import evaluate_damage
from models.data.kinds import ALL, GRADED, PICTURES, Kind, SetOptions, open_graded, open_set
from models.evaluation import Evaluation, evaluate, split_for, together
from models.grading.grader import load_grader
from models.grading.plan import is_grading_plan, read_grading_plan
from models.grading.train import train_grader
from models.predict import load
from models.registry import CardRef, find

if TYPE_CHECKING:
    from models.training import TrainingConfig

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

    models: tuple[str, ...] = Field(min_length=1, description="Names or folders of models")
    dataset: Kind
    root: Path = Field(description="Folder of the data")
    split: str = Field(default=ALL, description="Or left-out: what each model's card says")
    drop: tuple[str, ...] = Field(default=(), description="Images that it is not given")
    options: SetOptions = PICTURES
    by: Detail | None = Field(default=None, description="List groups or tiles, too")
    device: str = Field(default="auto", pattern=DEVICE)

    @property
    def title(self) -> str:
        """Which models, for the list of runs."""
        return " and ".join(self.models)


class PageRequest(BaseModel):
    """A model whose page is written, and the trainings that show how much chance there is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Name or folder of a model")
    root: Path = Field(description="Folder that holds the folders of the data")
    plan: Path | None = Field(default=None, description="If not page.toml beside the card")
    out: Path | None = Field(default=None, description="If not the folder of the model")
    seeds: tuple[Path, ...] = Field(default=(), description="The same with other seeds")
    folds: tuple[Path, ...] = Field(default=(), description="The same with other folds left out")
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
    """Train a network, from where the last run ended, or fit a regression on buildings.

    Raises:
        ModelError, StoreError: see `models.training.train`.
    """
    if is_grading_plan(request.config):
        plan = read_grading_plan(request.config, root=request.root)
        return train_grader(plan, out=request.out, progress=progress)
    from models.training import train  # noqa: PLC0415 (imports torch)

    return train(_config(request), out=request.out, progress=progress, energy_wh=_energy_meter())


def prepare(request: TrainRequest, progress: Progress) -> Path:
    """Teach the encoder of a training on its images without their labels; return its weights.

    Raises:
        ModelError, StoreError: see `models.training.train`.
    """
    from models.training import pretrain  # noqa: PLC0415 (imports torch)

    return pretrain(_config(request), out=request.out, progress=progress, energy_wh=_energy_meter())


def _config(request: TrainRequest) -> "TrainingConfig":
    from models.training import at_root, read_config  # noqa: PLC0415 (imports torch)

    config = read_config(request.config)
    return config if request.root is None else at_root(config, request.root)


def _energy_meter() -> Callable[[], float | None]:
    meter = Meter.start()
    return lambda: meter.read().energy_wh


def assess(request: EvaluateRequest, progress: Progress) -> dict[str, object]:
    """Score a model on a split, or several together.

    Raises:
        ModelError: see `models.evaluation`, `models.registry.find`.
    """
    refs = [find(name, extra=Settings().models) for name in request.models]
    if request.dataset in GRADED:
        return {"dataset": request.dataset.value, **_assess_damage(refs, request, progress)}
    splits = [split_for(ref.card, request.split) for ref in refs]
    each = [_assess(*pair, request, progress) for pair in zip(refs, splits, strict=True)]
    scores = each[0].as_json(request.by) if len(each) == 1 else together(each, request.by)
    return {"dataset": request.dataset.value, **scores}


def _assess_damage(
    refs: list[CardRef], request: EvaluateRequest, progress: Progress
) -> dict[str, object]:
    if len(refs) > 1 or request.drop or request.by:
        raise RequestInvalid(
            f"{request.dataset} is scored with one model, all its images and no --by; give --model "
            "once and neither --drop nor --by"
        )
    split = split_for(refs[0].card, request.split)
    grader = load_grader(refs[0], device=request.device)
    labelled = open_graded(request.dataset, request.root, split=split, options=request.options)
    return evaluate_damage(grader, labelled, split=split, progress=progress).as_json()


def _assess(ref: CardRef, split: str, request: EvaluateRequest, progress: Progress) -> Evaluation:
    labelled = open_set(request.dataset, request.root, split=split, options=request.options)
    model = load(ref, device=request.device)
    return evaluate(model, labelled, split=split, drop=request.drop, progress=progress)


def present(request: PageRequest, progress: Progress) -> Path:
    """Measure a model, write the scores into its card and draw its page; return the page.

    Raises:
        ModelError, StoreError: see `models.page`.
    """
    from models.page import Trainings, measure, read_plan, write_page  # noqa: PLC0415 (matplotlib)
    from models.page.plan import PLAN_NAME  # noqa: PLC0415 (matplotlib)

    ref = find(request.model, extra=Settings().models)
    measured = measure(
        Trainings.load(ref, seeds=request.seeds, folds=request.folds, device=request.device),
        read_plan(request.plan or ref.folder / PLAN_NAME),
        root=request.root,
        progress=progress,
    )
    return write_page(measured, ref, request.out or ref.folder)
