"""Areas of interest: what is accepted, how it is measured and cut, what is refused and why."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from geo.errors import AreaInvalid
from geo.vector.area_of_interest import AreaOfInterest, parse_area, swap_hint

RING = [[10.0, 45.0], [11.0, 45.0], [11.0, 46.0], [10.0, 46.0], [10.0, 45.0]]
FIJI = (178.0, -19.0, -178.0, -16.0)

quick = settings(max_examples=50, deadline=None)
position_degrees = st.floats(-180, 180).map(lambda value: round(value, 6))


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def ellipsoidal_box_km2(*, width_deg: float, south: float, north: float) -> float:
    """Area between two parallels: Snyder 1987, Map Projections, equation 3-12."""
    a, e = 6378.137, math.sqrt(0.00669437999014)

    def q(lat: float) -> float:
        s = e * math.sin(math.radians(lat))
        return (1 - e * e) * (s / e / (1 - s * s) + math.atanh(s) / e)

    return math.radians(width_deg) * a * a / 2 * (q(north) - q(south))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """West, south, east, north anywhere on the Earth, many at the antimeridian and the poles."""
    width, height = (draw(st.floats(0.01, 3).map(lambda v: round(v, 4))) for _ in range(2))
    west = draw(st.floats(-180, 179.99) | st.floats(177, 179.99) | st.just(-180.0))
    south = draw(st.floats(-90, 87) | st.sampled_from([-90.0, 90 - height, -height / 2]))
    return round(west, 4), round(south, 4), round(west, 4) + width, round(south, 4) + height


@st.composite
def stars(draw: st.DrawFn) -> list[tuple[float, float]]:
    """An open ring around a centre: valid, concave, sometimes across the antimeridian."""
    lon, lat = draw(st.floats(-180, 180)), draw(st.floats(-80, 80))
    radii = draw(st.lists(st.floats(0.05, 1), min_size=3, max_size=12))
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii)
    return [
        (round(lon + r * math.cos(t), 6), round(lat + r * math.sin(t), 6))
        for r, t in zip(radii, angles, strict=True)
    ]


@given(box=boxes())
@quick
def test_a_box_anywhere_is_measured_cut_and_projected(box: tuple[float, ...]) -> None:
    west, south, east, north = box
    area = parse_area([west, south, east - 360 if east > 180 else east, north])
    expected = ellipsoidal_box_km2(width_deg=east - west, south=south, north=north)
    assert area.area_km2 == pytest.approx(expected, rel=1e-5)
    assert area.geometry.is_valid
    assert all(part.exterior.is_ccw for part in shapely.get_parts(area.geometry))
    assert shapely.box(-180, -90, 180, 90).covers(area.geometry)
    assert (area.bounds[0] > area.bounds[2]) == (east > 180)
    assert area.bounds == pytest.approx((west, south, east - 360 * (east > 180), north), abs=1e-9)
    projected = area.projected(area.utm_crs)
    assert projected.is_valid and projected.geom_type == "Polygon"
    # The scale of UPS is 0.994 at the pole.
    assert projected.area / 1e6 == pytest.approx(expected, rel=0.02)


@given(ring=stars(), start=st.integers(0, 11), turn=st.sampled_from([-360, 0, 360]))
@quick
def test_the_order_of_vertices_and_the_turn_of_longitude_change_nothing(
    ring: list[tuple[float, float]], start: int, turn: int
) -> None:
    known = parse_area(polygon([*ring, ring[0]]))
    start %= len(ring)
    turned = [(lon + turn, lat) for lon, lat in ring[start:] + ring[:start]]
    assume(all(abs(lon) <= 360 for lon, _ in turned))
    for other in (turned, turned[::-1], [p for p in turned for _ in range(2)]):
        assert parse_area(polygon([*other, other[0]])).canonical == known.canonical


@given(ring=stars())
@quick
def test_the_area_is_that_of_an_equal_area_map(ring: list[tuple[float, float]]) -> None:
    area = parse_area(polygon([*ring, ring[0]]))
    assume(not (area.bounds[0] > area.bounds[2]))  # a cylindrical map is cut there
    assert area.projected("EPSG:6933").area / 1e6 == pytest.approx(area.area_km2, rel=1e-4)


def test_a_small_area_is_that_of_geographiclib() -> None:
    ring = [(0.0, 0.0), (0.01, 0.0), (0.01, 0.01), (0.0, 0.01)]
    m2, _ = Geod(ellps="WGS84").polygon_area_perimeter(*zip(*ring, strict=True))
    area = parse_area(polygon([*ring, ring[0]]))
    assert area.area_km2 == pytest.approx(m2 / 1e6, rel=1e-7)


@pytest.mark.parametrize(
    "value",
    [
        "178,-19,-178,-16",
        " 178.0, -19, -178e0, -16 ",
        [178, -19, 182, -16],
        polygon([[178, -19], [182, -19], [182, -16], [178, -16], [178, -19]]),
        polygon([[-182, -19], [-178, -19], [-178, -16], [-182, -16], [-182, -19]]),
        polygon([[178, -19], [178, -16], [-178, -16], [-178, -19], [178, -19]]),
        {
            "type": "MultiPolygon",
            "coordinates": [
                [[[178, -19], [180, -19], [180, -16], [178, -16], [178, -19]]],
                [[[-180, -19], [-178, -19], [-178, -16], [-180, -16], [-180, -19]]],
            ],
        },
    ],
)
def test_fiji_is_one_area_of_two_boxes(value: Any) -> None:
    area = parse_area(value)
    east, west = shapely.box(178, -19, 180, -16), shapely.box(-180, -19, -178, -16)
    assert area.geometry.equals(shapely.union_all([east, west]))
    assert area.canonical == parse_area(list(FIJI)).canonical
    assert area.bounds[0] > area.bounds[2]
    assert area.bounds == FIJI
    assert area.centroid_lonlat == pytest.approx((180, -17.5))
    assert area.utm_crs == "EPSG:32760"
    assert area.projected("EPSG:32760").geom_type == "Polygon"


def test_a_polygon_with_vertices_on_the_antimeridian_is_read_as_drawn() -> None:
    south = [[178, -20], [180, -20], [-180, -20], [-178, -20]]
    north = [[-178, -15], [-180, -15], [180, -15], [178, -15]]
    area = parse_area(polygon([*south, *north, south[0]]))
    assert area.bounds == (178, -20, -178, -15)


def test_islands_on_both_sides_of_the_antimeridian_are_near_each_other() -> None:
    parts = [
        list(shapely.box(*b).exterior.coords) for b in ((179, 0, 179.5, 1), (-179, 0, -178, 1))
    ]
    area = parse_area({"type": "MultiPolygon", "coordinates": [[part] for part in parts]})
    assert area.bounds == (179, 0, -178, 1)
    assert area.bounds[0] > area.bounds[2]


@pytest.mark.parametrize("side", [1, -1])
def test_a_polar_cap_is_a_disc_on_the_polar_map(side: int) -> None:
    south, north = sorted((side * 89.0, side * 90.0))
    area = parse_area([-180, south, 180, north])
    expected = ellipsoidal_box_km2(width_deg=360, south=south, north=north)
    assert area.area_km2 == pytest.approx(expected, rel=1e-5)
    assert area.utm_crs == ("EPSG:32661" if side > 0 else "EPSG:32761")
    disc = area.projected(area.utm_crs)
    assert disc.is_valid and disc.geom_type == "Polygon" and not disc.interiors
    assert disc.area / 1e6 == pytest.approx(expected * 0.994**2, rel=1e-3)


def test_a_hole_stays_a_hole_across_the_antimeridian() -> None:
    hole = [[-179.5, 1], [-179.5, 2], [-179.0, 2], [-179.0, 1], [-179.5, 1]]
    outer = [[179, 0], [-178, 0], [-178, 3], [179, 3], [179, 0]]
    area = parse_area(polygon(outer, hole))
    solid = parse_area(polygon(outer)).area_km2
    missing = ellipsoidal_box_km2(width_deg=0.5, south=1, north=2)
    assert solid - area.area_km2 == pytest.approx(missing, rel=1e-4)


@pytest.mark.parametrize("lat", [0, 45, 60, 78])
def test_projected_edges_follow_the_parallel_to_less_than_a_metre(lat: float) -> None:
    area = parse_area([12, lat, 16, lat + 1])
    lons = np.linspace(12, 16, 5000)
    to_utm = Transformer.from_crs("EPSG:4326", area.utm_crs, always_xy=True)
    parallel = shapely.points(*to_utm.transform(lons, np.full_like(lons, lat + 1)))
    assert shapely.distance(area.projected(area.utm_crs).exterior, parallel).max() < 1


@pytest.mark.parametrize(
    ("lonlat", "crs"),
    [
        ((15, 50), "EPSG:32633"),
        ((-0.1, -20), "EPSG:32730"),
        ((179.9, 10), "EPSG:32660"),
        ((-179.9, 10), "EPSG:32601"),
        ((30, 84.6), "EPSG:32661"),
        ((30, -80.6), "EPSG:32761"),
    ],
)
def test_the_local_zone(lonlat: tuple[float, float], crs: str) -> None:
    lon, lat = lonlat
    assert parse_area([lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05]).utm_crs == crs


def test_a_place_that_a_crs_cannot_express_is_named() -> None:
    with pytest.raises(AreaInvalid, match=r"longitude 102.*EPSG:32633.*EPSG:32648"):
        parse_area("102,0,103,1").projected("EPSG:32633")
    with pytest.raises(AreaInvalid, match=r"EPSG:4326 is not a projected CRS.*EPSG:32648"):
        parse_area("102,0,103,1").projected("EPSG:4326")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda g: g,
        lambda g: {"type": "Feature", "properties": {"a": "[[[{"}, "geometry": g},
        lambda g: {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": g}]},
        lambda g: {**g, "crs": {"type": "name", "properties": {"name": "EPSG:4326"}}},
        lambda g: {**g, "crs": {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}},
    ],
)
def test_every_form_of_geojson_reads_the_same(wrap: Any, tmp_path: Path) -> None:
    known = parse_area([10, 45, 11, 46])
    value = wrap(polygon(RING))
    path = tmp_path / "area.geojson"
    path.write_text("\ufeff" + json.dumps(value), encoding="utf-8")
    for form in (value, json.dumps(value), path, str(path)):
        assert parse_area(form) == known
    assert parse_area(shapely.geometry.mapping(known.geometry)) == known


def test_the_polygons_of_a_collection_are_united() -> None:
    squares = [polygon([[x, 0], [x + 2, 0], [x + 2, 2], [x, 2], [x, 0]]) for x in (0, 1)]
    features = [{"type": "Feature", "geometry": square} for square in squares]
    area = parse_area({"type": "FeatureCollection", "features": features})
    assert area.geometry.equals(shapely.box(0, 0, 3, 2))


REFUSED = {
    "nan": ("10,45,nan,46", "nan"),
    "infinite": ([10, 45, math.inf, 46], "inf"),
    "three numbers": ("10,45,11", "4 numbers"),
    "south above north": ("10,46,11,45", "south 46 above north 45"),
    "box of no width": ("10,45,10,46", "no area"),
    "one square millimetre": ("10,45,10.00000001,45.00000001", "1 m2"),
    "box in metres": ("500000,4649776,510000,4659776", r"projected.*\(500000, 4649776\)"),
    "box by latitude": ("-19,178,-16,179", r"\(-19, 178\).*swapped.*\(178, -19\)"),
    "latitude beyond": ("100,0,101,95", r"\(101, 95\), a latitude beyond 90"),
    "the whole Earth": ("-180,-90,180,90", "510,0.* km2.*250,000 km2"),
    "the whole Earth, nearly": (
        polygon([[-179.999, -89], [179.999, -89], [179.999, 89], [-179.999, 89], [-179.999, -89]]),
        "509,9.* km2.*250,000 km2",
    ),
    "ocean between": (
        {"type": "MultiPolygon", "coordinates": [[RING], [[[x + 100, y] for x, y in RING]]]},
        "from its centre.*1,500 km",
    ),
    "around the pole": (
        polygon([[-170, 80], [-60, 80], [60, 80], [170, 80], [-170, 80]]),
        "around a pole.*box",
    ),
    "bow tie": (
        polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]),
        "self-intersection at longitude 0.5, latitude 0.5",
    ),
    "hole outside": (
        polygon(RING, [[20, 1], [21, 1], [21, 2], [20, 1]]),
        "hole lies outside shell at longitude 2[01]",
    ),
    "line": (polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), "no area"),
    "open": (polygon(RING[:-1]), r"not closed.*\(10, 45\).*\(10, 46\).*repeat"),
    "two positions": (polygon([[0, 0], [1, 1], [0, 0]]), "3 positions.*4"),
    "point": ({"type": "Point", "coordinates": [1, 2]}, "type Point"),
    "line string": ({"type": "LineString", "coordinates": [[1, 2], [2, 3]]}, "type LineString"),
    "no polygon": ({"type": "FeatureCollection", "features": []}, "no polygon"),
    "no geometry": ({"type": "Feature", "geometry": None}, "geometry"),
    "empty": ({}, "polygons"),
    "strings": (polygon([["10", "45"], *RING[1:]]), "type str"),
    "bare numbers": (polygon([1, 2, 3, 4]), "position that is a int"),
    "one number": (polygon([[1], [2], [3], [1]]), "fewer than 2"),
    "huge integer": (polygon([[10**400, 45], *RING[1:]]), "inf"),
    "another crs": (
        {**polygon(RING), "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}},
        "EPSG::32633.*reproject",
    ),
    "many vertices": (polygon([[0.0, 0.0]] * 10_001), "10,001 vertices.*10,000"),
    "not json": ('{"type": ', "not JSON"),
    "not an area": ("Valencia", "'Valencia' is not an area"),
    "no such file": ("nowhere/area.geojson", "No such file"),
    "null byte": ("area\0.json", "cannot be read"),
    "nothing": ("", "not an area"),
    "none": (None, "NoneType"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_an_area_is_refused_in_a_sentence(name: str) -> None:
    value, message = REFUSED[name]
    with pytest.raises(AreaInvalid, match=message) as caught:
        parse_area(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


BOMBS = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep and closed": "[" * 100_000 + "]" * 100_000,
    "ten million vertices": '{"type":"Polygon","coordinates":[[' + "[1,1]," * 10_000_000 + "]]}",
    "just under the size": '{"type":"Polygon","coordinates":[['
    + ",".join(["[1,1]"] * 800_000)
    + "]]}",
    "three million digits": '{"type":"Polygon","coordinates":[[[' + "1" * 3_000_000 + ",1]]]}",
    "unclosed string": '{"a":"' + '\\"' * 2_400_000,
    "quotes": "{" + '"' * 4_900_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly(name: str) -> None:
    started = time.process_time()
    with pytest.raises(AreaInvalid):
        parse_area(BOMBS[name])
    assert time.process_time() - started < 5


def test_a_file_is_read_up_to_the_size_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    with path.open("wb") as file:
        file.truncate(1 << 34)  # a hole of 16 GB
    with pytest.raises(AreaInvalid, match="more than 5 MB"):
        parse_area(path)


def parse_or_refuse(value: Any) -> None:
    """Fail by any exception but AreaInvalid."""
    try:
        assert isinstance(parse_area(value), AreaOfInterest)
    except AreaInvalid as error:
        assert str(error)


HOSTILE = st.sampled_from(
    [math.nan, math.inf, -math.inf, 1e300, 10**400, -0.0, 1e-320, "1", None, True, [], [1], {}]
)


@st.composite
def broken_polygons(draw: st.DrawFn) -> dict[str, Any]:
    """A good ring with one to three things done to it."""
    ring: list[Any] = [list(pair) for pair in draw(stars())]
    ring.append(list(ring[0]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(ring) - 1)) if ring else 0
        match draw(st.integers(0, 6)):
            case 0:
                ring[at : at + 1] = [[draw(HOSTILE), draw(position_degrees)]]
            case 1:
                ring.insert(at, draw(HOSTILE))
            case 2:
                ring[at : at + 1] = []
            case 3:
                ring = [p[::-1] if isinstance(p, list) else p for p in ring]
            case 4:
                ring.insert(at, [draw(position_degrees), draw(position_degrees)])
            case 5:
                ring = [ring]
            case 6:
                ring = ring + ring
    return polygon(ring)


@given(value=broken_polygons())
@settings(max_examples=200, deadline=None)
def test_a_broken_polygon_is_an_area_or_refused(value: dict[str, Any]) -> None:
    parse_or_refuse(value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["type", "coordinates", "geometry", "features", "crs", "properties"]),
            inner | st.sampled_from(["Polygon", "MultiPolygon", "Feature", "FeatureCollection"]),
        )
    ),
    max_leaves=20,
)


@given(value=json_like)
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_area_or_refused(value: Any) -> None:
    parse_or_refuse(value)
    parse_or_refuse(json.dumps(value))


@given(at=st.integers(0, 120), text=st.text(max_size=4), length=st.integers(0, 4))
@quick
def test_a_damaged_text_is_an_area_or_refused(at: int, text: str, length: int) -> None:
    good = json.dumps(polygon(RING))
    parse_or_refuse(good[:at] + text + good[at + length :])


def test_swapped_coordinates_are_told_from_what_they_miss() -> None:
    footprint = shapely.box(44, 9, 46, 11)
    hint = swap_hint(parse_area("10,45,10.5,45.5"), footprint)
    assert hint is not None and "10.25" in hint and "longitude first" in hint
    assert swap_hint(parse_area("44.5,9.5,45,10"), footprint) is None
    assert swap_hint(parse_area("70,20,71,21"), footprint) is None
