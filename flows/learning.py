"""Requests to train, evaluate or adapt a model or to write its page, and what answers them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from flows.config import RequestInvalid, Settings
from flows.mapping.plan import MapPlan, find_scenes, make_plan
from flows.mapping.steps import given_footprints
from flows.reports.progress import Meter, Progress
from flows.request import MapRequest, Spec, checked, comma_separated, described, make_request
from geo.imagery.dataset import fixed_block_cache
from geo.scenes.source import Clouds, Preference
from models.adaptation.adapt import (
    AdaptedModel,
    adapt_buildings,
    label_record,
    require_free,
    write_adapted,
)
from models.adaptation.labels import (
    LabelledBuildings,
    Labels,
    labels_of_buildings,
    read_labels,
    require_enough,
    require_file,
)
from models.cards.architecture import RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef, find
from models.cards.selection import TASKS_OF
from models.damage.buildings import pair_of
from models.datasets.catalog import ALL, GRADED, PICTURES, Kind, SetOptions, open_graded, open_set
from models.datasets.vocabulary import vocabulary_of
from models.evaluation.evaluate import Evaluation, evaluate, evaluate_damage, pooled_json, split_for
from models.evaluation.metrics import Detail
from models.inference.clouds import maskings
from models.inference.model import load_model
from models.inference.scene_inputs import reader_for
from models.inference.windows import ProgressReceiver
from models.training.config import is_regression_config, read_regression_config
from models.training.train_regression import train_regression

if TYPE_CHECKING:
    from models.training.config import TrainingConfig

_MODEL, _LABELS, _DATA = "Model", "Labels", "Data"
_OF_MAP: dict[str, Any] = MapRequest.model_fields


class TrainRequest(BaseModel):
    """A training: its config, and where its outcome goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path = described("TOML or JSON", group=_MODEL)
    out: Path = described(
        "Folder of the card, the weights, the log and the checkpoint", group=_MODEL
    )
    root: Path | None = described("Folder of the data, if not the config's", None, group=_DATA)


class EvaluateRequest(BaseModel):
    """Models, and the labelled data that they are scored on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = described(
        "Name or folder of a model; repeated: pooled, with mean and spread", group=_MODEL,
        option="model", min_length=1,
    )  # fmt: skip
    dataset: Kind = described("Layout of the data", group=_DATA)
    root: Path = described("Folder of the data", group=_DATA)
    split: str = described(
        "train, test, fold-0-of-5, all, or left-out: as the card says", ALL, group=_DATA
    )
    drop: tuple[str, ...] = described("Image that it is not given", (), group=_MODEL)
    sensor: str = described("Sensor of pairs", PICTURES.sensor, group=_DATA)
    bands: Annotated[tuple[str, ...], BeforeValidator(comma_separated)] = described(
        "Bands of pairs, in the order of the files, comma-separated", PICTURES.bands,
        group=_DATA, one_value=True,
    )  # fmt: skip
    block: int = described("Pairs with near numbers in a group", 1, group=_DATA, ge=1)
    groups: Path | None = described(
        "CSV of stem and group of pairs, instead of --block", None, group=_DATA
    )
    by: Detail | None = described(
        "List the counts and scores of each group or tile, too", None, group=_DATA
    )
    device: str = _OF_MAP["device"]

    @property
    def options(self) -> SetOptions:
        """What the files of pairs cannot say of themselves."""
        given = {
            "sensor": self.sensor, "bands": self.bands, "block": self.block, "groups": self.groups
        }  # fmt: skip
        return checked(lambda: SetOptions.model_validate(given))

    @property
    def title(self) -> str:
        """Which models, for the list of runs."""
        return " and ".join(self.models)


class PageRequest(BaseModel):
    """A model whose page is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = described("Name or folder of a model", group=_MODEL)
    root: Path = described("Folder that holds the folders of the data", group=_DATA)
    plan: Path | None = described(
        "TOML of the data; default: page.toml beside the card", None, group=_DATA
    )
    out: Path | None = described("Default: the folder of the model", None, group=_MODEL)
    device: str = _OF_MAP["device"]


