"""Classes to polygons, from the pixels of a raster to lon-lat.

Traced on the pixel edges, simplified as one coverage (neighbours keep a common edge), then
brought to the coordinates that are published.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import shapely
from affine import Affine
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo._lonlat import area_ha, to_lonlat
from geo._traced import IndexArray, PolygonArray, Traced
from geo._tracer import Tracer
from geo.raster import CodeArray

__all__ = [
    "PolygonArray",
    "Traced",
    "area_ha",
    "simplify",
    "to_lonlat",
    "to_shapely",
    "trace",
]

_log = logging.getLogger(__name__)

_BATCH = 250
"""Polygons to simplify at once: the time of GEOS 3.14 grows faster than their number."""


def trace(
    bands: Iterable[CodeArray],
    *,
    width: int,
    keep: Collection[int],
    min_pixels: Mapping[int, int] | None = None,
) -> Traced:
    """Trace the polygons of a class raster that comes as row bands from the top.

    Memory holds the polygons returned and those still open, never the raster: what is
    smaller than the minimum mapping unit is dropped while the scan goes on.

    Args:
        bands: (rows, width) uint8 each, of any number of rows.
        width: columns of the raster.
        keep: the values that become polygons, within 1 to 255; the others are background.
        min_pixels: by value, polygons of fewer pixels are left out; a value that is not
            named keeps all.

    Raises:
        GridMismatch: where a band is not uint8 or has another width.
        ValueError: where `keep` or `min_pixels` names a value outside 1 to 255.
    """
    tracer = Tracer(width, keep=keep, min_pixels=min_pixels or {})
    for band in bands:
        tracer.feed(band)
    return tracer.finish()


def to_shapely(traced: Traced, transform: Affine) -> PolygonArray:
    """Return the polygons in the CRS of a grid.

    Args:
        transform: of the grid, from (column, row) to its CRS; may rotate.
    """
    col, row = traced.coords.T
    # Term by term: a matrix product may round the same corner in two ways, and part neighbours.
    x = transform.a * col + transform.b * row + transform.c
    y = transform.d * col + transform.e * row + transform.f
    polygons: PolygonArray = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        np.column_stack([x, y]),
        (traced.ring_offsets, traced.polygon_offsets),
    )
    return polygons


def simplify(polygons: PolygonArray, *, tolerance_m: float) -> PolygonArray:
    """Simplify the edges of a coverage; neighbours keep a common edge.

    Where the library leaves a polygon invalid or empty, all polygons that it could meet
    keep their shape, and the log says how many.

    Args:
        polygons: an edge-matched coverage in metres, as `to_shapely` makes it.
        tolerance_m: corners of less than its square in area go (Visvalingam-Whyatt).
    """
    groups = _groups(polygons)
    simplified = np.empty_like(polygons)
    for batch in _batches(groups):
        simplified[batch] = shapely.coverage_simplify(polygons[batch], tolerance_m)
    broken = shapely.is_empty(simplified) | ~shapely.is_valid(simplified)
    if not broken.any():
        return simplified
    kept = np.isin(groups, groups[broken])
    _log.warning(
        "%d of %d polygons keep their unsimplified edges, because %d could not be simplified",
        kept.sum(), len(polygons), broken.sum(),
    )  # fmt: skip
    return np.where(kept, polygons, simplified)


def _groups(polygons: PolygonArray) -> IndexArray:
    """Number the groups of polygons whose bounding boxes meet, directly or through others.

    A simplified polygon stays in its box, so polygons of two groups never meet.
    """
    one, other = shapely.STRtree(polygons).query(polygons)
    shape = (len(polygons), len(polygons))
    meet = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=shape)
    return connected_components(meet, directed=False)[1].astype(np.int64)


def _batches(groups: IndexArray) -> Iterable[IndexArray]:
    """Return the indices of the polygons in batches of whole groups."""
    ends = np.cumsum(np.bincount(groups))
    batch_of = (ends // _BATCH)[groups]
    order = np.argsort(batch_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(batch_of[order])) + 1)
