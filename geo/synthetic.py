"""A synthetic flood for the demo and the tests, before and after; a seed gives the same bytes.

Backscatter and spectra were chosen by hand to be plausible for central Europe in June. To compare:
in the Spain chip of Sen1Floods11 the medians of water are -17.6 dB (VV) and -25.2 dB (VH), those of
land -9.4 and -16.6 dB. Files are named as Sentinel products are, with an orbit of zero, which no
product has.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from shapely import Polygon
from shapely.geometry import mapping

from geo.store.atomic_io import make_folder, making
from geo.types import BoolArray, CodeArray, Float64Array, FloatArray, IntArray

PIXEL_M = 10.0
CRS = "EPSG:32633"
_WEST_M, _NORTH_M = 640_000.0, 5_650_000.0
"""Upper left corner, on the grid of the Sentinel-2 tile 33UXS."""
BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")
FLOODED_SHARE = 0.14
"""Of the map; hollows that the river does not reach stay dry."""
LOOKS = 4.4
"""Equivalent number of looks of IW GRDH, Sentinel-1 Product Definition S1-RS-MDA-52-7440."""
Stored: TypeAlias = npt.NDArray[Any]
"""Pixels as a file holds them: float32, uint16 or uint8, (bands, rows, cols)."""


class Truth(IntEnum):
    """Value of a pixel of the truth."""

    DRY = 0
    FLOODED = 1
    PERMANENT_WATER = 2


class Cover(IntEnum):
    """Land cover of a pixel."""

    RIVER = 0
    LAKE = 1
    CEREAL = 2
    RAPE = 3
    BARE = 4
    GRASS = 5
    FOREST = 6
    TOWN = 7


_SURFACES: dict[Cover, tuple[tuple[int, ...], tuple[float, float], float]] = {
    Cover.RIVER: ((50, 62, 50, 28, 12, 8), (-19.0, -26.5), 0.01),
    Cover.LAKE: ((34, 46, 28, 18, 9, 6), (-21.0, -28.0), 0.01),
    Cover.CEREAL: ((34, 66, 46, 370, 175, 90), (-13.6, -19.5), 0.55),
    Cover.RAPE: ((40, 80, 52, 420, 200, 100), (-11.8, -17.2), 0.9),
    Cover.BARE: ((88, 118, 150, 215, 305, 265), (-12.4, -20.5), 0.05),
    Cover.GRASS: ((36, 70, 52, 350, 220, 120), (-12.2, -18.6), 0.25),
    Cover.FOREST: ((21, 42, 24, 310, 140, 60), (-10.6, -16.0), 15.0),
    Cover.TOWN: ((60, 84, 76, 260, 195, 130), (-11.0, -17.0), 0.5),
}
"""Reflectance of B02, B03, B04, B08, B11 and B12 in thousandths, backscatter in VV and VH in dB,
and the height in metres of what water must cover to hide it."""
_SPECTRA = np.array([spectrum for spectrum, _, _ in _SURFACES.values()]).T / 1000
_BACKSCATTER_DB = np.array([decibel for _, decibel, _ in _SURFACES.values()]).T
_HEIGHT_M = np.array([height for _, _, height in _SURFACES.values()])

_FLOOD_DB = np.array([-19.5, -26.5])[:, None, None]
_WALLS = np.array([0.5, 0.06])[:, None, None]
"""Power that walls reflect from a pixel full of buildings, VV and VH."""
_ROOF = np.array([92, 112, 165, 225, 270, 240])[:, None, None] / 1000
_MUD = np.array([62, 84, 82, 50, 15, 9])[:, None, None] / 1000
_CLOUD = np.array([620, 610, 620, 660, 480, 370])[:, None, None] / 1000
_SHADE = np.array([0.52, 0.42, 0.36, 0.34, 0.28, 0.26])[:, None, None]
"""What is left in the shadow of a cloud: the blue sky lights it."""
_SHADOW_TO_CLOUD_PX = (92.6, 43.2)
"""Rows and columns from a shadow to its cloud at 1,700 m: the sun stands at azimuth 155 and zenith
31 degrees, mid-June, 50 degrees north, ten o'clock UTC."""

_LOT_M, _TOWN_M = np.array([28.0, 38.0]), 700.0
"""Sides of a lot that holds one building, and the radius of the town."""


