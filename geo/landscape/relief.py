"""Terrain and river: a meandering river in its flood plain between hills.

Rows and columns are pixels of 10 m, heights are metres.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from geo.landscape.noise import Field, Mask, fractal, smoothstep, stream, wander

PIXEL_M = 10.0
_BASE_M, _FALL_M = 132.0, 5.0
"""Height of the flood plain in the east, and what the river falls across the map."""


@dataclass(frozen=True)
class Relief:
    """The shape of the ground; every array is (rows, cols)."""

    elevation_m: Field
    base_m: Field
    """Height of the flood plain beside the river; water levels are counted from it."""
    river: Mask
    river_px: Field
    """Distance to the middle of the river."""
    hills: Field
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


def _meander(
    rng: np.random.Generator, *, size: int, axis: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
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
    rng: np.random.Generator, *, rows: Field, axis: npt.NDArray[np.float64], size: int
) -> tuple[Field, Field]:
    """Return the hills from 0 to 1, and the height of the flood plain over its river."""
    warp = 24 * fractal(rng, size=size, largest_px=size / 4)
    side = rows - axis + warp
    half_width = np.where(side < 0, size * 0.19, size * 0.16)
    across = np.abs(side) / half_width
    micro = fractal(rng, size=size, largest_px=90, slope=1.7)
    plain = 0.3 + 2.4 * np.minimum(across, 1.3) ** 3 + 0.5 * micro
    return smoothstep((across - 1) / 0.9), plain


def _scrolls(rng: np.random.Generator, *, river_px: Field) -> Field:
    """Return natural levees along the river, and the ridges that old banks left."""
    size = len(river_px)
    ridges = 0.25 * np.sin(river_px / 3.5 + 1.5 * fractal(rng, size=size, largest_px=120))
    return 0.8 * np.exp(-river_px / 8) + ridges * np.exp(-river_px / 50)
