"""A town and a village by the river: streets, lots, and one rectangle a building."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geo.landscape.noise import Field, Mask, stream
from geo.landscape.relief import PIXEL_M, Relief

Floats = npt.NDArray[np.float64]

_LOT_U, _LOT_V, _STREET = 26.0, 34.0, 11.0
_BLOCK_U, _BLOCK_V = 4 * _LOT_U + _STREET, 2 * _LOT_V + _STREET
"""Metres along and across the streets; a block is four lots by two."""
_SAMPLES = (np.arange(5) - 2) / 5
"""Where a building is sampled along each side, to measure its share of the pixels."""


@dataclass(frozen=True)
class Settlement:
    """Where one place lies, in metres from the upper left corner of the map: x east, y south."""

    centre_x: float
    centre_y: float
    radius: float
    angle: float
    """Of its streets, radians."""

    def to_map(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return the map's x and y of a place along and across the streets."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.centre_x + u * cos - v * sin, self.centre_y + u * sin + v * cos

    def to_streets(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return the place along and across the streets of the map's x and y."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.centre_x, y - self.centre_y
        return dx * cos + dy * sin, dy * cos - dx * sin


@dataclass(frozen=True)
class Town:
    """What people built."""

    corners_m: Floats
    """(buildings, 4, 2): x east and y south of the map's upper left corner."""
    built: Field
    """(rows, cols), share of the pixel under roofs."""
    brightness: Field
    """(rows, cols), the same, each roof and wall weighted by how strongly it reflects radar."""
    streets: Mask
    gardens: Mask
    """Inside a settlement, neither street nor building."""


def make_town(seed: int, *, relief: Relief, depth_m: Field, blocked: Mask) -> Town:
    """Return a town partly in the flood and a village out of it.

    Args:
        seed: of the landscape.
        relief: the ground.
        depth_m: depth of the flood, (rows, cols).
        blocked: where nobody builds.
    """
    rng = stream(seed, "town")
    places = _places(rng, relief=relief, depth_m=depth_m)
    corners = np.concatenate([_buildings(rng, place) for place in places])
    corners = corners[_free(corners, blocked)]
    built = _coverage(corners, np.ones(len(corners)), size=len(blocked))
    # Some walls face the radar and most do not: strengths differ by several decibels.
    strength = 10 ** (rng.normal(0.1, 0.45, len(corners)))
    inside, streets = _streets(rng, places, size=len(blocked))
    return Town(
        corners_m=corners,
        built=built,
        brightness=_coverage(corners, strength, size=len(blocked)),
        streets=streets & ~blocked,
        gardens=inside & ~streets & ~blocked,
    )


