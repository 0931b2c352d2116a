"""Zones: the pixels inside, along and around each building, and sums over them."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from geo.raster import BoolArray
from models.data.xbd import IntArray

Values: TypeAlias = npt.NDArray[np.float64]

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
    def of(cls, owners: IntArray, where: BoolArray, *, count: int) -> "Zone":
        """Return the pixels of an image of building numbers that lie in a mask."""
        places = np.flatnonzero(where & (owners > 0))
        return cls(places, owners.ravel()[places].astype(np.intp) - 1, count)

    @property
    def pixels(self) -> Values:
        """(count,) pixels of each building."""
        return self.sums(np.ones(len(self.places)))

    def sums(self, values: npt.NDArray[np.floating]) -> Values:
        """Return sums by building of values of the zone's pixels, (count,)."""
        return np.bincount(self.owners, values, self.count).astype(np.float64)

    def mean(self, image: npt.NDArray[np.floating]) -> Values:
        """Return the mean of an image, (rows, cols), by building; NaN where it has no pixel."""
        return _ratio(self.sums(image.ravel()[self.places]), self.pixels)

    def std(self, image: npt.NDArray[np.floating]) -> Values:
        """Return the deviation of an image by building; NaN where it has no pixel."""
        return np.sqrt(self._variance(image.ravel()[self.places]))

    def correlation(self, one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> Values:
        """Return the correlation of two images by building; 0 where one of them is even."""
        first, second = one.ravel()[self.places], other.ravel()[self.places]
        joint = _ratio(self.sums(first * second), self.pixels)
        apart = _ratio(self.sums(first), self.pixels) * _ratio(self.sums(second), self.pixels)
        # One unit of brightness of noise: two even roofs are not alike, they say nothing.
        spread = np.sqrt(self._variance(first) * self._variance(second)) + 1.0
        return (joint - apart) / spread

    def _variance(self, values: npt.NDArray[np.floating]) -> Values:
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
    share_seen: Values
    """(count,) share of each footprint that was seen."""

    @classmethod
    def of(cls, buildings: IntArray, seen: BoolArray, *, count: int) -> "Zones":
        """Return the zones.

        Args:
            buildings: (rows, cols), 0 none, k the k-th building.
            seen: (rows, cols), True where both images were.
            count: how many buildings there are.
        """
        built = buildings > 0
        away, (rows, cols) = distance_transform_edt(~built, return_indices=True)
        nearest: IntArray = buildings[rows, cols]
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


def _ratio(part: Values, whole: Values) -> Values:
    ratio: Values = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio
