"""What grows and lies on the ground: fields, meadows and woods."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from geo.landscape.noise import Field, Mask, fractal, stream
from geo.landscape.relief import Relief

Codes = npt.NDArray[np.int64]
"""(rows, cols)."""


class Cover(IntEnum):
    """Land cover of a pixel."""

    RIVER = 0
    LAKE = 1
    CEREAL = 2
    BARLEY = 3
    RAPE = 4
    MAIZE = 5
    BEET = 6
    BARE = 7
    GRASS = 8
    FOREST = 9
    ASPHALT = 10
    GARDEN = 11


HEIGHT_M = np.array([0.01, 0.01, 0.55, 0.5, 0.9, 0.3, 0.3, 0.05, 0.25, 15.0, 0.05, 0.5])
"""By `Cover`, in June: water deeper than this hides it. The current has laid the crops down."""
SOIL = np.array([0.0, 0.0, 0.05, 0.10, 0.03, 0.55, 0.20, 1.0, 0.10, 0.02, 0.0, 0.15])
"""By `Cover`, in June: share of the soil that can be seen between the plants."""

_CROPS = np.array(
    [Cover.CEREAL, Cover.BARLEY, Cover.RAPE, Cover.MAIZE, Cover.BEET, Cover.BARE, Cover.GRASS]
)
_UPLAND = np.array([0.30, 0.12, 0.16, 0.16, 0.10, 0.06, 0.10])
_LOWLAND = np.array([0.20, 0.06, 0.06, 0.14, 0.06, 0.05, 0.43])
"""Shares of the crops; along the river the meadows."""


@dataclass(frozen=True)
class Farmland:
    """The fields and woods; every array is (rows, cols)."""

    field: Codes
    """Number of the field, from 0."""
    cover: Codes
    """Values of `Cover`; nothing of the town or of standing water yet."""


def make_farmland(seed: int, *, relief: Relief) -> Farmland:
    """Return fields, meadows and woods on a relief."""
    rng = stream(seed, "cover")
    field = _strips(rng, size=len(relief.hills))
    low = per_field(relief.hills, field) < 0.05
    draw = rng.random(len(low))
    choice = np.where(low, _choose(draw, _LOWLAND), _choose(draw, _UPLAND))
    wood = _woods(rng, relief=relief, field=field)
    return Farmland(field, np.where(wood, Cover.FOREST, _CROPS[choice][field]))


def per_field(values: Field, field: Codes) -> npt.NDArray[np.float64]:
    """Return the mean of each field, by its number."""
    return np.bincount(field.ravel(), weights=values.ravel()) / np.bincount(field.ravel())


def _choose(draw: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> Codes:
    return np.searchsorted(np.cumsum(shares[:-1]), draw)


def _strips(rng: np.random.Generator, *, size: int) -> Codes:
    """Return fields: districts of strips that lie side by side, each district in its direction."""
    count = max(4, size * size // 9000)
    seeds = rng.uniform(0, size, (count, 2))
    rows, cols = np.mgrid[:size, :size].astype(float)
    bend_r, bend_c = (5 * fractal(rng, size=size, largest_px=80) for _ in range(2))
    points = np.column_stack([(rows + bend_r).ravel(), (cols + bend_c).ravel()])
    district = cKDTree(seeds).query(points)[1].reshape(size, size)
    angle = rng.uniform(0, np.pi, count)[district]
    width = rng.uniform(9, 24, count)[district]
    length = rng.uniform(30, 70, count)[district]
    along = (cols * np.cos(angle) + rows * np.sin(angle)) / length
    across = (rows * np.cos(angle) - cols * np.sin(angle)) / width
    key = (district * 1000 + np.floor(across) + 500) * 1000 + np.floor(along) + 500
    return np.unique(key, return_inverse=True)[1].reshape(size, size)


def _woods(rng: np.random.Generator, *, relief: Relief, field: Codes) -> Mask:
    """Return woods, more of them on the hills, with edges along fields, and trees on the banks."""
    size = len(field)
    liking = fractal(rng, size=size, largest_px=size / 4) + 0.7 * relief.hills
    straight = per_field(liking, field)[field]
    banks = (relief.river_px < 8) & (fractal(rng, size=size, largest_px=40, slope=1.5) > 0.4)
    return (0.35 * liking + 0.65 * straight > 1.25) | banks
