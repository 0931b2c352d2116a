"""Scenes onto a grid: where pixels are read, made physical, placed and checked for validity."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window

from geo.classify import Label
from geo.discover import open_image, unreadable
from geo.errors import BandsMissing
from geo.grid import crs_of
from geo.masks import quality_reason, radar_border
from geo.raster import BoolArray, CodeArray, FloatArray
from geo.scene import Scene
from geo.sensors import Family, to_decibel, to_physical

_PAD_PX = 4
"""Source pixels read around a warped window, for the resampling kernel."""


class _Handles(threading.local):
    """Open datasets of one thread: a handle shared by two threads crashes GDAL."""

    def __init__(self) -> None:
        self.open: dict[Path, DatasetReader] = {}

    def of(self, path: Path) -> DatasetReader:
        if path not in self.open:
            self.open[path] = open_image(path)
        return self.open[path]


@dataclass(frozen=True)
class _Layer:
    """Bands of one file of a scene that are read together."""

    path: Path
    bands: tuple[str, ...]
    indexes: tuple[int, ...]


class SceneReader:
    """Reads one scene onto windows of a grid; each thread opens the files for itself."""

    def __init__(self, scene: Scene, bands: Sequence[str]) -> None:
        if missing := [band for band in bands if band not in scene.bands]:
            raise BandsMissing(
                f"{scene.id} lacks {', '.join(missing)}; it has {', '.join(scene.bands)}"
            )
        self.scene = scene
        self.bands = tuple(bands)
        self._handles = _Handles()
        self._layers = _layers(scene, self.bands)
        quality = scene.sensor.quality
        self._quality = _layers(scene, (quality,)) if quality in scene.bands and quality else ()

    def read(self, geobox: GeoBox) -> tuple[FloatArray, CodeArray]:
        """Read the scene onto a grid.

        Returns:
            pixels: (bands, rows, cols), physical units, NaN where not valid.
            reason: (rows, cols), 0 where valid, else the `Label` that says why not.

        Raises:
            SceneUnreadable: where the pixels cannot be decoded.
        """
        pixels = np.full((len(self.bands), *geobox.shape), np.nan, np.float32)
        inside = np.zeros(geobox.shape, np.bool_)
        for layer in self._layers:
            values, covered = self._read_layer(layer, geobox)
            for band, plane in zip(layer.bands, values, strict=True):
                pixels[self.bands.index(band)] = plane
            inside |= covered
        if self.scene.sensor.family is Family.RADAR:
            pixels = to_decibel(pixels)
        valid = np.isfinite(pixels).all(axis=0)
        reason = np.where(inside, Label.NO_DATA, Label.NO_IMAGERY).astype(np.uint8)
        reason[valid] = 0
        for layer in self._quality:
            reason = np.where(reason == 0, self._mask(layer, geobox), reason)
        pixels[:, reason != 0] = np.nan
        return pixels, reason

    def _mask(self, layer: _Layer, geobox: GeoBox) -> CodeArray:
        dataset = self._handles.of(layer.path)
        codes, covered = _placed(dataset, layer, geobox, lambda values, _: values, nearest=True)
        codes = np.where(covered & np.isfinite(codes[0]), codes[0], 0)
        return quality_reason(codes.astype(np.uint16), layer.bands[0])

    def _read_layer(self, layer: _Layer, geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
        return _placed(self._handles.of(layer.path), layer, geobox, self._physical)

    def _physical(self, stored: FloatArray, missing: BoolArray) -> FloatArray:
        """Return physical values with NaN at every pixel that is no observation."""
        scene = self.scene
        valid = _observed(stored, missing, scene)
        values = to_physical(stored, units=scene.units, offset=scene.offset)
        if scene.sensor.family is Family.RADAR:
            valid = valid & np.all(values > 0, axis=0)
            valid = valid & ~radar_border(values, valid)
        values = values.astype(np.float32, copy=True)
        values[:, ~valid] = np.nan
        return values


def _layers(scene: Scene, bands: Sequence[str]) -> tuple[_Layer, ...]:
    """Group the wanted bands by file."""
    assets = [asset for band in bands for asset in scene.assets if asset.band == band]
    return tuple(
        _Layer(
            path,
            tuple(asset.band for asset in assets if asset.path == path),
            tuple(asset.index for asset in assets if asset.path == path),
        )
        for path in dict.fromkeys(asset.path for asset in assets)
    )


def _observed(stored: FloatArray, missing: BoolArray, scene: Scene) -> BoolArray:
    """Return where the stored values are observations, (rows, cols).

    A picture's zero is dark water as often as nodata, so its pixel is lost only where all
    bands are; a reflectance or a backscatter of nodata in any band is no measurement.

    Args:
        missing: (bands, rows, cols), True where the file says that there is no value.
    """
    unusable = ~np.isfinite(stored)
    if scene.nodata is not None:
        missing = missing | (stored == scene.nodata)
    if scene.sensor.family is Family.PICTURE:
        lost: BoolArray = np.all(missing, axis=0)
    else:
        lost = np.any(missing, axis=0)
    observed: BoolArray = ~lost & ~np.any(unusable, axis=0)
    return observed


def _placed(
    dataset: DatasetReader, layer: _Layer, geobox: GeoBox, physical: Any, *, nearest: bool = False
) -> tuple[FloatArray, BoolArray]:
    """Read a file onto a grid: (bands, rows, cols) and where the file covers the grid."""
    try:
        if (offset := _pixel_offset(dataset, geobox)) is not None:
            return _native(dataset, layer, geobox, offset, physical)
        return _warped(dataset, layer, geobox, physical, nearest=nearest)
    except RasterioIOError as error:
        raise unreadable(layer.path, error) from error


def _pixel_offset(dataset: DatasetReader, geobox: GeoBox) -> tuple[int, int] | None:
    """Return (row, col) of the grid's corner in the file where both share a pixel grid, or None."""
    if dataset.crs != CRS.from_wkt(crs_of(geobox)):
        return None
    relative: Affine = ~dataset.transform * geobox.affine
    if not np.allclose(relative[:6], (1, 0, relative.c, 0, 1, relative.f), atol=1e-6):
        return None
    col, row = round(relative.c), round(relative.f)
    # A thousandth of a pixel is what float rounding of large coordinates costs.
    if abs(col - relative.c) > 1e-3 or abs(row - relative.f) > 1e-3:
        return None
    return row, col


