"""A polygon to explain: its pixels, the model that drew it, and the windows of the map there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from geo.errors import GridMismatch
from geo.export.cog import read_part
from geo.raster.classify import NODATA_PERCENT, Finding, Label
from geo.raster.windows import Window, lattice
from geo.scenes.scene import Phase
from geo.types import BoolArray, CodeArray, FloatArray
from models.errors import InputsMismatch
from models.inference.model import Model
from models.inference.scene_inputs import Reader, WindowInputs, read
from models.networks.tensors import Inputs, SceneStatistics

Rectangle: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

_MIN_PX, _MAX_PX = 128, 512
"""Sides of a window: enough to show the surroundings, and small enough to explain in minutes."""
_AROUND = 1.6
"""Side of a window over the longer side of its polygon."""


@dataclass(frozen=True)
class ProductRasters:
    """The rasters of a product that hold what was decided, pixel by pixel."""

    classes: Path
    probability: Path
    band: int
    """Of the probability: 1 is that of the event, 2 that of water before it."""


@dataclass(frozen=True, eq=False)
class PolygonWindow:
    """A rectangle of the grid with the pixels of one polygon, as the product has them."""

    geobox: GeoBox
    rows: slice
    """In pixels of the product's grid."""
    cols: slice
    pixels: BoolArray
    """(rows, cols); True where a pixel belongs to the polygon."""
    percent: CodeArray
    """(rows, cols); probability of the product, 0 to 100, 255 where there is none."""
    polygon_pixels: int
    """Pixels of the whole polygon, of which the rectangle may hold a part."""

    @property
    def has_probability(self) -> BoolArray:
        """(rows, cols); True where the product has a probability."""
        return np.asarray(self.percent != NODATA_PERCENT)

    @property
    def mean_percent(self) -> float:
        """Mean probability of the product over the polygon's pixels in the rectangle."""
        return float(self.percent[self.pixels].mean())


def polygon_window(
    outline: BaseGeometry,
    rasters: ProductRasters,
    geobox: GeoBox,
    *,
    labels: Collection[Label],
    max_px: int,
) -> PolygonWindow:
    """Return the window around a polygon, `max_px` at most: of a larger one it holds a part.

    Its pixels have one of the labels under the outline, which is simplified, in the grid's CRS.

    Raises:
        GridMismatch: where the rasters hold no such pixel there.
    """

    def read_polygon(rows: slice, cols: slice) -> tuple[BoolArray, CodeArray]:
        shape = rows.stop - rows.start, cols.stop - cols.start
        transform = geobox[rows, cols].affine
        outside = geometry_mask([outline], shape, transform, all_touched=True)
        found = np.isin(read_part(rasters.classes, rows, cols)[0], list(labels))
        percent = read_part(rasters.probability, rows, cols)[rasters.band - 1]
        return ~outside & found & (percent != NODATA_PERCENT), percent

    whole_rows, whole_cols = _extent(outline, geobox)
    own, _ = read_polygon(whole_rows, whole_cols)
    if not own.any():
        raise GridMismatch(
            f"{rasters.classes} holds no pixel of the polygon under its outline; map the event "
            "again, the layers and the rasters are not of one product"
        )
    longest = max(own.shape)
    side = min(max(int(longest * _AROUND), _MIN_PX), max_px, _MAX_PX)
    row, col = np.array(own.shape) // 2
    if longest > side:  # of what does not fit, the pixel of the polygon nearest to its middle
        pixels = np.argwhere(own)
        row, col = pixels[np.argmin(((pixels - (row, col)) ** 2).sum(axis=1))]
    rows = span_around(whole_rows.start + int(row), side, geobox.shape[0])
    cols = span_around(whole_cols.start + int(col), side, geobox.shape[1])
    return PolygonWindow(geobox[rows, cols], rows, cols, *read_polygon(rows, cols), int(own.sum()))


def _extent(outline: BaseGeometry, geobox: GeoBox) -> Rectangle:
    left, bottom, right, top = outline.bounds
    to_pixel = ~geobox.affine
    (col0, row0), (col1, row1) = to_pixel @ (left, top), to_pixel @ (right, bottom)
    starts = [max(0, int(np.floor(start)) - 1) for start in (row0, col0)]
    sides = zip(starts, (row1, col1), geobox.shape, strict=True)
    rows, cols = (slice(a, max(a + 1, min(side, int(np.ceil(b)) + 1))) for a, b, side in sides)
    return rows, cols


