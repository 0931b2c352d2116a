import threading

import numpy as np
import pytest
import torch

from flows.reports.progress import QuietProgress
from models.datasets.catalog import Kind, open_set
from models.errors import DataInvalid
from models.training.config import TrainingConfig
from models.training.dataset import IN_FLIGHT, ahead
from models.training.train import open_job
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import config, plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    numbers = [20 * group + number for group in range(6) for number in (1, 2)]
    return write_ombria(tmp_path_factory.mktemp("ombria"), numbers)


def opened(root, **data):
    fields = plan(root)
    fields["data"] |= data
    return open_job(TrainingConfig.model_validate(fields), QuietProgress())


def test_tiles_that_are_not_kept_are_the_same_read_again(root):
    kept, lazy = opened(root), opened(root, kept_gb=1e-9)
    assert len(kept.learned_from) == len(lazy.learned_from) == 8
    for index in range(8):
        assert kept.learned_from[index] is kept.learned_from[index]
        one, other = kept.learned_from[index], lazy.learned_from[index]
        assert lazy.learned_from[index] is not other
        for part in ("channels", "seen", "target", "known"):
            assert torch.equal(getattr(one, part), getattr(other, part))


def test_as_many_are_kept_as_there_is_room_for(root):
    size = opened(root).learned_from[0].size
    job = opened(root, kept_gb=9.5 * size / 1e9)
    assert job.learned_from[7] is job.learned_from[7]
    assert job.left_out[0] is job.left_out[0]
    assert job.left_out[1] is not job.left_out[1]


def test_where_tiles_are_kept_changes_no_weight(root):
    fields = plan(root)
    assert config(root).digest != config(root, data=fields["data"] | {"folds": 2}).digest
    assert config(root).digest == config(root, data=fields["data"] | {"kept_gb": 1.0}).digest


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
    there = ahead(tiles, order)
    assert [next(there) for _ in range(10)] == order[:10]
    assert tiles.started <= 10 + IN_FLIGHT
    assert list(there) == order[10:]


def test_a_tile_that_cannot_be_read_is_said_so():
    with pytest.raises(DataInvalid, match="that tile is damaged"):
        list(ahead(Counted(broken=40), range(100)))


def test_the_set_is_that_of_the_config(root):
    whole = open_set(Kind.OMBRIA, root, split="train")
    job = opened(root)
    assert len(job.learned_from) + len(job.left_out) == len(whole)