def _native(
    dataset: DatasetReader,
    layer: _Layer,
    geobox: GeoBox,
    offset: tuple[int, int],
    physical: Any,
) -> tuple[FloatArray, BoolArray]:
    """Read without resampling; the part of the grid outside the file stays NaN."""
    rows, cols = geobox.shape
    row, col = offset
    top, left = max(row, 0), max(col, 0)
    height = min(row + rows, dataset.height) - top
    width = min(col + cols, dataset.width) - left
    pixels = np.full((len(layer.bands), rows, cols), np.nan, np.float32)
    covered = np.zeros((rows, cols), np.bool_)
    if height > 0 and width > 0:
        part = (slice(top - row, top - row + height), slice(left - col, left - col + width))
        window = Window(left, top, width, height)
        stored, missing = _stored(dataset, layer, window, (height, width), Resampling.nearest)
        pixels[(slice(None), *part)] = physical(stored, missing)
        covered[part] = True
    return pixels, covered


def _warped(
    dataset: DatasetReader, layer: _Layer, geobox: GeoBox, physical: Any, *, nearest: bool
) -> tuple[FloatArray, BoolArray]:
    """Read what the grid needs and resample it: bilinear, or the average where it is finer."""
    pixels = np.full((len(layer.bands), *geobox.shape), np.nan, np.float32)
    covered = np.zeros(geobox.shape, np.float32)
    window = _source_window(dataset, geobox)
    if window is None:
        return pixels, covered > 0
    ratio = _finer_by(dataset, geobox, window)
    # Read at most twice as fine as the grid: the warp averages the rest.
    step = 1 if nearest else max(1, int(ratio / 2))
    shape = max(1, round(window.height / step)), max(1, round(window.width / step))
    how = Resampling.nearest if step == 1 else Resampling.average
    stored, missing = _stored(dataset, layer, window, shape, how)
    transform = dataset.window_transform(window) * Affine.scale(
        window.width / shape[1], window.height / shape[0]
    )
    kernel = Resampling.average if ratio >= 1.5 else Resampling.bilinear
    place: dict[str, Any] = {
        "src_transform": transform, "src_crs": dataset.crs,
        "dst_transform": geobox.affine, "dst_crs": crs_of(geobox),
        "num_threads": 1,
    }  # fmt: skip
    reproject(
        physical(stored, missing), pixels, src_nodata=np.nan, dst_nodata=np.nan,
        resampling=Resampling.nearest if nearest else kernel, **place,
    )  # fmt: skip
    reproject(np.ones(shape, np.float32), covered, resampling=Resampling.nearest, **place)
    return pixels, covered > 0


