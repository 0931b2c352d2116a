"""Features of a building in the images before and after: two dozen numbers, each with a meaning.

Colours are ratios and brightness is relative to the image's own median, so that the exposure of
a camera changes nothing. What is not known, such as the ring of a building that has none, is NaN.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    distance_transform_edt,
    gaussian_filter,
    gaussian_gradient_magnitude,
    maximum_filter,
)

from geo.types import BoolArray, Float64Array, FloatArray, Int32Array

RING_PX = 14
"""Width of the ring around a building: 7 m at 0.5 m."""
NEAR_PX = 8
"""How far around a building its own look is compared before and after."""
LEAST_PX = 30
"""A network grades and finds no building of fewer pixels: 7.5 m2 at half a metre."""
_GAP_PX = 1.0
"""Between a building and its ring: outlines are a pixel off."""
_OUTLINE_PX = 1.5
"""Half the width of an outline."""


@dataclass(frozen=True, eq=False)
class Zone:
    """Pixels that belong to buildings, each to one."""

    places: npt.NDArray[np.intp]
    """Flat indices of the pixels."""
    owners: npt.NDArray[np.intp]
    """Building of each, from 0."""
    count: int

    @classmethod
    def of(cls, owners: Int32Array, where: BoolArray, *, count: int) -> "Zone":
        """Return the pixels of an image of building numbers that lie in a mask."""
        places = np.flatnonzero(where & (owners > 0))
        return cls(places, owners.ravel()[places].astype(np.intp) - 1, count)

    @property
    def pixels(self) -> Float64Array:
        """(count,) pixels of each building."""
        return self.sums(np.ones(len(self.places)))

    def sums(self, values: npt.NDArray[np.floating]) -> Float64Array:
        """Return sums by building of values of the zone's pixels, (count,)."""
        return np.bincount(self.owners, values, self.count).astype(np.float64)

    def mean(self, image: npt.NDArray[np.floating]) -> Float64Array:
        """Return the mean of an image, (rows, cols), by building; NaN where it has no pixel."""
        return _ratio(self.sums(image.ravel()[self.places]), self.pixels)

    def std(self, image: npt.NDArray[np.floating]) -> Float64Array:
        """Return the deviation of an image by building; NaN where it has no pixel."""
        return np.sqrt(self._variance(image.ravel()[self.places]))

    def correlation(
        self, one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]
    ) -> Float64Array:
        """Return the correlation of two images by building; 0 where one of them is even."""
        first, second = one.ravel()[self.places], other.ravel()[self.places]
        joint = _ratio(self.sums(first * second), self.pixels)
        apart = _ratio(self.sums(first), self.pixels) * _ratio(self.sums(second), self.pixels)
        # One unit of brightness of noise: two even roofs are not alike, they say nothing.
        spread = np.sqrt(self._variance(first) * self._variance(second)) + 1.0
        return (joint - apart) / spread

    def _variance(self, values: npt.NDArray[np.floating]) -> Float64Array:
        mean = _ratio(self.sums(values), self.pixels)
        square = _ratio(self.sums(values * values), self.pixels)
        return np.maximum(square - mean * mean, 0.0)


@dataclass(frozen=True, eq=False)
class BuildingZones:
    """The zones of all buildings; only pixels that both images observe."""

    inside: Zone
    outline: Zone
    """Along the wall, on both sides."""
    ring: Zone
    """Around a building and nearest to it; no pixel of another building."""
    near: Zone
    """The building and a narrow ring."""
    share_observed: Float64Array
    """(count,) share of each footprint that both images observe."""

    @classmethod
    def of(cls, buildings: Int32Array, observed: BoolArray, *, count: int) -> "BuildingZones":
        """Return the zones of buildings, (rows, cols): 0 none, k the k-th, where both observe."""
        built = buildings > 0
        away, (rows, cols) = distance_transform_edt(~built, return_indices=True)
        nearest: Int32Array = buildings[rows, cols]
        depth = distance_transform_edt(built)
        outline = (built & (depth <= _OUTLINE_PX)) | (~built & (away <= _OUTLINE_PX))
        inside = Zone.of(buildings, observed, count=count)
        whole = Zone.of(buildings, built, count=count).pixels
        return cls(
            inside=inside,
            outline=Zone.of(nearest, observed & outline, count=count),
            ring=Zone.of(nearest, observed & (away > _GAP_PX) & (away <= RING_PX), count=count),
            near=Zone.of(nearest, observed & (away <= NEAR_PX), count=count),
            share_observed=np.nan_to_num(_ratio(inside.pixels, whole)),
        )


def _ratio(part: Float64Array, whole: Float64Array) -> Float64Array:
    ratio: Float64Array = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


LEVEL = 100.0
"""What the median brightness of an image is brought to."""
FINE_PX, COARSE_PX = 0.8, 2.0
"""Scales of roughness: rubble, and parts of roofs."""
REACH_PX = 4
"""Longest shift between the two images of one building: it leans, or they are badly registered."""
SHIFTS_PX = tuple(product(range(-REACH_PX, REACH_PX + 1, 2), repeat=2))
"""Down and right."""
_FLOOR = 3.0
"""Added before a logarithm: roughness below it is noise."""
_BLUR_REACH_PX = 5
"""How far a filter carries what was filled in where nothing was observed."""


