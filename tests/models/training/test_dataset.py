import threading

import numpy as np
import pytest
import torch

from flows.reports.progress import QuietProgress
from geo.raster.classify import Finding
from models.cards.inputs import DAMAGE_STEPS
from models.datasets.base import Sample
from models.datasets.catalog import Kind, open_set
from models.errors import DataInvalid, InputsMismatch
from models.networks.tensors import raster_without_location
from models.training.config import LabelFilter, TrainingConfig
from models.training.dataset import IN_FLIGHT, accepted_labels, prefetch, targets
from models.training.train import open_data
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import config, plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    numbers = [20 * group + number for group in range(6) for number in (1, 2)]
    return write_ombria(tmp_path_factory.mktemp("ombria"), numbers)


def opened(root, **changes):
    fields = plan(root)
    fields["data"] |= changes
    return open_data(TrainingConfig.model_validate(fields), QuietProgress())


def test_tiles_that_are_not_cached_are_the_same_read_again(root):
    cached, lazy = opened(root), opened(root, cache_gb=1e-9)
    assert len(cached.training) == len(lazy.training) == 8
    for index in range(8):
        assert cached.training[index] is cached.training[index]
        one, other = cached.training[index], lazy.training[index]
        assert lazy.training[index] is not other
        for part in ("channels", "observed", "target", "known"):
            assert torch.equal(getattr(one, part), getattr(other, part))


def test_as_many_are_cached_as_there_is_room_for(root):
    size = opened(root).training[0].size
    data = opened(root, cache_gb=9.5 * size / 1e9)
    assert data.training[7] is data.training[7]
    assert data.validation[0] is data.validation[0]
    assert data.validation[1] is not data.validation[1]


def test_the_cache_changes_no_digest(root):
    fields = plan(root)
    assert config(root).digest != config(root, data=fields["data"] | {"folds": 2}).digest
    assert config(root).digest == config(root, data=fields["data"] | {"cache_gb": 1.0}).digest


class Counted:
    """Tiles that say when they are read, and what is read at once."""

    def __init__(self, broken=None):
        self.started = 0
        self.lock = threading.Lock()
        self.broken = broken

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        with self.lock:
            self.started += 1
        if index == self.broken:
            raise DataInvalid("that tile is damaged")
        return index


def test_tiles_come_in_their_order_and_few_are_read_ahead():
    tiles, order = Counted(), np.random.default_rng(1).permutation(1000).tolist()
    found = prefetch(tiles, order)
    assert [next(found) for _ in range(10)] == order[:10]
    assert tiles.started <= 10 + IN_FLIGHT
    assert list(found) == order[10:]


def test_a_tile_that_cannot_be_read_is_said_so():
    with pytest.raises(DataInvalid, match="that tile is damaged"):
        list(prefetch(Counted(broken=40), range(100)))


def test_the_set_is_that_of_the_config(root):
    whole = open_set(Kind.OMBRIA, root, split="train")
    data = opened(root)
    assert len(data.training) + len(data.validation) == len(whole)


MASK = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
ALL = (Finding.BUILDING, *DAMAGE_STEPS)


def sample(grades=MASK):
    known = np.ones(MASK.shape, bool)
    image = raster_without_location(
        np.ones((1, 1, 6), np.float32), valid=known, bands=("red",), source="made"
    )
    return Sample("made", "0", {"image": image}, MASK > 0, known, grades)


def test_a_grade_means_so_bad_or_worse_and_is_known_where_it_was_given():
    found, known = targets(sample(), ALL)
    assert found.astype(int).tolist() == [
        [[0, 1, 1, 1, 1, 1]],
        [[0, 0, 1, 1, 1, 0]],
        [[0, 0, 0, 1, 1, 0]],
        [[0, 0, 0, 0, 1, 0]],
    ]
    assert known[0].all()
    for grade in known[1:]:
        assert grade.astype(int).tolist() == [[0, 1, 1, 1, 1, 0]]


def test_a_label_of_yes_and_no_is_the_one_finding():
    found, known = targets(sample(None), (Finding.WATER,))
    np.testing.assert_array_equal(found, (MASK > 0)[None])
    assert known.all()


@pytest.mark.parametrize(
    ("grades", "findings", "said"),
    [
        (None, ALL, "do not have minor_damage; they have no grades"),
        (MASK, (Finding.WATER,), "are buildings, and the card finds water"),
        (MASK, (Finding.BUILDING, Finding.FLOOD), "do not have flood"),
    ],
)
def test_labels_of_something_else_are_refused(grades, findings, said):
    with pytest.raises(InputsMismatch, match=said):
        targets(sample(grades), findings)


BANDS = ("green", "nir", "swir16")
MNDWI = LabelFilter(index="mndwi", wet_below=0.0, dry_above=0.5)


def labelled_sample(*, wet, bands=BANDS, valid=True):
    """Pixels of water, of dry ground, and of something between."""
    water, ground, between = (0.10, 0.05, 0.02), (0.10, 0.30, 0.30), (0.10, 0.12, 0.08)
    pixels = np.array([water, ground, between], np.float32).T[:, None][: len(bands)]
    observed = np.full((1, 3), valid)
    image = raster_without_location(pixels, valid=observed, bands=bands, source="made")
    return Sample("made", "0", {"image": image}, np.full((1, 3), wet), np.ones((1, 3), bool))


def test_dry_ground_labelled_water_and_the_reverse_are_left_out():
    assert accepted_labels(labelled_sample(wet=True), MNDWI).tolist() == [[True, False, True]]
    assert accepted_labels(labelled_sample(wet=False), MNDWI).tolist() == [[False, True, True]]
    ndwi = MNDWI.model_copy(update={"index": "ndwi", "dry_above": 0.3})
    assert accepted_labels(labelled_sample(wet=False), ndwi).tolist() == [[False, True, True]]


def test_without_a_filter_or_a_valid_pixel_every_label_is_used():
    assert accepted_labels(labelled_sample(wet=True), None).all()
    assert accepted_labels(labelled_sample(wet=True, valid=False), MNDWI).all()


def test_an_image_without_the_bands_of_the_index_is_said_so():
    with pytest.raises(DataInvalid, match=r"needs green and swir16; .* made have green, nir$"):
        accepted_labels(labelled_sample(wet=True, bands=("green", "nir")), MNDWI)
