"""What a camera sees: Sentinel-2 L2A, reflectance with texture, cloud and shadow, and the SCL.

The spectra were chosen by hand to be plausible for central Europe in June, not fitted to
data.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geo.landscape.cover import SOIL, Codes, Cover
from geo.landscape.ground import Ground
from geo.landscape.noise import Field, Mask, fractal, smoothstep, stream
from geo.landscape.relief import PIXEL_M

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")

Stack = npt.NDArray[np.float64]
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

    cloud: Field
    """Opacity."""
    shadow: Field
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


def not_recorded(size: int) -> Mask:
    """Return the wedge outside of the orbit: the north-east."""
    rows, cols = np.mgrid[:size, :size]
    return np.asarray((size - 1 - cols) + rows * 0.35 < 0.13 * size)


def _surface(seed: int, rng: np.random.Generator, *, ground: Ground, flooded: bool) -> Stack:
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
    seed: int, rng: np.random.Generator, *, ground: Ground, spectrum: Stack, cover: Codes
) -> Stack:
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


def _roofs(seed: int, ground: Ground) -> Stack:
    """Return roofs: mostly tiles, some metal or concrete, in patches of streets."""
    rng = stream(seed, "roofs")
    grey = fractal(rng, size=len(ground.cover), largest_px=30, slope=1.0) > 0.6
    return np.asarray(np.where(grey, _ROOFS[1][:, None, None], _ROOFS[0][:, None, None]))


def _under_flood(rng: np.random.Generator, ground: Ground, surface: Stack) -> Stack:
    """Return the surface with the flood over it: muddy near the river, clearer away from it."""
    size = len(ground.cover)
    turbid = 0.4 + 0.6 * np.exp(-ground.relief.river_px / 60)
    turbid = turbid + 0.08 * fractal(rng, size=size, largest_px=60, slope=1.6)
    clear = _TABLE[:, Cover.LAKE, None, None]
    water = clear + np.clip(turbid, 0, 1) * (_MUD[:, None, None] - clear)
    hidden = np.where(ground.relief.river, 1.0, ground.submerged)
    return surface + hidden * (water - surface)


def _light(ground: Ground) -> Field:
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


def _through(surface: Stack, sky: Sky) -> Stack:
    """Return the ground as it looks through shadow and cloud."""
    shaded = surface * (1 - sky.shadow * (1 - _SHADE[:, None, None]))
    top = _CLOUD[:, None, None] * (0.7 + 0.3 * ndimage.gaussian_filter(sky.cloud, 4))
    return np.asarray(shaded + sky.cloud * (top - shaded))


def _coarse(bands: Stack) -> Stack:
    """Return bands of 20 m on pixels of 10 m."""
    count, rows, cols = bands.shape
    means = bands.reshape(count, rows // 2, 2, cols // 2, 2).mean(axis=(2, 4))
    return np.asarray(means.repeat(2, axis=1).repeat(2, axis=2))


def _classify(seen: Stack, sky: Sky | None) -> Field:
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
