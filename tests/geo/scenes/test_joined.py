"""Folders of very many tiles are one image: read as the whole of it, with few files open."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geo.imagery.reader import MOST_OPEN, SceneReader
from geo.scenes.discovery import JOINED_FROM, scenes_of
from geo.scenes.radiometry import RGB
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Source
from tests.rasters import NORTH, UTM, WEST, north_up, picture, write_image

ACROSS, DOWN, SIDE_PX = 30, 20, 24
STEP = 0.5
WHOLE = GeoBox((DOWN * SIDE_PX, ACROSS * SIDE_PX), north_up(step=STEP), UTM)


def tiles(folder: Path, pixels: Any, *, across: int = ACROSS, down: int = DOWN) -> Path:
    """Cut a picture into tiles that lie beside each other."""
    for row, col in np.ndindex(down, across):
        top, left = row * SIDE_PX, col * SIDE_PX
        write_image(
            folder / f"tile_{row:03}_{col:03}.tif",
            pixels[:, top : top + SIDE_PX, left : left + SIDE_PX],
            transform=north_up(west=WEST + left * STEP, north=NORTH - top * STEP, step=STEP),
        )
    return folder


@pytest.fixture(scope="module")
def whole() -> Any:
    return np.maximum(picture(3, DOWN * SIDE_PX, ACROSS * SIDE_PX), 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, whole: Any) -> Path:
    return tiles(tmp_path_factory.mktemp("tiles") / "flight-7", whole)


@pytest.fixture(scope="module")
def scene(folder: Path) -> Scene:
    (found,) = scenes_of(Source(str(folder), sensor="aerial-rgb"), Phase.AFTER)
    return found


def test_six_hundred_tiles_are_one_scene(scene: Scene, folder: Path) -> None:
    assert (scene.id, scene.bands, len(scene.paths)) == ("flight-7", RGB, ACROSS * DOWN)
    assert scene.notes[0] == "600 tiles of flight-7 were taken as one image"
    outline = WHOLE.extent.to_crs("EPSG:4326").geom
    assert scene.footprint.symmetric_difference(outline).area < 1e-4 * outline.area
    (globbed,) = scenes_of(Source(f"{folder}/*.tif", sensor="aerial-rgb"), Phase.AFTER)
    assert (globbed.id, globbed.revision) == (scene.id, scene.revision)


def test_they_are_read_as_the_whole_of_them(scene: Scene, whole: Any) -> None:
    reader = SceneReader(scene, RGB)
    pixels, reason = reader.read(WHOLE)
    np.testing.assert_array_equal(pixels, whole)
    assert not reason.any()
    assert len(reader._handles.open) <= MOST_OPEN
    part = WHOLE[100:180, 333:444]
    np.testing.assert_array_equal(reader.read(part)[0], whole[:, 100:180, 333:444])


def test_only_the_tiles_near_a_window_are_opened(scene: Scene) -> None:
    reader = SceneReader(scene, RGB)
    reader.read(WHOLE[200:230, 200:230])
    assert 1 < len(reader._handles.open) <= 9


def test_another_grid_has_no_seams(scene: Scene, tmp_path: Path, whole: Any) -> None:
    path = write_image(tmp_path / "whole.tif", whole, transform=WHOLE.transform)
    (one,) = scenes_of(Source(str(path), sensor="aerial-rgb"), Phase.AFTER)
    inner = Affine.translation(WEST + 20.3, NORTH - 20.7) @ Affine.scale(0.4, -0.4)
    grid = GeoBox((400, 600), inner, UTM)
    _, seen_as_one = SceneReader(one, RGB).read(grid)
    _, seen_as_tiles = SceneReader(scene, RGB).read(grid)
    np.testing.assert_array_equal(seen_as_tiles, seen_as_one)


def test_few_tiles_stay_what_they_are(tmp_path: Path, whole: Any) -> None:
    few = tiles(tmp_path, whole, across=9, down=11)
    assert JOINED_FROM > 9 * 11
    assert len(scenes_of(Source(str(few), sensor="aerial-rgb"), Phase.AFTER)) == 99


def test_tiles_of_two_flights_are_two_images(tmp_path: Path, whole: Any) -> None:
    both = tiles(tmp_path / "both" / "a", whole, across=10, down=10).parent
    for path in tiles(tmp_path / "b", whole + 1, across=10, down=10).iterdir():
        path.rename(both / f"20240107_{path.name}")
    found = scenes_of(Source(str(both), sensor="aerial-rgb"), Phase.AFTER)
    seen = {(scene.id, len(scene.paths), scene.taken_text) for scene in found}
    assert seen == {("both", 100, None), ("both-2", 100, "2024-01-07")}
