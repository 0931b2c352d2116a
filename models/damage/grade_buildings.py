"""Buildings to grades, block by block: each building once, whole, with what lies around it.

Domain of a grader: do these images and buildings look like those that it learned from?

The images are compared with the card's percentiles band by band, as
`models.networks.domain_check` compares those of
networks of pixels. The buildings are held against the means and deviations of the features on the
card. They are far where half of the features lie, on average over the buildings, more than
`FARTHEST` deviations of the training away, each cut at the card's limit. The half of the features
and not all: the colour of what lies around moves with the season and with the camera, and alone
says little; where the other half moves as well, these are other houses.

The two limits are of regressions on one tile of joplin_xbd and groups of neighbouring buildings of
the tile that was left out, both ways: of groups of 5, 16 and 6 per cent are called far; of 10, 9
and 0; of 15, 3 and 0; of 20 and more none, which lie at 0.87 at most. The tiles as a whole lie at
0.51 and 0.45. With the shipped card: joplin_vhr, another camera's images of the same tornado, 0.58;
puerto_rico_maria 1.10 with 17 outlines that damage-vhr found and 0.95 with 23 squares by hand. So
it sees another country's houses, and not by far. The share of buildings with three features beyond
the limit did not tell the two apart (0.68 and 0.71; the tiles of joplin_xbd 0.34 and 0.05), nor
did the Mahalanobis distance.
"""

from dataclasses import dataclass, field

import numpy as np
from odc.geo.geobox import GeoBox

from geo.imagery.mosaic import SceneMosaic
from geo.raster.classify import REASONS, Label
from geo.types import BoolArray, Float64Array, FloatArray, Int32Array, IntArray, Raster
from geo.vector.buildings import GRADES, BuildingGrades
from geo.vector.schema import COVERED, NOT_ALIGNED, TOO_LARGE, TOO_SMALL, UNSURE
from models.cards.card import DomainLimits, ModelCard
from models.cards.inputs import InputPhase
from models.damage.alignment import Placed, Placement, View, place
from models.damage.buildings import Buildings, Pair
from models.damage.grader import Comparing, Grader
from models.damage.regression import regression_of
from models.inference.windows import ProgressReceiver
from models.networks.domain_check import checked_statistics
from models.networks.tensors import NO_STATISTICS, SceneStatistics, ValueSample

FARTHEST = 0.9
"""Deviations of the training that the middle one of the features may lie away."""
MOST_BLOCKS = 256
"""Blocks that are looked at, spread over all: a city has thousands."""
LEAST_BUILDINGS = 15
"""Fewer say too little of what they are."""
_NAMED = 3
"""Features that a note names."""


@dataclass(frozen=True)
class Trust:
    """How far a grader is trusted with a pair of images and its buildings."""

    statistics: SceneStatistics = NO_STATISTICS
    """Scenes that are far, by slot, and why."""
    far_buildings: bool = False
    """Whether the buildings are: then every scene is."""

    def reason(
        self, before: tuple[str, ...], after: tuple[str, ...], scenes: "Scenes"
    ) -> str | None:
        """Return why a building is not graded, None where nothing speaks against it.

        Args:
            before: ids of the scenes that show it before the event.
            after: the same after it.
            scenes: ids of all scenes, in the order of their numbers.
        """
        why = REASONS[Label.OUT_OF_DOMAIN]
        if self.far_buildings:
            return why
        for phase, seen, ids in (
            (InputPhase.BEFORE, before, scenes.before),
            (InputPhase.AFTER, after, scenes.after),
        ):
            far = {ids[number - 1] for number in self.statistics.out_of_domain.get(phase.value, ())}
            if far & set(seen):
                return f"{why} {phase} the event"
        return None


