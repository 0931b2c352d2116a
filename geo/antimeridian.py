"""Where longitude jumps from 180 to -180: unwrap rings, cut areas, join them again."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

Ring: TypeAlias = npt.NDArray[np.float64]
"""(vertices, 2), longitude and latitude in degrees, WGS 84; first vertex equals the last."""

Polygonal: TypeAlias = Polygon | MultiPolygon


def unwrap(ring: Ring) -> Ring:
    """Return the ring with continuous longitudes, which may lie beyond 180.

    An edge over more than 180 degrees of longitude is read as the short way, across the
    antimeridian. Two kinds of ring are left as they are, because the short way would make
    a sliver of them: one whose vertices all lie on the antimeridian, and one over more
    than 90 degrees of latitude, which is how the whole Earth is written.
    The ring does not close where it goes around a pole: its ends are then 360 degrees apart.
    """
    steps = np.diff(ring[:, 0])
    turns = np.where(np.abs(steps) > 180, -np.round(steps / 360), 0.0)
    lon = ring[:, 0] + 360 * np.concatenate([[0.0], np.cumsum(turns)])
    if np.ptp(lon) == 0 or np.ptp(ring[:, 1]) > 90:
        return ring
    return np.column_stack([lon, ring[:, 1]])


def cut(polygon: Polygonal) -> Polygonal:
    """Return a polygon of continuous longitudes as parts within -180 to 180.

    RFC 7946, section 3.1.9: no part of a geometry crosses the antimeridian.
    """
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return polygon
    parts = []
    for turn in range(int(np.floor((west + 180) / 360)), int(np.ceil((east - 180) / 360)) + 1):
        world = shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)
        parts.append(shift(polygons_only(polygon.intersection(world)), degrees=-360 * turn))
    return polygons_only(shapely.union_all(parts))


def join(polygon: Polygonal) -> Polygonal:
    """Return a polygon cut at the antimeridian with continuous longitudes, up to 360.

    It stays as it is where moving its western parts by 360 degrees makes it no narrower.
    """
    parts = list(shapely.get_parts(polygon))
    moved = [shift(part, degrees=360) if part.bounds[2] <= 0 else part for part in parts]
    if _width(moved) > _width(parts) - 1e-6:  # adding 360 rounds in the last digits
        return polygon
    # The two sides of a cut are computed apart: a grid of 0.1 mm closes what rounding opened.
    return polygons_only(shapely.union_all(moved, grid_size=1e-9))


def shift(polygon: Polygonal, *, degrees: float) -> Polygonal:
    """Return the polygon moved along the longitudes."""
    moved: Polygonal = shapely.transform(polygon, lambda lonlat: lonlat + np.array([degrees, 0.0]))
    return moved


def wrap(lon: float) -> float:
    """Return a longitude within -180 to 180; both ends stay."""
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


def polygons_only(geometry: shapely.Geometry) -> Polygonal:
    """Return the polygons of a geometry, without the lines and points of touching edges."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    polygons = [part for part in parts if isinstance(part, Polygon) and not part.is_empty]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)


def _width(parts: Sequence[shapely.Geometry]) -> float:
    west, _, east, _ = shapely.total_bounds(parts)
    return float(east - west)
