"""A zoo of orthophotos, all made: whatever form one comes in, its ground is where it belongs.

Every picture shows the same brightness, a smooth function of the ground. What is read of it on a
grid must be that function at the grid's own pixel centres.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from pyproj import CRS, Transformer
from rasterio.control import GroundControlPoint

from geo.errors import BandsUnknown, MissingCRS, SceneUnreadable, SourceInvalid, UnitsMismatch
from geo.imagery.reader import SceneReader
from geo.imagery.xyz_tiles import HALF_EARTH_M, TileLevel
from geo.raster.classify import Label
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Rows, Source, photos_of
from tests.rasters import NORTH, UTM, WEST, scene_of, write_image

Pixels = npt.NDArray[Any]
SIDE_PX, PIXEL_M = 300, 0.05
EAST, SOUTH = WEST + 40.0, NORTH - 40.0
RGB = ("red", "green", "blue")
TO_MERCATOR = Transformer.from_crs(UTM, "EPSG:3857", always_xy=True)
TO_LONLAT = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)


def brightness(x: Pixels, y: Pixels) -> Pixels:
    """Return (3, ...) of metres in UTM, 40 to 200, that change by less than 10 a metre."""
    waves = [np.sin((x - WEST) / 9 + k) + np.cos((y - NORTH) / 7 - k) for k in range(3)]
    return 120 + 40 * np.stack(waves)


def seen_at(transform: Affine, shape: tuple[int, int], *, crs: str = UTM) -> Pixels:
    """Return what a picture of that place shows, (3, rows, cols)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = transform @ (cols, rows)
    if crs != UTM:
        x, y = Transformer.from_crs(crs, UTM, always_xy=True).transform(x, y)
    return brightness(np.asarray(x), np.asarray(y))


def turned(degrees: float) -> Affine:
    """Return the transform of a picture that is turned about its first corner."""
    return (
        Affine.translation(WEST + 12, NORTH - 12)
        @ Affine.rotation(degrees)
        @ Affine.scale(PIXEL_M, -PIXEL_M)
    )


PLACE = turned(0)


def ortho(path: Path, *, transform: Affine = PLACE, crs: str = UTM, **options: Any) -> Path:
    shown = seen_at(transform, (SIDE_PX, SIDE_PX), crs=crs).round().astype(np.uint8)
    return write_image(path, shown, crs=crs, transform=transform, colours=RGB, **options)


def grid_over(scene: Scene, *, pixel_m: float) -> GeoBox:
    """Return a grid in UTM over a scene, not aligned with its pixels."""
    ring = np.array(scene.footprint.exterior.coords)
    x, y = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(*ring.T)
    left, top = x.min() + 0.013, y.max() - 0.021
    shape = int((y.max() - y.min()) / pixel_m), int((x.max() - x.min()) / pixel_m)
    return GeoBox(shape, Affine(pixel_m, 0, left, 0, -pixel_m, top), UTM)


def far_off(scene: Scene, *, pixel_m: float = 0.4, rim: int = 1) -> tuple[float, float]:
    """Return how far what is read is from the ground at worst, and the share that was seen."""
    grid = grid_over(scene, pixel_m=pixel_m)
    pixels, reason = SceneReader(scene, RGB).read(grid)
    seen = reason == 0
    inner = seen.copy()
    for step in range(1, rim + 1):  # an average at the rim is that of what was seen of it
        for axis in (0, 1):
            inner &= np.roll(seen, step, axis) & np.roll(seen, -step, axis)
    truth = seen_at(grid.affine, grid.shape)
    return float(np.abs(pixels - truth)[:, inner].max()), float(seen.mean())


# --- forms -----------------------------------------------------------------------------------


def as_alpha(path: Path, dtype: str = "uint8") -> Path:
    top = np.iinfo(dtype).max
    shown = seen_at(PLACE, (SIDE_PX, SIDE_PX)) * (top / 255)
    opaque = np.full((1, SIDE_PX, SIDE_PX), top)
    shown[:, :100, :100] = opaque[:, :100, :100] = 0
    pixels = np.concatenate([shown, opaque]).round().astype(dtype)
    return write_image(path, pixels, transform=PLACE, photometric="rgb", alpha="yes")