@dataclass(frozen=True)
class Scenes:
    """Ids of the scenes of a pair, in the order of their numbers."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Watch:
    """Gathers what a grader is given, block by block, and judges it at the end."""

    card: ModelCard
    sample: ValueSample
    deviations: list[Float64Array] = field(default_factory=list)
    """(buildings, features) of each block, see `models.damage.regression.deviations`."""

    @classmethod
    def of(cls, card: ModelCard) -> "Watch":
        """Return a watch over a grader; one whose card has no limits is held to the usual ones."""
        limited = card.domain or DomainLimits()
        return cls(card.model_copy(update={"domain": limited}), ValueSample(card))

    def look(self, before: Raster, after: Raster, deviations: Float64Array | None) -> None:
        """Add a block: its images, and how far its buildings lie from those learned from."""
        self.sample.feed({e.name: after if e.phase is InputPhase.AFTER else before
                          for e in self.card.inputs})  # fmt: skip
        if deviations is not None:
            self.deviations.append(deviations[np.isfinite(deviations).any(axis=1)])

    def trust(self, scenes: Scenes) -> Trust:
        """Return how far the grader is trusted with what was looked at.

        A card that does not say what it learned from, one that learned on from the event itself
        say, is held against nothing.
        """
        if all(entry.training_statistics is None for entry in self.card.inputs):
            return Trust()
        statistics = checked_statistics(self.card, self.sample)
        why = self._why_far()
        if why is None:
            return Trust(_noted(statistics, self._too_few()))
        every = {
            entry.name: tuple(range(1, 1 + len(ids)))
            for entry in self.card.inputs
            for ids in ((scenes.after if entry.phase is InputPhase.AFTER else scenes.before),)
        }
        return Trust(
            _noted(SceneStatistics(out_of_domain=every, notes=statistics.notes), why),
            far_buildings=True,
        )

    @property
    def _count(self) -> int:
        return sum(len(part) for part in self.deviations)

    def _too_few(self) -> str | None:
        if not self.deviations or not 0 < self._count < LEAST_BUILDINGS:
            return None
        return (
            f"{self._count} buildings are too few to tell whether {self.card.name} knows such "
            f"buildings; from {LEAST_BUILDINGS} on it is told"
        )

    def _why_far(self) -> str | None:
        """Return why the buildings are far, None where they are not or are too few."""
        if self._count < LEAST_BUILDINGS:
            return None
        means = np.nanmean(np.concatenate(self.deviations), axis=0)
        middle = float(np.median(np.abs(means)))
        if middle <= FARTHEST:
            return None
        names = [feature.name for feature in regression_of(self.card).features]
        furthest = np.argsort(-np.abs(means))[:_NAMED]
        told = ", ".join(f"{names[index]} {means[index]:+.1f}" for index in furthest)
        return (
            f"the buildings are out of the model's domain and none was graded: half of the "
            f"features of {self._count} of them lie {middle:.2f} deviations or more from those "
            f"that {self.card.name} learned from, on average, where {FARTHEST:g} is trusted "
            f"({told}); --no-domain-check grades them all the same"
        )


def _noted(statistics: SceneStatistics, note: str | None) -> SceneStatistics:
    """Return a statistics with one more note."""
    notes = (*statistics.notes, note) if note else statistics.notes
    return SceneStatistics(
        levels=statistics.levels, out_of_domain=statistics.out_of_domain, notes=notes
    )


SURE_FROM = 0.4
"""Least probability of the likeliest grade: below it, any of the others is more likely."""
LEAST_SEEN = 0.5
"""Share of a building that must be seen in each image."""


@dataclass(frozen=True, eq=False)
class Graded:
    """The grades of a product's buildings, and where images and footprints were found to lie."""

    grades: BuildingGrades
    placement: Placement
    trust: Trust = field(default_factory=Trust)
    """Whether the grader knows such images and buildings."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the pixels of some buildings show, in the order of their numbers."""

    pixels: IntArray
    """(buildings,)."""
    share: Float64Array
    """(buildings,), of its pixels, that were seen."""
    reason: list[int]
    """The most telling `Label` of those that were not; 0 where all were."""
    scenes: list[tuple[str, ...]]


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
    """Measure where the pair and the footprints lie, and grade all buildings there.

    Args:
        geobox: the grid of the buildings, at the grader's resolution.
        checked: False compares images as they lie where their shift cannot be measured, and
            grades what is unlike all that the grader learned from.
        placement: of the pair, where it was measured before.

    Raises:
        NotAligned: where the images cannot be compared.
        SceneUnreadable: where pixels cannot be decoded.
    """
    if placement is None:
        placement = place(pair, geobox, buildings, checked=checked, progress=progress)
    watch = Watch.of(grader.card) if checked else None
    grades = grade_buildings(
        grader, pair, geobox, buildings=buildings, placement=placement, watch=watch,
        progress=progress,
    )  # fmt: skip
    if watch is None:
        return Graded(grades, placement)
    scenes = Scenes(*(tuple(s.id for s in part.scenes) for part in (pair.before, pair.after)))
    trust = watch.trust(scenes)
    return Graded(_believed(grades, trust, scenes), placement, trust)


def _believed(grades: BuildingGrades, trust: Trust, scenes: Scenes) -> BuildingGrades:
    """Return the grades without those of buildings that are out of the grader's domain."""
    why = [
        reason or trust.reason(*shown, scenes)
        for reason, shown in zip(grades.reasons, grades.scenes, strict=True)
    ]
    # An unsure grade keeps its probabilities; one that is not believed has none.
    new = [now is not None and old is None for now, old in zip(why, grades.reasons, strict=True)]
    probabilities = np.where(np.array(new, bool)[:, None], np.nan, grades.probabilities)
    return BuildingGrades(probabilities.astype(np.float32), tuple(why), grades.scenes)


