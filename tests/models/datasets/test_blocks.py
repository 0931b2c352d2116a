import numpy as np
import pytest

from models.datasets.base import LabelledSet, Sample, block_fold, split_blocks
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location


def single():
    """A set of one tile, a corner of which has no label."""
    known = np.ones((50, 70), bool)
    known[:9, :9] = False
    image = raster_without_location(
        np.ones((1, 50, 70), np.float32), valid=known, bands=("red",), source="made"
    )
    sample = Sample("made", "one", {"image": image}, known, known)
    return LabelledSet({}, ("one",), (), lambda index: sample)


def test_every_pixel_is_in_one_fold():
    folds = [block_fold((50, 70), 10, folds=4, number=number) for number in range(4)]
    assert (np.sum(folds, axis=0) == 1).all()
    # Some of every row and of every column of squares, and squares are whole.
    for fold in folds:
        squares = fold.reshape(5, 10, 7, 10)
        assert (squares.all(axis=(1, 3)) == squares.any(axis=(1, 3))).all()
        assert squares.any(axis=(1, 3)).any(axis=1).all()


def test_training_and_fold_share_no_label_and_lose_none():
    training, fold = split_blocks(single(), block_px=10, folds=4, number=1)
    one, other = training[0].known, fold[0].known
    assert not (one & other).any()
    np.testing.assert_array_equal(one | other, single()[0].known)
    assert 0.15 < other.mean() < 0.35
    # The images stay whole.
    assert training[0].images["image"].valid.sum() == single()[0].known.sum()


@pytest.mark.parametrize(
    ("folds", "number", "said"), [(1, 0, "no fold 0 of 1"), (4, 4, "no fold 4"), (13, 0, "too few")]
)
def test_a_fold_that_cannot_be_is_refused(folds, number, said):
    with pytest.raises(DataInvalid, match=said):
        block_fold((50, 70), 10, folds=folds, number=number)