@dataclass(frozen=True)
class Ground:
    """Everything there is, before a satellite looks at it; every array is (rows, cols)."""

    cover: IntArray
    """Values of `Cover`, before the flood."""
    field: IntArray
    """Number of the field, from 0."""
    corners_m: Float64Array
    """(buildings, 4, 2): x east and y south of the map's upper left corner."""
    built: Float64Array
    """Share of the pixel under roofs."""
    depth_m: Float64Array
    """Of the flood, 0 where it is dry or was water before."""

    @property
    def permanent(self) -> BoolArray:
        """Water before the flood."""
        return self.cover <= Cover.LAKE

    @property
    def truth(self) -> CodeArray:
        """Values of `Truth`."""
        flooded = np.where(self.depth_m > 0, Truth.FLOODED, Truth.DRY)
        return np.where(self.permanent, Truth.PERMANENT_WATER, flooded).astype(np.uint8)

    @property
    def submerged(self) -> Float64Array:
        """Share of what grows on a pixel that the flood hides: 0 dry, 1 open water."""
        return np.asarray(np.clip(self.depth_m / _HEIGHT_M[self.cover], 0, 1))


@dataclass(frozen=True, eq=False)
class Landscape:
    """A synthetic flood: two radar and two optical images, and the truth."""

    seed: int
    geobox: GeoBox
    """UTM zone 33 north, pixels of 10 m."""
    radar_before: FloatArray
    """(VV and VH, rows, cols), decibels; NaN beyond the swath."""
    radar_after: FloatArray
    optical_before: Stored
    """(`BANDS`, rows, cols), reflectance x 10000 + 1000 as of baseline 04.00; 0 is no data."""
    optical_after: Stored
    """With a cloud and its shadow."""
    truth: CodeArray
    """(rows, cols), values of `Truth`; under the cloud as well."""
    buildings: tuple[Polygon, ...]
    """Footprints, lon-lat WGS 84, counter-clockwise."""


def make_landscape(seed: int, *, size: int = 768) -> Landscape:
    """Return the landscape of a seed, of `size` (even, from 256) rows and columns of 10 m."""
    if size < 256 or size % 2:
        raise ValueError(f"the size is {size} pixels; give an even number from 256")
    ground = make_ground(seed, size=size)
    rows, cols = np.mgrid[:size, :size]
    beyond_swath = (size - 1 - rows) * 0.45 + cols < 0.16 * size
    outside_orbit = (size - 1 - cols) + rows * 0.35 < 0.13 * size
    radar, optical = (make(seed, ground, flooded=True) for make in (_radar, _optical))
    return Landscape(
        seed=seed,
        geobox=GeoBox((size, size), Affine(PIXEL_M, 0, _WEST_M, 0, -PIXEL_M, _NORTH_M), CRS),
        radar_before=_radar(seed, ground, flooded=False),
        radar_after=np.where(beyond_swath, np.float32(np.nan), radar),
        optical_before=_optical(seed, ground, flooded=False),
        optical_after=np.where(outside_orbit, np.uint16(0), optical),
        truth=ground.truth,
        buildings=_lonlat(ground.corners_m),
    )


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one part, so that a change in one moves nothing in others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def fractal(rng: np.random.Generator, *, size: int, largest_px: float) -> Float64Array:
    """Return terrain-like noise, (size, size), mean 0, deviation 1: amplitude ~ 1 / frequency²."""
    frequency = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None])
    gain = np.maximum(frequency, 1 / largest_px) ** -2
    gain[0, 0] = 0
    field = fft.irfft2(fft.rfft2(rng.standard_normal((size, size))) * gain, s=(size, size))
    return np.asarray(field / field.std())


