import numpy as np
import pytest

from models.datasets.base import Sample, fold_in_blocks, in_fold
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location


class Single:
    """A set of one tile, a corner of which has no label."""

    kinds, groups, files = {}, ("one",), ()

    def __len__(self):
        return 1

    def __getitem__(self, index):
        known = np.ones((50, 70), bool)
        known[:9, :9] = False
        image = raster_without_location(
            np.ones((1, 50, 70), np.float32), valid=known, bands=("red",), source="made"
        )
        return Sample("made", "one", {"image": image}, known, known)


def test_every_pixel_is_left_out_by_one_fold():
    folds = [in_fold((50, 70), 10, folds=4, number=number) for number in range(4)]
    assert (np.sum(folds, axis=0) == 1).all()
    # Some of every row and of every column of squares, and squares are whole.
    for fold in folds:
        squares = fold.reshape(5, 10, 7, 10)
        assert (squares.all(axis=(1, 3)) == squares.any(axis=(1, 3))).all()
        assert squares.any(axis=(1, 3)).any(axis=1).all()


def test_what_is_learned_and_what_is_left_out_share_no_label_and_lose_none():
    learned, left_out = fold_in_blocks(Single(), block_px=10, folds=4, number=1)
    one, other = learned[0].known, left_out[0].known
    assert not (one & other).any()
    np.testing.assert_array_equal(one | other, Single()[0].known)
    assert 0.15 < other.mean() < 0.35
    # The images stay whole.
    assert learned[0].images["image"].valid.sum() == Single()[0].known.sum()


@pytest.mark.parametrize(
    ("folds", "number", "said"), [(1, 0, "no fold 0 of 1"), (4, 4, "no fold 4"), (13, 0, "too few")]
)
def test_a_fold_that_cannot_be_is_refused(folds, number, said):
    with pytest.raises(DataInvalid, match=said):
        in_fold((50, 70), 10, folds=folds, number=number)