def train_model(request: TrainRequest, progress: Progress) -> ModelCard:
    """Train a network, or resume it, or fit a regression; raises ModelError, StoreError."""
    if is_regression_config(request.config):
        plan = read_regression_config(request.config, root=request.root)
        return train_regression(plan, out=request.out, progress=progress)
    from models.training.train import train  # noqa: PLC0415 (imports torch)

    return train(_config(request), out=request.out, progress=progress, energy_wh=_energy_meter())


def pretrain_encoder(request: TrainRequest, progress: Progress) -> Path:
    """Train an encoder on images without labels; raises ModelError, StoreError."""
    from models.training.pretrain import pretrain  # noqa: PLC0415 (imports torch)

    return pretrain(_config(request), out=request.out, progress=progress, energy_wh=_energy_meter())


def _config(request: TrainRequest) -> "TrainingConfig":
    from models.training.config import at_root, read_config  # noqa: PLC0415 (imports torch)

    config = read_config(request.config)
    return config if request.root is None else at_root(config, request.root)


def _energy_meter() -> Callable[[], float | None]:
    meter = Meter.start()
    return lambda: meter.read().energy_wh


def evaluate_model(request: EvaluateRequest, progress: Progress) -> dict[str, object]:
    """Score a model on a split, or several together; raises ModelError."""
    refs = [find(name, extra=Settings().models) for name in request.models]
    if request.dataset in GRADED:
        return {"dataset": request.dataset.value, **_assess_damage(refs, request, progress)}
    splits = [split_for(ref.card, request.split) for ref in refs]
    each = [_assess(*pair, request, progress) for pair in zip(refs, splits, strict=True)]
    scores = each[0].as_json(request.by) if len(each) == 1 else pooled_json(each, request.by)
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
    grader = load_model(refs[0], "grades", device=request.device)
    labelled = open_graded(request.dataset, request.root, split=split, options=request.options)
    return evaluate_damage(grader, labelled, split=split, progress=progress).as_json()


def _assess(ref: CardRef, split: str, request: EvaluateRequest, progress: Progress) -> Evaluation:
    labelled = open_set(request.dataset, request.root, split=split, options=request.options)
    model = load_model(ref, device=request.device)
    return evaluate(model, labelled, split=split, drop=request.drop, progress=progress)


def write_model_page(request: PageRequest, progress: Progress) -> Path:
    """Write a model's scores into its card and draw its page; raises ModelError, StoreError."""
    from models.evaluation import model_page  # noqa: PLC0415 (matplotlib)

    ref = find(request.model, extra=Settings().models)
    plan = model_page.read_plan(request.plan or ref.folder / model_page.PLAN_NAME)
    model = load_model(ref, device=request.device)
    sets = model_page.measure(model, plan, root=request.root, progress=progress)
    return model_page.write_page(plan, sets, ref, request.out or ref.folder)


