"""The landscape of a seed, before and during its flood, as the satellites recorded it.

What grows and lies on the ground: fields, meadows and woods.

The ground before and during the flood, and what is true of it.

Random fields with the roughness of terrain, fields and clouds.

Terrain and river: a meandering river in its flood plain between hills.

Rows and columns are pixels of 10 m, heights are metres.

Water: the lakes, the flood, and the truth about both.

A town and a village by the river: streets, lots, and one rectangle a building.

What a camera sees: Sentinel-2 L2A, reflectance with texture, cloud and shadow, and the SCL.

The spectra were chosen by hand to be plausible for central Europe in June, not fitted to
data.

What a radar sees: Sentinel-1 IW GRD in decibels, VV and VH, with speckle.

The levels were chosen by hand to be plausible for C band in June, not fitted to data. To
compare: in the Spain chip of Sen1Floods11 the medians of water are -17.6 and -25.2 dB, those
of land -9.4 and -16.6 dB; here the flood has about -18 and -23, the land -11 and -17.

The made landscape as files: what a provider would have delivered, and the truth.

The files are named as Sentinel-1 and Sentinel-2 products are, and orbit, data take and
relative orbit are all zero, which no product has: nobody can take them for observations.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from scipy import fft, ndimage, special, stats
from scipy.spatial import cKDTree
from shapely import Polygon

from geo.store.atomic_io import make_folder, making, writing
from geo.types import BoolArray, CodeArray, Float64Array, FloatArray, IntArray

"""(rows, cols)."""
"""(rows, cols)."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one part of the landscape.

    Each part has its own, so that a change in one moves nothing in the others.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def fractal(
    rng: np.random.Generator, *, size: int, largest_px: float, slope: float = 2.0
) -> Float64Array:
    """Return spectral noise of mean 0 and standard deviation 1.

    Args:
        rng: where the white noise comes from.
        size: rows and columns.
        largest_px: wavelength above which the spectrum is flat.
        slope: the amplitude falls with frequency to this power; terrain is near 2.
    """
    rows, cols = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None]
    frequency = np.hypot(rows, cols)
    gain = np.maximum(frequency, 1 / largest_px) ** -slope
    gain[0, 0] = 0
    field = fft.irfft2(fft.rfft2(rng.standard_normal((size, size))) * gain, s=(size, size))
    return np.asarray(field / field.std())


def wander(rng: np.random.Generator, *, count: int, scale: float) -> Float64Array:
    """Return a smooth random curve of mean 0 and standard deviation 1.

    Args:
        rng: where the white noise comes from.
        count: samples.
        scale: samples over which it forgets where it was.
    """
    curve = ndimage.gaussian_filter1d(rng.standard_normal(count), scale, mode="wrap")
    return np.asarray((curve - curve.mean()) / curve.std())


def smoothstep(value: Float64Array) -> Float64Array:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


PIXEL_M = 10.0
_BASE_M, _FALL_M = 132.0, 5.0
"""Height of the flood plain in the east, and what the river falls across the map."""


@dataclass(frozen=True)
class Relief:
    """The shape of the ground; every array is (rows, cols)."""

    elevation_m: Float64Array
    base_m: Float64Array
    """Height of the flood plain beside the river; water levels are counted from it."""
    river: BoolArray
    river_px: Float64Array
    """Distance to the middle of the river."""
    hills: Float64Array
    """0 in the flood plain, 1 on the hills."""


def make_relief(seed: int, *, size: int) -> Relief:
    """Return the terrain of a seed on a square of `size` pixels."""
    rng = stream(seed, "relief")
    rows, cols = np.mgrid[:size, :size].astype(float)
    axis = size * 0.5 + size * 0.07 * wander(rng, count=size, scale=size / 6)
    path = _meander(rng, size=size, axis=axis)
    pixels = np.column_stack([rows.ravel(), cols.ravel()])
    distance, nearest = (np.asarray(found) for found in cKDTree(path).query(pixels))
    half_width = 3.3 + 0.5 * wander(rng, count=len(path), scale=40)
    river = (distance < half_width[nearest]).reshape(size, size)
    river_px = distance.reshape(size, size)
    base = _BASE_M + _FALL_M * (1 - cols / size)
    hills, plain = _valley(rng, rows=rows, axis=axis, size=size)
    rough = fractal(rng, size=size, largest_px=size / 3)
    elevation = (
        base
        + plain
        + _scrolls(rng, river_px=river_px)
        + hills * (26 + 16 * rough + 4 * fractal(rng, size=size, largest_px=60, slope=1.6))
    )
    return Relief(np.where(river, base - 3, elevation), base, river, river_px, hills)


def _meander(rng: np.random.Generator, *, size: int, axis: Float64Array) -> Float64Array:
    """Return the middle of the river as (points, 2) rows and columns, a pixel apart.

    A sine-generated curve (Langbein and Leopold 1966, USGS Professional Paper 422-H): the
    direction swings as a sine of the way along the river.
    """
    margin = 40
    count = int((size + 2 * margin) * 1.5)
    swing = 1.2 * (1 + 0.25 * wander(rng, count=count, scale=100))
    wavelength_px = 150 * (1 + 0.15 * wander(rng, count=count, scale=100))
    phase = np.cumsum(2 * np.pi / wavelength_px) + rng.uniform(0, 2 * np.pi)
    direction = swing * np.sin(phase)
    way = np.cumsum(np.exp(1j * direction))
    # Turned and stretched so that its ends lie left and right of the map.
    way = (way - way[0]) * (size + 2 * margin) / (way[-1] - way[0]) - margin
    bend = np.interp(way.real, np.arange(size), axis)
    return np.column_stack([way.imag + bend, way.real])