FORMS: dict[str, Callable[[Path], Path]] = {
    "tiled": lambda p: ortho(p, tiled=True, blockxsize=64, blockysize=64, compress="deflate"),
    "JPEG in YCbCr": lambda p: ortho(
        p, tiled=True, blockxsize=64, blockysize=64, compress="jpeg", photometric="ycbcr",
        jpeg_quality=95,
    ),
    "turned by 30 degrees": lambda p: ortho(p, transform=turned(30)),
    "turned by 200 degrees": lambda p: ortho(p, transform=turned(200)),
    "centimetres in degrees": lambda p: ortho(
        p, crs="EPSG:4326",
        transform=Affine(4e-7, 0, 15.0002, 0,
                         -3e-7, 45.1528),
    ),
    "RGBA of 8 bits": as_alpha,
    "RGBA of 16 bits": lambda p: as_alpha(p, "uint16"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_where_it_lies(tmp_path: Path, form: str) -> None:
    scene = scene_of(FORMS[form](tmp_path / "ortho.tif"))
    assert scene.sensor_name == "drone-rgb"
    error, share = far_off(scene)
    assert error < 4
    assert share > 0.4


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_is_not_seen(tmp_path: Path, dtype: str) -> None:
    scene = scene_of(as_alpha(tmp_path / "ortho.tif", dtype))
    grid = GeoBox((30, 30), PLACE @ Affine.scale(10), UTM)
    _, reason = SceneReader(scene, RGB).read(grid)
    hidden = np.zeros((30, 30), bool)
    hidden[:10, :10] = True
    np.testing.assert_array_equal(reason == Label.NO_DATA, hidden)


def test_11_bits_in_16_are_refused_with_the_cure(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 2047, (3, 50, 50)).astype(np.uint16)
    path = write_image(tmp_path / "x.tif", pixels, transform=PLACE, photometric="rgb")
    with pytest.raises(UnitsMismatch, match=r"as of 11 bits.*-scale 0 2047 0 255"):
        scene_of(path)


def test_16_bits_at_ten_metres_are_not_taken_for_a_picture(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 9000, (3, 50, 50)).astype(np.uint16)
    path = write_image(tmp_path / "x.tif", pixels, photometric="rgb")
    with pytest.raises(SourceInvalid, match="nothing says which sensor"):
        scene_of(path)


def test_an_image_without_overviews_is_read_coarsely(tmp_path: Path) -> None:
    scene = scene_of(ortho(tmp_path / "x.tif", tiled=True, blockxsize=64, blockysize=64))
    error, _ = far_off(scene, pixel_m=1.5)
    assert error < 10


# --- world files and control points ----------------------------------------------------------


def unplaced(path: Path) -> Path:
    """Write a picture that does not say where it lies."""
    shown = seen_at(PLACE, (SIDE_PX, SIDE_PX)).round().astype(np.uint8)
    if path.suffix in (".jpg", ".png"):
        Image.fromarray(np.moveaxis(shown, 0, 2)).save(path, quality=95)
        return path
    return write_image(path, shown, crs=None, transform=Affine.identity(), colours=RGB)


def world(path: Path, transform: Affine = PLACE) -> None:
    centre = transform @ (0.5, 0.5)
    numbers = (transform.a, transform.d, transform.b, transform.e, *centre)
    path.write_text("".join(f"{number!r}\n" for number in map(float, numbers)))


@pytest.mark.parametrize(
    ("image", "beside"),
    [("x.tif", "x.tfw"), ("x.tif", "x.wld"), ("x.jpg", "x.jgw"), ("x.png", "x.PGW")],
)
def test_a_world_file_places_an_image(tmp_path: Path, image: str, beside: str) -> None:
    path = unplaced(tmp_path / image)
    world(tmp_path / beside)
    scene = scene_of(path, crs=UTM)
    assert far_off(scene)[0] < 4
    assert any(beside in note for note in scene.notes)
    (tmp_path / "x.prj").write_text(CRS.from_user_input(UTM).to_wkt("WKT1_ESRI"))
    assert far_off(scene_of(path))[0] < 4


def test_moving_an_image_by_its_world_file_makes_another_revision(tmp_path: Path) -> None:
    path = unplaced(tmp_path / "x.jpg")
    world(tmp_path / "x.jgw")
    first = scene_of(path, crs=UTM).revision
    world(tmp_path / "x.jgw", PLACE @ Affine.translation(1, 0))
    assert scene_of(path, crs=UTM).revision != first


def test_a_world_file_without_a_crs_says_how_to_give_one(tmp_path: Path) -> None:
    path = unplaced(tmp_path / "x.jpg")
    world(tmp_path / "x.jgw")
    with pytest.raises(MissingCRS, match="--source-crs"):
        scene_of(path)
    with pytest.raises(MissingCRS, match="--source-crs EPSG:1 is not known"):
        scene_of(path, crs="EPSG:1")


def test_a_damaged_world_file_is_refused(tmp_path: Path) -> None:
    path = unplaced(tmp_path / "x.jpg")
    for text in ("1 2 3", "one two three four five six", "0 0 0 0 1 1"):
        (tmp_path / "x.jgw").write_text(text)
        with pytest.raises(SourceInvalid, match="export it again"):
            scene_of(path, crs=UTM)


def test_a_world_file_moves_no_image_that_says_where_it_lies(tmp_path: Path) -> None:
    path = ortho(tmp_path / "x.tif")
    alone = scene_of(path)
    world(tmp_path / "x.tfw", PLACE @ Affine.translation(500, 0))
    (tmp_path / "x.prj").write_text(CRS.from_epsg(32634).to_wkt("WKT1_ESRI"))
    beside = scene_of(path, crs="EPSG:3857")
    assert (beside.revision, beside.notes) == (alone.revision, alone.notes)
    assert beside.footprint.equals(alone.footprint)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_picture_that_breaks_off_is_refused(tmp_path: Path, ending: str) -> None:
    path = unplaced(tmp_path / f"x.{ending}")
    world(tmp_path / "x.wld")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SceneUnreadable, match=rf"x\.{ending} breaks off"):
        scene_of(path, crs=UTM)


def with_points(path: Path, pixels: list[tuple[int, int]], *, crs: str | None = UTM) -> Path:
    """Write a turned picture that says where some of its pixels lie, (row, col)."""
    place = turned(20)
    shown = seen_at(place, (SIDE_PX, SIDE_PX)).round().astype(np.uint8)
    write_image(path, shown, crs=None, transform=Affine.identity(), colours=RGB)
    points = [GroundControlPoint(r, c, *(place @ (c, r)), 0.0) for r, c in pixels]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.CRS.from_string(crs) if crs else None)
    return path