def _places(rng: np.random.Generator, *, relief: Relief, depth_m: Field) -> list[Settlement]:
    """Return the town where three tenths of it are flooded, and the village on the hills."""
    size = len(depth_m)
    share = ndimage.uniform_filter((depth_m > 0).astype(float), 90)
    rows, cols = np.mgrid[:size, :size]
    edge = np.minimum.reduce([rows, cols, size - 1 - rows, size - 1 - cols])
    off_centre = np.hypot(rows - size / 2, cols - size / 2) / size
    cost = np.abs(share - 0.3) + 0.25 * off_centre + (edge < size // 8) + (relief.river_px < 15)
    row, col = np.unravel_index(np.argmin(cost), cost.shape)
    town = Settlement(col * PIXEL_M, row * PIXEL_M, 700.0, rng.uniform(0, np.pi / 2))
    apart = np.hypot(rows - row, cols - col) / size
    cost = share + np.abs(apart - 0.4) + (edge < size // 12) + np.abs(relief.hills - 0.4)
    row, col = np.unravel_index(np.argmin(cost), cost.shape)
    return [town, Settlement(col * PIXEL_M, row * PIXEL_M, 230.0, rng.uniform(0, np.pi / 2))]


def _buildings(rng: np.random.Generator, place: Settlement) -> Floats:
    """Return the corners of the buildings of a place, at most one a lot."""
    reach = int(place.radius / _BLOCK_V) + 1
    i, j = (a.ravel() for a in np.mgrid[-4 * reach : 4 * reach, -2 * reach : 2 * reach])
    u = i // 4 * _BLOCK_U + (i % 4 + 0.5) * _LOT_U + _STREET / 2
    v = j // 2 * _BLOCK_V + (j % 2 + 0.5) * _LOT_V + _STREET / 2
    far = np.hypot(u, v) / place.radius
    kept = rng.random(len(u)) < np.clip(2.2 * (1 - far), 0, 0.92)
    u, v, far = u[kept], v[kept], far[kept]
    core = (far < 0.35) & (rng.random(len(u)) < 0.7)
    width = np.where(core, rng.uniform(18, 25, len(u)), rng.uniform(8, 15, len(u)))
    length = np.where(core, rng.uniform(16, 32, len(u)), rng.uniform(9, 19, len(u)))
    # Houses stand near their street, which is at one end of the lot.
    v = v + np.where(j[kept] % 2 == 0, -1, 1) * (_LOT_V - 2 - length) / 2
    ring = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) / 2
    us, vs = u[:, None] + ring[:, 0] * width[:, None], v[:, None] + ring[:, 1] * length[:, None]
    return np.stack(place.to_map(us, vs), axis=-1)


def _free(corners: Floats, blocked: Mask) -> Mask:
    """Return which buildings stand on the map and touch nothing blocked."""
    pixel = np.floor(corners / PIXEL_M).astype(int)
    inside = ((pixel >= 0) & (pixel < len(blocked))).all(axis=(1, 2))
    col, row = np.moveaxis(np.clip(pixel, 0, len(blocked) - 1), -1, 0)
    return np.asarray(inside & ~blocked[row, col].any(axis=1))


def _coverage(corners: Floats, weight: Floats, *, size: int) -> Field:
    """Return the weighted share of each pixel under buildings, by 25 samples a building."""
    centre = corners.mean(axis=1)
    side_a, side_b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    a, b = (s.ravel() for s in np.meshgrid(_SAMPLES, _SAMPLES))
    points = centre[:, None] + a[:, None] * side_a[:, None] + b[:, None] * side_b[:, None]
    area_m2 = np.hypot(*side_a.T) * np.hypot(*side_b.T)
    col, row = np.floor(points / PIXEL_M).astype(int).reshape(-1, 2).T
    share = np.repeat(weight * area_m2 / len(a) / PIXEL_M**2, len(a))
    sums = np.bincount(row * size + col, weights=share, minlength=size * size)
    return sums.reshape(size, size).astype(float)


def _streets(rng: np.random.Generator, places: list[Settlement], *, size: int) -> tuple[Mask, Mask]:
    """Return what lies in a settlement, and its streets; its edge is ragged, block by block."""
    y, x = (np.mgrid[:size, :size] + 0.5) * PIXEL_M
    inside, streets = np.zeros((2, size, size), dtype=bool)
    for place in places:
        u, v = place.to_streets(x, y)
        edge = place.radius * rng.uniform(0.75, 1.12, (64, 64))
        here = np.hypot(u, v) < edge[_block(u, _BLOCK_U), _block(v, _BLOCK_V)]
        on_street = (_from_street(u, _BLOCK_U) < 5) | (_from_street(v, _BLOCK_V) < 5)
        inside |= here
        streets |= here & on_street
    return inside, streets


def _block(way: Field, block: float) -> npt.NDArray[np.int64]:
    """Return the number of the block, from 0 to 63."""
    return np.floor(way / block).astype(int) % 64


def _from_street(way: Field, block: float) -> Field:
    """Return the distance to the nearest middle of a street, metres."""
    return np.abs((way + block / 2) % block - block / 2)
