"""Buildings to grades, block by block; and whether the grader knows such images and buildings.

Buildings are out of the domain where half of the features lie, on average over the buildings, more
than `MAX_DEVIATION` deviations of the training away, each cut at the card's limit. Half of the
features and not all: the colour of the surroundings moves with season and camera.

Both limits are of regressions on one tile of joplin_xbd and groups of neighbouring buildings of the
other: of groups of 5, 16 and 6 per cent are refused; of 10, 9 and 0; of 15, 3 and 0; of 20 and more
none. The tiles as a whole lie at 0.51 and 0.45; with the shipped card joplin_vhr, another camera's
images, at 0.58, and puerto_rico_maria at 1.10 and 0.95.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from odc.geo.geobox import GeoBox

from geo.imagery.mosaic import SceneMosaic
from geo.raster.classify import REASONS, Label
from geo.types import Float64Array, FloatArray, Int32Array, IntArray, Raster
from geo.vector.buildings import GRADES, BuildingGrades
from geo.vector.schema import COVERED, NOT_ALIGNED, TOO_LARGE, TOO_SMALL, UNSURE
from models.cards.card import DomainLimits, ModelCard
from models.cards.inputs import InputPhase
from models.damage.alignment import BlockView, PlacedBuildings, Placement, place
from models.damage.buildings import Buildings, Pair
from models.damage.grader import Comparing, Grader
from models.damage.regression import regression_of
from models.inference.windows import ProgressReceiver
from models.networks.domain_check import checked_statistics
from models.networks.tensors import NO_STATISTICS, SceneStatistics, ValueSample

MAX_DEVIATION = 0.9
"""Deviations of the training that the median of the features may lie away."""
MAX_BLOCKS = 256
"""Blocks that the domain check samples, spread over all: a city has thousands."""
MIN_BUILDINGS = 15
MIN_PROBABILITY = 0.4
"""Of the likeliest grade: below it, any of the others is more likely."""
MIN_OBSERVED = 0.5
"""Share of a building that must be observed in each image."""
_NAMED = 3
Ids = tuple[str, ...]


@dataclass(frozen=True)
class GraderDomain:
    """Whether a pair of images and its buildings are in the domain of a grader."""

    statistics: SceneStatistics = NO_STATISTICS
    """Scenes out of the domain, by input, and why."""
    buildings_outside: bool = False
    """Whether the buildings are: then every scene is."""

    def reason(self, before: Ids, after: Ids, scenes: tuple[Ids, Ids]) -> str | None:
        """Return why a building that scenes of these ids show has no grade, None if it may have."""
        why = REASONS[Label.OUT_OF_DOMAIN]
        if self.buildings_outside:
            return why
        phases = (InputPhase.BEFORE, InputPhase.AFTER)
        for phase, observed, ids in zip(phases, (before, after), scenes, strict=True):
            outside = self.statistics.out_of_domain.get(phase.value, ())
            if {ids[number - 1] for number in outside} & set(observed):
                return f"{why} {phase} the event"
        return None


@dataclass(frozen=True, eq=False)
class DomainSample:
    """What a grader is given, gathered block by block and checked at the end."""

    card: ModelCard
    values: ValueSample
    deviations: list[Float64Array] = field(default_factory=list)
    """(buildings, features) of each block, see `models.damage.regression.deviations`."""

    @classmethod
    def of(cls, card: ModelCard) -> "DomainSample":
        """Return an empty sample; a card without limits gets the default ones."""
        limited = card.model_copy(update={"domain": card.domain or DomainLimits()})
        return cls(limited, ValueSample(card))

    def add(self, view: BlockView, deviations: Float64Array | None) -> None:
        """Add a block: its images, and how far its own buildings lie from the training."""
        images = {InputPhase.BEFORE: view.before, InputPhase.AFTER: view.after}
        self.values.feed({entry.name: images[entry.phase] for entry in self.card.inputs})
        if deviations is not None:
            own = deviations[np.searchsorted(view.drawn, view.own)]
            self.deviations.append(own[np.isfinite(own).any(axis=1)])

    def check(self, scenes: tuple[Ids, Ids]) -> GraderDomain:
        """Return what is out of the domain: nothing where the card has no training statistics."""
        if all(entry.training_statistics is None for entry in self.card.inputs):
            return GraderDomain()
        statistics = checked_statistics(self.card, self.values)
        count = sum(len(part) for part in self.deviations)
        if 0 < count < MIN_BUILDINGS:
            note = (
                f"{count} buildings are too few to tell whether {self.card.name} knows such "
                f"buildings; {MIN_BUILDINGS} are needed"
            )
            return GraderDomain(replace(statistics, notes=(*statistics.notes, note)))
        outside = self._outside(count) if count else None
        if outside is None:
            return GraderDomain(statistics)
        numbers = (tuple(range(1, 1 + len(ids))) for ids in scenes)
        by_phase = dict(zip((InputPhase.BEFORE, InputPhase.AFTER), numbers, strict=True))
        every = {entry.name: by_phase[entry.phase] for entry in self.card.inputs}
        notes = (*statistics.notes, outside)
        return GraderDomain(SceneStatistics(out_of_domain=every, notes=notes), True)

    def _outside(self, count: int) -> str | None:
        means = np.nanmean(np.concatenate(self.deviations), axis=0)
        median = float(np.median(np.abs(means)))
        if median <= MAX_DEVIATION:
            return None
        names = [feature.name for feature in regression_of(self.card).features]
        largest = np.argsort(-np.abs(means))[:_NAMED]
        listed = ", ".join(f"{names[index]} {means[index]:+.1f}" for index in largest)
        return (
            f"the buildings are out of the model's domain and none was graded: half of the "
            f"features of {count} of them lie {median:.2f} deviations or more from those that "
            f"{self.card.name} was trained on, on average, where {MAX_DEVIATION:g} is the limit "
            f"({listed}); --no-domain-check grades them all the same"
        )


@dataclass(frozen=True, eq=False)
class Graded:
    """The grades of a product's buildings, and the placement of images and footprints."""

    grades: BuildingGrades
    placement: Placement
    domain: GraderDomain = field(default_factory=GraderDomain)


