"""A file onto a grid: read where both share their pixels, resampled where they do not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform, transform_bounds
from rasterio.windows import Window

from geo.imagery.dataset import Image, read_stored
from geo.raster.grid import crs_of
from geo.types import BoolArray, Float64Array, FloatArray

Physical: TypeAlias = Callable[[FloatArray, BoolArray], FloatArray]
"""Stored values and where they are missing, (bands, rows, cols), to values that may be averaged,
NaN where there is no observation."""

_PAD_PX = 4  # source pixels read around a warped window, for the resampling kernel
_CHUNK_PX = 1_000_000  # source pixels that are held at once while an image is averaged


@dataclass(frozen=True)
class Take:
    """What is taken from a file."""

    indexes: tuple[int, ...]
    """Band numbers, from 1."""
    physical: Physical
    nearest: bool = False
    """True for codes, which cannot be averaged."""
    scaled: bool = False
    """True where the average of stored values is that of physical ones: GDAL's, and the file's
    overviews, may be used."""
    context_px: int = 0
    """Pixels around a pixel that `physical` looks at."""


def place(dataset: Image, take: Take, geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
    """Read a file onto a grid: copied where both share their pixels, else interpolated or averaged.

    A resampled pixel is valid where at least half of what it was made of is.

    Returns:
        pixels: (bands, rows, cols), NaN where not valid.
        covered: (rows, cols); True where the pixel's centre lies in the file.
    """
    if (offset := pixel_offset(dataset, geobox)) is not None:
        return _native(dataset, take, geobox, offset)
    return _warped(dataset, take, geobox)


def pixel_offset(dataset: Image, geobox: GeoBox) -> tuple[int, int] | None:
    """Return (row, col) of the grid's corner in the file where both share a pixel grid, or None."""
    if dataset.crs != CRS.from_wkt(crs_of(geobox)):
        return None
    relative: Affine = ~dataset.transform @ geobox.affine
    scale = (relative.a, relative.b, relative.d, relative.e)
    if not np.allclose(scale, (1, 0, 0, 1), rtol=0, atol=1e-6):
        return None
    col, row = round(relative.c), round(relative.f)
    # A thousandth of a pixel is what float rounding of large coordinates costs.
    if abs(col - relative.c) > 1e-3 or abs(row - relative.f) > 1e-3:
        return None
    return row, col


def _native(
    dataset: Image, take: Take, geobox: GeoBox, offset: tuple[int, int]
) -> tuple[FloatArray, BoolArray]:
    rows, cols = geobox.shape
    row, col = offset
    pixels = np.full((len(take.indexes), rows, cols), np.nan, np.float32)
    covered = np.zeros((rows, cols), np.bool_)
    window = _clipped(dataset, (row, row + rows), (col, col + cols))
    if window is not None:
        top, left = window.row_off - row, window.col_off - col
        part = slice(top, top + window.height), slice(left, left + window.width)
        pixels[(slice(None), *part)] = _physical(dataset, take, window)
        covered[part] = True
    return pixels, covered


