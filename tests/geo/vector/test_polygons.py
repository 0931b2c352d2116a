"""Polygons against GDAL's, GEOS's checks, and the geodesics of PROJ."""

import logging
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import rasterio.features
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from scipy import ndimage

from geo.errors import AreaInvalid, GridMismatch
from geo.types import CodeArray, ObjectArray
from geo.vector import polygonize
from geo.vector.polygonize import (
    Traced,
    area_ha,
    simplify,
    to_lonlat,
    to_shapely,
    trace,
)

UTM_33 = Affine(10, 0, 500_000, 0, -10, 5_000_000)
properties = settings(max_examples=50, deadline=None)


@st.composite
def masks(draw: st.DrawFn, classes: tuple[int, ...] = (0, 1, 2, 3, 7)) -> CodeArray:
    """Return noise, or noise of larger pixels, of 1 to 40 pixels a side."""
    rows, cols = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    used = draw(st.integers(1, len(classes)))
    coarse = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    noise = rng.choice(np.array(classes[:used], np.uint8), (rows, cols))
    return np.kron(noise, np.ones((coarse, coarse), np.uint8))[:rows, :cols].copy()


@st.composite
def cuts(draw: st.DrawFn) -> list[int]:
    """Return heights of bands, to be used again and again."""
    return draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))


def bands(mask: CodeArray, heights: list[int]) -> Iterator[CodeArray]:
    row = turn = 0
    while row < len(mask):
        height = heights[turn % len(heights)]
        yield mask[row : row + height]
        row, turn = row + height, turn + 1


def traced_whole(mask: CodeArray, keep: tuple[int, ...] = (1, 2, 3, 7)) -> Traced:
    return trace([mask], width=mask.shape[1], keep=keep)


def in_pixels(traced: Traced) -> ObjectArray:
    return to_shapely(traced, Affine.identity())


def gdal_polygons(mask: CodeArray, keep: tuple[int, ...]) -> dict[int, tuple[int, shapely.Polygon]]:
    """Return value and polygon by first pixel."""
    found = {}
    for geometry, value in rasterio.features.shapes(mask, mask=np.isin(mask, keep), connectivity=4):
        exterior, *holes = geometry["coordinates"]
        polygon = shapely.Polygon(exterior, holes)
        col, row = min(polygon.exterior.coords, key=lambda xy: (xy[1], xy[0]))
        found[int(row) * mask.shape[1] + int(col)] = (int(value), polygon)
    return found


