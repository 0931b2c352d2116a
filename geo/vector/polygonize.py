"""Classes to polygons, from the pixels of a raster to lon-lat.

Traced on the pixel edges, simplified as one coverage (neighbours keep a common edge), then
brought to the lon-lat coordinates that are published.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import shapely
from affine import Affine
from odc.geo.crs import CRS
from pyproj import Transformer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo.errors import AreaInvalid
from geo.types import CodeArray, Float64Array, IntArray, ObjectArray
from geo.vector._tracer import Traced, Tracer
from geo.vector.area_files import cut, polygons_only

__all__ = ["Traced", "area_ha", "simplify", "to_lonlat", "to_shapely", "trace"]

_log = logging.getLogger(__name__)

_BATCH = 250
"""Polygons to simplify at once: the time of GEOS 3.14 grows faster than their number."""
_LONGEST_EDGE_M = 500.0
"""A straight edge of this length in UTM leaves the straight line in lon-lat by about 1 cm."""
_LONGEST_EDGE_DEG = 0.1
"""A straight edge of this length in lon-lat is one in an equal-area projection, to 1e-6."""


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


def to_shapely(traced: Traced, transform: Affine) -> ObjectArray:
    """Return the polygons in the CRS of a grid.

    Args:
        transform: of the grid, from (column, row) to its CRS; may rotate.
    """
    col, row = traced.coords.T
    # Term by term: a matrix product may round the same corner in two ways, and part neighbours.
    x = transform.a * col + transform.b * row + transform.c
    y = transform.d * col + transform.e * row + transform.f
    polygons: ObjectArray = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        np.column_stack([x, y]),
        (traced.ring_offsets, traced.polygon_offsets),
    )
    return polygons


def simplify(polygons: ObjectArray, *, tolerance_m: float) -> ObjectArray:
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


def _groups(polygons: ObjectArray) -> IntArray:
    """Number the groups of polygons whose bounding boxes meet, directly or through others.

    A simplified polygon stays in its box, so polygons of two groups never meet.
    """
    one, other = shapely.STRtree(polygons).query(polygons)
    shape = (len(polygons), len(polygons))
    meet = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=shape)
    return connected_components(meet, directed=False)[1].astype(np.int64)


def _batches(groups: IntArray) -> Iterable[IntArray]:
    """Return the indices of the polygons in batches of whole groups."""
    ends = np.cumsum(np.bincount(groups))
    batch_of = (ends // _BATCH)[groups]
    order = np.argsort(batch_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(batch_of[order])) + 1)


def to_lonlat(polygons: ObjectArray, crs: CRS | str, *, decimals: int = 7) -> ObjectArray:
    """Return the polygons in lon-lat WGS 84, ready for GeoJSON (RFC 7946).

    Exteriors run counter-clockwise; a polygon across the antimeridian becomes a
    MultiPolygon, cut there; coordinates are rounded, and valid after that. A polygon too
    small for the decimals keeps its unrounded coordinates.

    Args:
        polygons: valid, in `crs`.
        crs: projected, in metres.
        decimals: of a degree; 7 is about 1 cm.

    Raises:
        AreaInvalid: where a polygon holds a pole.
    """
    dense = _densified(polygons, _LONGEST_EDGE_M)
    lonlat = _cut(_project(dense, crs, to="EPSG:4326"))
    oriented: ObjectArray = shapely.orient_polygons(_rounded(lonlat, decimals))
    return oriented


def area_ha(polygons: ObjectArray) -> Float64Array:
    """Return the areas in hectares, on the WGS 84 ellipsoid.

    Measured in the cylindrical equal-area projection EPSG:6933 (Snyder, USGS Professional
    Paper 1395, section 10), where an area does not depend on which polygons come with it.

    Args:
        polygons: Polygons or MultiPolygons, lon-lat WGS 84.
    """
    dense = _densified(polygons, _LONGEST_EDGE_DEG)
    area_m2: Float64Array = shapely.area(_project(dense, "EPSG:4326", to="EPSG:6933"))
    return area_m2 / 1e4


def _densified(polygons: ObjectArray, longest: float) -> ObjectArray:
    """Return the polygons with no edge longer than that; most have none and are not touched."""
    parts, of_part = shapely.get_parts(polygons, return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    coords, of_vertex = shapely.get_coordinates(rings, return_index=True)
    length = np.hypot(*np.diff(coords, axis=0).T)
    ends = of_vertex[1:][(length >= longest) & (of_vertex[1:] == of_vertex[:-1])]
    long = np.unique(of_part[of_ring[ends]])
    dense = polygons.copy()
    dense[long] = shapely.segmentize(polygons[long], longest)
    return dense


def _project(polygons: ObjectArray, crs: CRS | str, *, to: str) -> ObjectArray:
    """Return the polygons in another CRS; x is east or longitude in both."""
    transformer = Transformer.from_crs(crs, to, always_xy=True)

    def project(coords: Float64Array) -> Float64Array:
        x, y = coords.T
        return np.column_stack(transformer.transform(x, y, errcheck=True))

    projected: ObjectArray = shapely.transform(polygons, project)
    return projected


def _cut(lonlat: ObjectArray) -> ObjectArray:
    """Cut at the antimeridian what is on both sides of it; from 0 to 360 it is in one piece."""
    west, _, east, _ = shapely.bounds(lonlat).T
    result = lonlat.copy()
    for i in np.flatnonzero(east - west > 180):
        eastward = shapely.transform(lonlat[i], lambda c: np.column_stack([c[:, 0] % 360, c[:, 1]]))
        if eastward.bounds[2] - eastward.bounds[0] > 180:
            raise AreaInvalid(
                "a polygon spans more than 180 degrees of longitude both ways, so it holds a "
                "pole; maps are made up to the poles and not across: make the area smaller"
            )
        result[i] = cut(eastward)
    return result


def _rounded(lonlat: ObjectArray, decimals: int) -> ObjectArray:
    """Return valid polygons with rounded coordinates."""

    def to_grid(degrees: Float64Array) -> Float64Array:
        return np.asarray(np.round(degrees, decimals) + 0.0)  # which makes 0.0 of -0.0

    rounded: ObjectArray = shapely.transform(lonlat, to_grid)
    invalid = np.flatnonzero(~shapely.is_valid(rounded))
    for i in invalid:
        repaired = shapely.make_valid(lonlat[i], method="structure", keep_collapsed=False)
        snapped = polygons_only(shapely.set_precision(repaired, 10.0**-decimals))
        # Back to the floating precision, which all others have.
        rounded[i] = lonlat[i] if snapped.is_empty else shapely.set_precision(snapped, 0)
    return rounded