CORNERS = [(0, 0), (0, 300), (300, 300), (300, 0)]


@pytest.mark.parametrize("pixels", [CORNERS[:3], [*CORNERS, (140, 160), (30, 200), (250, 90)]])
def test_control_points_place_a_picture(tmp_path: Path, pixels: list[tuple[int, int]]) -> None:
    scene = scene_of(with_points(tmp_path / "x.tif", pixels))
    error, share = far_off(scene, rim=2)
    assert error < 5
    assert 0.4 < share < 0.8, "the corners around a turned picture were not seen"
    assert any("ground control points, which it leaves by at most" in n for n in scene.notes)


def test_control_points_that_place_nothing_are_refused(tmp_path: Path) -> None:
    few = with_points(tmp_path / "few.tif", CORNERS[:2])
    line = with_points(tmp_path / "line.tif", [(0, 0), (100, 100), (200, 200), (300, 300)])
    for path in (few, line):
        with pytest.raises(MissingCRS, match="at least 3 that do not lie on one line"):
            scene_of(path)


def test_control_points_place_no_radar(tmp_path: Path) -> None:
    path = with_points(tmp_path / "x.tif", CORNERS)
    with pytest.raises(MissingCRS, match="without its terrain"):
        scene_of(path, sensor="sentinel-1-grd", bands=("vv", "vh", "hh"))


# --- grey and false colour -------------------------------------------------------------------