def assert_same(one: Traced, other: Traced) -> None:
    for name in Traced.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def blobs(side: int, *, seed: int = 0, scale: float = 2.0) -> CodeArray:
    """Return three classes, 0 to 2, in patches."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), scale)
    return np.digitize(field, np.quantile(field, [0.6, 0.85])).astype(np.uint8)


@properties
@given(masks(), cuts(), st.sampled_from([1, 1 << 17]), st.sets(st.sampled_from([1, 2, 3, 7])))
def test_trace_gives_the_polygons_of_gdal(
    mask: CodeArray, heights: list[int], room: int, keep: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygonize, "_ROOM", room)  # the smallest collects every other row
        traced = trace(bands(mask, heights), width=mask.shape[1], keep=keep)
    polygons = in_pixels(traced)
    expected = gdal_polygons(mask, tuple(keep))
    assert traced.first_pixel.tolist() == sorted(expected)
    assert traced.values.tolist() == [expected[pixel][0] for pixel in sorted(expected)]
    assert shapely.is_valid(polygons).all()
    assert shapely.equals(polygons, [expected[pixel][1] for pixel in sorted(expected)]).all()
    np.testing.assert_array_equal(traced.pixels, shapely.area(polygons))


@properties
@given(masks(), cuts())
def test_area_of_each_class_is_that_of_its_pixels(mask: CodeArray, heights: list[int]) -> None:
    traced = trace(bands(mask, heights), width=mask.shape[1], keep=(1, 2, 3, 7))
    area_m2 = shapely.area(to_shapely(traced, UTM_33))
    for value in (1, 2, 3, 7):
        expected = 100.0 * np.count_nonzero(mask == value)
        assert area_m2[traced.values == value].sum() == pytest.approx(expected, rel=1e-6)


@properties
@given(masks(), cuts(), st.sampled_from([1, 1 << 17]))
def test_bands_do_not_show(mask: CodeArray, heights: list[int], room: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygonize, "_ROOM", room)
        banded = trace(bands(mask, heights), width=mask.shape[1], keep=(1, 2, 3, 7))
    assert_same(banded, traced_whole(mask))


@properties
@given(masks(), cuts(), st.dictionaries(st.sampled_from([1, 2, 3, 7]), st.integers(1, 9)))
def test_small_polygons_are_left_out_by_class(
    mask: CodeArray, heights: list[int], smallest: dict[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygonize, "_ROOM", 1)
        traced = trace(
            bands(mask, heights), width=mask.shape[1], keep=(1, 2, 3, 7), min_pixels=smallest
        )
    whole = traced_whole(mask)
    least = np.array([smallest.get(int(value), 0) for value in whole.values], np.int64)
    assert_same(traced, whole.select(whole.pixels >= least))


@properties
@given(masks())
def test_neighbours_share_their_vertices(mask: CodeArray) -> None:
    polygons = in_pixels(traced_whole(mask))
    assert shapely.coverage_is_valid(polygons)
    assert shapely.union_all(polygons).area == np.count_nonzero(mask)


def test_a_corner_does_not_connect() -> None:
    traced = traced_whole(np.array([[1, 0], [0, 1]], np.uint8))
    assert traced.pixels.tolist() == [1, 1]
    assert traced.first_pixel.tolist() == [0, 3]


def test_a_ring_that_touches_itself_becomes_exterior_and_hole() -> None:
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)
    traced = traced_whole(mask)
    assert traced.pixels.tolist() == [7]
    (polygon,) = in_pixels(traced)
    assert polygon.is_valid
    assert [ring.envelope.bounds for ring in polygon.interiors] == [(1, 1, 2, 2)]


def test_holes_belong_to_the_polygon_around_them() -> None:
    mask = np.ones((9, 9), np.uint8)
    mask[1:8, 1:8] = 0
    mask[2:7, 2:7] = 1
    mask[4, 4] = 2
    traced = traced_whole(mask)
    assert traced.pixels.tolist() == [81 - 49, 25 - 1, 1]
    assert np.diff(traced.polygon_offsets).tolist() == [2, 2, 1]


def test_noise_below_the_minimum_takes_no_memory() -> None:
    def peak(rows: int) -> int:
        rng = np.random.default_rng(0)
        noise = (rng.choice([0, 1], (64, 64), p=[0.9, 0.1]).astype(np.uint8) for _ in range(rows))
        tracemalloc.start()
        trace(noise, width=64, keep=[1], min_pixels={1: 40})
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(1000) < 1.2 * peak(100)


def test_select_takes_masks_and_indices() -> None:
    traced = traced_whole(blobs(40))
    order = np.array([5, 2, 3])
    assert_same(traced.select(np.arange(len(traced)) < 4), traced.select(np.arange(4)))
    chosen = in_pixels(traced.select(order))
    assert shapely.equals_exact(chosen, in_pixels(traced)[order], tolerance=0).all()


@pytest.mark.parametrize("mask", [np.zeros((0, 5), np.uint8), np.zeros((3, 5), np.uint8)])
def test_no_class_gives_no_polygon(mask: CodeArray) -> None:
    traced = traced_whole(mask)
    assert len(traced) == 0
    polygons = simplify(to_shapely(traced, UTM_33), tolerance_m=10)
    assert len(to_lonlat(polygons, "EPSG:32633")) == 0
    assert len(area_ha(polygons)) == 0


@pytest.mark.parametrize(
    "band", [np.zeros((2, 4), np.uint8), np.zeros((2, 5), np.int16), np.zeros(5, np.uint8)]
)
def test_a_band_of_another_grid_is_refused(band: CodeArray) -> None:
    with pytest.raises(GridMismatch, match="uint8 of shape \\(rows, 5\\)"):
        trace([np.zeros((1, 5), np.uint8), band], width=5, keep=[1])


def test_background_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        trace([], width=5, keep=[0, 1])


@properties
@given(masks(), st.floats(0, 360), st.floats(0.05, 30))
def test_transforms_may_rotate(mask: CodeArray, degrees: float, size: float) -> None:
    along, across = size * np.cos(np.radians(degrees)), size * np.sin(np.radians(degrees))
    transform = Affine(along, across, 3e5, across, -along, 4e6)
    traced = traced_whole(mask)
    expected = [
        shapely.affinity.affine_transform(polygon, transform.to_shapely())
        for polygon in in_pixels(traced)
    ]
    polygons = to_shapely(traced, transform)
    assert shapely.equals_exact(polygons, expected, tolerance=1e-6).all()
    assert shapely.coverage_is_valid(polygons)


@properties
@given(masks(), st.sampled_from([3.0, 10.0, 25.0, 200.0]))
def test_simplified_polygons_stay_a_valid_coverage(mask: CodeArray, tolerance_m: float) -> None:
    polygons = to_shapely(traced_whole(mask), UTM_33)
    simplified = simplify(polygons, tolerance_m=tolerance_m)
    assert simplified.shape == polygons.shape
    assert shapely.is_valid(simplified).all()
    assert not shapely.is_empty(simplified).any()
    assert shapely.coverage_is_valid(simplified)


@properties
@given(masks(classes=(1, 2, 3, 7)), st.sampled_from([10.0, 25.0]))
def test_simplification_opens_no_gap(mask: CodeArray, tolerance_m: float) -> None:
    # The frame is of another class, so that no corner of the whole is a corner to cut.
    framed = np.pad(mask, 12, constant_values=9)
    polygons = to_shapely(traced_whole(framed, keep=(1, 2, 3, 7, 9)), UTM_33)
    simplified = simplify(polygons, tolerance_m=tolerance_m)
    assert shapely.area(simplified).sum() == pytest.approx(100.0 * framed.size, rel=1e-9)
    assert shapely.union_all(simplified).area == pytest.approx(100.0 * framed.size, rel=1e-9)


def test_simplification_removes_the_stairs() -> None:
    polygons = to_shapely(traced_whole(blobs(300, scale=4)), UTM_33)
    simplified = simplify(polygons, tolerance_m=15)
    assert shapely.get_num_coordinates(simplified).sum() < (
        0.5 * shapely.get_num_coordinates(polygons).sum()
    )
    assert shapely.area(simplified).sum() == pytest.approx(shapely.area(polygons).sum(), rel=0.02)


def test_simplification_in_batches_is_that_of_the_whole() -> None:
    polygons = to_shapely(traced_whole(blobs(400, scale=1.5)), UTM_33)
    assert len(polygons) > 1000
    whole = shapely.coverage_simplify(polygons, 15)
    assert shapely.equals_exact(simplify(polygons, tolerance_m=15), whole, tolerance=0).all()


@pytest.mark.parametrize("broken", ["POLYGON EMPTY", "POLYGON ((0 0, 9 9, 9 0, 0 9, 0 0))"])
def test_a_failed_simplification_keeps_the_shapes_around_it(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mask = np.zeros((20, 50), np.uint8)
    mask[2:18, 2:22] = 1 + blobs(20)[:16]
    mask[2:18, 30:48] = 1 + np.tri(16, 18, dtype=np.uint8)
    polygons = to_shapely(traced_whole(mask, keep=(1, 2, 3)), UTM_33)
    simplified = shapely.coverage_simplify(polygons, 15)
    broken_once = simplified.copy()
    broken_once[0] = shapely.from_wkt(broken)
    monkeypatch.setattr(shapely, "coverage_simplify", lambda *_: broken_once)
    with caplog.at_level(logging.WARNING):
        result = simplify(polygons, tolerance_m=15)
    left = shapely.bounds(polygons)[:, 2] < 500_250
    assert 0 < left.sum() < len(polygons)
    assert shapely.equals_exact(result, np.where(left, polygons, simplified), tolerance=0).all()
    assert shapely.coverage_is_valid(result)
    assert f"{left.sum()} of {len(polygons)} polygons keep" in caplog.text


def test_lonlat_is_rounded_and_runs_counter_clockwise() -> None:
    polygons = to_shapely(traced_whole(blobs(80)), UTM_33)
    lonlat = to_lonlat(polygons, "EPSG:32633")
    rings = shapely.get_rings(lonlat)
    exterior = np.concatenate([[True] + [False] * len(polygon.interiors) for polygon in lonlat])
    assert not exterior.all()
    np.testing.assert_array_equal(shapely.is_ccw(rings), exterior)
    degrees = shapely.get_coordinates(lonlat)
    np.testing.assert_array_equal(degrees, np.round(degrees, 7))
    assert shapely.coverage_is_valid(lonlat)
    back = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    metres = shapely.transform(lonlat, lambda xy: np.column_stack(back.transform(*xy.T)))
    assert shapely.hausdorff_distance(metres, polygons).max() < 0.01


def test_long_straight_edges_stay_where_they_are() -> None:
    square = np.array([shapely.box(650_000, 6_600_000, 750_000, 6_700_000)])
    (lonlat,) = to_lonlat(square, "EPSG:32633")
    to_wgs84 = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lon, lat = to_wgs84.transform(np.linspace(650_000, 750_000, 9999), np.full(9999, 6_700_000.0))
    metres_off = 111_000 * shapely.distance(lonlat.exterior, shapely.points(lon, lat))
    assert metres_off.max() < 0.02


@properties
@given(masks(), st.sampled_from([0.02, 0.3, 1.0]))
def test_rounding_to_more_than_a_pixel_leaves_valid_polygons(mask: CodeArray, size: float) -> None:
    polygons = to_shapely(traced_whole(mask), Affine(size, 0, 5e5, 0, -size, 5e6))
    lonlat = to_lonlat(polygons, "EPSG:32633", decimals=6)
    assert len(lonlat) == len(polygons)
    assert shapely.is_valid(lonlat).all()
    assert not shapely.is_empty(lonlat).any()
    assert np.isin(shapely.get_type_id(lonlat), [3, 6]).all()


def geodesic_ha(lonlat: ObjectArray) -> list[float]:
    geod = Geod(ellps="WGS84")
    return [geod.geometry_area_perimeter(polygon)[0] / 1e4 for polygon in lonlat]


def taveuni(mask: CodeArray) -> ObjectArray:
    """Return polygons on a grid of 100 m whose middle lies on the antimeridian, Fiji."""
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32701", always_xy=True)
    x, y = to_utm.transform(180.0, -16.85)
    half = 50 * mask.shape[1]
    return to_shapely(traced_whole(mask), Affine(100, 0, x - half, 0, -100, y + half))


def test_a_polygon_across_the_antimeridian_is_cut() -> None:
    mask = np.ones((40, 40), np.uint8)
    mask[15:25, 15:25] = 0  # a hole across it, too
    mask[18:22, 18:22] = 2
    mask[2:6, 2:6] = 3
    polygons = taveuni(mask)
    lonlat = to_lonlat(polygons, "EPSG:32701")
    assert [polygon.geom_type for polygon in lonlat] == ["MultiPolygon", "Polygon", "MultiPolygon"]
    assert shapely.is_valid(lonlat).all()
    for part in shapely.get_parts(lonlat):
        west, _, east, _ = part.bounds
        assert -180 <= west < east <= 180
        assert east - west < 0.1
    np.testing.assert_allclose(area_ha(lonlat), geodesic_ha(lonlat), rtol=1e-3)
    # The projection is 0.09 % too long there, at the edge of its zone.
    np.testing.assert_allclose(area_ha(lonlat), shapely.area(polygons) / 1e4, rtol=2e-3)


def test_a_polygon_up_to_the_antimeridian_is_not_cut() -> None:
    west = np.array([shapely.box(179.99, -17, 180, -16.999)])
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32701", always_xy=True)
    metres = shapely.transform(west, lambda xy: np.column_stack(to_utm.transform(*xy.T)))
    (lonlat,) = to_lonlat(metres, "EPSG:32701")
    assert lonlat.geom_type == "Polygon"
    assert lonlat.bounds == pytest.approx((179.99, -17, 180, -16.999), abs=2e-7)


def test_a_polygon_around_a_pole_is_refused() -> None:
    around = np.array([shapely.box(-1e6, -1e6, 1e6, 1e6)])
    with pytest.raises(AreaInvalid, match="pole"):
        to_lonlat(around, "EPSG:3031")


@pytest.mark.parametrize(
    ("epsg", "origin"),
    [(32633, (500_000, 5_000_000)), (32633, (650_000, 6_700_000)), (32701, (170_000, 8_135_000))],
)
def test_areas_are_those_of_the_ellipsoid(epsg: int, origin: tuple[float, float]) -> None:
    transform = Affine(30, 0, origin[0], 0, -30, origin[1])
    lonlat = to_lonlat(to_shapely(traced_whole(blobs(120)), transform), f"EPSG:{epsg}")
    np.testing.assert_allclose(area_ha(lonlat), geodesic_ha(lonlat), rtol=1e-3)


def test_large_areas_are_those_of_the_ellipsoid() -> None:
    degree = np.array([shapely.box(lon, lat, lon + 1, lat + 1) for lon, lat in [(0, 0), (25, 70)]])
    dense = shapely.segmentize(degree, 0.001)  # a geodesic is no straight line in lon-lat
    np.testing.assert_allclose(area_ha(degree), geodesic_ha(dense), rtol=1e-6)