def _source_window(dataset: DatasetReader, geobox: GeoBox) -> Any:
    """Return the window of the file that a grid needs, or None where they do not meet."""
    bounds = transform_bounds(crs_of(geobox), dataset.crs, *geobox.boundingbox.bbox)
    left, bottom, right, top = bounds
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    pixel = [~dataset.transform * corner for corner in corners]
    cols, rows = [p[0] for p in pixel], [p[1] for p in pixel]
    col0, row0 = int(np.floor(min(cols))) - _PAD_PX, int(np.floor(min(rows))) - _PAD_PX
    col1, row1 = int(np.ceil(max(cols))) + _PAD_PX, int(np.ceil(max(rows))) + _PAD_PX
    col0, row0 = max(col0, 0), max(row0, 0)
    col1, row1 = min(col1, dataset.width), min(row1, dataset.height)
    if col1 <= col0 or row1 <= row0:
        return None
    return Window(col0, row0, col1 - col0, row1 - row0)


def _finer_by(dataset: DatasetReader, geobox: GeoBox, window: Any) -> float:
    """Return how many source pixels lie along one pixel of the grid."""
    left, bottom, right, top = transform_bounds(
        dataset.crs, crs_of(geobox), *dataset.window_bounds(window)
    )
    source = np.sqrt((right - left) * (top - bottom) / (window.width * window.height))
    return float(abs(geobox.resolution.x) / source)


def _stored(
    dataset: DatasetReader,
    layer: _Layer,
    window: Any,
    shape: tuple[int, int],
    how: Resampling,
) -> tuple[FloatArray, BoolArray]:
    """Return stored values as float32 and where they are missing, both (bands, rows, cols)."""
    indexes = list(layer.indexes)
    values = dataset.read(
        indexes, window=window, out_shape=(len(indexes), *shape), resampling=how,
        out_dtype="float32",
    )  # fmt: skip
    missing = np.broadcast_to(_masked(dataset, window, shape, how), values.shape).copy()
    for place, index in enumerate(indexes):
        nodata = dataset.nodatavals[index - 1]
        if nodata is not None and not np.isnan(nodata):
            missing[place] |= values[place] == np.float32(nodata)
    return values, missing


def _masked(
    dataset: DatasetReader, window: Any, shape: tuple[int, int], how: Resampling
) -> BoolArray:
    """Return where the alpha band or the file's own mask says that there is no image."""
    if ColorInterp.alpha in dataset.colorinterp:
        index = dataset.colorinterp.index(ColorInterp.alpha) + 1
        opaque = dataset.read(index, window=window, out_shape=shape, resampling=how)
        full = np.iinfo(opaque.dtype).max
        return np.asarray(opaque < full / 2)
    if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        opaque = dataset.read_masks(1, window=window, out_shape=shape, resampling=how)
        return np.asarray(opaque < 128)
    return np.zeros(shape, np.bool_)
