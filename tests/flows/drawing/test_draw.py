"""The picture of the map: what is at known places, and that nothing lies over anything."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import matplotlib
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib_scalebar.scalebar import ScaleBar
from odc.geo.geobox import GeoBox
from PIL import Image
from pyproj import CRS, Geod, Proj, Transformer
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from flows.drawing.layout import (
    View,
    latitude_ticks,
    longitude_ticks,
    north_angle,
    round_down,
    text_px,
    wrapped,
)
from flows.drawing.map import UNSEEN, MapPicture, Quicklook, compose, draw_map
from geo.export.styles import THEMES, rgb

UTM = "EPSG:32630"
WEST, NORTH, SIDE, PIXEL_M = 660_000.0, 4_620_000.0, 100, 20.0
GREEN = (0.3, 0.5, 0.2)
AREA = box(WEST, NORTH - 2000, WEST + 2000, NORTH)


def at(x: float, y: float, size: float) -> Polygon:
    """Return a square of that many metres, its lower left corner x, y metres into the area."""
    return box(WEST + x, NORTH - 2000 + y, WEST + x + size, NORTH - 2000 + y + size)


def layer(shapes: list[BaseGeometry], *, crs: str = UTM, **columns: str) -> gpd.GeoDataFrame:
    """Return a layer as the product has it, in EPSG:4326."""
    values = {name: [value] * len(shapes) for name, value in columns.items()}
    return gpd.GeoDataFrame(values, geometry=shapes, crs=crs).to_crs(4326)


def a_quicklook(*, crs: str = UTM, label: str = "After: test", left: float = WEST) -> Quicklook:
    """Return a plain green image of the area; its ten western columns hold nothing."""
    pixels = np.broadcast_to(np.reshape(GREEN, (3, 1, 1)), (3, SIDE, SIDE)).astype(np.float32)
    valid = np.ones((SIDE, SIDE), dtype=bool)
    valid[:, :10] = False
    geobox = GeoBox((SIDE, SIDE), Affine(PIXEL_M, 0, left, 0, -PIXEL_M, NORTH), crs)
    return Quicklook(pixels, valid, geobox, label)


def a_flood(**changes: object) -> MapPicture:
    """Return a flood with a hole, reference water, and a place that was not analysed."""
    flood = at(400, 400, 800).difference(at(600, 600, 200))
    layers = {
        "area_of_interest": layer([AREA], notation="Area of interest"),
        "image_footprint": layer([AREA.buffer(500)], notation="Image footprint"),
        "observed_event": layer([flood], notation="Flooded area"),
        "hydrography": layer([at(1400, 400, 300)], notation="Reference water"),
        "not_analysed": layer([at(1400, 1200, 400)], reason="cloud"),
        "built_up": layer([], damage_gra="Not Analysed"),
    }
    fields: dict[str, object] = {
        "title": "Ebro flood",
        "subtitle": "Flood, Aragón",
        "layers": layers,
        "after": a_quicklook(),
        "numbers": {"Flooded area": "0.60 km²", "Not analysed": "0.16 km²", "cloud": "0.16 km²"},
        "facts": ("Before: Sentinel-2 L2A, 2019-07-01", "Model: mndwi-water 1.0.0"),
    }
    return MapPicture(**{**fields, **changes})


def town(width_m: float, height_m: float) -> dict[str, gpd.GeoDataFrame]:
    """Return an area of that size with two buildings in it."""
    area = box(WEST, NORTH - height_m, WEST + width_m, NORTH)
    x, y = WEST + width_m / 2, NORTH - height_m / 2
    buildings = layer([box(x, y, x + 200, y + 200), box(x - 300, y, x - 200, y + 100)])
    buildings["damage_gra"] = ["Destroyed", "No visible damage"]
    return {"area_of_interest": layer([area]), "built_up": buildings}


@pytest.fixture(scope="module")
def flood() -> Figure:
    """The picture of `a_flood`, drawn once."""
    return compose(a_flood())


def maps(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_gid() == "map"]


def sidebar(figure: Figure) -> Axes:
    (axes,) = [axes for axes in figure.axes if axes.get_gid() == "sidebar"]
    return axes


def rendered(figure: Figure) -> np.ndarray:
    """Return the picture, (rows, cols, 3), 0 to 255."""
    if figure.stale:
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(float)


def patch_at(figure: Figure, x: float, y: float, *, half_px: int = 2, panel: int = 0) -> np.ndarray:
    """Return pixels around a place, x, y metres into the area, (n, 3)."""
    pixels = rendered(figure)
    easting, northing = WEST + x, NORTH - 2000 + y
    col, row = maps(figure)[panel].transData.transform((easting, northing))
    rows = slice(int(pixels.shape[0] - row) - half_px, int(pixels.shape[0] - row) + half_px + 1)
    return pixels[rows, int(col) - half_px : int(col) + half_px + 1].reshape(-1, 3)


def texts(figure: Figure) -> list[Text]:
    found = [*itertools.chain(*(axes.texts for axes in figure.axes)), *legend(figure).get_texts()]
    return [text for text in found if text.get_text()]


def legend(figure: Figure) -> Legend:
    (found,) = [artist for artist in sidebar(figure).artists if isinstance(artist, Legend)]
    return found


def words_of(figure: Figure) -> str:
    """Return all text of a picture, the lines of a paragraph joined."""
    joined = " ".join(
        [*(text.get_text() for text in texts(figure)), legend(figure).get_title().get_text()]
    )
    return joined.replace("\u00a0", " ").replace("\n", " ")


def test_each_layer_has_its_colour_and_holes_stay_open(flood: Figure) -> None:
    ground = patch_at(flood, 800, 1600).mean(axis=0)
    deep = 0.8 * np.array(rgb("#08519c")) + 0.2 * ground
    assert patch_at(flood, 450, 450).mean(axis=0) == pytest.approx(deep, abs=3)
    assert patch_at(flood, 700, 700).mean(axis=0) == pytest.approx(ground, abs=1)
    water = 0.8 * np.array(rgb("#b8d6ec")) + 0.2 * ground
    assert patch_at(flood, 1550, 550).mean(axis=0) == pytest.approx(water, abs=3)


def test_the_ground_is_paler_than_the_image_and_keeps_its_hue(flood: Figure) -> None:
    ground = patch_at(flood, 800, 1600).mean(axis=0) / 255
    assert ground.mean() > np.mean(GREEN) + 0.15
    assert ground[1] > ground[0] > ground[2]


def test_what_the_image_does_not_hold_is_one_grey(flood: Figure) -> None:
    found = patch_at(flood, 100, 1000)
    np.testing.assert_allclose(found, np.tile(rgb(UNSEEN), (len(found), 1)))


def test_what_was_not_analysed_is_hatched(flood: Figure) -> None:
    hatched = patch_at(flood, 1600, 1400, half_px=30)
    plain = patch_at(flood, 800, 1600, half_px=30)
    light = hatched.mean(axis=1)
    dark_lines = (light < 160).mean()
    veil = (light > 200).mean()
    assert plain.std(axis=0).max() < 2
    assert 0.05 < dark_lines < 0.5
    assert veil > 0.3


def test_the_outline_of_the_area_lies_on_top() -> None:
    flood_to_the_edge = layer([at(0, 0, 2000)], notation="Flooded area")
    picture = a_flood()
    figure = compose(a_flood(layers={**picture.layers, "observed_event": flood_to_the_edge}))
    assert patch_at(figure, 1000, 2000, half_px=0).max() < 40


def test_classes_stay_apart_in_grey(flood: Figure) -> None:
    places = {"flood": (450, 450), "water": (1550, 550), "ground": (800, 1600)}
    grey = {
        name: float(patch_at(flood, *place).mean(axis=0) @ (0.2126, 0.7152, 0.0722))
        for name, place in places.items()
    }
    for first, second in itertools.combinations(grey, 2):
        assert abs(grey[first] - grey[second]) > 25, (first, second)


def test_the_picture_says_what_a_reader_must_know(flood: Figure) -> None:
    text = words_of(flood)
    for part in (
        "Ebro flood", "Flood, Aragón", "Flooded area", "0.60 km²", "Reference water", "cloud",
        "Draft: automatic extraction, not reviewed", "Model: mndwi-water 1.0.0", "UTM zone 30N",
        "N",
    ):  # fmt: skip
        assert part in text


def test_the_legend_holds_what_is_shown_and_what_was_counted() -> None:
    text = words_of(compose(a_flood(numbers={"Burnt area": "0 km²"})))
    assert "Burnt area" in text
    assert "0 km²" in text
    assert "Flood trace" not in text
    assert "Destroyed" not in text


LONG = "S1A_IW_GRDH_1SDV_20190915T060000_20190915T060025_029000_034ABC_1234 " * 3


@pytest.mark.parametrize(
    "picture",
    [
        a_flood(),
        a_flood(title=LONG, subtitle=LONG[:60], facts=[LONG] * 5),
        a_flood(title="1 $x^2$ \\alpha % {} _", facts=["$unclosed", "a\nb\x1b[31m"] * 20),
        a_flood(numbers={"Flooded area": "1,234,567 km²", "Flooded area or standing water": "1"}),
        a_flood(layers=town(2000, 2000), before=a_quicklook(label="Before")),
        a_flood(layers=town(2000, 700), before=a_quicklook(label="Before")),
        a_flood(layers=town(60_000, 900)),
        a_flood(layers=town(900, 60_000)),
        a_flood(layers={"area_of_interest": layer([at(0, 0, 0.05)])}),
    ],
    ids=["flood", "long", "signs", "numbers", "town", "wide town", "wide", "tall", "tiny"],
)
def test_nothing_lies_over_anything_else(picture: MapPicture) -> None:
    figure = compose(picture)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frames = [axes.get_tightbbox(renderer) for axes in maps(figure)]
    words = [text.get_window_extent(renderer) for text in texts(figure)]
    for text, extent in zip(texts(figure), words, strict=True):
        assert figure.bbox.x0 <= extent.x0, text
        assert extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0, text
        assert extent.y1 <= figure.bbox.y1, text
    (scale,) = [found for found in sidebar(figure).artists if isinstance(found, ScaleBar)]
    beside = [patch.get_window_extent(renderer) for patch in sidebar(figure).patches]
    beside += [legend(figure).get_window_extent(renderer), scale.info.window_extent]
    for frame in frames:
        assert not any(frame.overlaps(other) for other in (*words, *beside))
    for block in beside:
        assert figure.bbox.x1 >= block.x1
        assert figure.bbox.y0 <= block.y0
    assert not any(scale.info.window_extent.overlaps(other) for other in (*words, *beside[:-1]))
    for first, second in itertools.combinations(frames, 2):
        assert not first.overlaps(second)
    for first, second in itertools.combinations(words, 2):
        # Boxes of two lines may touch; letters do not.
        assert not first.shrunk(0.96, 0.7).overlaps(second.shrunk(0.96, 0.7))


def test_buildings_get_a_map_of_before_and_one_of_after() -> None:
    figure = compose(a_flood(layers=town(2000, 2000), before=a_quicklook(label="Before: test")))
    assert [axes.get_title(loc="left") for axes in maps(figure)] == ["Before: test", "After: test"]
    before, after = (patch_at(figure, 1100, 1100, panel=panel).mean(axis=0) for panel in (0, 1))
    assert after == pytest.approx(rgb("#b2182b"), abs=2)
    assert before == pytest.approx(patch_at(figure, 1700, 1700, panel=0).mean(axis=0), abs=1)
    left, right = (axes.get_position() for axes in maps(figure))
    assert left.x1 < right.x0
    assert "Building, before the event" in words_of(figure)


def test_two_maps_of_a_wide_area_stand_one_above_the_other() -> None:
    figure = compose(a_flood(layers=town(2000, 700), before=a_quicklook()))
    upper, lower = (axes.get_position() for axes in maps(figure))
    assert upper.y0 > lower.y1


def test_without_buildings_one_map_is_enough() -> None:
    assert len(maps(compose(a_flood(before=a_quicklook())))) == 1


def test_footprints_do_not_hide_the_map(flood: Figure) -> None:
    drawn = {artist.get_gid() for artist in maps(flood)[0].get_children()}
    assert {"observed_event", "hydrography", "not_analysed", "area_of_interest"} <= drawn
    assert "image_footprint" not in drawn


def test_a_map_without_any_feature_is_drawn() -> None:
    empty = {
        "observed_event": layer([], notation=""),
        "not_analysed": layer([], reason=""),
        "area_of_interest": layer([AREA]),
    }
    figure = compose(a_flood(layers=empty, numbers={}))
    assert "Legend" in words_of(figure)
    assert "Not analysed" not in words_of(figure)


def test_thousands_of_polygons_are_all_drawn() -> None:
    shapes = [at(25 * (i % 80), 25 * (i // 80), 12) for i in range(6000)]
    layers = {
        "area_of_interest": layer([AREA]),
        "observed_event": layer(shapes, notation="Burnt area"),
    }
    figure = compose(a_flood(layers=layers))
    for x, y in ((506, 506), (1981, 1006), (506, 1856)):
        assert patch_at(figure, x, y, half_px=0)[0] @ (1, 0, -1) > 80
    assert patch_at(figure, 506, 1906, half_px=0)[0] @ (1, 0, -1) < 30


def test_the_file_is_the_same_every_time_and_names_no_software(
    tmp_path: Path, flood: Figure
) -> None:
    draw_map(a_flood(), tmp_path / "one.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 30}):
        draw_map(a_flood(), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    file = imread(tmp_path / "one.png")[:, :, :3] * 255
    np.testing.assert_allclose(file, rendered(flood), atol=1)
    with Image.open(tmp_path / "one.png") as image:
        assert image.width == 1610
        assert "Software" not in image.info


@pytest.mark.parametrize(
    ("crs", "left"), [(UTM, WEST), ("EPSG:3857", -120_000.0), ("EPSG:32630", 200_000.0)]
)
def test_the_scale_bar_is_as_long_on_the_ground_as_it_says(crs: str, left: float) -> None:
    area = box(left, NORTH - 2000, left + 2000, NORTH)
    look = a_quicklook(crs=crs, left=left)
    layers = {"area_of_interest": layer([area], crs=crs)}
    figure = compose(a_flood(after=look, layers=layers))
    figure.canvas.draw()
    (scale,) = [found for found in sidebar(figure).artists if isinstance(found, ScaleBar)]
    length_px, length_m = scale.info.length_px, scale.info.value
    assert scale.info.scale_text == f"{length_m:g} m"
    (axes,) = maps(figure)
    middle = axes.bbox.y0 + axes.bbox.height / 2
    start = axes.bbox.x0 + (axes.bbox.width - length_px) / 2
    ends = axes.transData.inverted().transform([(start, middle), (start + length_px, middle)])
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*ends.T)
    _, _, ground_m = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    assert ground_m == pytest.approx(length_m, rel=2e-3)


@given(lon=st.floats(-180, 180), lat=st.floats(-79, 83), size_m=st.floats(50, 3e5))
@settings(max_examples=50, deadline=None)
def test_ticks_stand_where_their_degrees_are(lon: float, lat: float, size_m: float) -> None:
    zone = int((lon + 180) // 6) % 60 + 1
    crs = CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)
    to_map = Transformer.from_crs(4326, crs, always_xy=True)
    x, y = to_map.transform(lon, lat)
    view = View(x - size_m / 2, y - size_m / 2, x + size_m / 2, y + size_m / 2)
    meridians, parallels = longitude_ticks(view, crs), latitude_ticks(view, crs)
    assert meridians or size_m > 1e5
    assert parallels
    for at, label in meridians.items():
        there, _ = to_map.transform(degrees(label), lat_at(view, crs, at, view.bottom))
        assert there == pytest.approx(at, abs=size_m / 300)
        assert view.left <= at <= view.right
    for at, label in parallels.items():
        found = lat_at(view, crs, view.left, at)
        assert found == pytest.approx(degrees(label), abs=size_m / 111_000 / 300)


def degrees(label: str) -> float:
    """Return the degrees that a label names."""
    number, _, side = label.partition("°")
    return float(number) * (-1 if side.strip() in ("W", "S") else 1)


def lat_at(view: View, crs: CRS, x: float, y: float) -> float:
    return float(Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)[1])


@given(lon=st.floats(-8.9, 2.9), lat=st.floats(-75, 83))
@settings(max_examples=50, deadline=None)
def test_north_is_where_the_meridian_goes(lon: float, lat: float) -> None:
    crs = CRS.from_epsg(32630)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    view = View(x - 500, y - 500, x + 500, y + 500)
    convergence = Proj("EPSG:32630").get_factors(lon, lat).meridian_convergence
    # PROJ counts the grid's north from the meridian; the arrow is the meridian from the grid's.
    assert north_angle(view, crs) == pytest.approx(-convergence, abs=0.01)


@given(st.floats(1e-6, 1e9))
def test_a_round_length_is_round_and_not_above(value: float) -> None:
    found = round_down(value)
    assert 0.4 * value <= found <= value * (1 + 1e-6)
    assert f"{found:.0e}"[0] in "125"


@given(
    st.tuples(*[st.floats(-1e6, 1e6)] * 2),
    st.floats(1, 1e5),
    st.floats(1, 1e5),
    st.floats(0.05, 20),
)
def test_a_view_around_another_has_the_shape_and_holds_all(
    corner: tuple[float, float], width: float, height: float, ratio: float
) -> None:
    view = View(*corner, corner[0] + width, corner[1] + height)
    found = view.around(padding=0, ratio=ratio)
    shown = found.right - found.left, found.top - found.bottom
    assert shown[1] / shown[0] == pytest.approx(ratio, rel=1e-6)
    assert found.left <= view.left + 1e-6
    assert found.top >= view.top - 1e-6
    assert min(shown[0] / width, shown[1] / height) == pytest.approx(1, rel=1e-6)


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=120))
@settings(max_examples=30, deadline=None)
def test_wrapped_text_fits_and_loses_nothing(text: str) -> None:
    lines = wrapped(text, 200, size=8)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert text_px(line, size=8) <= 200


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    for width_px in range(100, 400, 10):
        lines = wrapped("not: cloud 5.0 %, no imagery < 0.1 % of 12 km²", width_px, size=8)
        assert not any(line.startswith(("%", "km²", "0.1")) for line in lines)


def test_every_class_of_the_palette_can_be_in_the_legend() -> None:
    labels = [symbol.label for theme in THEMES.values() for symbol in theme.symbols]
    numbers: Mapping[str, str] = dict.fromkeys(labels, "1")
    text = words_of(compose(a_flood(numbers=numbers)))
    for label in set(labels) - {"Image footprint"}:
        # A long label is broken into lines.
        assert all(word in text for word in label.split()), label