def span_around(middle: int, side: int, length: int) -> slice:
    """Return a span of at most `side` around a pixel, moved to lie within the grid."""
    start = max(0, min(middle - side // 2, length - side))
    return slice(start, min(start + side, length))


class PublishedProbability(StrEnum):
    """Which probability of a product is explained."""

    EVENT = "event"
    """That of the event, or of water after it that cannot be dated."""
    WATER_BEFORE = "water before"


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One run of a model that the probability of a polygon rests on."""

    name: str
    """Of its statistics: "all", or the phase where a model sees one image at a time."""
    images: Mapping[str, str]
    """Name of the scene input by input of the model, without those that have none."""
    output: int
    """Index among the classes of the model."""
    layer: int
    """Index among the probabilities of the reader."""
    negated: bool = False
    """The polygon says that there was no water: its probability is 1 less the model's."""

    def inputs(self, rasters: WindowInputs) -> Inputs:
        """Return what the model is given of a window."""
        return {name: rasters[image] for name, image in self.images.items()}


@dataclass(frozen=True, eq=False)
class MapWindow:
    """A window of the map that touches the window of a polygon."""

    window: Window
    rasters: WindowInputs
    here: Rectangle
    """What both share, in its own pixels."""
    there: Rectangle
    """The same in pixels of the polygon's window."""

    @property
    def owned(self) -> BoolArray:
        """(rows, cols) of `here`; True where no other window owns the pixel."""
        owned = np.zeros(self.window.weight.shape, np.bool_)
        owned[self.window.rows.core, self.window.cols.core] = True
        return owned[self.here]


@dataclass(frozen=True, eq=False)
class CentredWindow:
    """One window of the model's own size with the polygon in its middle."""

    rasters: WindowInputs
    here: Rectangle
    """The window of the polygon, in pixels of this one."""


@dataclass(frozen=True, eq=False)
class ExplainedPolygon:
    """Everything that an explanation rests on."""

    model: Model
    reader: Reader
    statistics: Mapping[str, SceneStatistics]
    """Of the whole scene, as the map recorded them."""
    grid: GeoBox
    window: PolygonWindow
    probability: PublishedProbability

    @cached_property
    def runs(self) -> tuple[ModelRun, ...]:
        """The runs that the probability rests on; InputsMismatch where there is none."""
        runs = _runs_by_phase(self) if self.model.card.single_date else _runs_of_all(self)
        if not runs:
            raise InputsMismatch(
                f"{self.model.card.name} gives no probability of the {self.probability}; "
                "explain a polygon of another layer"
            )
        return runs

    def map_windows(self) -> tuple[MapWindow, ...]:
        """Read the windows of the map that touch that of the polygon."""
        rows, cols = self.grid.shape
        windows = lattice((rows, cols), size=self.reader.window_px, overlap=self.reader.overlap_px)
        each = (self._map_window(window) for window in windows)
        return tuple(window for window in each if window is not None)

    def _map_window(self, window: Window) -> MapWindow | None:
        rows, cols = (
            slice(max(span.start, part.start), min(span.stop, part.stop))
            for span, part in ((window.rows, self.window.rows), (window.cols, self.window.cols))
        )
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        return MapWindow(
            window=window,
            rasters=self._read(self.grid[window.slices]),
            here=_shifted(rows, cols, window.rows.start, window.cols.start),
            there=_shifted(rows, cols, self.window.rows.start, self.window.cols.start),
        )

    def _read(self, geobox: GeoBox) -> WindowInputs:
        """Read a window, without the scenes out of the model's domain."""
        return self.reader.in_domain(read(self.reader, geobox), self.statistics)

    def centred_window(self) -> CentredWindow:
        """Read one window around the polygon, no wider than needed: the model runs often on it."""
        parts = self.window.rows, self.window.cols
        rows, cols = (
            span_around(
                (part.start + part.stop) // 2,
                min(part.stop - part.start + self.reader.overlap_px, self.reader.window_px),
                length,
            )
            for part, length in zip(parts, self.grid.shape, strict=True)
        )
        return CentredWindow(
            self._read(self.grid[rows, cols]), _shifted(*parts, rows.start, cols.start)
        )

    def predict(self, windows: Sequence[MapWindow]) -> FloatArray:
        """Return the probability of the polygon's class as the map blends it, (rows, cols)."""
        total = np.zeros((len(self.reader.thresholds), *self.window.pixels.shape), np.float32)
        for part in windows:
            layers = self.reader.predict([part.rasters], self.statistics)[0].probabilities
            weight = part.window.weight[part.here]
            total[:, *part.there] += np.nan_to_num(layers[:, *part.here]) * weight
        return combine_runs({run: total[run.layer] for run in self.runs})

    def take_owned(self, windows: Sequence[MapWindow], values: Sequence[FloatArray]) -> FloatArray:
        """Return values, each from the window that owns the pixel, (rows, cols); NaN stays."""
        whole = np.full(self.window.pixels.shape, np.nan, np.float32)
        for part, layer in zip(windows, values, strict=True):
            np.copyto(whole[part.there], layer[part.here], where=part.owned)
        return whole


def combine_runs(probabilities: Mapping[ModelRun, FloatArray]) -> FloatArray:
    """Return the lesser of the runs' probabilities, (rows, cols), as `geo.raster.classify` does."""
    each = [1 - layer if run.negated else layer for run, layer in probabilities.items()]
    lesser: FloatArray = np.minimum.reduce(each)
    return lesser


def _runs_by_phase(polygon: ExplainedPolygon) -> tuple[ModelRun, ...]:
    name = polygon.model.card.inputs[0].name
    negated = {Phase.AFTER: False, Phase.BEFORE: True}
    if polygon.probability is PublishedProbability.WATER_BEFORE:
        negated = {Phase.BEFORE: False}
    return tuple(
        ModelRun(image.name, {name: image.name}, 0, layer, negated[image.phase])
        for layer, image in enumerate(polygon.reader.inputs)
        if image.phase in negated
    )


def _runs_of_all(polygon: ExplainedPolygon) -> tuple[ModelRun, ...]:
    before = polygon.probability is PublishedProbability.WATER_BEFORE
    images = {image.name: image.name for image in polygon.reader.inputs}
    return tuple(
        ModelRun("all", images, output=index, layer=index)
        for index, finding in enumerate(polygon.model.card.class_names)
        if (finding is Finding.REFERENCE_WATER) is before
    )


def _shifted(rows: slice, cols: slice, top: int, left: int) -> Rectangle:
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)
