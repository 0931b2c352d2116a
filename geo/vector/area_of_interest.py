"""The area of interest: parse, check, measure, cut."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import shapely
from pyproj import CRS, Geod, Transformer
from shapely.geometry import Polygon

from geo.errors import AreaInvalid
from geo.vector.area_files import Polygonal, Rings, cut, join, polygons_only, read_polygons, wrap

MAX_AREA_KM2 = 250_000.0
"""About six Sentinel-1 scenes of 250 km x 170 km; at 10 m, 2.5 billion pixels."""
MAX_REACH_KM = 1_500.0
"""Farthest vertex from the centre: parts farther apart share no useful projected grid."""

AreaLike: TypeAlias = Mapping[str, Any] | str | Path | Sequence[float]

_GEOD = Geod(ellps="WGS84")
_EDGE_DEG = 0.05
"""Edges are cut into pieces of this length before they are projected. The arc of a parallel
leaves its chord by at most R (0.05 deg)^2 / 16 = 0.3 m."""


@dataclass(frozen=True)
class AreaOfInterest:
    """The polygon of a request; edges are straight in longitude and latitude (RFC 7946, 3.1.1)."""

    geometry: Polygonal
    """Lon-lat WGS 84, valid, exteriors counter-clockwise, cut at the antimeridian."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north, degrees; RFC 7946, 5.2: west > east over the antimeridian."""
        west, south, east, north = self._continuous.bounds
        return wrap(west), south, wrap(east), north

    @cached_property
    def area_km2(self) -> float:
        """Area on the WGS 84 ellipsoid."""
        parts = [shapely.segmentize(part, _EDGE_DEG) for part in _quarters(self._continuous)]
        return sum(_GEOD.geometry_area_perimeter(_ccw(part))[0] for part in parts) / 1e6

    @property
    def centroid_lonlat(self) -> tuple[float, float]:
        """Centroid of the figure in longitude and latitude, longitude within -180 to 180."""
        centroid = self._continuous.centroid
        return wrap(centroid.x), centroid.y

    @property
    def utm_crs(self) -> str:
        """The local UTM zone as an EPSG code; UPS beyond 84 N and 80 S."""
        lon, lat = self.centroid_lonlat
        if lat > 84:
            return "EPSG:32661"
        if lat < -80:
            return "EPSG:32761"
        zone = min(int((lon + 180) // 6) + 1, 60)
        return f"EPSG:{32600 + zone if lat >= 0 else 32700 + zone}"

    @cached_property
    def canonical(self) -> str:
        """JSON text, the same for any order of vertices and rings; 9 decimals, 0.1 mm."""
        normal = shapely.normalize(shapely.remove_repeated_points(self.geometry))
        polygons = [_rounded(part) for part in shapely.get_parts(normal)]
        return json.dumps(
            {"type": "MultiPolygon", "coordinates": sorted(polygons)}, separators=(",", ":")
        )

    def projected(self, crs: str) -> Polygonal:
        """Return the area in a projected CRS, in one piece; edges to 0.5 m, vertices on 1 mm.

        Raises:
            AreaInvalid: where the CRS is not projected, or cannot express part of the area.
        """
        if not CRS(crs).is_projected:
            raise AreaInvalid(f"{crs} is not a projected CRS; give one, such as {self.utm_crs}")
        to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        edges = [shapely.segmentize(part, _EDGE_DEG) for part in _quarters(self._continuous)]
        parts = [
            shapely.transform(part, lambda lonlat: np.column_stack(to_crs.transform(*lonlat.T)))
            for part in edges
        ]
        if not all(np.isfinite(shapely.get_coordinates(part)).all() for part in parts):
            raise AreaInvalid(
                f"the area around {self._place()} cannot be drawn in {crs}; "
                f"give a CRS made for that place, such as {self.utm_crs}"
            )
        metre = CRS(crs).axis_info[0].unit_conversion_factor
        return polygons_only(shapely.union_all(parts, grid_size=0.001 / metre))

    def _place(self) -> str:
        lon, lat = self.centroid_lonlat
        return f"longitude {lon:.4g}, latitude {lat:.4g}"

    @cached_property
    def _continuous(self) -> Polygonal:
        return join(self.geometry)


def parse_area(value: AreaLike) -> AreaOfInterest:
    """Return the area that a GeoJSON object or text, a box or a file describes.

    Args:
        value: a GeoJSON Polygon, MultiPolygon, Feature or FeatureCollection, whose polygons are
            united; a box as four numbers or "west,south,east,north", where west > east crosses the
            antimeridian; or the path of a .geojson or .json file. An edge over more than 180
            degrees goes the short way.

    Raises:
        AreaInvalid: with what is wrong and the cure.
    """
    polygons = [_polygon(rings) for rings in read_polygons(value)]
    try:
        united = shapely.union_all([cut(polygon) for polygon in polygons])
    except shapely.GEOSException as error:
        raise AreaInvalid(f"the polygons of the area cannot be united: {error}") from error
    area = AreaOfInterest(_ccw(united))
    _check_extent(area)
    return area


def swap_hint(area: AreaOfInterest, footprint: shapely.Geometry) -> str | None:
    """Return a sentence where an area misses a lon-lat footprint only by swapped coordinates."""
    swapped = shapely.transform(area.geometry, lambda lonlat: lonlat[:, ::-1])
    if area.geometry.intersects(footprint) or not swapped.intersects(footprint):
        return None
    lon, lat = area.centroid_lonlat
    return (
        f"the area lies around longitude {lon:.6g}, latitude {lat:.6g}, and meets the imagery "
        "with the two swapped; give longitude first"
    )


def _polygon(rings: Rings) -> Polygon:
    polygon = Polygon(rings[0], rings[1:])
    if polygon.convex_hull.area == 0:
        raise AreaInvalid("a polygon of the area has no area; give corners that enclose some land")
    reason = re.fullmatch(r"(.*)\[(\S+) (\S+)\]", shapely.is_valid_reason(polygon))
    if reason:
        raise AreaInvalid(
            f"the area's outline is not valid: {reason[1].lower()} at longitude {reason[2]}, "
            f"latitude {reason[3]}; draw it so that no edge crosses another"
        )
    return polygon


def _check_extent(area: AreaOfInterest) -> None:
    if area.area_km2 > MAX_AREA_KM2:
        raise AreaInvalid(
            f"the area has {area.area_km2:,.0f} km2, and at most {MAX_AREA_KM2:,.0f} km2 can be "
            "mapped at once; give a smaller one, or several"
        )
    if area.area_km2 < 1e-6:
        raise AreaInvalid(
            f"the area has {area.area_km2 * 1e6:.2g} m2, and the smallest that is mapped has 1 m2; "
            "draw a larger one"
        )
    centre = area.centroid_lonlat
    corners = shapely.get_coordinates(area.geometry)
    lons, lats = np.broadcast_to(centre, corners.shape).T
    reach_km = float(_GEOD.inv(lons, lats, *corners.T)[2].max()) / 1000
    if reach_km > MAX_REACH_KM:
        raise AreaInvalid(
            f"the area reaches {reach_km:,.0f} km from its centre, and at most "
            f"{MAX_REACH_KM:,.0f} km can be mapped at once; give its parts one by one"
        )


def _ccw(geometry: shapely.Geometry) -> Polygonal:
    """Return the polygons of a geometry, exteriors counter-clockwise and holes clockwise."""
    return polygons_only(shapely.orient_polygons(geometry))


def _quarters(polygon: Polygonal) -> list[Polygonal]:
    """Return slices of at most 90 degrees of longitude: a cap around a pole would touch itself."""
    west, south, east, north = polygon.bounds
    if east - west <= 90:
        return [polygon]
    edges = np.arange(west, east, 90)
    slices = [shapely.box(edge, south, edge + 90, north) for edge in edges]
    return [polygons_only(polygon.intersection(part)) for part in slices]


def _rounded(polygon: Polygon) -> list[list[list[float]]]:
    """Return the rings of a polygon as lists of positions, without negative zeros."""
    rings = [polygon.exterior, *polygon.interiors]
    return [(np.round(shapely.get_coordinates(ring), 9) + 0.0).tolist() for ring in rings]


def extent_text(geometries: Any) -> str:
    """Return the extent of one or several lon-lat geometries for a sentence."""
    west, south, east, north = shapely.total_bounds(geometries)
    return f"longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
