import numpy as np
import pytest

from models.datasets.catalog import Kind, open_set
from models.datasets.xbd import open_xbd
from models.errors import DataInvalid
from tests.models.damage.made import town, write_xbd

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


TOWN = town(side=3)


def test_the_pixels_of_a_tile_are_a_building_or_not_and_graded(tmp_path):
    for number in range(2):
        write_xbd(tmp_path, f"a-storm_{number:08d}", TOWN)
    whole = open_set(Kind.XBD, tmp_path)
    assert len(whole) == 2
    assert whole.groups == ("a-storm", "a-storm")
    assert len(whole.files) == 8
    tile, sample = open_xbd(tmp_path)[1], whole[1]
    assert sample.name == "a-storm_00000001"
    np.testing.assert_array_equal(sample.grades, tile.mask)
    np.testing.assert_array_equal(sample.target, tile.buildings > 0)
    assert sample.known.all()
    for name, image in (("before", tile.before), ("after", tile.after)):
        assert whole.kinds[name].bands == sample.images[name].bands
        np.testing.assert_array_equal(sample.images[name].pixels, image.pixels)


def test_events_are_left_out_as_a_whole(tmp_path):
    for number in range(5):
        write_xbd(tmp_path, f"a-{'fire' if number < 2 else 'storm'}_{number:08d}", TOWN)
    assert len(open_set(Kind.XBD, tmp_path, split="fold-1-of-2")) == 3
    with pytest.raises(DataInvalid, match="2 groups of neighbours do not make 3 folds"):
        open_set(Kind.XBD, tmp_path, split="fold-0-of-3")


@pytest.mark.data
def test_the_buildings_of_joplin_cover_what_they_cover(data_dir):
    whole = open_set(Kind.XBD, data_dir / "joplin_xbd", split="00000000")
    (sample,) = (whole[index] for index in range(len(whole)))
    # Counted in the mask as distributed.
    assert np.bincount(sample.grades.ravel())[[1, 2, 3, 4, 255]].tolist() == [
        5215, 52500, 37420, 87936, 2478,
    ]  # fmt: skip
    assert sample.target.sum() == 185549
