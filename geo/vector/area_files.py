"""Areas as users give them, checked before a geometry library reads them; the antimeridian.

GEOS can crash on NaN (shapely#1483). The package `antimeridian` 0.4.9 fails on a hole across 180
degrees, and misreads what is wider than 180 degrees.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from geo.errors import AreaInvalid
from geo.types import Float64Array

Polygonal: TypeAlias = Polygon | MultiPolygon


def unwrap(ring: Float64Array) -> Float64Array:
    """Return the ring with continuous longitudes: an edge over 180 degrees goes the short way.

    Left as they are: a ring that lies on the antimeridian, and one over more than 90 degrees of
    latitude (the whole Earth). Around a pole the ends are 360 degrees apart.
    """
    steps = np.diff(ring[:, 0])
    turns = np.where(np.abs(steps) > 180, -np.round(steps / 360), 0.0)
    lon = ring[:, 0] + 360 * np.concatenate([[0.0], np.cumsum(turns)])
    if np.ptp(lon) == 0 or np.ptp(ring[:, 1]) > 90:
        return ring
    return np.column_stack([lon, ring[:, 1]])


def cut(polygon: Polygonal) -> Polygonal:
    """Return a polygon of continuous longitudes as parts within -180 to 180 (RFC 7946, 3.1.9)."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return polygon
    parts = []
    for turn in range(int(np.floor((west + 180) / 360)), int(np.ceil((east - 180) / 360)) + 1):
        world = shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)
        parts.append(shift(polygons_only(polygon.intersection(world)), degrees=-360 * turn))
    return polygons_only(shapely.union_all(parts))


def join(polygon: Polygonal) -> Polygonal:
    """Return a polygon with continuous longitudes, up to 360, where that makes it narrower."""
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


MAX_BYTES = 5_000_000
MAX_VERTICES = 10_000

Rings: TypeAlias = tuple[Float64Array, ...]
"""Exterior ring, then holes, (vertices, 2) each: longitude and latitude in degrees, WGS 84."""
Pair: TypeAlias = tuple[float, float]
"""Longitude and latitude, degrees."""

_FORMS = (
    "a GeoJSON Polygon, MultiPolygon, Feature or FeatureCollection, "
    'a box "west,south,east,north", or the path of a .geojson or .json file'
)
# CRS84, or EPSG:4326 as older GeoJSON writers name it.
_LONLAT = re.compile(r"(crs:?84|(^|[:/])4326)$", re.IGNORECASE)


def read_polygons(value: object) -> list[Rings]:
    """Return the polygons of an area as the user gives it; rings may still cross themselves.

    They are closed and finite, of at least four vertices, and continuous in longitude.
    """
    match value:
        case Path():
            return _from_json(_read(value))
        case str():
            return _from_text(value.strip("\ufeff \t\r\n"))
        case Mapping():
            return _from_mapping(value)
        case list() | tuple():
            return [_box(value)]
    raise AreaInvalid(f"an area cannot be of type {type(value).__name__}; give {_FORMS}")


