"""Small radar images as GeoTIFF, with water where a test wants it."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

SIDE_PX = 128
INSIDE = "15.003,50.938,15.015,50.945"
"""A box within the images."""
_CORNER = (500_000.0, 5_644_000.0)
"""Upper left in EPSG:32633: longitude 15 is the middle of the zone."""


def radar(path: Path, *, water_cols: int = 40, seed: int = 1, **profile: Any) -> Path:
    """Write a Sentinel-1 image of 128 x 128 pixels of 10 m, VV and VH in decibels.

    Args:
        water_cols: columns on the left that are water, 12 dB darker than land.
        profile: of the file, where it is to differ.
    """
    noise = np.random.default_rng(seed).normal(0, 1.5, (2, SIDE_PX, SIDE_PX))
    level = np.where(np.arange(SIDE_PX) < water_cols, -22.0, -10.0)
    return write(path, (noise + level).astype(np.float32), **{"nodata": np.nan, **profile})


def write(path: Path, pixels: Any, **profile: Any) -> Path:
    """Write pixels, (bands, rows, cols), as a GeoTIFF in EPSG:32633."""
    bands, rows, cols = pixels.shape
    made = {
        "driver": "GTiff", "count": bands, "height": rows, "width": cols, "dtype": pixels.dtype,
        "crs": "EPSG:32633", "transform": from_origin(*_CORNER, 10, 10),
        **profile,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **made) as file:
        file.write(pixels)
    return path