def _warped(dataset: Image, take: Take, geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
    pixels = np.full((len(take.indexes), *geobox.shape), np.nan, np.float32)
    window = _source_window(dataset, geobox)
    if window is None:
        return pixels, np.zeros(geobox.shape, np.bool_)
    finer_by = abs(geobox.resolution.x) / _source_gsd(dataset, geobox, window)
    # Read at most twice as fine as the grid: the warp averages the rest.
    step = 1 if take.nearest else max(1, int(finer_by / 2))
    source, placed = _coarse(dataset, take, _aligned(dataset, window, step), step)
    onto: dict[str, Any] = {
        "src_transform": placed, "src_crs": dataset.crs,
        "dst_transform": geobox.affine, "dst_crs": crs_of(geobox), "num_threads": 1,
    }  # fmt: skip
    kernel = Resampling.average if finer_by >= 1.5 else Resampling.bilinear
    kernel = Resampling.nearest if take.nearest else kernel
    reproject(source, pixels, src_nodata=np.nan, dst_nodata=np.nan, resampling=kernel, **onto)
    observed: BoolArray = np.all(np.isfinite(source), axis=0)
    if not observed.all():
        pixels[:, _warp(observed, geobox, kernel, onto) < 0.5] = np.nan
    return pixels, _warp(np.ones_like(observed), geobox, Resampling.nearest, onto) > 0


def _warp(mask: BoolArray, geobox: GeoBox, kernel: Resampling, onto: dict[str, Any]) -> FloatArray:
    """Return which share of a pixel of the grid the mask holds, 0 outside of the source."""
    share = np.zeros(geobox.shape, np.float32)
    reproject(mask.astype(np.float32), share, resampling=kernel, **onto)
    return share


def _source_window(dataset: Image, geobox: GeoBox) -> Any:
    bounds = transform_bounds(crs_of(geobox), dataset.crs, *geobox.boundingbox.bbox)
    left, bottom, right, top = _turned(dataset, bounds) if dataset.crs.is_geographic else bounds
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    pixel = [~dataset.transform @ corner for corner in corners]
    cols, rows = [p[0] for p in pixel], [p[1] for p in pixel]
    return _clipped(dataset, _padded(rows), _padded(cols))


def _turned(
    dataset: Image, bounds: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Return bounds with longitudes on the file's own turn: it may go on beyond 180 degrees."""
    left, bottom, right, top = bounds
    right += 360 if right < left else 0  # across the antimeridian
    middle = (dataset.transform @ (dataset.width / 2, dataset.height / 2))[0]
    turn = 360 * round((middle - (left + right) / 2) / 360)
    return left + turn, bottom, right + turn, top


def _padded(values: list[float]) -> tuple[int, int]:
    return int(np.floor(min(values))) - _PAD_PX, int(np.ceil(max(values))) + _PAD_PX


def _clipped(dataset: Image, rows: tuple[int, int], cols: tuple[int, int]) -> Any:
    """Return the part of a range of pixels that the file has, or None."""
    top, left = max(rows[0], 0), max(cols[0], 0)
    bottom, right = min(rows[1], dataset.height), min(cols[1], dataset.width)
    if bottom <= top or right <= left:
        return None
    return Window(left, top, right - left, bottom - top)


def _aligned(dataset: Image, window: Any, step: int) -> Any:
    """Return the window grown to blocks from the file's corner, so that windows leave no seam."""
    top, left = window.row_off // step * step, window.col_off // step * step
    bottom = -(-(window.row_off + window.height) // step) * step
    right = -(-(window.col_off + window.width) // step) * step
    return _clipped(dataset, (top, bottom), (left, right))


def _source_gsd(dataset: Image, geobox: GeoBox, window: Any) -> float:
    """Return the side of a source pixel in the middle of a window, in units of the grid."""
    col, row = window.col_off + window.width / 2, window.row_off + window.height / 2
    beside = (col, row), (col + 1, row), (col, row + 1)
    corners = [dataset.transform @ corner for corner in beside]
    xs, ys = transform(dataset.crs, crs_of(geobox), *zip(*corners, strict=True))
    right, down = (xs[1] - xs[0], ys[1] - ys[0]), (xs[2] - xs[0], ys[2] - ys[0])
    return float(np.sqrt(abs(right[0] * down[1] - right[1] * down[0])))


def _coarse(dataset: Image, take: Take, window: Any, step: int) -> tuple[FloatArray, Affine]:
    """Return a window averaged over step x step pixels, (bands, rows, cols), and its transform."""
    if step == 1:
        values = _physical(dataset, take, window)
    elif take.scaled:
        shape = max(1, round(window.height / step)), max(1, round(window.width / step))
        stored = read_stored(
            dataset, take.indexes, window=window, shape=shape, how=Resampling.average
        )
        values = take.physical(*stored)
    else:
        return _averaged(dataset, take, window, step)
    scale = Affine.scale(window.width / values.shape[2], window.height / values.shape[1])
    return values, dataset.window_transform(window) @ scale


def _averaged(dataset: Image, take: Take, window: Any, step: int) -> tuple[FloatArray, Affine]:
    """Average physical values, in strips: decibels, for one, have no average of their own."""
    rows = max(1, _CHUNK_PX // (window.width * step)) * step
    strips = [
        Window(window.col_off, top, window.width, min(rows, window.row_off + window.height - top))
        for top in range(window.row_off, window.row_off + window.height, rows)
    ]
    means = [block_mean(_physical(dataset, take, strip), step) for strip in strips]
    return np.concatenate(means, axis=1), dataset.window_transform(window) @ Affine.scale(step)


def block_mean(values: FloatArray, step: int) -> FloatArray:
    """Return (bands, rows, cols) averaged over step x step pixels, NaN where most are missing."""
    _, rows, cols = values.shape
    room = (0, 0), (0, -rows % step), (0, -cols % step)
    there = np.pad(np.ones((1, rows, cols), np.bool_), room)
    padded = np.pad(values, room, constant_values=np.nan)
    observed = np.isfinite(padded)
    count = _block_sum(observed, step)
    total = _block_sum(np.where(observed, padded, 0), step)
    enough = 2 * count >= _block_sum(there, step)
    mean = total / np.maximum(count, 1)
    return np.where(enough & (count > 0), mean, np.nan).astype(np.float32)


def _block_sum(values: npt.NDArray[Any], step: int) -> Float64Array:
    """Return the sum over blocks of step x step pixels, down and then across, which is faster."""
    bands, rows, cols = values.shape
    down = values.reshape(bands, rows // step, step, cols).sum(axis=2, dtype=np.float64)
    across: Float64Array = down.reshape(*down.shape[:2], cols // step, step).sum(axis=3)
    return across


def _physical(dataset: Image, take: Take, window: Any) -> FloatArray:
    """Return the physical values of a window, looked at with what lies around it."""
    around = take.context_px
    wide = _clipped(
        dataset,
        (window.row_off - around, window.row_off + window.height + around),
        (window.col_off - around, window.col_off + window.width + around),
    )
    values = take.physical(*read_stored(dataset, take.indexes, window=wide))
    top, left = window.row_off - wide.row_off, window.col_off - wide.col_off
    return values[:, top : top + window.height, left : left + window.width]
