"""Buildings on a grid as outlines in pixels, and the pair of images that a grader compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.features import rasterize

from geo.imagery.mosaic import SceneMosaic
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Preference
from geo.types import Float64Array, Int32Array, IntArray, ObjectArray
from models.cards.card import ModelCard
from models.cards.suitability import available, require_fit
from models.inference.scene_inputs import CoverageOnly, scene_inputs_of


@dataclass(frozen=True, eq=False)
class Buildings:
    """Outlines of buildings in the pixels of a grid."""

    outlines: ObjectArray
    """(buildings,) Polygon or MultiPolygon; x is the column, y the row."""

    @classmethod
    def on(cls, geobox: GeoBox, lonlat: ObjectArray) -> Self:
        """Return the buildings of lon-lat outlines on a grid."""
        project = Transformer.from_crs("EPSG:4326", crs_of(geobox), always_xy=True).transform
        to_pixel = ~geobox.affine

        def placed(points: Float64Array) -> Float64Array:
            x, y = project(*points.T)
            return np.column_stack(to_pixel @ (x, y))

        return cls(shapely.transform(lonlat, placed))

    def __len__(self) -> int:
        return len(self.outlines)

    @cached_property
    def bounds(self) -> Float64Array:
        """(buildings, 4): first column, first row, last column, last row."""
        return np.asarray(shapely.bounds(self.outlines))

    @cached_property
    def middles(self) -> Float64Array:
        """(buildings, 2): row and column of the middle of the bounds."""
        left, top, right, bottom = self.bounds.T
        return np.column_stack([(top + bottom) / 2, (left + right) / 2])

    @cached_property
    def inner(self) -> Float64Array:
        """(buildings, 2): row and column of a point inside each."""
        points = shapely.point_on_surface(self.outlines)
        return np.column_stack([shapely.get_y(points), shapely.get_x(points)])

    @cached_property
    def sides(self) -> Float64Array:
        """(buildings,), the longer side of the bounds, pixels."""
        left, top, right, bottom = self.bounds.T
        return np.asarray(np.maximum(right - left, bottom - top))

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.outlines)

    def moved(self, shifts: Float64Array) -> "Buildings":
        """Return the buildings, each moved by (down, right) pixels, (buildings, 2)."""
        each = np.repeat(shifts[:, ::-1], shapely.get_num_coordinates(self.outlines), axis=0)
        return Buildings(shapely.transform(self.outlines, lambda points: points + each))

    def within(self, slices: tuple[slice, slice]) -> IntArray:
        """Return which buildings meet a window, ascending."""
        rows, cols = slices
        box = shapely.box(cols.start, rows.start, cols.stop, rows.stop)
        return np.sort(self._tree.query(box, predicate="intersects"))

    def drawn(self, slices: tuple[slice, slice], which: IntArray | None = None) -> Int32Array:
        """Return numbers of buildings, (rows, cols): 0 none, k the k-th of `which` (None: of all).

        A pixel is of a building where its centre lies in it; of two that overlap the later.
        """
        rows, cols = slices
        shape = rows.stop - rows.start, cols.stop - cols.start
        chosen = self.within(slices) if which is None else which
        if not len(chosen):
            return np.zeros(shape, np.int32)
        numbered = ((self.outlines[index], number) for number, index in enumerate(chosen, 1))
        drawn: Int32Array = rasterize(
            numbered, shape, transform=Affine.translation(cols.start, rows.start), dtype="int32"
        )
        return drawn


@dataclass(frozen=True)
class Pair:
    """All scenes before, and all after, each read as one image; and which pixels both saw."""

    before: SceneMosaic
    after: SceneMosaic
    coverage: CoverageOnly


def pair_of(card: ModelCard, scenes: Sequence[Scene], preference: Preference) -> Pair:
    """Return the pair that a card reads among scenes; raise InputsMismatch where there is none."""
    require_fit(card, [available(scene) for scene in scenes])
    readings = scene_inputs_of(card, scenes, preference)
    mosaics = {reading.phase: reading.mosaic for reading in readings}
    return Pair(mosaics[Phase.BEFORE], mosaics[Phase.AFTER], CoverageOnly(readings, compares=True))