def _valley(
    rng: np.random.Generator, *, rows: Float64Array, axis: Float64Array, size: int
) -> tuple[Float64Array, Float64Array]:
    """Return the hills from 0 to 1, and the height of the flood plain over its river."""
    warp = 24 * fractal(rng, size=size, largest_px=size / 4)
    side = rows - axis + warp
    half_width = np.where(side < 0, size * 0.19, size * 0.16)
    across = np.abs(side) / half_width
    micro = fractal(rng, size=size, largest_px=90, slope=1.7)
    plain = 0.3 + 2.4 * np.minimum(across, 1.3) ** 3 + 0.5 * micro
    return smoothstep((across - 1) / 0.9), plain


def _scrolls(rng: np.random.Generator, *, river_px: Float64Array) -> Float64Array:
    """Return natural levees along the river, and the ridges that old banks left."""
    size = len(river_px)
    ridges = 0.25 * np.sin(river_px / 3.5 + 1.5 * fractal(rng, size=size, largest_px=120))
    return 0.8 * np.exp(-river_px / 8) + ridges * np.exp(-river_px / 50)


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

    field: IntArray
    """Number of the field, from 0."""
    cover: IntArray
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


def per_field(values: Float64Array, field: IntArray) -> Float64Array:
    """Return the mean of each field, by its number."""
    return np.bincount(field.ravel(), weights=values.ravel()) / np.bincount(field.ravel())


def _choose(draw: Float64Array, shares: Float64Array) -> IntArray:
    return np.searchsorted(np.cumsum(shares[:-1]), draw)


def _strips(rng: np.random.Generator, *, size: int) -> IntArray:
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


def _woods(rng: np.random.Generator, *, relief: Relief, field: IntArray) -> BoolArray:
    """Return woods, more of them on the hills, with edges along fields, and trees on the banks."""
    size = len(field)
    liking = fractal(rng, size=size, largest_px=size / 4) + 0.7 * relief.hills
    straight = per_field(liking, field)[field]
    banks = (relief.river_px < 8) & (fractal(rng, size=size, largest_px=40, slope=1.5) > 0.4)
    return (0.35 * liking + 0.65 * straight > 1.25) | banks


class Truth(IntEnum):
    """Value of a pixel of the truth."""

    DRY = 0
    FLOODED = 1
    PERMANENT_WATER = 2


def rise_of_share(relief: Relief, *, share: float) -> float:
    """Return how high the river rises over its flood plain to cover a share of the map, m.

    The first of steps of 0.1 m that covers it, at most 6 m.
    """
    dry = ~relief.river
    for rise in np.arange(0.5, 6.0, 0.1):
        if (flood_depth_m(relief, rise_m=rise) > 0)[dry].sum() >= share * relief.river.size:
            return float(rise)
    return 6.0


def flood_depth_m(relief: Relief, *, rise_m: float) -> Float64Array:
    """Return the depth of the water, 0 where it is dry, metres.

    The water stands at one height over the flood plain and reaches what lies lower and is
    connected to the river: a hollow behind a ridge stays dry.
    """
    depth = relief.base_m + rise_m - relief.elevation_m
    bodies, _ = ndimage.label(depth > 0)
    reached = np.unique(bodies[relief.river & (depth > 0)])
    return np.where(np.isin(bodies, reached) & (depth > 0), depth, 0.0)


