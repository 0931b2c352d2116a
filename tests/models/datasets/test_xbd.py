import json

import numpy as np
import pytest
import rasterio
import shapely

from models.datasets.base import fold_indices
from models.datasets.catalog import Kind, open_set
from models.datasets.xbd import draw_polygons, open_xbd
from models.errors import DataInvalid
from tests.models.damage.made import town, write_xbd
from tests.models.datasets.made import write_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

TOWN = town(side=3)


@pytest.mark.parametrize("distributed", [False, True])
@pytest.mark.parametrize("targets", [False, True])
def test_a_tile_is_read_from_both_layouts(tmp_path, distributed, targets):
    write_xbd(tmp_path, "a-storm_00000003", TOWN, distributed=distributed, targets=targets)
    labelled = open_xbd(tmp_path)
    tile = labelled[0]
    assert (len(labelled), tile.name, tile.event) == (1, "a-storm_00000003", "a-storm")
    np.testing.assert_array_equal(tile.images[0], TOWN.before)
    np.testing.assert_array_equal(tile.images[1], TOWN.after)
    assert tile.grades.tolist() == TOWN.grades
    assert [p.equals(q) for p, q in zip(tile.polygons, TOWN.polygons, strict=True)] == [True] * 9
    np.testing.assert_array_equal(np.unique(tile.buildings), np.arange(10))
    np.testing.assert_array_equal(tile.mask, np.array([0, *TOWN.grades])[tile.buildings])
    assert len(labelled.files) == 3 + targets
    assert all(path.is_file() for path in labelled.files)


def test_splits_are_folders_events_names_and_numbers(tmp_path):
    write_xbd(tmp_path / "train", "a-storm_00000001", TOWN)
    write_xbd(tmp_path / "train", "a-fire_00000001", TOWN)
    write_xbd(tmp_path / "hold", "a-storm_00000002", TOWN, targets=False)
    names = {
        "all": ("a-fire_00000001", "a-storm_00000001", "a-storm_00000002"),
        "hold": ("a-storm_00000002",),
        "a-storm": ("a-storm_00000001", "a-storm_00000002"),
        "a-fire_00000001": ("a-fire_00000001",),
        "00000001": ("a-fire_00000001", "a-storm_00000001"),
    }
    assert {split: open_xbd(tmp_path, split).names for split in names} == names
    whole = open_xbd(tmp_path)
    assert whole.groups == ("a-fire", "a-storm", "a-storm")
    assert fold_indices(whole.groups, folds=2, number=0) == (0,)
    with pytest.raises(DataInvalid, match=r"a-fire, a-storm.* and tiles such as .*, not 'test'"):
        open_xbd(tmp_path, "test")


def test_a_black_pixel_was_not_seen(tmp_path):
    write_xbd(tmp_path, "a-storm_00000003", TOWN)
    dark = TOWN.after.copy()
    dark[:, 4, 5] = 0
    dark[0, 6, 7] = 0
    write_image(tmp_path / "images/a-storm_00000003_post_disaster.png", dark.astype(np.uint8))
    tile = open_xbd(tmp_path)[0]
    assert np.argwhere(~tile.after.valid).tolist() == [[4, 5]]
    assert np.isnan(tile.images[1][:, 4, 5]).all()


def _no_pair(root):
    (root / "images/a-storm_00000003_pre_disaster.png").unlink()


def _half_a_label(root):
    label = root / "labels/a-storm_00000003_post_disaster.json"
    label.write_text(label.read_text()[:200])


def _other_words(root):
    label = root / "labels/a-storm_00000003_post_disaster.json"
    label.write_text(label.read_text().replace("minor-damage", "scratched"))


def _no_polygon(root):
    label = root / "labels/a-storm_00000003_post_disaster.json"
    rows = [{"properties": {"subtype": "destroyed"}, "wkt": "POLYGON ((1"}]
    label.write_text(json.dumps({"features": {"xy": rows}}))


def _other_size(root):
    path = root / "images/a-storm_00000003_pre_disaster.png"
    write_image(path, TOWN.before[:, :50].astype(np.uint8))


def _other_target(root):
    path = root / "targets/a-storm_00000003_post_disaster_target.png"
    write_image(path, np.full((1, 120, 120), 7, np.uint8))


def _grey(root):
    path = root / "images/a-storm_00000003_post_disaster.png"
    write_image(path, TOWN.after[:1].astype(np.uint8))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_pair, r"has no image a-storm_00000003_pre_disaster\.png or \.tif"),
        (_half_a_label, r"cannot be read as that of xbd.*JSONDecodeError"),
        (_other_words, "grades a building 'scratched'; the grades of xbd are no-damage"),
        (_no_polygon, "cannot be read as that of xbd"),
        (_other_size, r"has 50 by 120 pixels, .* has 120 by 120"),
        (_other_target, "holds 7; one of xbd holds 0 to 4 and 255"),
        (_grey, r"has 1 bands, 3 are expected \(red, green, blue\)"),
    ],
)
def test_bad_data_is_one_sentence(tmp_path, spoil, said):
    write_xbd(tmp_path, "a-storm_00000003", TOWN)
    spoil(tmp_path)
    with pytest.raises(DataInvalid, match=said):
        open_xbd(tmp_path)[0]


def test_a_folder_of_something_else_says_what_is_wanted(tmp_path):
    with pytest.raises(DataInvalid, match=r"holds no \*_post_disaster\.json"):
        open_xbd(tmp_path)
    with pytest.raises(DataInvalid, match="there is no folder"):
        open_xbd(tmp_path / "none")
    with pytest.raises(DataInvalid, match=r"holds no \*_post_disaster\.json"):
        open_set(Kind.XBD, tmp_path)


def test_nothing_is_drawn_of_no_polygon():
    assert draw_polygons(np.array([], object), np.array([], int), (4, 5)).sum() == 0


@pytest.mark.data
def test_the_polygons_of_joplin_drawn_are_its_masks(data_dir):
    labelled = open_xbd(data_dir / "joplin_xbd")
    counts = []
    for tile in (labelled[0], labelled[1]):
        again = draw_polygons(tile.polygons, tile.grades, tile.mask.shape)
        np.testing.assert_array_equal(again, tile.mask)
        counts.append(np.bincount(tile.grades, minlength=256)[[1, 2, 3, 4, 255]].tolist())
    assert counts == [[6, 43, 27, 102, 7], [40, 40, 6, 14, 3]]
    assert open_xbd(data_dir / "joplin_xbd", "00000002").names == ("joplin-tornado_00000002",)


@pytest.mark.data
def test_the_pixels_of_joplin_lie_where_the_geojson_says(data_dir):
    tile = open_xbd(data_dir / "joplin_xbd", "00000000")[0]
    stem = data_dir / "joplin_xbd/joplin-tornado_00000000_post_disaster"
    with rasterio.open(f"{stem}.tif") as dataset:
        place = dataset.transform
    rows = json.loads((stem.parent / f"{stem.name}_labels.geojson").read_text())["features"]
    for polygon, row in list(zip(tile.polygons, rows, strict=True))[:20]:
        there = shapely.transform(polygon, lambda xy: np.column_stack(place @ xy.T))
        assert there.symmetric_difference(shapely.geometry.shape(row["geometry"])).area < (
            0.05 * there.area
        )
