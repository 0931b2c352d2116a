import threading

import numpy as np
import pytest
import torch

from flows.reports.progress import QuietProgress
from models.datasets.catalog import Kind, open_set
from models.errors import DataInvalid
from models.training.config import TrainingConfig
from models.training.dataset import IN_FLIGHT, prefetch
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