def grade_all(
    grader: Grader,
    pair: Pair,
    geobox: GeoBox,
    *,
    buildings: Buildings,
    checked: bool,
    placement: Placement | None = None,
    progress: ProgressReceiver,
) -> Graded:
    """Measure the placement of the pair and the footprints, and grade all buildings there.

    Args:
        geobox: the grid of the buildings, at the grader's resolution.
        checked: False grades what cannot be aligned, as it lies, or is out of the domain, too.

    Raises:
        NotAligned: where the images cannot be compared.
        SceneUnreadable: where pixels cannot be decoded.
    """
    if placement is None:
        placement = place(pair, geobox, buildings, checked=checked, progress=progress)
    placed = PlacedBuildings.of(buildings, placement)
    grades = _Grades(placed)
    sample = DomainSample.of(grader.card) if checked else None
    blocks = placed.blocks(grader.card)
    progress.start("grading buildings", len(blocks))
    step = max(1, len(blocks) // MAX_BLOCKS)
    for number, own in enumerate(blocks):
        view = placed.view(own, grader.card, pair, geobox)
        grades.add(view, grader, pair, sample if number % step == 0 else None)
        progress.advance()
    scenes = tuple(tuple(scene.id for scene in part.scenes) for part in (pair.before, pair.after))
    domain = sample.check((scenes[0], scenes[1])) if sample else GraderDomain()
    return Graded(grades.finished(domain, (scenes[0], scenes[1])), placement, domain)


class _Grades:
    def __init__(self, placed: PlacedBuildings) -> None:
        count = len(placed.buildings)
        self._areas = [outline.area for outline in placed.buildings.outlines]
        self._probabilities = np.full((count, len(GRADES)), np.nan, np.float32)
        self._scenes: list[tuple[Ids, Ids]] = [((), ())] * count
        self._reasons: list[str | None] = [
            TOO_LARGE if large else NOT_ALIGNED if adrift else None
            for large, adrift in zip(placed.too_large, placed.not_aligned, strict=True)
        ]

    def add(self, view: BlockView, grader: Grader, pair: Pair, sample: DomainSample | None) -> None:
        count = len(view.drawn)
        given = view.before.pixels, view.after.pixels, view.numbers
        deviations = None
        if isinstance(grader, Comparing):
            probabilities, deviations = grader.grade_and_compare(*given, count=count)
        else:
            probabilities = grader.grade(*given, count=count)
        if sample is not None:
            sample.add(view, deviations)
        before, after = (
            _Observed.of(image, mosaic, view.numbers, count)
            for image, mosaic in ((view.before, pair.before), (view.after, pair.after))
        )
        for index, k in zip(view.own.tolist(), np.searchsorted(view.drawn, view.own), strict=True):
            reason = self._reason(index, k, probabilities[k], before, after)
            self._reasons[index] = reason
            self._probabilities[index] = probabilities[k] if reason is None else np.nan
            self._scenes[index] = before.scenes[k], after.scenes[k]

    def _reason(
        self, index: int, k: int, probabilities: FloatArray, before: "_Observed", after: "_Observed"
    ) -> str | None:
        if not before.pixels[k]:
            return COVERED if self._areas[index] >= 1 else TOO_SMALL
        for observed, phase in ((before, "before"), (after, "after")):
            if observed.share[k] < MIN_OBSERVED:
                return f"{REASONS[Label(observed.reason[k])]} {phase} the event"
        return None if np.isfinite(probabilities).all() else TOO_SMALL

    def finished(self, domain: GraderDomain, scenes: tuple[Ids, Ids]) -> BuildingGrades:
        """Blank what is out of the domain; an unsure grade keeps its probabilities."""
        top = self._probabilities.max(axis=1, initial=-1)
        for unsure in np.flatnonzero(~(top >= MIN_PROBABILITY)):
            self._reasons[unsure] = self._reasons[unsure] or UNSURE
        for index, reason in enumerate(self._reasons):
            if reason is None:
                self._reasons[index] = domain.reason(*self._scenes[index], scenes)
                if self._reasons[index] is not None:
                    self._probabilities[index] = np.nan
        return BuildingGrades(self._probabilities, tuple(self._reasons), tuple(self._scenes))


@dataclass(frozen=True, eq=False)
class _Observed:
    """How much of some buildings an image shows, in the order of their numbers."""

    pixels: IntArray
    """(buildings,)."""
    share: Float64Array
    """(buildings,), of its pixels, that are observed."""
    reason: list[int]
    """The largest `Label` of those that are not; 0 where all are."""
    scenes: list[Ids]

    @classmethod
    def of(cls, image: Raster, mosaic: SceneMosaic, numbers: Int32Array, count: int) -> "_Observed":
        drawn = numbers > 0
        number = numbers[drawn] - 1
        pixels = np.bincount(number, minlength=count)
        valid = np.bincount(number, weights=image.valid[drawn], minlength=count)
        reasons = np.zeros(count, np.int64)
        np.maximum.at(reasons, number, image.reason[drawn].astype(np.int64))
        pairs = np.unique(np.column_stack([number, image.origin[drawn]]), axis=0)
        scenes: list[list[str]] = [[] for _ in range(count)]
        for building, origin in pairs[pairs[:, 1] > 0]:
            scenes[building].append(mosaic.scenes[origin - 1].id)
        share = valid / np.maximum(pixels, 1)
        return cls(pixels, share, reasons.tolist(), [tuple(sorted(ids)) for ids in scenes])