def test_grey_is_not_taken_for_colours(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.tif", np.full((1, 50, 50), 9, np.uint8), transform=PLACE)
    with pytest.raises(BandsUnknown, match=r"x.tif has one band, a grey picture.*red, green, blue"):
        scene_of(path, sensor="drone-rgb")


# --- tile trees ------------------------------------------------------------------------------

ZOOM, TILE_PX = 22, 64


def tree(
    folder: Path, *, zoom: int = ZOOM, ending: str = "png", rows: Rows = Rows.NORTH, count: int = 6
) -> tuple[int, int]:
    """Write count x count tiles around a place, and return the first column and row."""
    size = 2 * HALF_EARTH_M / 2**zoom
    east, north = TO_MERCATOR.transform(WEST + 20, NORTH - 20)
    x0, y0 = int((east + HALF_EARTH_M) / size), int((HALF_EARTH_M - north) / size)
    for x in range(x0, x0 + count):
        for y in range(y0, y0 + count):
            row = 2**zoom - 1 - y if rows is Rows.SOUTH else y
            path = folder / str(zoom) / str(x) / f"{row}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            step = size / TILE_PX
            corner = Affine(step, 0, x * size - HALF_EARTH_M, 0, -step, HALF_EARTH_M - y * size)
            shown = seen_at(corner, (TILE_PX, TILE_PX), crs="EPSG:3857").round().astype(np.uint8)
            Image.fromarray(np.moveaxis(shown, 0, 2)).save(path, quality=95, lossless=True)
    return x0, y0


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_a_tile_tree_is_one_scene_where_it_lies(tmp_path: Path, ending: str) -> None:
    tree(tmp_path / "town", ending=ending)
    scene = scene_of(tmp_path / "town")
    assert (scene.id, scene.sensor_name) == ("town", "drone-rgb")
    assert far_off(scene)[0] < 6
    assert far_off(scene, pixel_m=2.0)[0] < 12


def test_rows_from_the_south_are_told_or_said_by_the_tree(tmp_path: Path) -> None:
    tree(tmp_path / "tms", rows=Rows.SOUTH)
    assert far_off(scene_of(tmp_path / "tms", rows=Rows.SOUTH))[0] < 6
    (tmp_path / "tms" / "tilemapresource.xml").write_text('<TileSets profile="mercator">')
    assert far_off(scene_of(tmp_path / "tms"))[0] < 6
    (tmp_path / "tms" / "tilemapresource.xml").write_text('<TileSets profile="geodetic">')
    with pytest.raises(SourceInvalid, match="Web Mercator"):
        scene_of(tmp_path / "tms")


def test_a_missing_tile_is_unseen_and_not_dark(tmp_path: Path) -> None:
    x, y = tree(tmp_path / "town")
    (tmp_path / "town" / str(ZOOM) / str(x + 2) / f"{y + 3}.png").unlink()
    level = TileLevel(tmp_path / "town" / str(ZOOM))
    grid = GeoBox((6, 6), level.transform @ Affine.scale(TILE_PX), "EPSG:3857")
    _, reason = SceneReader(scene_of(tmp_path / "town"), RGB).read(grid)
    hidden = np.zeros((6, 6), bool)
    hidden[3, 2] = True
    np.testing.assert_array_equal(reason != 0, hidden)


def test_the_deepest_complete_zoom_is_read(tmp_path: Path) -> None:
    tree(tmp_path / "town", zoom=ZOOM - 1, count=4)
    tree(tmp_path / "town", zoom=ZOOM, count=8)
    whole = scene_of(tmp_path / "town")
    assert whole.paths[0].name == str(ZOOM - 1 if _misses_one(tmp_path / "town") else ZOOM)
    tree(tmp_path / "town", zoom=ZOOM + 1, count=2)
    part = scene_of(tmp_path / "town")
    assert part.paths == whole.paths
    assert any(f"zoom {ZOOM + 1} shows only a part" in note for note in part.notes)


def _misses_one(folder: Path) -> bool:
    upper, lower = (TileLevel(folder / str(zoom)).tiles for zoom in (ZOOM - 1, ZOOM))
    return not {(x // 2, y // 2) for x, y in lower} >= set(upper)


def test_a_tile_with_alpha_beside_one_without(tmp_path: Path) -> None:
    x, y = tree(tmp_path / "town")
    path = tmp_path / "town" / str(ZOOM) / str(x + 1) / f"{y + 1}.png"
    with Image.open(path) as tile:
        clear = tile.convert("RGBA")
    clear.putalpha(0)
    clear.save(path)
    level = TileLevel(tmp_path / "town" / str(ZOOM))
    grid = GeoBox((6, 6), level.transform @ Affine.scale(TILE_PX), "EPSG:3857")
    _, reason = SceneReader(scene_of(tmp_path / "town"), RGB).read(grid)
    assert np.argwhere(reason).tolist() == [[1, 1]]


def _grey(path: Path) -> None:
    Image.new("L", (TILE_PX, TILE_PX)).save(path)


def _larger(path: Path) -> None:
    Image.new("RGB", (2 * TILE_PX, 2 * TILE_PX)).save(path)


def _oblong(path: Path) -> None:
    Image.new("RGB", (TILE_PX, TILE_PX // 2)).save(path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _page(path: Path) -> None:
    path.write_text("<html>403 Forbidden</html>")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (_grey, BandsUnknown, "stored as L"),
        (_larger, SourceInvalid, "128 pixels a side, and others of its zoom have 64"),
        (_oblong, SourceInvalid, "tiles are square"),
        (_cut, SceneUnreadable, "is truncated"),
        (_page, SceneUnreadable, "no PNG, JPEG or WebP picture"),
    ],
)
def test_a_broken_tile_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    x, y = tree(tmp_path / "town")
    spoil(tmp_path / "town" / str(ZOOM) / str(x + 3) / f"{y + 3}.png")
    with pytest.raises(error, match=rf"{y + 3}\.png.*{words}"):
        scene_of(tmp_path / "town")


def test_a_tree_without_tiles_and_one_beyond_the_world(tmp_path: Path) -> None:
    (tmp_path / "bare" / "18" / "5").mkdir(parents=True)
    with pytest.raises(SourceInvalid, match="laid out as a tile tree and holds no tile"):
        scene_of(tmp_path / "bare")
    tree(tmp_path / "town", count=1)
    (tmp_path / "town" / str(ZOOM)).rename(tmp_path / "town" / "3")
    with pytest.raises(SourceInvalid, match="beyond zoom 3, which has 8 columns"):
        scene_of(tmp_path / "town")


def test_folders_by_month_and_day_are_no_tile_tree(tmp_path: Path) -> None:
    ortho(tmp_path / "06" / "18" / "x.tif")
    ortho(tmp_path / "2024" / "07" / "y.tif")
    scenes = scenes_of(Source(str(tmp_path)), Phase.AFTER)
    assert [scene.id for scene in scenes] == ["x", "y"]


@contextmanager
def counted_opens(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the tiles that each VRT holds."""
    counts: list[int] = []
    over = TileLevel.over

    def counting(self: TileLevel, window: Any) -> Any:
        tiles, inner = over(self, window)
        counts.append(len(tiles.files))
        return tiles, inner

    monkeypatch.setattr(TileLevel, "over", counting)
    yield counts


def test_a_window_opens_only_the_tiles_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "town", count=8)
    scene = scene_of(tmp_path / "town")
    level = TileLevel(tmp_path / "town" / str(ZOOM))
    with counted_opens(monkeypatch) as counts:
        SceneReader(scene, RGB).read(GeoBox((40, 40), level.transform, "EPSG:3857"))
    assert max(counts) <= 2  # the tile and the VRT itself


# --- folders ---------------------------------------------------------------------------------


def test_a_folder_of_georeferenced_tiles_is_read_where_they_lie(tmp_path: Path) -> None:
    for row in range(2):
        for col in range(2):
            place = PLACE @ Affine.translation(col * SIDE_PX, row * SIDE_PX)
            ortho(tmp_path / f"tile_{row}_{col}.tif", transform=place)
    scenes = scenes_of(Source(str(tmp_path)), Phase.AFTER)
    assert len(scenes) == 4
    assert all(far_off(scene)[0] < 4 for scene in scenes)


def test_pictures_without_a_place_are_photos(tmp_path: Path) -> None:
    unplaced(tmp_path / "a.jpg")
    unplaced(tmp_path / "b.jpg")
    world(tmp_path / "b.jgw")
    assert [p.name for p in photos_of(Source(str(tmp_path)))] == ["a.jpg"]
    assert photos_of(Source(str(tmp_path / "b.jpg"))) == ()
