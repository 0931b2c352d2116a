"""Two dozen numbers about a building before and after, each of which says something in words.

Colours are ratios and brightness is relative to the image's own median, so that the exposure of
a camera changes nothing. What is not known, the ring of a building that has none say, is NaN.

Zones: the pixels inside, along and around each building, and sums over them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

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
"""A building of fewer pixels has no answer of a network, and where one sees it, it is none: 7.5 m2
at half a metre."""
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
class Zones:
    """The zones of all buildings; only pixels that were seen before and after."""

    inside: Zone
    outline: Zone
    """Along the wall, on both sides."""
    ring: Zone
    """Around a building and nearest to it; no pixel of another building."""
    near: Zone
    """The building and a narrow ring."""
    share_seen: Float64Array
    """(count,) share of each footprint that was seen."""

    @classmethod
    def of(cls, buildings: Int32Array, seen: BoolArray, *, count: int) -> "Zones":
        """Return the zones.

        Args:
            buildings: (rows, cols), 0 none, k the k-th building.
            seen: (rows, cols), True where both images were.
            count: how many buildings there are.
        """
        built = buildings > 0
        away, (rows, cols) = distance_transform_edt(~built, return_indices=True)
        nearest: Int32Array = buildings[rows, cols]
        depth = distance_transform_edt(built)
        outline = (built & (depth <= _OUTLINE_PX)) | (~built & (away <= _OUTLINE_PX))
        inside = Zone.of(buildings, seen, count=count)
        whole = Zone.of(buildings, built, count=count).pixels
        return cls(
            inside=inside,
            outline=Zone.of(nearest, seen & outline, count=count),
            ring=Zone.of(nearest, seen & (away > _GAP_PX) & (away <= RING_PX), count=count),
            near=Zone.of(nearest, seen & (away <= NEAR_PX), count=count),
            share_seen=np.nan_to_num(_ratio(inside.pixels, whole)),
        )


def _ratio(part: Float64Array, whole: Float64Array) -> Float64Array:
    ratio: Float64Array = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


LEVEL = 100.0
"""What the median brightness of an image is brought to."""
FINE_PX, COARSE_PX = 0.8, 2.0
"""Scales of roughness: rubble, and parts of roofs."""
REACH_PX = 4
"""How far the images of one building may lie apart: it leans, or they are registered badly."""
SHIFTS_PX = tuple(product(range(-REACH_PX, REACH_PX + 1, 2), repeat=2))
"""Down and right."""
_FLOOR = 3.0
"""Added before a logarithm: roughness below it is noise."""
_BLUR_REACH_PX = 5
"""How far a filter carries what was filled in for unseen pixels."""


@dataclass(frozen=True, eq=False)
class Look:
    """One image, in the quantities that the features are made of; (rows, cols) each."""

    rgb: FloatArray
    """(3, rows, cols), its median brightness `LEVEL`, unseen pixels filled with the median."""

    @classmethod
    def of(cls, image: FloatArray, seen: BoolArray) -> "Look":
        """Return the look of an image of which some pixels were seen."""
        medians = np.median(image[:, seen], axis=1) if seen.any() else np.full(3, LEVEL)
        filled = np.where(seen, image, medians[:, None, None].astype(np.float32))
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
class Pair:
    """Two images and the zones of the buildings on them."""

    before: Look
    after: Look
    zones: Zones

    @classmethod
    def of(
        cls, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> "Pair":
        """Return what features are taken from; see `models.damage.grader.Grader.grade`."""
        seen = np.asarray(np.isfinite(np.stack([before, after])).all(axis=(0, 1)))
        clear = ~maximum_filter(~seen, size=2 * _BLUR_REACH_PX + 1)
        zones = Zones.of(buildings, clear, count=count)
        return cls(Look.of(before, seen), Look.of(after, seen), zones)

    def straightness(self, look: Look, zone: Zone) -> Float64Array:
        """Return how far edges run in two directions at right angles, 0 to 1: walls and roofs."""
        size, cosine, sine = (zone.mean(part) for part in look.fourfold)
        return np.hypot(cosine, sine) / (size + 1e-6)

    def closest(self, one: FloatArray, other: FloatArray) -> Float64Array:
        """Return the correlation around each building at the shift that fits it best."""
        near = self.zones.near
        tried = (near.correlation(one, _shifted(other, *shift)) for shift in SHIFTS_PX)
        best = next(tried)
        for correlation in tried:
            best = np.fmax(best, correlation)
        return best


@dataclass(frozen=True)
class Feature:
    """One number of a building."""

    meaning: str
    """What a large value says."""
    of: Callable[[Pair], Float64Array]
    """(count,)."""


def _log(values: Float64Array) -> Float64Array:
    return np.log(values + _FLOOR)


def _shifted(image: FloatArray, down: int, right: int) -> FloatArray:
    """Return an image moved by at most `REACH_PX`; its outermost pixels are repeated."""
    rows, cols = image.shape
    padded = np.pad(image, REACH_PX, mode="edge")
    top, left = REACH_PX - down, REACH_PX - right
    return padded[top : top + rows, left : left + cols]


FEATURES: dict[str, Feature] = {
    "redness-inside": Feature(
        "red to brown inside: bare wood, brick, soil",
        lambda p: p.zones.inside.mean(p.after.redness),
    ),
    "redness-around": Feature(
        "red to brown around: debris, bare soil", lambda p: p.zones.ring.mean(p.after.redness)
    ),
    "greenness-inside": Feature("green inside", lambda p: p.zones.inside.mean(p.after.greenness)),
    "greenness-around": Feature(
        "green around: lawn and trees stand", lambda p: p.zones.ring.mean(p.after.greenness)
    ),
    "saturation-inside": Feature(
        "coloured rather than grey inside", lambda p: p.zones.inside.mean(p.after.saturation)
    ),
    "saturation-around": Feature(
        "coloured rather than grey around", lambda p: p.zones.ring.mean(p.after.saturation)
    ),
    "brightness-inside": Feature(
        "bright inside", lambda p: p.zones.inside.mean(p.after.brightness)
    ),
    "brightness-around": Feature(
        "bright around: debris", lambda p: p.zones.ring.mean(p.after.brightness)
    ),
    "blueness-inside": Feature(
        "blue inside: tarpaulins on roofs that stand",
        lambda p: p.zones.inside.mean(p.after.blueness),
    ),
    "fine-roughness-inside": Feature(
        "rubble inside", lambda p: _log(p.zones.inside.mean(p.after.fine))
    ),
    "coarse-roughness-inside": Feature(
        "broken surfaces inside", lambda p: _log(p.zones.inside.mean(p.after.coarse))
    ),
    "fine-roughness-around": Feature(
        "rubble around", lambda p: _log(p.zones.ring.mean(p.after.fine))
    ),
    "fine-roughness-outline": Feature(
        "contrast along the walls", lambda p: _log(p.zones.outline.mean(p.after.fine))
    ),
    "straightness-outline": Feature(
        "edges along the walls run at right angles",
        lambda p: p.straightness(p.after, p.zones.outline),
    ),
    "straightness-outline-change": Feature(
        "they do so more than before",
        lambda p: (
            p.straightness(p.after, p.zones.outline) - p.straightness(p.before, p.zones.outline)
        ),
    ),
    "straightness-inside": Feature(
        "edges inside run at right angles: a roof",
        lambda p: p.straightness(p.after, p.zones.inside),
    ),
    "straightness-inside-change": Feature(
        "they do so more than before",
        lambda p: (
            p.straightness(p.after, p.zones.inside) - p.straightness(p.before, p.zones.inside)
        ),
    ),
    "likeness-inside": Feature(
        "light and dark inside lie where they lay before",
        lambda p: p.zones.inside.correlation(p.before.brightness, p.after.brightness),
    ),
    "likeness-of-edges-inside": Feature(
        "edges inside lie where they lay before",
        lambda p: p.zones.inside.correlation(p.before.fine, p.after.fine),
    ),
    "likeness-near": Feature(
        "light and dark in and near it lie as before, up to a shift",
        lambda p: p.closest(p.before.brightness, p.after.brightness),
    ),
    "likeness-of-edges-near": Feature(
        "edges in and near it lie as before, up to a shift",
        lambda p: p.closest(p.before.fine, p.after.fine),
    ),
    "unevenness-inside": Feature(
        "light and dark mixed inside", lambda p: _log(p.zones.inside.std(p.after.brightness))
    ),
    "unevenness-inside-change": Feature(
        "more mixed than before",
        lambda p: (
            _log(p.zones.inside.std(p.after.brightness))
            - _log(p.zones.inside.std(p.before.brightness))
        ),
    ),
    "size": Feature("a large building", lambda p: np.log(np.maximum(p.zones.inside.pixels, 1.0))),
}
"""By name. Those after the event say most; what they were before comes in where it differs."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The features of all buildings of a scene."""

    values: Float64Array
    """(count, features), in the order asked for; NaN where not known."""
    pixels: Float64Array
    """(count,) pixels of each that were seen before and after."""
    share_seen: Float64Array
    """(count,) share of each footprint that was seen."""
    centres: Float64Array
    """(count, 2) row and column of the middle of what was seen; NaN where nothing was."""


def measure(pair: Pair, names: tuple[str, ...]) -> Measured:
    """Return features of every building, by name.

    Args:
        pair: of a whole scene, or of blocks of many buildings: brightness is relative to it.
        names: of `FEATURES`.
    """
    inside = pair.zones.inside
    grid = np.indices(pair.after.brightness.shape, np.float32)
    return Measured(
        values=np.stack([FEATURES[name].of(pair) for name in names], axis=1),
        pixels=inside.pixels,
        share_seen=pair.zones.share_seen,
        centres=np.stack([inside.mean(grid[0]), inside.mean(grid[1])], axis=1),
    )
