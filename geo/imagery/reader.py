"""Scenes onto a grid: physical values, and the reason of each pixel that is not valid."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import RasterioIOError
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from geo.errors import BandsMissing
from geo.imagery.dataset import Image, open_image, unreadable
from geo.imagery.warp import Take, place
from geo.raster.classify import Label
from geo.raster.grid import crs_of
from geo.scenes.scene import Asset, Scene
from geo.scenes.sensors import Family, QualityBand, to_decibel, to_physical
from geo.scenes.source import Georeference
from geo.types import BoolArray, CodeArray, FloatArray

FoundClouds: TypeAlias = Callable[[GeoBox], CodeArray]
"""A grid to why the ground cannot be seen there, (rows, cols): `Label.CLOUD`, `Label.CLOUD_SHADOW`,
0 where it can."""


@dataclass(frozen=True)
class Masking:
    """What hides the ground in a scene, besides pixels that hold no value."""

    provider: frozenset[Label] = frozenset({Label.NO_DATA, Label.CLOUD, Label.CLOUD_SHADOW})
    """Labels of the provider's mask that are used; empty: the mask is not read."""
    found: FoundClouds | None = None


BORDER_DB = -30.0
"""A Sentinel-1 pixel beside the image's edge that is darker than this is border noise: the
noise floor of IW lies near -22 dB (Sentinel-1 Product Specification), and ESA's own border
removal masks the same fringe (MPC-0243, "Masking no-value pixels on GRD products")."""
BORDER_PX = 50
"""How far the noise reaches inwards from the edge, pixels."""


def radar_border(power: FloatArray, valid: BoolArray) -> BoolArray:
    """Return the noisy fringe of a radar image, (bands, rows, cols), linear power, at its edge."""
    if valid.all() or not valid.any():
        return np.zeros_like(valid)
    floor = np.float32(10 ** (BORDER_DB / 10))
    dark = np.nan_to_num(power, nan=1.0).min(axis=0) < floor
    reach = ndimage.binary_dilation(~valid, iterations=BORDER_PX, mask=dark & valid | ~valid)
    fringe: BoolArray = reach & valid & dark
    return fringe


Span: TypeAlias = tuple[slice, slice]
"""Rows and columns of a grid."""

_ACROSS = 180.0  # degrees: a grid that is wider in longitude crosses the antimeridian
_AROUND = 0.1  # share of a grid's side around it in which a tile may still matter to it
_MARGIN_PX = 2  # pixels of a grid around a tile: its outline has corners, and its edges may bend
MOST_OPEN = 64
"""Files that one reader holds open in a thread: a process may open a thousand."""


class _Handles(threading.local):
    """Open datasets of one thread: a handle shared by two threads crashes GDAL."""

    def __init__(self) -> None:
        self.open: dict[Path, Image] = {}

    def of(self, layer: "_Layer") -> Image:
        """Return the dataset of a layer; of too many the one used longest ago is closed."""
        image = self.open.pop(layer.path, None)
        if image is None:
            if len(self.open) >= MOST_OPEN:
                self.open.pop(next(iter(self.open))).close()
            image = open_image(layer.path, layer.georeference)
        self.open[layer.path] = image
        return image


@dataclass(frozen=True)
class _Layer:
    """Bands of one file of a scene that are read together."""

    path: Path
    bands: tuple[str, ...]
    indexes: tuple[int, ...]
    georeference: Georeference
    footprint: BaseGeometry | None  # lon-lat; None where it is the scene's