def make_lakes(seed: int, *, relief: Relief) -> BoolArray:
    """Return an oxbow lake and a gravel pit in the flood plain, near the river."""
    rng = stream(seed, "lakes")
    size = len(relief.river)
    rows, cols = np.mgrid[:size, :size].astype(float)
    edge = np.minimum.reduce([rows, cols, size - 1 - rows, size - 1 - cols])
    plain = (relief.hills == 0) & (edge > size // 10)
    oxbow_at = _somewhere(rng, plain & (relief.river_px > 22) & (relief.river_px < 32))
    far = np.hypot(rows - oxbow_at[0], cols - oxbow_at[1]) > size / 5
    pit_at = _somewhere(rng, plain & far & (relief.river_px > 25) & (relief.river_px < 50))
    turn = rng.uniform(0, 2 * np.pi, 2)
    return _oxbow(rows - oxbow_at[0], cols - oxbow_at[1], turn=turn[0]) | _pit(
        rows - pit_at[0], cols - pit_at[1], turn=turn[1]
    )


def _somewhere(rng: np.random.Generator, where: BoolArray) -> IntArray:
    """Return row and column of one of the pixels, or of the middle where there is none."""
    places = np.argwhere(where)
    return places[rng.integers(len(places))] if len(places) else np.array(where.shape) // 2


def _oxbow(rows: Float64Array, cols: Float64Array, *, turn: float) -> BoolArray:
    """Return a cut-off bend around a place: two thirds of a ring that thins out at its ends."""
    angle = np.abs((np.arctan2(rows, cols) - turn + np.pi) % (2 * np.pi) - np.pi)
    half_width = 2.6 * np.sqrt(np.clip(1 - angle / 2.1, 0, 1))
    return np.asarray(np.abs(np.hypot(rows, 1.15 * cols) - 12) < half_width)


def _pit(rows: Float64Array, cols: Float64Array, *, turn: float) -> BoolArray:
    """Return a gravel pit around a place: a rectangle with round corners, 280 m by 160 m."""
    along = cols * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - cols * np.sin(turn)
    return np.asarray((along / 14) ** 4 + (across / 8) ** 4 < 1)


def truth_of(depth_m: Float64Array, *, permanent: BoolArray) -> CodeArray:
    """Return the truth, (rows, cols), values of `Truth`."""
    flooded = np.where(depth_m > 0, Truth.FLOODED, Truth.DRY)
    return np.where(permanent, Truth.PERMANENT_WATER, flooded).astype(np.uint8)


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

    def to_map(self, u: Float64Array, v: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the map's x and y of a place along and across the streets."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.centre_x + u * cos - v * sin, self.centre_y + u * sin + v * cos

    def to_streets(self, x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the place along and across the streets of the map's x and y."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.centre_x, y - self.centre_y
        return dx * cos + dy * sin, dy * cos - dx * sin


@dataclass(frozen=True)
class Town:
    """What people built."""

    corners_m: Float64Array
    """(buildings, 4, 2): x east and y south of the map's upper left corner."""
    built: Float64Array
    """(rows, cols), share of the pixel under roofs."""
    brightness: Float64Array
    """(rows, cols), the same, each roof and wall weighted by how strongly it reflects radar."""
    streets: BoolArray
    gardens: BoolArray
    """Inside a settlement, neither street nor building."""


def make_town(seed: int, *, relief: Relief, depth_m: Float64Array, blocked: BoolArray) -> Town:
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


def _places(rng: np.random.Generator, *, relief: Relief, depth_m: Float64Array) -> list[Settlement]:
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


def _buildings(rng: np.random.Generator, place: Settlement) -> Float64Array:
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


def _free(corners: Float64Array, blocked: BoolArray) -> BoolArray:
    """Return which buildings stand on the map and touch nothing blocked."""
    pixel = np.floor(corners / PIXEL_M).astype(int)
    inside = ((pixel >= 0) & (pixel < len(blocked))).all(axis=(1, 2))
    col, row = np.moveaxis(np.clip(pixel, 0, len(blocked) - 1), -1, 0)
    return np.asarray(inside & ~blocked[row, col].any(axis=1))


def _coverage(corners: Float64Array, weight: Float64Array, *, size: int) -> Float64Array:
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


def _streets(
    rng: np.random.Generator, places: list[Settlement], *, size: int
) -> tuple[BoolArray, BoolArray]:
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


def _block(way: Float64Array, block: float) -> IntArray:
    """Return the number of the block, from 0 to 63."""
    return np.floor(way / block).astype(int) % 64


def _from_street(way: Float64Array, block: float) -> Float64Array:
    """Return the distance to the nearest middle of a street, metres."""
    return np.abs((way + block / 2) % block - block / 2)


FLOODED_SHARE = 0.14
"""Of the map, as far as the height of the flood in steps of 0.1 m reaches it."""


@dataclass(frozen=True)
class Ground:
    """Everything there is, before a satellite looks at it; every array is (rows, cols)."""

    relief: Relief
    cover: IntArray
    """Values of `Cover`, before the flood."""
    cover_after: IntArray
    """The same once farmers have worked some fields: change that is no flood."""
    field: IntArray
    """Number of the field."""
    town: Town
    depth_m: Float64Array
    """Of the flood on land, 0 where it is dry or was water before."""
    truth: CodeArray
    """Values of `Truth`."""

    @property
    def permanent(self) -> BoolArray:
        """Water before the flood."""
        return np.isin(self.cover, (Cover.RIVER, Cover.LAKE))

    @property
    def submerged(self) -> Float64Array:
        """Share of what grows on a pixel that the flood hides: 0 dry, 1 open water."""
        return np.asarray(np.clip(self.depth_m / HEIGHT_M[self.cover], 0, 1))


def make_ground(seed: int, *, size: int) -> Ground:
    """Return the ground of a seed on a square of `size` pixels of 10 m."""
    relief = make_relief(seed, size=size)
    lakes = make_lakes(seed, relief=relief) & ~relief.river
    permanent = relief.river | lakes
    depth = flood_depth_m(relief, rise_m=rise_of_share(relief, share=FLOODED_SHARE))
    road = _road(seed, size=size) & ~permanent
    town = make_town(seed, relief=relief, depth_m=depth, blocked=permanent | road)
    # The road runs on a dam, and the flood passes it through culverts and under its bridge.
    depth = np.where(permanent | road, 0.0, depth)
    farmland = make_farmland(seed, relief=relief)
    cover = farmland.cover.copy()
    for code, mask in (
        (Cover.GARDEN, town.gardens),
        (Cover.ASPHALT, town.streets | road),
        (Cover.RIVER, relief.river),
        (Cover.LAKE, lakes),
    ):
        cover[mask] = code
    return Ground(
        relief=relief,
        cover=cover,
        cover_after=_worked(seed, cover=cover, field=farmland.field, depth_m=depth),
        field=farmland.field,
        town=town,
        depth_m=depth,
        truth=truth_of(depth, permanent=permanent),
    )


def _worked(seed: int, *, cover: IntArray, field: IntArray, depth_m: Float64Array) -> IntArray:
    """Return the cover once one in twenty dry fields is tilled."""
    dry = per_field(depth_m, field) == 0
    tilled = (stream(seed, "worked").random(len(dry)) < 0.05) & dry
    return np.where(
        tilled[field] & (cover >= Cover.CEREAL) & (cover <= Cover.GRASS), Cover.BARE, cover
    )


def _road(seed: int, *, size: int) -> BoolArray:
    """Return a road from north to south, 16 m wide."""
    rng = stream(seed, "road")
    way = size * rng.uniform(0.25, 0.75) + size * 0.05 * wander(rng, count=size, scale=size / 5)
    return np.abs(np.arange(size) - way[:, None]) < 0.8


BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")

"""(bands, rows, cols), reflectance from 0 to 1."""

# Thousandths of reflectance: B02, B03, B04, B08, B11, B12.
_SPECTRA = {
    Cover.RIVER: (50, 62, 50, 28, 12, 8),
    Cover.LAKE: (34, 46, 28, 18, 9, 6),
    Cover.CEREAL: (34, 66, 46, 370, 175, 90),
    Cover.BARLEY: (60, 100, 112, 330, 240, 150),
    Cover.RAPE: (40, 80, 52, 420, 200, 100),
    Cover.MAIZE: (72, 96, 98, 270, 270, 205),
    Cover.BEET: (36, 72, 46, 400, 205, 110),
    Cover.BARE: (88, 118, 150, 215, 305, 265),
    Cover.GRASS: (36, 70, 52, 350, 220, 120),
    Cover.FOREST: (21, 42, 24, 310, 140, 60),
    Cover.ASPHALT: (105, 115, 122, 150, 178, 165),
    Cover.GARDEN: (48, 76, 62, 300, 200, 125),
}
_TABLE = np.array([_SPECTRA[cover] for cover in Cover]).T / 1000
_ROOFS = np.array([(92, 112, 165, 225, 270, 240), (165, 175, 185, 215, 220, 205)]) / 1000
"""Tiles, and metal or concrete."""
_MUD = np.array([88, 120, 134, 82, 20, 12]) / 1000
_RAINED = np.array([0.80, 0.80, 0.78, 0.85, 0.68, 0.62])
"""What is left of the reflectance of soil that the rain has wetted."""
_CLOUD = np.array([620, 610, 620, 660, 480, 370]) / 1000
_SHADE = np.array([0.52, 0.42, 0.36, 0.34, 0.28, 0.26])
"""What is left in the shadow of a cloud: the blue sky lights it."""
_SUN_AZIMUTH, _SUN_ZENITH = np.radians(155.0), np.radians(31.0)
"""Mid-June, 50 degrees north, ten o'clock UTC."""
_CLOUD_BASE_M = 1700.0


@dataclass(frozen=True)
class Sky:
    """What stands between the ground and the camera; every array is (rows, cols), 0 to 1."""

    cloud: Float64Array
    """Opacity."""
    shadow: Float64Array
    """Share of the direct light that is missing."""


def optical(seed: int, *, ground: Ground, flooded: bool) -> npt.NDArray[np.uint16]:
    """Return one acquisition, (`BANDS`, rows, cols), as baseline 04.00 and later store it.

    Reflectance x 10000 + 1000; the scene classification as it is.
    """
    rng = stream(seed, f"optical {flooded}")
    surface = _surface(seed, rng, ground=ground, flooded=flooded)
    surface = ndimage.gaussian_filter(surface * _light(ground), (0, 0.5, 0.5))
    sky = _sky(rng, ground) if flooded else None
    seen = surface if sky is None else _through(surface, sky)
    seen = (
        seen
        + rng.normal(0, 0.0015, seen.shape)
        + np.array([6, 4, 2, 1, 0, 0])[:, None, None] / 1000
    )
    seen[4:] = _coarse(seen[4:])
    stored = np.round(np.clip(seen, 0.0001, 1.5) * 10000 + 1000)
    return np.concatenate([stored, _classify(seen, sky)[None]]).astype(np.uint16)


def not_recorded(size: int) -> BoolArray:
    """Return the wedge outside of the orbit: the north-east."""
    rows, cols = np.mgrid[:size, :size]
    return np.asarray((size - 1 - cols) + rows * 0.35 < 0.13 * size)


def _surface(seed: int, rng: np.random.Generator, *, ground: Ground, flooded: bool) -> Float64Array:
    cover = ground.cover_after if flooded else ground.cover
    spectrum = _TABLE[:, cover]
    land = _vary(seed, rng, ground=ground, spectrum=spectrum, cover=cover)
    if flooded:
        land *= 1 - SOIL[cover] * (1 - _RAINED[:, None, None])
    roofs = _roofs(seed, ground)
    open_ground = np.where(ground.permanent, spectrum, land)
    if flooded:
        open_ground = _under_flood(rng, ground, open_ground)
    built = np.clip(ground.town.built, 0, 1)
    return (1 - built) * open_ground + built * roofs


def _vary(
    seed: int, rng: np.random.Generator, *, ground: Ground, spectrum: Float64Array, cover: IntArray
) -> Float64Array:
    """Return the land with fields that differ, thin patches, tramlines of texture, and crowns."""
    lasting = stream(seed, "optical lasting")
    size, count = len(cover), int(ground.field.max()) + 1
    thin = lasting.normal(0.08, 0.08, count) + rng.normal(0, 0.02, count)
    patches = 0.07 * fractal(lasting, size=size, largest_px=50, slope=1.5)
    crop = (cover >= Cover.CEREAL) & (cover <= Cover.GRASS)
    bare = np.clip(thin[ground.field] + patches, 0, 0.6) * crop
    mixed = spectrum + bare * (_TABLE[:, Cover.BARE, None, None] - spectrum)
    bright = np.exp(lasting.normal(0, 0.06, count))[ground.field]
    grain = np.where(cover == Cover.FOREST, 0.12, np.where(cover == Cover.GARDEN, 0.16, 0.03))
    grains = 1 + grain * np.clip(lasting.standard_normal((size, size)), -3, 3)
    return np.asarray(mixed * bright * grains)


def _roofs(seed: int, ground: Ground) -> Float64Array:
    """Return roofs: mostly tiles, some metal or concrete, in patches of streets."""
    rng = stream(seed, "roofs")
    grey = fractal(rng, size=len(ground.cover), largest_px=30, slope=1.0) > 0.6
    return np.asarray(np.where(grey, _ROOFS[1][:, None, None], _ROOFS[0][:, None, None]))


def _under_flood(rng: np.random.Generator, ground: Ground, surface: Float64Array) -> Float64Array:
    """Return the surface with the flood over it: muddy near the river, clearer away from it."""
    size = len(ground.cover)
    turbid = 0.4 + 0.6 * np.exp(-ground.relief.river_px / 60)
    turbid = turbid + 0.08 * fractal(rng, size=size, largest_px=60, slope=1.6)
    clear = _TABLE[:, Cover.LAKE, None, None]
    water = clear + np.clip(turbid, 0, 1) * (_MUD[:, None, None] - clear)
    hidden = np.where(ground.relief.river, 1.0, ground.submerged)
    return surface + hidden * (water - surface)


def _light(ground: Ground) -> Float64Array:
    """Return the direct light on slopes, 1 on flat ground."""
    south, east = np.gradient(ndimage.gaussian_filter(ground.relief.elevation_m, 1.0), PIXEL_M)
    towards = east * np.sin(_SUN_AZIMUTH) - south * np.cos(_SUN_AZIMUTH)
    tilt = 1 / np.sqrt(1 + east**2 + south**2)
    return np.asarray(tilt * (1 - towards * np.tan(_SUN_ZENITH)))


def _sky(rng: np.random.Generator, ground: Ground) -> Sky:
    """Return a cloud whose shadow falls on the flood, away from the town and the edges."""
    size = len(ground.cover)
    away_px = _CLOUD_BASE_M * np.tan(_SUN_ZENITH) / PIXEL_M
    # From the shadow to its cloud: towards the sun, rows counted to the south.
    step = -away_px * np.cos(_SUN_AZIMUTH), away_px * np.sin(_SUN_AZIMUTH)
    rows, cols = np.mgrid[:size, :size].astype(float)
    row, col = _shadow_place(ground, step=step)
    away = np.hypot(rows - row - step[0], (cols - col - step[1]) * 0.8) / (0.085 * size)
    body = 1.1 - away**2 + 0.5 * fractal(rng, size=size, largest_px=size / 14, slope=2.1)
    cloud = 0.98 * smoothstep(body / 0.8) * (away < 2)
    shadow = ndimage.shift(cloud, (-step[0], -step[1]), order=1)
    return Sky(cloud, ndimage.gaussian_filter(shadow, 1.5))


def _shadow_place(ground: Ground, *, step: tuple[float, float]) -> tuple[int, int]:
    size = len(ground.cover)
    wet, built = (
        ndimage.uniform_filter(values.astype(float), size // 8)
        for values in (ground.depth_m > 0, ground.town.built > 0)
    )
    rows, cols = np.mgrid[:size, :size]
    rim = size // 8
    inside = (
        (rows > rim) & (rows + step[0] < size - rim) & (cols > rim) & (cols + step[1] < size - rim)
    )
    row, col = np.unravel_index(np.argmax(np.where(inside, wet - 3 * built, -np.inf)), wet.shape)
    return int(row), int(col)


def _through(surface: Float64Array, sky: Sky) -> Float64Array:
    """Return the ground as it looks through shadow and cloud."""
    shaded = surface * (1 - sky.shadow * (1 - _SHADE[:, None, None]))
    top = _CLOUD[:, None, None] * (0.7 + 0.3 * ndimage.gaussian_filter(sky.cloud, 4))
    return np.asarray(shaded + sky.cloud * (top - shaded))


def _coarse(bands: Float64Array) -> Float64Array:
    """Return bands of 20 m on pixels of 10 m."""
    count, rows, cols = bands.shape
    means = bands.reshape(count, rows // 2, 2, cols // 2, 2).mean(axis=(2, 4))
    return np.asarray(means.repeat(2, axis=1).repeat(2, axis=2))


def _classify(seen: Float64Array, sky: Sky | None) -> Float64Array:
    """Return the scene classification at 20 m, with the mistakes that thresholds make.

    Values of the Sentinel-2 L2A Algorithm Theoretical Basis Document: 3 cloud shadow,
    4 vegetation, 5 not vegetated, 6 water, 8 and 9 cloud of medium and high probability.
    """
    _, green, red, nir, _, _ = _coarse(seen)
    vegetation = (nir - red) / (nir + red) > 0.42
    water = (green - nir) / (green + nir) > 0.05
    scene = np.where(water, 6, np.where(vegetation, 4, 5))
    if sky is None:
        return scene
    cloud, shadow = _coarse(np.stack([sky.cloud, sky.shadow]))
    scene = np.where(shadow > 0.35, 3, scene)
    return np.where(cloud > 0.6, 9, np.where(cloud > 0.2, 8, scene))


LOOKS = 4.4
"""Equivalent number of looks of IW GRDH, Sentinel-1 Product Definition S1-RS-MDA-52-7440."""
_NOISE_DB = -27.0
"""Noise-equivalent sigma0 left in the product; the specification allows -22."""
_INCIDENCE_DEG = 38.0

# By `Cover`, VV then VH, decibels.
_DRY = np.array(
    [
        [-19.0, -21.0, -13.6, -12.6, -10.2, -10.8, -10.4, -12.4, -12.2, -9.2, -16.5, -11.0],
        [-26.5, -28.0, -19.5, -18.6, -14.6, -18.0, -16.2, -20.5, -18.6, -14.6, -23.5, -17.0],
    ]
)
# The same standing in water: stalks and trunks and the water reflect twice.
_STANDING = np.array(
    [
        [-19.0, -21.0, -9.5, -10.0, -8.5, -11.0, -11.0, -13.5, -12.5, -7.0, -19.0, -10.5],
        [-26.5, -28.0, -18.0, -18.0, -14.5, -18.5, -17.5, -22.5, -19.5, -13.8, -26.0, -17.0],
    ]
)
_WATER, _GUST = np.array([-20.5, -27.0]), np.array([5.5, 1.5])
"""Flood water in a calm, and what a gust of wind adds."""
_WALLS = np.array([1.0, 0.12])[:, None, None]
"""Power of a pixel full of walls of mean strength."""


def radar(seed: int, *, ground: Ground, flooded: bool) -> FloatArray:
    """Return one acquisition, (VV and VH, rows, cols), decibels."""
    rng = stream(seed, f"radar {flooded}")
    open_water = np.where(ground.permanent, 1.0, ground.submerged * flooded)
    surface = _flooded(ground, rng) if flooded else _DRY[:, ground.cover]
    land = _lasting(seed, ground) + _passing(rng, ground, flooded=flooded)
    power = _power(surface + (1 - open_water) * land - _incidence(open_water))
    power += _walls(ground, flooded=flooded) + 10 ** (_NOISE_DB / 10)
    # The resolution is 20 m by 22 m on pixels of 10 m.
    seen = ndimage.gaussian_filter(power, (0, 0.6, 0.6))
    speckle = np.stack([_speckle(rng, size=seen.shape[-1]) for _ in seen])
    return (10 * np.log10(seen * speckle)).astype(np.float32)


def beyond_swath(size: int) -> BoolArray:
    """Return the corner that the swath does not reach: the south-west."""
    rows, cols = np.mgrid[:size, :size]
    return np.asarray((size - 1 - rows) * 0.45 + cols < 0.16 * size)


def _power(decibel: Float64Array) -> Float64Array:
    return np.asarray(10 ** (decibel / 10))


def _flooded(ground: Ground, rng: np.random.Generator) -> Float64Array:
    """Return the surface in the flood: stalks while they stand out of it, then open water."""
    dry = _DRY[:, ground.cover_after]
    standing = np.where(ground.depth_m > 0, _STANDING[:, ground.cover_after], dry)
    water = (_WATER + _GUST * _wind(ground, rng)[..., None]).transpose(2, 0, 1)
    return np.asarray(standing + ground.submerged * (water - standing))


def _wind(ground: Ground, rng: np.random.Generator) -> Float64Array:
    """Return 0 to 1: a gust that roughens the water where the flood is widest."""
    size = len(ground.cover)
    open_water = ndimage.distance_transform_edt(ground.submerged > 0.9)
    row, col = np.unravel_index(np.argmax(open_water), open_water.shape)
    rows, cols = np.mgrid[:size, :size]
    away = np.hypot(rows - row, cols - col) / (0.06 * size)
    ruffled = 1.2 - away + 0.5 * fractal(rng, size=size, largest_px=size / 12)
    return np.asarray(np.clip(ruffled, 0, 1))


def _lasting(seed: int, ground: Ground) -> Float64Array:
    """Return what stays from one orbit to the next: fields that differ, texture, slopes."""
    rng = stream(seed, "radar lasting")
    fields = rng.normal(0, 0.7, int(ground.field.max()) + 1)[ground.field]
    texture = 0.35 * fractal(rng, size=len(ground.cover), largest_px=40, slope=1.2)
    # A descending orbit looks west: a slope that falls to the east faces the radar.
    falls = -np.gradient(ground.relief.elevation_m, PIXEL_M, axis=1)
    facing = np.clip(np.degrees(np.arctan(ndimage.gaussian_filter(falls, 1))), -15, 15)
    steep = np.sin(np.radians(_INCIDENCE_DEG - facing)) / np.sin(np.radians(_INCIDENCE_DEG))
    return np.asarray(fields + texture - 10 * np.log10(steep))


def _passing(rng: np.random.Generator, ground: Ground, *, flooded: bool) -> Float64Array:
    """Return what one acquisition has for itself: growth, and soil that the rain has wetted."""
    growth = rng.normal(0, 0.4, int(ground.field.max()) + 1)[ground.field]
    return np.asarray(growth + 1.6 * flooded * SOIL[ground.cover_after])


def _incidence(open_water: Float64Array) -> Float64Array:
    """Return the decibels lost towards far range, which lies in the west.

    The swath spans 17 degrees in 250 km; land loses about 0.15 dB a degree, water 0.6 dB.
    """
    size = len(open_water)
    degrees = np.linspace(0.5, -0.5, size) * size * PIXEL_M * 17 / 250_000
    return degrees * (0.15 + 0.45 * open_water)


def _walls(ground: Ground, *, flooded: bool) -> Float64Array:
    """Return the power that walls reflect twice, brighter over a smooth water surface."""
    return _WALLS * ground.town.brightness * np.where(ground.depth_m * flooded > 0, 1.5, 1.0)


def _speckle(rng: np.random.Generator, *, size: int) -> Float64Array:
    """Return speckle of mean 1: gamma distributed, and correlated between neighbours."""
    normal = ndimage.gaussian_filter(rng.standard_normal((size, size)), 0.55)
    levels = np.linspace(-4.5, 4.5, 400)
    quantiles = stats.gamma.ppf(special.ndtr(levels), LOOKS, scale=1 / LOOKS)
    return np.asarray(np.interp(normal / normal.std(), levels, quantiles))


CRS = "EPSG:32633"
_WEST_M, _NORTH_M = 640_000.0, 5_650_000.0
"""Upper left corner, on the grid of the Sentinel-2 tile 33UXS."""

Stored = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Landscape:
    """A made flood: two radar and two optical images, and the truth."""

    seed: int
    geobox: GeoBox
    """UTM zone 33 north, pixels of 10 m."""
    radar_before: FloatArray
    """(VV and VH, rows, cols), decibels."""
    radar_after: FloatArray
    """The same; NaN beyond the swath."""
    optical_before: Stored
    """(`geo.synthetic.BANDS`, rows, cols), reflectance x 10000 + 1000; 0 is no data."""
    optical_after: Stored
    """The same, with a cloud and its shadow."""
    truth: CodeArray
    """(rows, cols), values of `Truth`; under the cloud as well."""
    buildings: tuple[Polygon, ...]
    """Footprints, lon-lat WGS 84, counter-clockwise."""


def make_landscape(seed: int, *, size: int = 768) -> Landscape:
    """Return the landscape of a seed; the same seed gives the same landscape.

    Args:
        seed: any integer from 0.
        size: rows and columns of 10 m, even, at least 256.

    Raises:
        ValueError: where the size is odd or smaller.
    """
    if size < 256 or size % 2:
        raise ValueError(f"the size is {size} pixels; give an even number from 256")
    ground = make_ground(seed, size=size)
    geobox = GeoBox((size, size), Affine(PIXEL_M, 0, _WEST_M, 0, -PIXEL_M, _NORTH_M), CRS)
    after = radar(seed, ground=ground, flooded=True)
    seen = optical(seed, ground=ground, flooded=True)
    return Landscape(
        seed=seed,
        geobox=geobox,
        radar_before=radar(seed, ground=ground, flooded=False),
        radar_after=np.where(beyond_swath(size), np.float32(np.nan), after),
        optical_before=optical(seed, ground=ground, flooded=False),
        optical_after=np.where(not_recorded(size), np.uint16(0), seen),
        truth=ground.truth,
        buildings=_lonlat(ground.town.corners_m),
    )


def _lonlat(corners_m: Float64Array) -> tuple[Polygon, ...]:
    to_lonlat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(_WEST_M + corners_m[..., 0], _NORTH_M - corners_m[..., 1])
    rings = np.stack([lon, lat], axis=-1)
    return tuple(shapely.orient_polygons(Polygon(ring)) for ring in rings)


OCCURRED = datetime(2024, 6, 16, tzinfo=UTC)
"""When the made river left its bed."""

_RADAR = "S1A_IW_GRDH_1SDV_202406{0:02}T050101_202406{0:02}T050126_000000_000000_0000.tif"
_OPTICAL = "S2B_MSIL2A_202406{0:02}T095029_N0510_R000_T33UXS_202406{0:02}T120000.tif"
_AREA = [(0.04, 0.10), (0.50, 0.03), (1.03, 0.12), (1.03, 0.90), (0.55, 0.97), (0.04, 0.88)]
"""Shares of the map from its upper left corner, to the right and down. It leaves the images
on the right: an area does not ask where they end."""


@dataclass(frozen=True)
class Delivery:
    """The files of a made landscape."""

    radar_before: Path
    """Sentinel-1 GRD, VV and VH in decibels, NaN is no data."""
    radar_after: Path
    optical_before: Path
    """Sentinel-2 L2A of baseline 05.10, six bands of 10 m and the scene classification."""
    optical_after: Path
    truth: Path
    """0 dry, 1 flooded, 2 permanent water; no pixel is unknown."""
    buildings: Path
    """GeoJSON, footprints."""
    area: Path
    """GeoJSON, the area to map."""

    @property
    def before(self) -> tuple[Path, ...]:
        """The images before the flood."""
        return self.radar_before, self.optical_before

    @property
    def after(self) -> tuple[Path, ...]:
        """The images after it began."""
        return self.radar_after, self.optical_after


def deliver(landscape: Landscape, folder: Path) -> Delivery:
    """Write a landscape into a folder and say where its files are.

    The same landscape gives the same bytes.

    Raises:
        StoreError: where the folder does not take it.
    """
    with writing(folder):
        make_folder(folder)
    delivery = _named(folder)
    note = f"Made by Aftermap from seed {landscape.seed}; not an observation"
    for path, pixels, bands, nodata in (
        (delivery.radar_before, landscape.radar_before, ("VV", "VH"), np.nan),
        (delivery.radar_after, landscape.radar_after, ("VV", "VH"), np.nan),
        (delivery.optical_before, landscape.optical_before, BANDS, 0),
        (delivery.optical_after, landscape.optical_after, BANDS, 0),
        (delivery.truth, landscape.truth[None], ("truth",), None),
    ):
        _write_image(path, pixels, geobox=landscape.geobox, bands=bands, nodata=nodata, note=note)
    footprints = ((str(i), shape) for i, shape in enumerate(landscape.buildings, 1))
    _write_polygons(delivery.buildings, footprints)
    _write_polygons(delivery.area, [("area", _area(landscape.geobox))])
    return delivery


def _named(folder: Path) -> Delivery:
    """Return where the files go.

    Sentinel-1 repeats its orbit after 12 days, Sentinel-2 after 10.
    """
    return Delivery(
        radar_before=folder / "before" / _RADAR.format(6),
        radar_after=folder / "after" / _RADAR.format(18),
        optical_before=folder / "before" / _OPTICAL.format(9),
        optical_after=folder / "after" / _OPTICAL.format(19),
        truth=folder / "truth.tif",
        buildings=folder / "buildings.geojson",
        area=folder / "area.geojson",
    )


def _write_image(
    path: Path,
    pixels: npt.NDArray[Any],
    *,
    geobox: GeoBox,
    bands: tuple[str, ...],
    nodata: float | None,
    note: str,
) -> None:
    """Write a GeoTIFF with overviews; pixels are (bands, rows, cols)."""
    radar = pixels.dtype.kind == "f"
    with making(path, RasterioError):
        make_folder(path.parent)
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), height=geobox.height, width=geobox.width,
            dtype=pixels.dtype, crs=str(geobox.crs), transform=geobox.transform, nodata=nodata,
            tiled=True, blockxsize=256, blockysize=256, compress="deflate", zlevel=3,
            predictor=3 if radar else 2,
        ) as image:  # fmt: skip
            image.write(pixels)
            image.descriptions = bands
            image.update_tags(TIFFTAG_IMAGEDESCRIPTION=note)
        with rasterio.open(path, "r+") as image:
            # Classes have no average.
            image.build_overviews([2, 4, 8], Resampling.average if radar else Resampling.nearest)


def _area(geobox: GeoBox) -> Polygon:
    """Return the area to map, lon-lat."""
    right, down = np.array(_AREA).T
    west, south, east, north = geobox.extent.boundingbox
    to_lonlat = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    lonlat = to_lonlat.transform(west + right * (east - west), north + down * (south - north))
    return shapely.orient_polygons(Polygon(np.column_stack(lonlat)))


def _write_polygons(path: Path, polygons: Iterable[tuple[str, Polygon]]) -> None:
    """Write named polygons as GeoJSON, a feature a line."""
    features = [json.dumps(_feature(name, polygon)) for name, polygon in polygons]
    text = '{"type": "FeatureCollection", "features": [\n' + ",\n".join(features) + "\n]}\n"
    with making(path):
        path.write_text(text, encoding="utf-8", newline="\n")


def _feature(name: str, polygon: Polygon) -> Mapping[str, Any]:
    ring = np.round(shapely.get_coordinates(polygon), 7).tolist()
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": name, "properties": {"name": name}, "geometry": geometry}
