"""What a radar sees: Sentinel-1 IW GRD in decibels, VV and VH, with speckle.

The levels were chosen by hand to be plausible for C band in June, not fitted to data. To
compare: in the Spain chip of Sen1Floods11 the medians of water are -17.6 and -25.2 dB, those
of land -9.4 and -16.6 dB; here the flood has about -18 and -23, the land -11 and -17.
"""

import numpy as np
from scipy import ndimage, special, stats

from geo.landscape.cover import SOIL
from geo.landscape.ground import Ground
from geo.landscape.noise import Field, Mask, fractal, stream
from geo.landscape.relief import PIXEL_M
from geo.raster import FloatArray

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


def beyond_swath(size: int) -> Mask:
    """Return the corner that the swath does not reach: the south-west."""
    rows, cols = np.mgrid[:size, :size]
    return np.asarray((size - 1 - rows) * 0.45 + cols < 0.16 * size)


def _power(decibel: Field) -> Field:
    return np.asarray(10 ** (decibel / 10))


def _flooded(ground: Ground, rng: np.random.Generator) -> Field:
    """Return the surface in the flood: stalks while they stand out of it, then open water."""
    dry = _DRY[:, ground.cover_after]
    standing = np.where(ground.depth_m > 0, _STANDING[:, ground.cover_after], dry)
    water = (_WATER + _GUST * _wind(ground, rng)[..., None]).transpose(2, 0, 1)
    return np.asarray(standing + ground.submerged * (water - standing))


def _wind(ground: Ground, rng: np.random.Generator) -> Field:
    """Return 0 to 1: a gust that roughens the water where the flood is widest."""
    size = len(ground.cover)
    open_water = ndimage.distance_transform_edt(ground.submerged > 0.9)
    row, col = np.unravel_index(np.argmax(open_water), open_water.shape)
    rows, cols = np.mgrid[:size, :size]
    away = np.hypot(rows - row, cols - col) / (0.06 * size)
    ruffled = 1.2 - away + 0.5 * fractal(rng, size=size, largest_px=size / 12)
    return np.asarray(np.clip(ruffled, 0, 1))


def _lasting(seed: int, ground: Ground) -> Field:
    """Return what stays from one orbit to the next: fields that differ, texture, slopes."""
    rng = stream(seed, "radar lasting")
    fields = rng.normal(0, 0.7, int(ground.field.max()) + 1)[ground.field]
    texture = 0.35 * fractal(rng, size=len(ground.cover), largest_px=40, slope=1.2)
    # A descending orbit looks west: a slope that falls to the east faces the radar.
    falls = -np.gradient(ground.relief.elevation_m, PIXEL_M, axis=1)
    facing = np.clip(np.degrees(np.arctan(ndimage.gaussian_filter(falls, 1))), -15, 15)
    steep = np.sin(np.radians(_INCIDENCE_DEG - facing)) / np.sin(np.radians(_INCIDENCE_DEG))
    return np.asarray(fields + texture - 10 * np.log10(steep))


def _passing(rng: np.random.Generator, ground: Ground, *, flooded: bool) -> Field:
    """Return what one acquisition has for itself: growth, and soil that the rain has wetted."""
    growth = rng.normal(0, 0.4, int(ground.field.max()) + 1)[ground.field]
    return np.asarray(growth + 1.6 * flooded * SOIL[ground.cover_after])


def _incidence(open_water: Field) -> Field:
    """Return the decibels lost towards far range, which lies in the west.

    The swath spans 17 degrees in 250 km; land loses about 0.15 dB a degree, water 0.6 dB.
    """
    size = len(open_water)
    degrees = np.linspace(0.5, -0.5, size) * size * PIXEL_M * 17 / 250_000
    return degrees * (0.15 + 0.45 * open_water)


def _walls(ground: Ground, *, flooded: bool) -> Field:
    """Return the power that walls reflect twice, brighter over a smooth water surface."""
    return _WALLS * ground.town.brightness * np.where(ground.depth_m * flooded > 0, 1.5, 1.0)


def _speckle(rng: np.random.Generator, *, size: int) -> Field:
    """Return speckle of mean 1: gamma distributed, and correlated between neighbours."""
    normal = ndimage.gaussian_filter(rng.standard_normal((size, size)), 0.55)
    levels = np.linspace(-4.5, 4.5, 400)
    quantiles = stats.gamma.ppf(special.ndtr(levels), LOOKS, scale=1 / LOOKS)
    return np.asarray(np.interp(normal / normal.std(), levels, quantiles))
