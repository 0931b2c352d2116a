"""Classes to polygons, from the pixels of a raster to lon-lat.

Traced on the pixel edges, simplified as one coverage (neighbours keep a common edge), then
brought to the coordinates that are published.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.crs import CRS
from pyproj import Transformer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo._traced import IndexArray, Traced
from geo._tracer import Tracer
from geo.antimeridian import cut, polygons_only
from geo.errors import AreaInvalid
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

PolygonArray: TypeAlias = npt.NDArray[np.object_]
"""Shapely Polygons; MultiPolygons only where a docstring says so."""

Coords: TypeAlias = npt.NDArray[np.float64]
"""(vertices, 2)"""

_log = logging.getLogger(__name__)

_BATCH = 250
"""Polygons to simplify at once: the time of GEOS 3.14 grows faster than their number."""
_LONGEST_EDGE_M = 500.0
"""A straight edge of this length in UTM leaves the straight line in lon-lat by about 1 cm."""
_LONGEST_EDGE_DEG = 0.02


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


def to_lonlat(polygons: PolygonArray, crs: CRS | str, *, decimals: int = 7) -> PolygonArray:
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
    dense = shapely.segmentize(polygons, _LONGEST_EDGE_M)
    lonlat = _cut(_project(dense, crs, to="EPSG:4326"))
    oriented: PolygonArray = shapely.orient_polygons(_rounded(lonlat, decimals))
    return oriented


def area_ha(polygons: PolygonArray) -> npt.NDArray[np.float64]:
    """Return the areas in hectares, on the WGS 84 ellipsoid.

    Measured in the Lambert azimuthal equal-area projection around all of them (Snyder,
    USGS Professional Paper 1395, section 24).

    Args:
        polygons: Polygons or MultiPolygons, lon-lat WGS 84.
    """
    if not len(polygons):
        return np.zeros(0)
    lon, lat = np.radians(shapely.get_coordinates(polygons)).T
    # The mean of directions, because longitudes jump at the antimeridian.
    lon_0 = np.degrees(np.arctan2(np.sin(lon).mean(), np.cos(lon).mean()))
    laea = f"+proj=laea +lat_0={np.degrees(lat.mean())} +lon_0={lon_0} +datum=WGS84 +units=m"
    dense = shapely.segmentize(polygons, _LONGEST_EDGE_DEG)
    area_m2: npt.NDArray[np.float64] = shapely.area(_project(dense, "EPSG:4326", to=laea))
    return area_m2 / 1e4


def _project(polygons: PolygonArray, crs: CRS | str, *, to: str) -> PolygonArray:
    """Return the polygons in another CRS; x is east or longitude in both."""
    transformer = Transformer.from_crs(crs, to, always_xy=True)

    def project(coords: Coords) -> Coords:
        x, y = coords.T
        return np.column_stack(transformer.transform(x, y, errcheck=True))

    projected: PolygonArray = shapely.transform(polygons, project)
    return projected


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


def _cut(lonlat: PolygonArray) -> PolygonArray:
    """Cut at the antimeridian what lies on both sides of it."""
    west, _, east, _ = shapely.bounds(lonlat).T
    result = lonlat.copy()
    for i in np.flatnonzero(east - west > 180):
        eastward = shapely.transform(lonlat[i], _eastward)
        if eastward.bounds[2] - eastward.bounds[0] > 180:
            raise AreaInvalid(
                "a polygon spans more than 180 degrees of longitude both ways, so it holds a "
                "pole; maps are made up to the poles and not across: make the area smaller"
            )
        result[i] = cut(eastward)
    return result


def _eastward(lonlat: Coords) -> Coords:
    """Return longitudes from 0 to 360, which are continuous at the antimeridian."""
    return np.column_stack([lonlat[:, 0] % 360, lonlat[:, 1]])


def _rounded(lonlat: PolygonArray, decimals: int) -> PolygonArray:
    """Return valid polygons with rounded coordinates."""

    def to_grid(degrees: Coords) -> Coords:
        return np.asarray(np.round(degrees, decimals) + 0.0)  # which makes 0.0 of -0.0

    rounded: PolygonArray = shapely.transform(lonlat, to_grid)
    invalid = np.flatnonzero(~shapely.is_valid(rounded))
    for i in invalid:
        repaired = shapely.make_valid(lonlat[i], method="structure", keep_collapsed=False)
        snapped = polygons_only(shapely.set_precision(repaired, 10.0**-decimals))
        # Back to the floating precision, which all others have.
        rounded[i] = lonlat[i] if snapped.is_empty else shapely.set_precision(snapped, 0)
    return rounded
