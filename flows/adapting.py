"""What `adapt` asks for, and its steps: a model, labels and imagery in, a model out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.find import Plan, find_scenes, make_plan
from flows.learning import DEVICE
from flows.request import MapRequest, Spec, make_request
from flows.settings import Settings
from flows.walk import Step, direct
from geo.block_cache import fixed_block_cache
from geo.scene_mosaic import Preference
from models.adapting.buildings import Town, learn_regression
from models.adapting.keep import keep, label_file, require_free
from models.adapting.labels import Labels, on_buildings, read_labels, require_enough, require_file
from models.adapting.outcome import Outcome
from models.adapting.words import vocabulary_of
from models.card import ModelCard
from models.clouds import Clouds, maskings
from models.grading.architecture import RegressionArchitecture
from models.grading.pair import pair_of
from models.mapping import Progress
from models.matching import TASKS_OF
from models.predict import load
from models.reading import reader_for
from models.registry import CardRef, find
from models.terms import Task


class AdaptRequest(BaseModel):
    """A model, labels of a new event, and the imagery that they were drawn on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Name or folder of a network, or of a regression on buildings")
    labels: Path = Field(description="Polygons with damage_gra, or notation, as QGIS saves them")
    out: Path = Field(description="Folder of the new model")
    name: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$",
        description="Of the new model; without one, the parent's and -adapted",
    )
    before: tuple[Spec, ...] = Field(default=(), description="Imagery before the event")
    after: tuple[Spec, ...] = Field(min_length=1, description="Imagery after the event")
    area: str | None = Field(default=None, description="As of a map")
    buildings: Path | None = Field(
        default=None, description="All footprints, where the labels are of some of them"
    )
    prefer: Preference = Preference.NEWEST
    clouds: Clouds = Clouds.AUTO
    domain_check: bool = True
    device: str = Field(default="auto", pattern=DEVICE)

    def as_map(self, card: ModelCard) -> MapRequest:
        """Return the map whose imagery, grid and buildings are learned from."""
        hazard = next(hazard for hazard, tasks in TASKS_OF.items() if card.task in tasks)
        said: dict[str, Any] = self.model_dump(exclude={"labels", "out", "name", "buildings"})
        if card.task is Task.DAMAGE:
            said["buildings"] = self.buildings or self.labels
        return make_request(event="adapt", hazard=hazard, **said)


@dataclass(frozen=True)
class Adapted:
    """The new model, and what was left out or mended on the way."""

    card: ModelCard
    out: Path
    notes: tuple[str, ...]


@fixed_block_cache()
def adapt(
    request: AdaptRequest, settings: Settings, progress: Progress, *, step: Step = direct
) -> Adapted:
    """Teach a model a new event from labels of it, and write it as a folder.

    Raises:
        GeoError, ModelError, FlowError: with one clear sentence; nothing was written.
    """
    ref = step(find_parent)(request, settings)
    asked = request.as_map(ref.card)
    scenes = step(find_scenes)(asked)
    plan = step(make_plan)(asked, scenes, settings)
    labels = step(find_labels)(request, plan, ref)
    outcome = step(learn_labels)(plan, ref, labels, progress)
    return step(write_model)(request, plan, ref, labels, outcome)


def find_parent(request: AdaptRequest, settings: Settings) -> CardRef:
    """Return the model that learns on, once its name and folder are known to be free.

    Raises:
        ModelUnknown, CardInvalid, NameTaken: see `models.registry.find`, `require_free`.
        InputsMismatch: where it learns from no labels.
        LabelsInvalid: where there is no file of labels.
    """
    ref = find(request.model, extra=settings.models)
    vocabulary_of(ref.card)
    require_free(request.out, _name(request, ref))
    require_file(request.labels)
    return ref


def find_labels(request: AdaptRequest, plan: Plan, ref: CardRef) -> Labels:
    """Return the labels in the area of a plan; those of buildings, on given footprints.

    Raises:
        LabelsInvalid, FootprintsInvalid: where they cannot be used.
    """
    labels = read_labels(request.labels, plan.area, vocabulary_of(ref.card))
    require_enough(labels, labels.labelled, labels.skipped)
    if request.buildings is None or plan.footprints is None:
        return labels
    return on_buildings(labels, plan.footprints)


def learn_labels(plan: Plan, ref: CardRef, labels: Labels, progress: Progress) -> Outcome:
    """Learn on from labels, and judge each by what the others gave.

    Raises:
        NotAligned: where the images before and after cannot be compared.
        LabelsInvalid, InputsMismatch: where nothing can be learned.
    """
    learn = _learn_grades if ref.card.task is Task.DAMAGE else _learn_floods
    try:
        return learn(plan, ref, labels, progress)
    finally:
        progress.finish()


def write_model(
    request: AdaptRequest, plan: Plan, ref: CardRef, labels: Labels, outcome: Outcome
) -> Adapted:
    """Write the folder; see `models.adapting.keep.keep`."""
    given = plan.footprints if request.buildings is not None else None
    file = label_file(
        labels, outcome, plan.scenes, buildings_sha256=given.sha256 if given else None
    )
    card = keep(ref, outcome, file, name=_name(request, ref), out=request.out)
    return Adapted(card, request.out, tuple(dict.fromkeys((*plan.notes, *labels.notes))))


def _learn_grades(plan: Plan, ref: CardRef, labels: Labels, progress: Progress) -> Outcome:
    request, card = plan.request, ref.card
    town = Town.of(
        pair_of(card, plan.scenes, request.prefer),
        plan.geobox,
        labels,
        checked=request.domain_check,
        progress=progress,
    )
    if isinstance(card.architecture, RegressionArchitecture):
        return learn_regression(card, town, progress)
    from models.adapting.network import learn_network  # noqa: PLC0415 (torch takes seconds)
    from models.adapting.windows import damage_lessons  # noqa: PLC0415 (the same)

    lessons = damage_lessons(card, town, progress)
    return learn_network(ref, labels, lessons, device=request.device, progress=progress)


def _learn_floods(plan: Plan, ref: CardRef, labels: Labels, progress: Progress) -> Outcome:
    from models.adapting.network import learn_network  # noqa: PLC0415 (torch takes seconds)
    from models.adapting.windows import flood_lessons  # noqa: PLC0415 (the same)

    request = plan.request
    asked = ref if request.domain_check else replace(ref, card=ref.card.unchecked)
    model = load(asked, device=request.device)
    masked = maskings(plan.scenes, plan.clouds)
    reader = reader_for(model, plan.scenes, request.prefer, masked)
    lessons = flood_lessons(ref.card, reader, plan.geobox, labels, progress)
    return learn_network(ref, labels, lessons, device=request.device, progress=progress)


def _name(request: AdaptRequest, ref: CardRef) -> str:
    return request.name or f"{ref.card.name}-adapted"
