"""Why a polygon or a grade: what the model had, and which images, bands or features decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from odc.geo.geobox import GeoBox

from geo.types import BoolArray, FloatArray, Raster
from models.cards.architecture import DetectorArchitecture, IndexChange
from models.cards.card import ModelCard
from models.damage.alignment import BlockView, PlacedBuildings, place
from models.damage.buildings import Buildings, Pair
from models.damage.grader import GRADES, Grader
from models.damage.regression import FeatureContribution, GradeContributions, RegressionGrader
from models.errors import InputsMismatch
from models.evaluation.explained_polygon import ExplainedPolygon, MapWindow, PolygonWindow
from models.inference.windows import ProgressReceiver
from models.networks.detectors import NDVI_BEFORE, DetectorModel
from models.networks.tensors import SceneStatistics


@dataclass(frozen=True, eq=False)
class DetectorFeature:
    """What a detector compares with a threshold."""

    name: str
    values: FloatArray
    """(rows, cols) of the polygon's window; NaN where not defined."""
    threshold: float | None
    """None: nothing was found by it."""
    method: str
    """Where the threshold comes from, see `models.networks.tensors.Threshold`."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What an image added to the log odds of the class, a mean over the polygon's pixels."""

    image: str
    bands: Mapping[str, float]
    """Sum over the pixels of each band."""
    presence: float | None
    """Sum over the pixels of its channel of where it was observed; None without one."""
    pixels: FloatArray
    """(rows, cols) of the window; sum over the bands and the presence."""

    @property
    def total(self) -> float:
        """Of all bands, and of its being there."""
        return sum(self.bands.values()) + (self.presence or 0.0)


@dataclass(frozen=True)
class Completeness:
    """What the attributions of one run of a network add up to, and what they must."""

    run: str
    log_odds: float
    """Of the polygon's class, a mean over its pixels."""
    at_baseline: float
    """The same without any image."""
    attributed: float
    """Sum of the attributions; `log_odds - at_baseline` but for the steps of the integral."""

    @property
    def gap(self) -> float:
        """What the steps of the integral lost."""
        return self.log_odds - self.at_baseline - self.attributed


@dataclass(frozen=True)
class Occlusion:
    """The mean probability over a polygon without an image or a band."""

    image: str
    band: str | None
    """None: the whole image."""
    without: float
    """Mean probability without it, 0 to 1."""
    change: float
    """Less that with it: negative where it speaks for the polygon."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a polygon."""

    window: PolygonWindow
    probability: FloatArray
    """(rows, cols) of the window, 0 to 1, computed again as the map computes it."""
    observed: Mapping[str, BoolArray]
    """(rows, cols) of the window by scene input; True where it was observed."""
    features: tuple[DetectorFeature, ...] = ()
    attributions: tuple[Attribution, ...] = ()
    """Of a network, one an image."""
    completeness: tuple[Completeness, ...] = ()
    """Of a network, one a run."""
    occlusions: tuple[Occlusion, ...] = ()

    @property
    def mean(self) -> float:
        """Mean probability over the polygon's pixels, 0 to 1."""
        return float(self.probability[self.window.pixels].mean())

    @property
    def largest_difference(self) -> float:
        """From the product's own probability, whole per cents, at any pixel of the window."""
        there = self.window.has_probability
        return float(np.abs(self.probability[there] - self.window.percent[there] / 100).max())

    @property
    def observed_shares(self) -> dict[str, float]:
        """Share of the polygon's pixels that were observed, by scene input."""
        own = self.window.pixels
        return {name: float(observed[own].mean()) for name, observed in self.observed.items()}

    def inside(self, feature: DetectorFeature) -> FloatArray:
        """Return the values of a feature in the polygon, (values,)."""
        return feature.values[self.window.pixels & np.isfinite(feature.values)]

    def around(self, feature: DetectorFeature) -> FloatArray:
        """Return the values of a feature in the window around the polygon, (values,)."""
        return feature.values[~self.window.pixels & np.isfinite(feature.values)]


def explain(polygon: ExplainedPolygon, progress: ProgressReceiver) -> Explanation:
    """Return why a polygon is there.

    Raises:
        InputsMismatch: where the model has no such probability, or cannot be explained.
        SceneUnreadable: where pixels cannot be decoded.
    """
    windows = polygon.map_windows()
    probability = polygon.predict(windows)
    observed = {}
    for name in (image.name for image in polygon.reader.inputs):
        valid = [part.rasters[name].valid.astype(np.float32) for part in windows]
        observed[name] = np.asarray(polygon.take_owned(windows, valid) > 0)
    if isinstance(polygon.model, DetectorModel):
        features = tuple(_features(polygon, polygon.model, windows))
        return Explanation(polygon.window, probability, observed, features=features)
    from models.evaluation import attribution  # noqa: PLC0415 - torch takes seconds to import

    centred = polygon.centred_window()
    attributions, completeness = attribution.integrated_gradients(polygon, centred, progress)
    occlusions = attribution.occlude(polygon, centred)
    return Explanation(
        polygon.window, probability, observed, (), attributions, completeness, occlusions
    )