def make_ground(seed: int, *, size: int) -> Ground:
    """Return the ground of a seed on a square of `size` pixels of 10 m."""
    rng = stream(seed, "ground")
    rows, cols = np.mgrid[:size, :size].astype(float)
    axis, river_px = _river(rng, size=size)
    across = np.abs(rows - axis + 24 * fractal(rng, size=size, largest_px=size / 4)) / (0.17 * size)
    elevation_m = 4.0 * np.minimum(across, 1.3) ** 3 + 0.9 * fractal(rng, size=size, largest_px=90)
    river = river_px < 3.3
    # Only what the river reaches is wet: a hollow behind a ridge stays dry.
    level_m = np.quantile(elevation_m[~river], FLOODED_SHARE)
    bodies, _ = ndimage.label(river | (elevation_m < level_m))
    reached = np.isin(bodies, np.unique(bodies[river])) & ~river
    depth_m = np.where(reached, np.maximum(level_m - elevation_m, 0), 0.0)
    edge = np.minimum.reduce([rows, cols, size - 1 - rows, size - 1 - cols])
    plain = (across < 1) & (river_px > 25) & (river_px < 50) & (edge > size // 10)
    row, col = rng.permutation(np.argwhere(plain))[0]
    lake = ((cols - col) / 14) ** 2 + ((rows - row) / 8) ** 2 < 1
    water = river | lake
    field, cover = _farmland(rng, hills=np.clip(across - 1, 0, 1))
    # The town stands where three tenths of it are flooded.
    share = ndimage.uniform_filter((depth_m > 0).astype(float), 90)
    off_centre = np.hypot(rows - size / 2, cols - size / 2) / size
    cost = np.abs(share - 0.3) + 0.25 * off_centre + (edge < size // 8) + (river_px < 60)
    row, col = divmod(int(np.argmin(cost)), size)
    cover[np.hypot(rows - row, cols - col) * PIXEL_M < _TOWN_M] = Cover.TOWN
    cover[river], cover[lake] = Cover.RIVER, Cover.LAKE
    corners_m = _buildings(rng, np.array([col, row]) * PIXEL_M, blocked=water)
    fine = rasterize(shapely.polygons(corners_m / PIXEL_M * 5), out_shape=(5 * size, 5 * size))
    built = fine.reshape(size, 5, size, 5).mean(axis=(1, 3))
    return Ground(cover, field, corners_m, built, np.where(water, 0.0, depth_m))


def _river(rng: np.random.Generator, *, size: int) -> tuple[Float64Array, Float64Array]:
    """Return the row of the valley by column, and the distance to the river's middle, pixels."""
    cols = np.arange(0, size, 0.125)
    wander, bends = (
        ndimage.gaussian_filter1d(rng.standard_normal(len(cols)), 8 * scale, mode="wrap")
        for scale in (size / 6, 30)
    )
    axis = size * (0.5 + 0.06 * wander / wander.std())
    rows = axis + 26 * np.sin(2 * np.pi * cols / 110 + 1.2 * bends / bends.std())
    middle = np.zeros((size, size), bool)
    middle[np.clip(rows, 0, size - 1).astype(int), cols.astype(int)] = True
    return axis[::8], np.asarray(ndimage.distance_transform_edt(~middle))


def _farmland(rng: np.random.Generator, *, hills: Float64Array) -> tuple[IntArray, IntArray]:
    """Return the numbers of the fields, strips in districts with a direction, and their cover."""
    size = len(hills)
    rows, cols = np.mgrid[:size, :size].astype(float)
    points = np.column_stack([rows.ravel(), cols.ravel()])
    points += 5 * np.column_stack([fractal(rng, size=size, largest_px=80).ravel() for _ in "xy"])
    middles = rng.uniform(0, size, (size * size // 9000, 2))
    district = cKDTree(middles).query(points)[1].reshape(size, size)
    angle, width, length = (
        rng.uniform(low, high, len(middles))[district]
        for low, high in ((0, np.pi), (9, 24), (30, 70))
    )
    along = np.floor((cols * np.cos(angle) + rows * np.sin(angle)) / length)
    across = np.floor((rows * np.cos(angle) - cols * np.sin(angle)) / width)
    key = (district * 1000 + across + 500) * 1000 + along + 500
    field = np.unique(key, return_inverse=True)[1].reshape(size, size)
    wooded = fractal(rng, size=size, largest_px=size / 4) + 1.5 * (hills - 0.8)
    wood = np.bincount(field.ravel(), weights=wooded.ravel()) / np.bincount(field.ravel()) > 1
    crop = rng.choice(np.arange(Cover.CEREAL, Cover.FOREST), len(wood), p=[0.4, 0.2, 0.1, 0.3])
    return field, np.where(wood, Cover.FOREST, crop)[field]


def _buildings(
    rng: np.random.Generator, centre_m: Float64Array, *, blocked: BoolArray
) -> Float64Array:
    angle = rng.uniform(0, np.pi / 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    lots = np.moveaxis(np.mgrid[-25:26, -19:20], 0, -1).reshape(-1, 2) * _LOT_M
    lots = lots[rng.random(len(lots)) < 2.2 * (1 - np.hypot(*lots.T) / _TOWN_M)]
    ring = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)])
    corners = lots[:, None] + ring * rng.uniform((8, 9), (20, 28), (len(lots), 1, 2))
    corners_m = centre_m + corners @ turn
    pixel = np.floor(corners_m / PIXEL_M).astype(int)
    col, row = np.moveaxis(np.clip(pixel, 0, len(blocked) - 1), -1, 0)
    on_map = ((pixel >= 0) & (pixel < len(blocked))).all(axis=(1, 2))
    return np.asarray(corners_m[on_map & ~blocked[row, col].any(axis=1)])


def _radar(seed: int, ground: Ground, *, flooded: bool) -> FloatArray:
    """Return one acquisition, (VV and VH, rows, cols), decibels."""
    rng, fields = stream(seed, f"radar {flooded}"), ground.field.max() + 1
    # Fields differ; most of it lasts from one orbit to the next.
    differ = stream(seed, "radar").normal(0, 0.8, fields) + rng.normal(0, 0.4, fields)
    surface = _BACKSCATTER_DB[:, ground.cover] + ~ground.permanent * differ[ground.field]
    if flooded:
        surface += ground.submerged * (_FLOOD_DB - surface)
    # Noise of -27 dB is left in the product; the specification allows -22.
    power = 10 ** (surface / 10) + _WALLS * ground.built + 10 ** (-27.0 / 10)
    # The resolution is 20 m by 22 m on pixels of 10 m.
    seen = ndimage.gaussian_filter(power, (0, 0.6, 0.6))
    speckle = rng.gamma(LOOKS, 1 / LOOKS, seen.shape)
    return (10 * np.log10(seen * speckle)).astype(np.float32)


def _optical(seed: int, ground: Ground, *, flooded: bool) -> Stored:
    """Return one acquisition, (`BANDS`, rows, cols), as baseline 04.00 and later store it."""
    rng, lasting = stream(seed, f"optical {flooded}"), stream(seed, "optical")
    spectrum, size = _SPECTRA[:, ground.cover], len(ground.cover)
    bright = np.exp(lasting.normal(0, 0.12, ground.field.max() + 1))[ground.field]
    grain = np.where(ground.cover >= Cover.FOREST, 0.12, 0.03)
    grains = 1 + grain * np.clip(lasting.standard_normal((size, size)), -3, 3)
    land = np.where(ground.permanent, spectrum, spectrum * bright * grains)
    if flooded:
        muddy = np.where(ground.cover == Cover.RIVER, 1.0, ground.submerged)
        land += muddy * (_MUD - land)
    surface = ndimage.gaussian_filter(land + ground.built * (_ROOF - land), (0, 0.5, 0.5))
    cloud, shadow = _sky(rng, ground) if flooded else np.zeros((2, size, size))
    surface *= 1 - shadow * (1 - _SHADE)
    surface += cloud * (_CLOUD * (0.7 + 0.3 * ndimage.gaussian_filter(cloud, 4)) - surface)
    surface += rng.normal(0.002, 0.0015, surface.shape)
    surface[4:] = _coarse(surface[4:])
    stored = np.round(np.clip(surface, 0.0001, 1.5) * 10000 + 1000)
    # The scene classification at 20 m (Sentinel-2 L2A Algorithm Theoretical Basis Document):
    # 3 shadow, 4 plants, 5 soil, 6 water, 8 and 9 cloud.
    _, green, red, nir, _, _ = _coarse(surface)
    cloud, shadow = _coarse(np.stack([cloud, shadow]))
    water, plants = (green - nir) / (green + nir) > 0.05, (nir - red) / (nir + red) > 0.42
    kinds = [cloud > 0.6, cloud > 0.2, shadow > 0.35, water, plants]
    classes = np.select(kinds, [9, 8, 3, 6, 4], 5)
    return np.concatenate([stored, classes[None]]).astype(np.uint16)


def _sky(rng: np.random.Generator, ground: Ground) -> Float64Array:
    """Return the cloud and its shadow, 0 to 1; the shadow falls on the flood, not on the town."""
    size, (down, right) = len(ground.cover), _SHADOW_TO_CLOUD_PX
    wet, built = (
        ndimage.uniform_filter(values.astype(float), size // 8)
        for values in (ground.depth_m > 0, ground.built > 0)
    )
    (rows, cols), rim = np.mgrid[:size, :size], size // 8
    inside = (rows > rim) & (rows + down < size - rim) & (cols > rim) & (cols + right < size - rim)
    row, col = divmod(int(np.argmax(np.where(inside, wet - 3 * built, -np.inf))), size)
    away = np.hypot(rows - row - down, (cols - col - right) * 0.8) / (0.085 * size)
    body = 1.1 - away**2 + 0.5 * fractal(rng, size=size, largest_px=size / 14)
    cloud = 0.98 * np.clip(body / 0.6, 0, 1) * (away < 2)
    return np.stack([cloud, ndimage.shift(cloud, (-down, -right), order=1)])


def _coarse(bands: Float64Array) -> Float64Array:
    """Return bands of 20 m on pixels of 10 m."""
    half = bands.shape[1] // 2
    means = bands.reshape(-1, half, 2, half, 2).mean(axis=(2, 4))
    return np.asarray(means.repeat(2, axis=1).repeat(2, axis=2))


_RADAR = "S1A_IW_GRDH_1SDV_202406{0:02}T050101_202406{0:02}T050126_000000_000000_0000.tif"
_OPTICAL = "S2B_MSIL2A_202406{0:02}T095029_N0510_R000_T33UXS_202406{0:02}T120000.tif"
_AREA = [(0.04, 0.10), (0.50, 0.03), (1.03, 0.12), (1.03, 0.90), (0.55, 0.97), (0.04, 0.88)]
"""Shares of the map from its upper left corner, to the right and down. It leaves the images on the
right: an area need not end where they do."""


@dataclass(frozen=True)
class LandscapeFiles:
    """Where the files of a synthetic landscape are."""

    before: tuple[Path, Path]
    """Sentinel-1 GRD, and Sentinel-2 L2A of baseline 05.10 on pixels of 10 m."""
    after: tuple[Path, Path]
    truth: Path
    buildings: Path
    area: Path


def write_landscape(landscape: Landscape, folder: Path) -> LandscapeFiles:
    """Write a landscape; Sentinel-1 repeats its orbit after 12 days, Sentinel-2 after 10."""
    files = LandscapeFiles(
        before=(folder / "before" / _RADAR.format(6), folder / "before" / _OPTICAL.format(9)),
        after=(folder / "after" / _RADAR.format(18), folder / "after" / _OPTICAL.format(19)),
        truth=folder / "truth.tif",
        buildings=folder / "buildings.geojson",
        area=folder / "area.geojson",
    )
    for paths, radar, optical in (
        (files.before, landscape.radar_before, landscape.optical_before),
        (files.after, landscape.radar_after, landscape.optical_after),
    ):
        _write_image(paths[0], radar, landscape, ("VV", "VH"))
        _write_image(paths[1], optical, landscape, BANDS)
    _write_image(files.truth, landscape.truth[None], landscape, ("truth",))
    _write_polygons(files.buildings, landscape.buildings)
    _write_polygons(files.area, _lonlat(np.array([_AREA]) * PIXEL_M * len(landscape.truth)))
    return files


def _write_image(path: Path, pixels: Stored, landscape: Landscape, bands: Sequence[str]) -> None:
    """Write a GeoTIFF with overviews; pixels are (bands, rows, cols)."""
    radar, geobox = pixels.dtype.kind == "f", landscape.geobox
    nodata = {"f4": np.nan, "u2": 0}.get(pixels.dtype.str[1:])
    with making(path, RasterioError):
        make_folder(path.parent)
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), height=geobox.height, width=geobox.width,
            dtype=pixels.dtype, crs=CRS, transform=geobox.transform, nodata=nodata,
            tiled=True, blockxsize=256, blockysize=256, compress="deflate",
            predictor=3 if radar else 2,
        ) as image:  # fmt: skip
            image.write(pixels)
            image.descriptions = tuple(bands)
            note = f"Synthetic, from seed {landscape.seed}; not an observation"
            image.update_tags(TIFFTAG_IMAGEDESCRIPTION=note)
        with rasterio.open(path, "r+") as image:
            # Classes have no average.
            image.build_overviews([2, 4, 8], Resampling.average if radar else Resampling.nearest)


def _lonlat(corners_m: Float64Array) -> tuple[Polygon, ...]:
    """Return polygons of corners, (polygons, corners, 2), x east and y south of the upper left."""
    to_lonlat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lonlat = to_lonlat.transform(_WEST_M + corners_m[..., 0], _NORTH_M - corners_m[..., 1])
    return tuple(shapely.orient_polygons(shapely.polygons(np.round(np.stack(lonlat, -1), 7))))


def _write_polygons(path: Path, polygons: Sequence[Polygon]) -> None:
    features = [
        {"type": "Feature", "id": str(n), "properties": {"name": str(n)}, "geometry": mapping(p)}
        for n, p in enumerate(polygons, 1)
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features}) + "\n"
    with making(path):
        path.write_text(text, encoding="utf-8", newline="\n")
