"""Small images for tests: one factory, and pixels as sensors store them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Source

UTM = "EPSG:32633"
WEST, NORTH = 500_000.0, 5_000_000.0
"""Corner of the images in UTM zone 33: 15 degrees east, about 45.15 degrees north."""

Pixels = npt.NDArray[Any]


def north_up(*, west: float = WEST, north: float = NORTH, step: float = 10.0) -> Affine:
    """Return the transform of square pixels."""
    return Affine(step, 0, west, 0, -step, north)


def write_image(
    path: Path,
    pixels: Pixels,
    *,
    crs: str | None = UTM,
    transform: Affine | None = None,
    descriptions: Sequence[str | None] | None = None,
    colours: Sequence[str] | None = None,
    tags: dict[str, str] | None = None,
    mask: Pixels | None = None,
    **options: Any,
) -> Path:
    """Write (bands, rows, cols) as a GeoTIFF, and return its path.

    Args:
        mask: (rows, cols), True where valid; becomes a mask inside the file.
        options: of the driver, such as nodata, compress, tiled, driver.
    """
    profile = {
        "driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype,
        "height": pixels.shape[1], "width": pixels.shape[2], "crs": crs,
        "transform": north_up() if transform is None else transform,
        "photometric": None if len(pixels) == 3 else "minisblack",
    } | options  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile) as dataset,
    ):
        dataset.write(pixels)
        for index, text in enumerate(descriptions or (), 1):
            dataset.set_band_description(index, text)
        if colours is not None:
            dataset.colorinterp = [ColorInterp[name] for name in colours]
        if mask is not None:
            dataset.write_mask(mask)
        dataset.update_tags(**(tags or {}))
    return path


def scene_of(path: Path, phase: Phase = Phase.AFTER, **given: Any) -> Scene:
    """Return the only scene of a file or folder."""
    (scene,) = scenes_of(Source(str(path), **given), phase)
    return scene


def smooth(rows: int, cols: int, *, low: float, high: float) -> Pixels:
    """Return (rows, cols) that rise and fall slowly, as resampling must keep them."""
    y, x = np.mgrid[0:rows, 0:cols]
    wave = 0.5 + 0.25 * np.sin(2 * np.pi * x / 90) + 0.25 * np.cos(2 * np.pi * y / 70)
    return low + (high - low) * wave


def counts(bands: int, rows: int, cols: int, *, offset: float = 0) -> Pixels:
    """Return reflectance x 10000 of land and, in the upper left quarter, dark water, uint16."""
    rng = np.random.default_rng(bands)
    land = rng.normal(2000, 400, (bands, rows, cols)).clip(1200, 4000)
    land[:, : rows // 2, : cols // 2] = rng.uniform(50, 400, (bands, rows // 2, cols // 2))
    return (land + offset).round().astype(np.uint16)


def decibels(bands: int, rows: int, cols: int) -> Pixels:
    """Return backscatter of land, and of calm water in the upper left quarter, float32."""
    rng = np.random.default_rng(bands)
    land = rng.normal(-9, 2, (bands, rows, cols))
    land[:, : rows // 2, : cols // 2] = rng.normal(-20, 1, (bands, rows // 2, cols // 2))
    return land.astype(np.float32)


def picture(bands: int, rows: int, cols: int, dtype: str = "uint8") -> Pixels:
    """Return brightness from 1 on."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(bands).integers(1, top, (bands, rows, cols)).astype(dtype)
