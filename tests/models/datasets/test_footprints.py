"""A tile of Joplin laid out as a user would, compared with the mask that xBD distributes."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from models.datasets.footprints import open_footprints
from models.datasets.xbd import CODE_OF, open_xbd
from models.errors import DataInvalid

pytestmark = pytest.mark.data
TILE = "joplin-tornado_00000002"
PIXEL_M = 0.45
"""The pixels of this tile."""


@pytest.fixture(scope="module")
def labels(data_dir):
    """The labels of the tile, in longitude and latitude."""
    frame = gpd.read_file(data_dir / "joplin_xbd" / f"{TILE}_post_disaster_labels.geojson")
    return frame.rename(columns={"subtype": "damage_xbd"})


@pytest.fixture
def folder(tmp_path, data_dir, labels):
    """A folder with imagery before and after, and outlines."""
    for name, when in (("before", "pre"), ("post", "post")):
        (tmp_path / name).mkdir()
        image = data_dir / "joplin_xbd" / f"{TILE}_{when}_disaster.tif"
        (tmp_path / name / image.name).symlink_to(image)
    labels.to_file(tmp_path / "buildings.gpkg")
    return tmp_path


def test_the_buildings_of_a_tile_and_their_grades_are_those_of_its_label(folder, data_dir):
    outlines = open_footprints(folder, resolution_m=PIXEL_M)
    tiles = [outlines[index] for index in range(len(outlines))]
    wanted = open_xbd(data_dir / "joplin_xbd", TILE)[0]
    assert [tile.name for tile in tiles] == list(outlines.names)
    grades = np.concatenate([tile.grades for tile in tiles])
    np.testing.assert_array_equal(np.bincount(grades), np.bincount(wanted.grades))
    for code in CODE_OF.values():
        area = sum((tile.mask == code).sum() for tile in tiles) * PIXEL_M**2
        assert area == pytest.approx((wanted.mask == code).sum() * PIXEL_M**2, rel=0.05, abs=20)
    # The outlines lie on the roofs, as in the tile as distributed.
    mine = np.concatenate([_mean(tile.before.pixels, tile.buildings) for tile in tiles])
    theirs = _mean(wanted.before.pixels, wanted.buildings)
    assert mine.mean() == pytest.approx(theirs.mean(), abs=4)


def grades_of(tiles):
    return np.concatenate([tiles[index].grades for index in range(len(tiles))])


def _mean(pixels, numbers):
    """Return the mean brightness of each building."""
    inside = numbers > 0
    count = np.bincount(numbers[inside])[1:]
    total = np.bincount(numbers[inside], np.nan_to_num(pixels.mean(axis=0))[inside])[1:]
    return (total / np.maximum(count, 1))[count > 0]


def test_grades_may_be_words_of_copernicus_or_missing(folder, labels):
    plain = {"no-damage": "No visible damage", "destroyed": "Destroyed"}
    words = labels["damage_xbd"].map(plain).to_numpy()
    (folder / "buildings.gpkg").unlink()
    labels.drop(columns="damage_xbd").assign(damage_gra=words).to_file(folder / "buildings.geojson")
    graded = open_footprints(folder, resolution_m=2.0)
    assert set(grades_of(graded)) == {1, 4, 255}
    labels.drop(columns="damage_xbd").to_file(folder / "buildings.geojson")
    assert set(grades_of(open_footprints(folder, resolution_m=2.0))) == {255}


def test_a_place_without_event_has_the_image_before_twice_and_no_damage(folder):
    found = open_footprints(folder, resolution_m=1.0, without_event=True)
    tile = found[0]
    np.testing.assert_array_equal(tile.before.pixels, tile.after.pixels)
    assert set(np.unique(tile.mask)) == {0, 1}
    assert not any("post" in path.name for path in found.files)


def test_bounds_leave_out_what_lies_beyond(folder, labels):
    west, south, east, north = labels.total_bounds
    half = (west, south, (west + east) / 2, north)
    part = open_footprints(folder, resolution_m=1.0, bounds=half)
    meeting = shapely.intersects(labels.geometry.values, shapely.box(*half)).sum()
    # A building at the bounds may have its middle beyond them, in no tile.
    assert meeting - 5 <= len(grades_of(part)) <= meeting < len(labels)
    with pytest.raises(DataInvalid, match="share no ground"):
        open_footprints(folder, resolution_m=1.0, bounds=(10, 50, 11, 51))


def test_what_is_missing_is_said(folder, labels):
    labels.assign(damage_xbd="broken").to_file(folder / "buildings.gpkg")
    with pytest.raises(DataInvalid, match=r"'broken' in damage_xbd; the words are .*no-damage"):
        open_footprints(folder, resolution_m=1.0)
    (folder / "buildings.gpkg").unlink()
    with pytest.raises(DataInvalid, match=r"holds 0 files buildings\.\*"):
        open_footprints(folder, resolution_m=1.0)
    labels.to_file(folder / "buildings.gpkg")
    (folder / "post").rename(folder / "later")
    with pytest.raises(DataInvalid, match="no folder after nor post"):
        open_footprints(folder, resolution_m=1.0)
