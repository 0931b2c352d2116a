"""Buildings to grades, block by block: each building once, whole, with what lies around it."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geo.classify import REASONS, Label
from geo.grades import GRADES, BuildingGrades
from geo.raster import FloatArray, Raster
from geo.scene_mosaic import SceneMosaic
from geo.schema import COVERED, NOT_ALIGNED, TOO_LARGE, TOO_SMALL, UNSURE
from models.data.xbd import IntArray
from models.grading.blocks import Indexes, Placed, View
from models.grading.buildings import Buildings, Reals
from models.grading.domain import MOST_BLOCKS, Scenes, Trust, Watch
from models.grading.grader import Comparing, Grader
from models.grading.pair import Pair
from models.grading.place import Placement, place
from models.grading.zones import Values
from models.mapping import Progress

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

    pixels: Indexes
    """(buildings,)."""
    share: Reals
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
    progress: Progress,
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
    progress: Progress,
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
    blocks = list(placed.blocks(grader.card, found.open))
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
    def open(self) -> npt.NDArray[np.bool_]:
        """(buildings,); True where nothing forbids a grade so far."""
        return np.array([reason is None for reason in self._reasons], np.bool_)

    @property
    def top(self) -> FloatArray:
        """(buildings,), the greatest probability of each."""
        return np.asarray(self._probabilities.max(axis=1, initial=-1), np.float32)

    def refuse(self, which: Indexes, reason: str) -> None:
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


def _answers(grader: Grader, view: View) -> tuple[FloatArray, Values | None]:
    """Return the probabilities, and the deviations of a grader that compares."""
    given = view.before.pixels, view.after.pixels, view.numbers
    if isinstance(grader, Comparing):
        return grader.grade_and_compare(*given, count=len(view.beside))
    return grader.grade(*given, count=len(view.beside)), None


def _seen(image: Raster, mosaic: SceneMosaic, numbers: IntArray, count: int) -> _Seen:
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
