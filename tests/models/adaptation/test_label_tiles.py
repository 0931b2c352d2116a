"""Labelled polygons and scenes to tiles: a network is adapted on the pixels of a map."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox

from flows.reports.progress import QuietProgress
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from geo.vector.area_of_interest import parse_area
from models.adaptation.label_tiles import LabelTile, LabelTiles, damage_tiles, flood_tiles
from models.adaptation.labels import LabelledBuildings, read_labels
from models.cards.registry import CardRef, find
from models.damage.buildings import pair_of
from models.datasets.vocabulary import DAMAGE, WATER
from models.inference.model import load_model
from models.inference.scene_inputs import reader_for
from tests.models.adaptation.label_files import write_labels
from tests.models.damage.town import HOUSE_PX, PIXEL_M, SIDE_PX, make_town
from tests.models.damage.town import Town as Made
from tests.rasters import NORTH, UTM, WEST, north_up, scene_of

GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(step=PIXEL_M), UTM)
AREA = parse_area(shapely.geometry.mapping(GRID.extent.to_crs("EPSG:4326").geom))
WINDOW, OVERLAP, MARGIN = 320, 144, 64


def box(row: int, col: int, rows: int, cols: int) -> Any:
    """Return an outline in the pixels of the grid."""
    west, north = WEST + PIXEL_M * col, NORTH - PIXEL_M * row
    return shapely.box(west, north - PIXEL_M * rows, west + PIXEL_M * cols, north)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def ref() -> CardRef:
    """The network for pictures, with windows of which several lie in the town."""
    shipped = find("flood-rgb")
    changes = {"window_px": WINDOW, "overlap_px": OVERLAP, "domain": None}
    return CardRef(shipped.card.model_copy(update=changes), shipped.folder)


def tiles_of(
    ref: CardRef, town: Made, path: Path, shapes: list[Any], words: list[str]
) -> LabelTiles:
    write_labels(path, words, outlines=shapes, column="notation")
    labels = read_labels(path, AREA, WATER)
    scenes = [scene_of(town.after, sensor="vhr-rgb")]
    reader = reader_for(load_model(ref, device="cpu"), scenes, Preference.NEWEST)
    return flood_tiles(ref.card, reader, GRID, labels, QuietProgress())


def pixels(found: LabelTiles, label: int) -> tuple[LabelTile, Any]:
    """Return the tile of a polygon of the file, and where it is known there."""
    number = found.used.tolist().index(label) + 1
    (tile,) = (one for one in found.tiles if (one.numbers == number).any())
    return tile, tile.numbers == number


def test_each_polygon_is_known_inside_and_lies_in_one_tile(
    ref: CardRef, town: Made, tmp_path: Path
) -> None:
    shapes = [box(30, 30, 10, 20), box(60, 90, 12, 12), box(500, 500, 16, 8), box(170, 171, 20, 20)]
    words = ["flooded", "dry", "dry", "flooded"]
    found = tiles_of(ref, town, tmp_path / "l.gpkg", shapes, words)
    assert sorted(found.used.tolist()) == [0, 1, 2, 3]
    # Two lie side by side, one elsewhere, and one across the squares: it is not cut.
    assert len(found.tiles) == 3
    for label, shape in enumerate(shapes):
        _, inside = pixels(found, label)
        assert inside.sum() == round(shape.area / PIXEL_M**2)
    for one in found.tiles:
        assert one.numbers.shape == (WINDOW, WINDOW)
    assert sorted({k for one in found.tiles for k in np.unique(one.numbers)}) == [0, 1, 2, 3, 4]


def test_channels_are_the_image_there_normalised_by_the_card(
    ref: CardRef, town: Made, tmp_path: Path
) -> None:
    row, col = 300, 410
    found = tiles_of(
        ref, town, tmp_path / "l.gpkg", [box(row, col, 9, 14), box(30, 30, 9, 9)], ["yes", "no"]
    )
    one, inside = pixels(found, 0)
    with rasterio.open(town.after) as image:
        there = image.read()[:, row : row + 9, col : col + 14].astype(np.float32)
    slot = ref.card.inputs[0]
    mean, std = (np.array(values)[:, None, None] for values in (slot.mean, slot.std))
    rows, cols = np.nonzero(inside)
    cut = one.channels.numpy()[:, rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    np.testing.assert_allclose(cut, (there - mean) / std, atol=2e-3)


def test_pixels_that_are_not_seen_or_contradictory_are_not_known(
    ref: CardRef, town: Made, tmp_path: Path
) -> None:
    shapes = [box(40, 40, 20, 20), box(40, 50, 20, 20), box(-30, 100, 20, 20), box(0, 0, 640, 640)]
    words = ["flooded", "dry", "dry", "dry"]
    found = tiles_of(ref, town, tmp_path / "l.gpkg", shapes[:3], words[:3])
    assert sorted(found.used.tolist()) == [0, 1]
    assert [pixels(found, label)[1].sum() for label in (0, 1)] == [200, 200]
    # Of one that is larger than a window, what the network sees whole is known.
    large = tiles_of(ref, town, tmp_path / "large.gpkg", [*shapes[:1], shapes[3]], ["yes", "no"])
    _, inside = pixels(large, 1)
    assert inside.sum() == (WINDOW - 2 * MARGIN) ** 2
    assert ref.card.architecture.margin_px == MARGIN


def test_labelled_buildings_are_known_inside_on_the_images_of_both_dates(
    town: Made, tmp_path: Path
) -> None:
    card = find("damage-vhr").card
    frame = gpd.read_file(town.buildings).to_crs(UTM)
    words = ["Destroyed" if gone else "Possibly damaged" for gone in town.destroyed]
    frame["damage_gra"] = [*words[:9], *[None] * (len(words) - 9)]
    frame.to_file(tmp_path / "l.gpkg", layer="labels")
    scenes = [
        scene_of(town.before, Phase.BEFORE, sensor="vhr-rgb"),
        scene_of(town.after, sensor="vhr-rgb"),
    ]
    buildings = LabelledBuildings.of(
        pair_of(card, scenes, Preference.NEWEST), GRID,
        read_labels(tmp_path / "l.gpkg", AREA, DAMAGE), checked=True, progress=QuietProgress(),
    )  # fmt: skip
    found = damage_tiles(card, buildings, QuietProgress())
    assert found.used.tolist() == list(range(9))
    for label, gone in enumerate(town.destroyed[:9]):
        tile, inside = pixels(found, label)
        assert inside.sum() == pytest.approx(HOUSE_PX**2, rel=0.05)
        # The channels of the first image are before, those of the second after.
        before, after = tile.channels.numpy()[[0, 3]][:, inside].mean(axis=1)
        assert (before - after > 1.5) == bool(gone), (before, after, gone)