@dataclass(frozen=True, eq=False)
class ImageQuantities:
    """One image, in the quantities that the features are made of; (rows, cols) each."""

    rgb: FloatArray
    """(3, rows, cols), median brightness `LEVEL`, the median where nothing was observed."""

    @classmethod
    def of(cls, image: FloatArray, observed: BoolArray) -> "ImageQuantities":
        """Return the quantities of an image that has values in some pixels."""
        medians = np.median(image[:, observed], axis=1) if observed.any() else np.full(3, LEVEL)
        filled = np.where(observed, image, medians[:, None, None].astype(np.float32))
        level = np.median(filled.mean(axis=0))
        return cls((filled * np.float32(LEVEL / max(float(level), 1.0))).astype(np.float32))

    @cached_property
    def brightness(self) -> FloatArray:
        """Mean of the bands."""
        return np.asarray(self.rgb.mean(axis=0), np.float32)

    @cached_property
    def greenness(self) -> FloatArray:
        """Excess green (Woebbecke et al. 1995, doi:10.13031/2013.27838)."""
        red, green, blue = self.rgb
        return np.asarray((2 * green - red - blue) / self._sum, np.float32)

    @cached_property
    def redness(self) -> FloatArray:
        """Red minus blue, by their sum: bare wood, brick and soil."""
        return np.asarray((self.rgb[0] - self.rgb[2]) / self._sum, np.float32)

    @cached_property
    def blueness(self) -> FloatArray:
        """How far blue is above red and green: tarpaulins."""
        red, green, blue = self.rgb
        above = np.maximum(blue - np.maximum(red, green), np.float32(0))
        return np.asarray(above / self._sum, np.float32)

    @cached_property
    def saturation(self) -> FloatArray:
        """As in HSV: 0 is grey."""
        share = np.ptp(self.rgb, axis=0) / (self.rgb.max(axis=0) + np.float32(1))
        return np.asarray(share, np.float32)

    @cached_property
    def fine(self) -> FloatArray:
        """Gradient at the scale of rubble."""
        return np.asarray(gaussian_gradient_magnitude(self.brightness, FINE_PX), np.float32)

    @cached_property
    def coarse(self) -> FloatArray:
        """Gradient at the scale of parts of a roof."""
        return np.asarray(gaussian_gradient_magnitude(self.brightness, COARSE_PX), np.float32)

    @cached_property
    def fourfold(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Size of the gradient, and it times cosine and sine of four times its direction."""
        down = gaussian_filter(self.brightness, FINE_PX, order=(1, 0))
        right = gaussian_filter(self.brightness, FINE_PX, order=(0, 1))
        size, turn = np.hypot(down, right), 4 * np.arctan2(down, right)
        return size, size * np.cos(turn), size * np.sin(turn)

    @property
    def _sum(self) -> FloatArray:
        return np.asarray(self.rgb.sum(axis=0) + np.float32(1), np.float32)


@dataclass(frozen=True, eq=False)
class QuantityPair:
    """Both images in their quantities, and the zones of the buildings on them."""

    before: ImageQuantities
    after: ImageQuantities
    zones: BuildingZones

    @classmethod
    def of(
        cls, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> "QuantityPair":
        """Return what features are computed from; see `models.damage.grader.Grader.grade`."""
        observed = np.asarray(np.isfinite(np.stack([before, after])).all(axis=(0, 1)))
        clear = ~maximum_filter(~observed, size=2 * _BLUR_REACH_PX + 1)
        zones = BuildingZones.of(buildings, clear, count=count)
        first, second = (ImageQuantities.of(image, observed) for image in (before, after))
        return cls(first, second, zones)

    def straightness(self, image: ImageQuantities, zone: Zone) -> Float64Array:
        """Return how far edges run in two directions at right angles, 0 to 1: walls and roofs."""
        size, cosine, sine = (zone.mean(part) for part in image.fourfold)
        return np.hypot(cosine, sine) / (size + 1e-6)

    def best_correlation(self, one: FloatArray, other: FloatArray) -> Float64Array:
        """Return the correlation around each building at the shift that fits it best."""
        near = self.zones.near
        tried = (near.correlation(one, _shifted(other, *shift)) for shift in SHIFTS_PX)
        return functools.reduce(np.fmax, tried)


def _shifted(image: FloatArray, down: int, right: int) -> FloatArray:
    rows, cols = image.shape
    padded = np.pad(image, REACH_PX, mode="edge")
    top, left = REACH_PX - down, REACH_PX - right
    return padded[top : top + rows, left : left + cols]


OfPair: TypeAlias = Callable[[QuantityPair], Float64Array]


@dataclass(frozen=True)
class BuildingFeature:
    """One number of each building."""

    meaning: str
    """Of a large value."""
    of: OfPair
    """(count,)."""
    compares: bool = False
    """Whether it compares both images; else it is of the image after alone."""

    def before(self, pair: QuantityPair) -> Float64Array | None:
        """Return the same number of the image before, (count,); None where it compares both."""
        return None if self.compares else self.of(replace(pair, after=pair.before))


def _log(values: Float64Array) -> Float64Array:
    return np.log(values + _FLOOR)


def _mean(zone: str, quantity: str) -> OfPair:
    return lambda p: getattr(p.zones, zone).mean(getattr(p.after, quantity))


def _log_mean(zone: str, quantity: str) -> OfPair:
    return lambda p: _log(getattr(p.zones, zone).mean(getattr(p.after, quantity)))


def _straightness(zone: str) -> OfPair:
    return lambda p: p.straightness(p.after, getattr(p.zones, zone))


def _correlation(quantity: str) -> OfPair:
    return lambda p: p.zones.inside.correlation(
        getattr(p.before, quantity), getattr(p.after, quantity)
    )


def _best_correlation(quantity: str) -> OfPair:
    return lambda p: p.best_correlation(getattr(p.before, quantity), getattr(p.after, quantity))


def _unevenness(p: QuantityPair) -> Float64Array:
    return _log(p.zones.inside.std(p.after.brightness))


def _change(of: OfPair) -> OfPair:
    return lambda p: of(p) - of(replace(p, after=p.before))


_F = BuildingFeature
FEATURES: dict[str, BuildingFeature] = {
    "redness-inside": _F(
        "red to brown inside: bare wood, brick, soil", _mean("inside", "redness")
    ),
    "redness-around": _F("red to brown around: debris, bare soil", _mean("ring", "redness")),
    "greenness-inside": _F("green inside", _mean("inside", "greenness")),
    "greenness-around": _F("green around: lawn and trees stand", _mean("ring", "greenness")),
    "saturation-inside": _F("coloured rather than grey inside", _mean("inside", "saturation")),
    "saturation-around": _F("coloured rather than grey around", _mean("ring", "saturation")),
    "brightness-inside": _F("bright inside", _mean("inside", "brightness")),
    "brightness-around": _F("bright around: debris", _mean("ring", "brightness")),
    "blueness-inside": _F(
        "blue inside: tarpaulins on roofs that stand", _mean("inside", "blueness")
    ),
    "fine-roughness-inside": _F("rubble inside", _log_mean("inside", "fine")),
    "coarse-roughness-inside": _F("broken surfaces inside", _log_mean("inside", "coarse")),
    "fine-roughness-around": _F("rubble around", _log_mean("ring", "fine")),
    "fine-roughness-outline": _F("contrast along the walls", _log_mean("outline", "fine")),
    "straightness-outline": _F(
        "edges along the walls run at right angles", _straightness("outline")
    ),
    "straightness-outline-change": _F(
        "they do so more than before", _change(_straightness("outline")), compares=True
    ),
    "straightness-inside": _F(
        "edges inside run at right angles: a roof", _straightness("inside")
    ),
    "straightness-inside-change": _F(
        "they do so more than before", _change(_straightness("inside")), compares=True
    ),
    "likeness-inside": _F(
        "light and dark inside lie where they lay before", _correlation("brightness"), compares=True
    ),
    "likeness-of-edges-inside": _F(
        "edges inside lie where they lay before", _correlation("fine"), compares=True
    ),
    "likeness-near": _F(
        "light and dark in and near it lie as before, up to a shift",
        _best_correlation("brightness"), compares=True,
    ),
    "likeness-of-edges-near": _F(
        "edges in and near it lie as before, up to a shift", _best_correlation("fine"),
        compares=True,
    ),
    "unevenness-inside": _F("light and dark mixed inside", _unevenness),
    "unevenness-inside-change": _F("more mixed than before", _change(_unevenness), compares=True),
    "size": _F("a large building", lambda p: np.log(np.maximum(p.zones.inside.pixels, 1.0))),
}  # fmt: skip
"""By name. Those of the image after say most; what was there before comes in where it differs."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of all buildings of a scene."""

    values: Float64Array
    """(count, features), in the order requested; NaN where not known."""
    pixels: Float64Array
    """(count,) pixels of each that both images observe."""
    share_observed: Float64Array
    """(count,) share of each footprint that both images observe."""
    centres: Float64Array
    """(count, 2) row and column of the middle of those pixels; NaN where there is none."""


def measure(pair: QuantityPair, names: tuple[str, ...]) -> FeatureTable:
    """Return features by name of all buildings; brightness is relative to the whole pair."""
    inside = pair.zones.inside
    grid = np.indices(pair.after.brightness.shape, np.float32)
    return FeatureTable(
        values=np.stack([FEATURES[name].of(pair) for name in names], axis=1),
        pixels=inside.pixels,
        share_observed=pair.zones.share_observed,
        centres=np.stack([inside.mean(grid[0]), inside.mean(grid[1])], axis=1),
    )