def _from_text(text: str) -> list[Rings]:
    if text.startswith(("{", "[")):
        return _from_json(text.encode("utf-8", "replace"))
    try:
        return [_box([float(part) for part in text.split(",")])]
    except ValueError:
        pass
    if text.lower().endswith((".geojson", ".json")):
        return _from_json(_read(Path(text)))
    raise AreaInvalid(f"{text[:60]!r} is not an area; give {_FORMS}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AreaInvalid(f"the area file {str(path)[:200]!r} cannot be read: {reason}") from error


def _from_json(data: bytes) -> list[Rings]:
    if len(data) > MAX_BYTES:
        raise AreaInvalid(
            f"the area is a text of more than {MAX_BYTES // 1_000_000} MB; simplify its outline"
        )
    try:
        # Integers as floats: one of a thousand digits becomes infinite, and is refused below.
        value = json.loads(data.decode("utf-8-sig"), parse_int=float)
    except RecursionError as error:
        raise AreaInvalid(f"the area is nested too deep for GeoJSON; give {_FORMS}") from error
    except ValueError as error:
        raise AreaInvalid(f"the area is not JSON: {error}; give {_FORMS}") from error
    return [_box(value)] if isinstance(value, list) else _from_mapping(value)


def _box(values: Sequence[object]) -> Rings:
    """Return the ring of a box; where west is more than east it crosses the antimeridian."""
    if len(values) != 4:
        raise AreaInvalid(
            f"a box has 4 numbers, west,south,east,north in degrees; {len(values)} were given"
        )
    west, south, east, north = (_number(value) for value in values)
    _check_pairs([(west, south), (east, north)])
    if south > north:
        raise AreaInvalid(
            f"the box has south {south:g} above north {north:g}; "
            "give it as west,south,east,north in degrees"
        )
    east += 360 if west > east else 0
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return (np.array(ring, dtype=np.float64),)


def _from_mapping(value: object) -> list[Rings]:
    polygons = [rings for geometry in _geometries(value) for rings in _polygons(geometry)]
    if not polygons:
        raise AreaInvalid("the area holds no polygon; draw at least one")
    vertices = sum(len(_sequence(ring, "ring")) for rings in polygons for ring in rings)
    if vertices > MAX_VERTICES:
        raise AreaInvalid(
            f"the area has {vertices:,} vertices, at most {MAX_VERTICES:,} are read; "
            "simplify its outline"
        )
    return [_rings(rings) for rings in polygons]


def _geometries(value: object) -> list[Mapping[str, Any]]:
    item = _object(value, "area")
    if item.get("type") == "FeatureCollection":
        features = _sequence(item.get("features"), "FeatureCollection")
    elif item.get("type") == "Feature":
        features = [item]
    else:
        return [item]
    objects = [_object(feature, "feature") for feature in features]
    return [_object(feature.get("geometry"), "feature's geometry") for feature in objects]


def _object(value: object, name: str) -> Mapping[str, Any]:
    """Return a JSON object whose `crs` member, if any, says longitude and latitude."""
    if not isinstance(value, Mapping):
        raise AreaInvalid(f"the {name} is a {type(value).__name__}, not an object; give {_FORMS}")
    crs = value.get("crs")
    named = crs.get("properties") if isinstance(crs, Mapping) else crs
    name = str(named.get("name") if isinstance(named, Mapping) else named)[:80]
    if crs is not None and not _LONLAT.search(name):
        raise AreaInvalid(
            f"the area's coordinates are in {name}, and GeoJSON is in longitude and latitude "
            "(WGS 84); reproject it to EPSG:4326"
        )
    return value


def _polygons(geometry: Mapping[str, Any]) -> list[Sequence[Any]]:
    kind, coordinates = str(geometry.get("type"))[:40], geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise AreaInvalid(
            f"an area is made of polygons, and a geometry of it is of type {kind}; "
            "draw its outline as a polygon"
        )
    many = _sequence(coordinates, kind) if kind == "MultiPolygon" else [coordinates]
    return [_sequence(rings, "Polygon") for rings in many if _sequence(rings, "Polygon")]


def _rings(rings: Sequence[Any]) -> Rings:
    """Return the rings of a polygon, its holes on the same turn of longitude as its exterior."""
    exterior, *holes = (_ring(ring) for ring in rings)
    middle, *others = (ring[:, 0].min() / 2 + ring[:, 0].max() / 2 for ring in (exterior, *holes))
    turns = [np.round((middle - other) / 360) for other in others]
    return exterior, *(np.add(h, (360 * t, 0.0)) for h, t in zip(holes, turns, strict=True))


def _ring(positions: Sequence[Any]) -> Float64Array:
    pairs = [_pair(position) for position in positions]
    _check_pairs(pairs)
    if len(pairs) < 4:
        raise AreaInvalid(
            f"a ring of the area has {len(pairs)} positions, and the smallest one, a triangle, "
            "has 4 with its first repeated; add the missing corners"
        )
    if pairs[0] != pairs[-1]:
        raise AreaInvalid(
            f"a ring of the area is not closed: it starts at {_text(pairs[0])} and ends at "
            f"{_text(pairs[-1])}; repeat its first position at its end"
        )
    ring = unwrap(np.array(pairs, dtype=np.float64))
    if abs(ring[0, 0] - ring[-1, 0]) > 180:
        raise AreaInvalid(
            "the area goes around a pole, where longitude and latitude draw no outline; "
            'give it as a box, like "-180,88,180,90"'
        )
    return ring


def _pair(position: object) -> Pair:
    values = _sequence(position, "position")
    if len(values) < 2:
        raise AreaInvalid(
            "a position of the area has fewer than 2 numbers; give longitude, latitude"
        )
    return _number(values[0]), _number(values[1])


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AreaInvalid(
            f"a coordinate of the area is of type {type(value).__name__}; give numbers, in degrees"
        )
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _check_pairs(pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        lon, lat = pair
        if not (math.isfinite(lon) and math.isfinite(lat)):
            raise AreaInvalid(f"the area has the position {_text(pair)}; give finite degrees")
        if max(abs(lon), abs(lat)) > 360:
            raise AreaInvalid(
                f"the area's coordinates look projected, in metres: the first is {_text(pair)}; "
                "give longitude and latitude in degrees (EPSG:4326)"
            )
        if abs(lat) > 90:
            swapped = f", {_text((lat, lon))}" if abs(lon) <= 90 else ""
            raise AreaInvalid(
                f"the area has the position {_text(pair)}, a latitude beyond 90"
                f"{': longitude and latitude look swapped' if swapped else ''}; give degrees, "
                f"longitude first{swapped}"
            )


def _text(pair: Pair) -> str:
    return f"({pair[0]:.10g}, {pair[1]:.10g})"


def _sequence(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise AreaInvalid(
            f"the area has a {name} that is a {type(value).__name__}, not a list; "
            "see RFC 7946, section 3.1, for its form"
        )
    return value