def _features(
    polygon: ExplainedPolygon, model: DetectorModel, windows: Sequence[MapWindow]
) -> Iterator[DetectorFeature]:
    for run in polygon.runs:
        each = [model.features(run.inputs(part.rasters)) for part in windows]
        thresholds = _thresholds(model.card, polygon.statistics[run.name])
        for name in each[0]:
            yield DetectorFeature(
                f"{name}, {run.name} the event" if model.card.single_date else name,
                polygon.take_owned(windows, [features[name] for features in each]),
                *thresholds[name],
            )


def _thresholds(
    card: ModelCard, statistics: SceneStatistics
) -> dict[str, tuple[float | None, str]]:
    thresholds = {entry.feature: (entry.value, entry.method) for entry in statistics.thresholds}
    match card.architecture:
        case DetectorArchitecture(parameters=IndexChange(vegetated_above=vegetated)):
            return {NDVI_BEFORE: (vegetated, "fixed"), **thresholds}
    return thresholds


@dataclass(frozen=True, eq=False)
class BuildingExplanation:
    """Why a building has its grade."""

    card: ModelCard
    probabilities: Mapping[str, float]
    """By grade, computed again as the product has them."""
    before: Raster
    """Cut out around the building, red, green and blue."""
    after: Raster
    """The same, moved by as much as the image after was found to be shifted there."""
    outline: BoolArray
    """(rows, cols) of these; True in the building."""
    contributions: GradeContributions | None = None
    attributions: tuple[Attribution, ...] = ()
    """Of a network: of the log odds of major damage or worse, one an image."""
    completeness: Completeness | None = None

    @property
    def grade(self) -> str:
        """The likeliest grade, in the words of xBD."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def features(self) -> tuple[FeatureContribution, ...]:
        """Of a regression, the largest contribution first; empty for a network."""
        return self.contributions.features if self.contributions else ()


_AROUND_PX = 32
"""Shown around a building: 16 m at half a metre."""


def explain_building(
    grader: Grader,
    pair: Pair,
    geobox: GeoBox,
    buildings: Buildings,
    index: int,
    *,
    given: bool = True,
    checked: bool = True,
    progress: ProgressReceiver,
) -> BuildingExplanation:
    """Return why a building has its grade, graded again with its block of both images.

    Args:
        buildings: all of the product, in their order.
        given: whether the footprints were given, and not found in the images.

    Raises:
        InputsMismatch: where the building has no grade, or the grader cannot be explained.
        NotAligned: where the images cannot be compared.
        SceneUnreadable: where pixels cannot be decoded.
    """
    try:
        outlines = buildings if given else None
        placement = place(pair, geobox, outlines, checked=checked, progress=progress)
    finally:
        progress.finish()
    placed = PlacedBuildings.of(buildings, placement)
    own_block = next((own for own in placed.blocks(grader.card) if index in own), None)
    if own_block is None:
        raise _no_grade(grader)
    view = placed.view(own_block, grader.card, pair, geobox)
    k = int(np.searchsorted(view.drawn, index))
    given_to_grader = view.before.pixels, view.after.pixels, view.numbers
    probabilities = grader.grade(*given_to_grader, count=len(view.drawn))[k]
    if not np.isfinite(probabilities).all():
        raise _no_grade(grader)
    return _explained(grader, view, k, probabilities, progress)


def _explained(
    grader: Grader, view: BlockView, k: int, probabilities: FloatArray, progress: ProgressReceiver
) -> BuildingExplanation:
    own = view.numbers == k + 1
    rows, cols = (_span(own.any(axis=axis), _AROUND_PX) for axis in (1, 0))
    found = BuildingExplanation(
        card=grader.card,
        probabilities=dict(zip(GRADES, probabilities.tolist(), strict=True)),
        before=_cut(view.before, rows, cols),
        after=_cut(view.after, rows, cols),
        outline=own[rows, cols],
    )
    if isinstance(grader, RegressionGrader):
        images = view.before.pixels, view.after.pixels
        terms = grader.explain(*images, view.numbers, count=len(view.drawn), index=k)
        return replace(found, contributions=terms)
    from models.evaluation import attribution  # noqa: PLC0415 - torch takes seconds to import

    attributions, check = attribution.of_building(grader, view, own, (rows, cols), progress)
    return replace(found, attributions=attributions, completeness=check)


def _no_grade(grader: Grader) -> InputsMismatch:
    return InputsMismatch(
        f"{grader.card.name} gives this building no grade; its field reason says why"
    )


def _span(occupied: BoolArray, margin: int) -> slice:
    there = np.flatnonzero(occupied)
    stop = min(len(occupied), int(there[-1]) + 1 + margin)
    return slice(max(0, int(there[0]) - margin), stop)


def _cut(raster: Raster, rows: slice, cols: slice) -> Raster:
    return replace(
        raster,
        pixels=raster.pixels[:, rows, cols],
        valid=raster.valid[rows, cols],
        geobox=raster.geobox[rows, cols],
        origin=raster.origin[rows, cols],
        reason=raster.reason[rows, cols],
    )