class SceneReader:
    """Reads one scene onto windows of a grid; each thread opens the files for itself."""

    def __init__(self, scene: Scene, bands: Sequence[str], masking: Masking = Masking()) -> None:
        """Take a scene, the bands that are wanted of it, and what hides the ground in it."""
        if missing := [band for band in bands if band not in scene.bands]:
            raise BandsMissing(
                f"{scene.id} lacks {', '.join(missing)}; it has {', '.join(scene.bands)}"
            )
        self.scene = scene
        self.bands = tuple(bands)
        self._handles = _Handles()
        self._layers = _layers(scene, self.bands)
        self._tree = _tree(self._layers)
        quality = scene.sensor.quality_band
        self._quality: tuple[QualityBand, _Layer] | None = None
        if quality is not None and quality.name in scene.bands and masking.provider:
            (layer,) = _layers(scene, (quality.name,))
            self._quality = quality, layer
        self._masking = masking

    def read(self, geobox: GeoBox) -> tuple[FloatArray, CodeArray]:
        """Read the scene onto a grid.

        Returns:
            pixels: (bands, rows, cols), physical units, NaN where not valid.
            reason: (rows, cols), 0 where valid, else the `Label` that says why not.
        """
        pixels = np.full((len(self.bands), *geobox.shape), np.nan, np.float32)
        inside = np.zeros(geobox.shape, np.bool_)
        scaled = self.scene.sensor.family is Family.PICTURE
        context_px = BORDER_PX if self.scene.sensor.family is Family.RADAR else 0
        for layer, part in self._near(geobox):
            take = Take(layer.indexes, self._physical, scaled=scaled, context_px=context_px)
            values, covered = self._placed(layer, take, geobox[part])
            for band, plane in zip(layer.bands, values, strict=True):
                if band in self.bands:
                    own = pixels[self.bands.index(band)][part]
                    np.copyto(own, plane, where=np.isnan(own))
            inside[part] |= covered
        if self.scene.sensor.family is Family.RADAR:
            pixels = to_decibel(pixels)
        valid = np.isfinite(pixels).all(axis=0)
        reason = np.where(inside, np.uint8(Label.NO_DATA), np.uint8(Label.NO_IMAGERY))
        reason[valid] = 0
        if self._quality is not None:
            reason = np.where(reason == 0, self._mask(*self._quality, geobox), reason)
        if self._masking.found is not None and not reason.all():
            reason = np.where(reason == 0, self._masking.found(geobox), reason)
        np.copyto(pixels, np.float32(np.nan), where=reason != 0)
        return pixels, reason

    def _near(self, geobox: GeoBox) -> Iterator[tuple[_Layer, Span]]:
        """Yield the layers that may have pixels on a grid, and in which part of it."""
        whole = slice(0, geobox.shape[0]), slice(0, geobox.shape[1])
        if self._tree is None:
            yield from ((layer, whole) for layer in self._layers)
            return
        left, bottom, right, top = geobox.extent.to_crs("EPSG:4326").boundingbox
        across = right - left > _ACROSS
        around = _AROUND * max(right - left, top - bottom)
        box = shapely.box(left - around, bottom - around, right + around, top + around)
        to_grid = Transformer.from_crs("EPSG:4326", crs_of(geobox), always_xy=True)
        for index in range(len(self._layers)) if across else np.sort(self._tree.query(box)):
            part = whole if across else _span(self._tree.geometries[index], geobox, to_grid)
            if all(span.start < span.stop for span in part):
                yield self._layers[index], part

    def _mask(self, quality: QualityBand, layer: _Layer, geobox: GeoBox) -> CodeArray:
        """Return why the provider does not trust a pixel; beyond its mask there is no data."""
        take = Take(layer.indexes, lambda stored, _: stored, nearest=True)
        values, covered = self._placed(layer, take, geobox)
        reason = quality.reasons(np.where(covered, values[0], 0).astype(np.uint16))
        reason[~np.isin(reason, list(self._masking.provider))] = 0
        return np.where(covered, reason, np.uint8(Label.NO_DATA))

    def _placed(self, layer: _Layer, take: Take, geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
        try:
            return place(self._handles.of(layer), take, geobox)
        except RasterioIOError as error:
            raise unreadable(layer.path, error) from error

    def _physical(self, stored: FloatArray, missing: BoolArray) -> FloatArray:
        """Return physical values with NaN at every pixel that is no observation."""
        scene = self.scene
        stored = np.where(_observed(stored, missing, scene), stored, np.float32(np.nan))
        values = to_physical(stored, units=scene.units, offset=scene.offset)
        if scene.sensor.family is not Family.RADAR:
            return values
        valid = np.all(values > 0, axis=0)
        return np.where(valid & ~radar_border(values, valid), values, np.float32(np.nan))


def _layers(scene: Scene, bands: Sequence[str]) -> tuple[_Layer, ...]:
    """Group the wanted bands by file, and a picture's others: its pixels are judged by all."""
    files: dict[Path, list[Asset]] = {}
    for asset in scene.assets:
        files.setdefault(asset.path, []).append(asset)
    order = {band: number for number, band in enumerate(bands)}
    wanted = sorted((a for a in scene.assets if a.band in order), key=lambda a: order[a.band])
    layers = []
    for path in dict.fromkeys(asset.path for asset in wanted):
        chosen = sorted((a for a in files[path] if a.band in order), key=lambda a: order[a.band])
        if scene.sensor.family is Family.PICTURE:
            chosen += [asset for asset in files[path] if asset.band not in order]
        names, indexes = tuple(a.band for a in chosen), tuple(a.index for a in chosen)
        first = chosen[0]
        layers.append(_Layer(path, names, indexes, first.georeference, first.footprint))
    return tuple(layers)


def _span(footprint: BaseGeometry, geobox: GeoBox, to_grid: Transformer) -> Span:
    """Return the rows and columns of a grid that a tile may cover; empty where it covers none."""
    x, y = to_grid.transform(*shapely.get_coordinates(footprint).T)
    cols, rows = ~geobox.affine @ (np.asarray(x), np.asarray(y))
    low = [max(0, int(np.floor(at.min())) - _MARGIN_PX) for at in (rows, cols)]
    high = [
        min(side, int(np.ceil(at.max())) + _MARGIN_PX)
        for at, side in zip((rows, cols), geobox.shape, strict=True)
    ]
    return slice(low[0], high[0]), slice(low[1], high[1])


def _tree(layers: Sequence[_Layer]) -> shapely.STRtree | None:
    """Return where tiles lie; None for a scene that is not made of tiles."""
    footprints = [layer.footprint for layer in layers if layer.footprint is not None]
    return shapely.STRtree(footprints) if layers and len(footprints) == len(layers) else None


def _observed(stored: FloatArray, missing: BoolArray, scene: Scene) -> BoolArray:
    """Return where the stored values are observations, (rows, cols).

    A picture's zero is dark water as often as nodata: its pixel is lost only where all bands are.
    """
    if scene.nodata is not None:
        missing = missing | (stored == scene.nodata)
    is_picture = scene.sensor.family is Family.PICTURE
    lost = np.all(missing, axis=0) if is_picture else np.any(missing, axis=0)
    observed: BoolArray = ~lost & np.all(np.isfinite(stored), axis=0)
    return observed