def grade_buildings(
    grader: Grader,
    pair: Pair,
    geobox: GeoBox,
    *,
    buildings: Buildings,
    placement: Placement,
    watch: Watch | None = None,
    progress: ProgressReceiver,
) -> BuildingGrades:
    """Return the grades of all buildings where a placement says that they are.

    Memory follows the card's window, see `Placed.blocks`.

    Args:
        watch: is shown what the grader is given.
    """
    placed = Placed.of(buildings, placement)
    found = _Found(len(buildings))
    found.refuse(np.flatnonzero(placed.too_large), TOO_LARGE)
    found.refuse(np.flatnonzero(placed.adrift), NOT_ALIGNED)
    blocks = list(placed.blocks(grader.card))
    progress.start("grading buildings", len(blocks))
    step = max(1, len(blocks) // MOST_BLOCKS)
    for number, block in enumerate(blocks):
        view = placed.view(block, pair, geobox)
        looking = watch if number % step == 0 else None
        _grade(view, grader, pair, there=placed.there, found=found, watch=looking)
        progress.advance()
    found.refuse(np.flatnonzero(found.open & ~(found.top >= SURE_FROM)), UNSURE)
    return found.grades()


class _Found:
    """Gathers what was found of each building."""

    def __init__(self, count: int) -> None:
        self._probabilities = np.full((count, len(GRADES)), np.nan, np.float32)
        self._reasons: list[str | None] = [None] * count
        self._scenes: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())] * count

    @property
    def open(self) -> BoolArray:
        """(buildings,); True where nothing forbids a grade so far."""
        return np.array([reason is None for reason in self._reasons], np.bool_)

    @property
    def top(self) -> FloatArray:
        """(buildings,), the greatest probability of each."""
        return np.asarray(self._probabilities.max(axis=1, initial=-1), np.float32)

    def refuse(self, which: IntArray, reason: str) -> None:
        for index in which:
            self._reasons[index] = reason

    def add(self, index: int, answer: FloatArray, before: tuple[str, ...], after: tuple[str, ...],
            reason: str | None) -> None:  # fmt: skip
        self._probabilities[index] = answer if reason is None else np.nan
        self._reasons[index] = reason
        self._scenes[index] = before, after

    def grades(self) -> BuildingGrades:
        return BuildingGrades(self._probabilities, tuple(self._reasons), tuple(self._scenes))


def _grade(
    view: View,
    grader: Grader,
    pair: Pair,
    *,
    there: Buildings,
    found: _Found,
    watch: Watch | None,
) -> None:
    """Grade the buildings of one square."""
    count = len(view.beside)
    answers, deviations = _answers(grader, view)
    if watch is not None:
        own = np.searchsorted(view.beside, view.own)
        watch.look(view.before, view.after, None if deviations is None else deviations[own])
    shown = [
        _seen(image, mosaic, view.numbers, count)
        for image, mosaic in ((view.before, pair.before), (view.after, pair.after))
    ]
    for index in view.own:
        k = int(np.searchsorted(view.beside, index))
        reason = _why_not(k, answers[k], *shown, hidden=there.outlines[index].area >= 1)
        found.add(index, answers[k], shown[0].scenes[k], shown[1].scenes[k], reason)


def _answers(grader: Grader, view: View) -> tuple[FloatArray, Float64Array | None]:
    """Return the probabilities, and the deviations of a grader that compares."""
    given = view.before.pixels, view.after.pixels, view.numbers
    if isinstance(grader, Comparing):
        return grader.grade_and_compare(*given, count=len(view.beside))
    return grader.grade(*given, count=len(view.beside)), None


def _seen(image: Raster, mosaic: SceneMosaic, numbers: Int32Array, count: int) -> _Seen:
    """Return what an image shows of each building."""
    drawn = numbers > 0
    number = numbers[drawn] - 1
    pixels = np.bincount(number, minlength=count)
    seen = np.bincount(number, weights=image.valid[drawn], minlength=count)
    reasons = np.zeros(count, np.int64)
    np.maximum.at(reasons, number, image.reason[drawn].astype(np.int64))
    pairs = np.unique(np.column_stack([number, image.origin[drawn]]), axis=0)
    scenes: list[list[str]] = [[] for _ in range(count)]
    for building, origin in pairs[pairs[:, 1] > 0]:
        scenes[building].append(mosaic.scenes[origin - 1].id)
    return _Seen(
        pixels=pixels,
        share=seen / np.maximum(pixels, 1),
        reason=reasons.tolist(),
        scenes=[tuple(sorted(ids)) for ids in scenes],
    )


def _why_not(
    k: int, answer: FloatArray, before: _Seen, after: _Seen, *, hidden: bool
) -> str | None:
    """Return why a building has no grade, None where it has one."""
    if not before.pixels[k]:
        return COVERED if hidden else TOO_SMALL
    for seen, phase in ((before, "before"), (after, "after")):
        if seen.share[k] < LEAST_SEEN:
            return f"{REASONS[Label(seen.reason[k])]} {phase} the event"
    return None if np.isfinite(answer).all() else TOO_SMALL
