"""Polygons from a projected CRS to the lon-lat coordinates that are published."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.crs import CRS
from pyproj import Transformer

from geo._traced import PolygonArray
from geo.antimeridian import cut, polygons_only
from geo.errors import AreaInvalid

Coords: TypeAlias = npt.NDArray[np.float64]
"""(vertices, 2)"""

_LONGEST_EDGE_M = 500.0
"""A straight edge of this length in UTM leaves the straight line in lon-lat by about 1 cm."""
_LONGEST_EDGE_DEG = 0.1
"""A straight edge of this length in lon-lat is one in an equal-area projection, to 1e-6."""


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
    dense = _densified(polygons, _LONGEST_EDGE_M)
    lonlat = _cut(_project(dense, crs, to="EPSG:4326"))
    oriented: PolygonArray = shapely.orient_polygons(_rounded(lonlat, decimals))
    return oriented


def area_ha(polygons: PolygonArray) -> npt.NDArray[np.float64]:
    """Return the areas in hectares, on the WGS 84 ellipsoid.

    Measured in the cylindrical equal-area projection EPSG:6933 (Snyder, USGS Professional
    Paper 1395, section 10), where an area does not depend on which polygons come with it.

    Args:
        polygons: Polygons or MultiPolygons, lon-lat WGS 84.
    """
    dense = _densified(polygons, _LONGEST_EDGE_DEG)
    area_m2: npt.NDArray[np.float64] = shapely.area(_project(dense, "EPSG:4326", to="EPSG:6933"))
    return area_m2 / 1e4


def _densified(polygons: PolygonArray, longest: float) -> PolygonArray:
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


def _project(polygons: PolygonArray, crs: CRS | str, *, to: str) -> PolygonArray:
    """Return the polygons in another CRS; x is east or longitude in both."""
    transformer = Transformer.from_crs(crs, to, always_xy=True)

    def project(coords: Coords) -> Coords:
        x, y = coords.T
        return np.column_stack(transformer.transform(x, y, errcheck=True))

    projected: PolygonArray = shapely.transform(polygons, project)
    return projected


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