class AdaptRequest(BaseModel):
    """A model, labels of a new event, and the imagery that they were drawn on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = described(
        "Name or folder of a network, or of a regression on buildings", group=_MODEL
    )
    labels: Path = described(
        "Polygons with damage_gra (buildings) or notation (floods), as QGIS saves them",
        group=_LABELS,
    )
    out: Path = described("Folder of the new model", group=_MODEL)
    name: str | None = described(
        "Name of the new model; without one, the parent's and -adapted", None, group=_MODEL,
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$",
    )  # fmt: skip
    buildings: Path | None = described(
        "All footprints, where the labels are of some of them", None, group=_LABELS
    )
    area: str | None = described(
        "Area whose labels are used: west,south,east,north, GeoJSON, or a file of it", None,
        group=_LABELS,
    )  # fmt: skip
    before: tuple[Spec, ...] = _OF_MAP["before"]
    after: tuple[Spec, ...] = _OF_MAP["after"]
    prefer: Preference = _OF_MAP["prefer"]
    clouds: Clouds = _OF_MAP["clouds"]
    domain_check: bool = _OF_MAP["domain_check"]
    device: str = _OF_MAP["device"]

    def as_map(self, card: ModelCard) -> MapRequest:
        """Return the map whose imagery, grid and buildings the labels are of."""
        hazard = next(hazard for hazard, tasks in TASKS_OF.items() if card.task in tasks)
        fields: dict[str, Any] = self.model_dump(exclude={"labels", "out", "name", "buildings"})
        if card.task is Task.DAMAGE:
            fields["buildings"] = self.buildings or self.labels
        return make_request(event="adapt", hazard=hazard, **fields)


@dataclass(frozen=True)
class Adapted:
    """The new model, and what was left out or mended on the way."""

    card: ModelCard
    out: Path
    notes: tuple[str, ...]


@fixed_block_cache()
def adapt_model(request: AdaptRequest, progress: ProgressReceiver) -> Adapted:
    """Adapt a model to labels and write it; GeoError, ModelError, FlowError: nothing is written."""
    settings = Settings()
    ref = find_parent(request, settings)
    as_map = request.as_map(ref.card)
    plan = make_plan(as_map, find_scenes(as_map), settings)
    labels = find_labels(request, plan, ref)
    outcome = learn_labels(plan, ref, labels, progress)
    return write_model(request, plan, ref, labels, outcome)


def find_parent(request: AdaptRequest, settings: Settings) -> CardRef:
    """Return the model that is adapted, once its name and folder are known to be free."""
    ref = find(request.model, extra=settings.models)
    vocabulary_of(ref.card)
    require_free(request.out, _name(request, ref))
    require_file(request.labels)
    return ref


def find_labels(request: AdaptRequest, plan: MapPlan, ref: CardRef) -> Labels:
    """Return the labels in the area of a plan; those of buildings, on given footprints."""
    labels = read_labels(request.labels, plan.area, vocabulary_of(ref.card))
    require_enough(labels, labels.labelled)
    footprints = given_footprints(plan) if request.buildings is not None else None
    return labels if footprints is None else labels_of_buildings(labels, footprints)


def learn_labels(
    plan: MapPlan, ref: CardRef, labels: Labels, progress: ProgressReceiver
) -> AdaptedModel:
    """Learn on from labels, and judge each by what the others gave."""
    learn = _learn_grades if ref.card.task is Task.DAMAGE else _learn_floods
    try:
        return learn(plan, ref, labels, progress)
    finally:
        progress.finish()


def write_model(
    request: AdaptRequest, plan: MapPlan, ref: CardRef, labels: Labels, outcome: AdaptedModel
) -> Adapted:
    """Write the folder; see `models.adaptation.adapt.write_adapted`."""
    given = plan.footprints_sha256 if request.buildings is not None else None
    file = label_record(labels, outcome, plan.scenes, buildings_sha256=given)
    card = write_adapted(ref, outcome, file, name=_name(request, ref), out=request.out)
    return Adapted(card, request.out, tuple(dict.fromkeys((*plan.notes, *labels.notes))))


def _learn_grades(
    plan: MapPlan, ref: CardRef, labels: Labels, progress: ProgressReceiver
) -> AdaptedModel:
    request, card = plan.request, ref.card
    buildings = LabelledBuildings.of(
        pair_of(card, plan.scenes, request.prefer),
        plan.geobox,
        labels,
        checked=request.domain_check,
        progress=progress,
    )
    if isinstance(card.architecture, RegressionArchitecture):
        return adapt_buildings(card, buildings, progress)
    from models.adaptation.label_tiles import damage_tiles  # noqa: PLC0415 (the same)
    from models.adaptation.last_layer import adapt_last_layer  # noqa: PLC0415 (torch takes seconds)

    tiles = damage_tiles(card, buildings, progress)
    return adapt_last_layer(ref, labels, tiles, device=request.device, progress=progress)


def _learn_floods(
    plan: MapPlan, ref: CardRef, labels: Labels, progress: ProgressReceiver
) -> AdaptedModel:
    from models.adaptation.label_tiles import flood_tiles  # noqa: PLC0415 (the same)
    from models.adaptation.last_layer import adapt_last_layer  # noqa: PLC0415 (torch takes seconds)

    request = plan.request
    used = ref if request.domain_check else replace(ref, card=ref.card.unchecked)
    model = load_model(used, device=request.device)
    masked = maskings(plan.scenes, plan.clouds)
    reader = reader_for(model, plan.scenes, request.prefer, masked)
    tiles = flood_tiles(ref.card, reader, plan.geobox, labels, progress)
    return adapt_last_layer(ref, labels, tiles, device=request.device, progress=progress)


def _name(request: AdaptRequest, ref: CardRef) -> str:
    return request.name or f"{ref.card.name}-adapted"
