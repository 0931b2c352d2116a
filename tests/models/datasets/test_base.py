import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets.base import (
    LabelledSet,
    Sample,
    block_fold,
    data_digest,
    fold_indices,
    split_blocks,
    split_fold,
)
from models.datasets.catalog import Kind, fold_name, open_set
from models.datasets.image_mask_pairs import group_of
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location
from tests.models.datasets.made import write_ombria

GROUPS = st.lists(st.integers(0, 30).map("g{:02d}".format), min_size=5, max_size=60)


@settings(max_examples=50, deadline=None)
@given(groups=GROUPS, folds=st.integers(2, 5))
def test_every_sample_is_in_one_fold_together_with_its_neighbours(groups, folds):
    if len(set(groups)) < folds:
        with pytest.raises(DataInvalid, match="do not make"):
            fold_indices(groups, folds=folds, number=0)
        return
    out = [fold_indices(groups, folds=folds, number=number) for number in range(folds)]
    assert sorted(index for part in out for index in part) == list(range(len(groups)))
    for part in out:
        inside = {groups[index] for index in part}
        outside = {group for index, group in enumerate(groups) if index not in part}
        assert not inside & outside


@pytest.mark.parametrize(
    ("stem", "block", "group"),
    [
        ("101", 10, "000010"),
        ("109", 10, "000010"),
        ("110", 10, "000011"),
        ("river_12_b", 10, "river_000001"),
        ("river_12_b", 1, "river_12_b"),
        ("no number", 10, "no number"),
    ],
)
def test_neighbours_by_name(stem, block, group):
    assert group_of(stem, block=block) == group


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_folds_of_a_split_are_opened_by_name_and_make_up_the_split(tmp_path, split):
    write_ombria(tmp_path, [1, 2, 21, 41, 42, 61], split=split)
    names = [fold_name(split, folds=3, number=number) for number in range(3)]
    assert names[1] == f"{split}-fold-1-of-3"
    parts = [open_set(Kind.OMBRIA, tmp_path, split=name) for name in names]
    found = [part.groups for part in parts]
    assert sorted(g for part in found for g in part) == list(
        open_set(Kind.OMBRIA, tmp_path, split=split).groups
    )
    whole = open_set(Kind.OMBRIA, tmp_path, split=split)
    for number, groups in enumerate(found):
        assert groups == split_fold(whole, folds=3, number=number)[1].groups
    assert fold_name("all", folds=5, number=0) == "fold-0-of-5"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_digest_of_the_data_follows_one_changed_file(tmp_path):
    labelled = open_set(Kind.OMBRIA, write_ombria(tmp_path, [1, 41]), split="train")
    before = data_digest(labelled)
    assert data_digest(split_fold(labelled, folds=2, number=0)[0]) == before
    image = labelled.files[1]
    image.write_bytes(image.read_bytes() + b"\0")
    assert data_digest(labelled) != before


def single():
    """A set of one tile, a corner of which has no label."""
    known = np.ones((50, 70), bool)
    known[:9, :9] = False
    image = raster_without_location(
        np.ones((1, 50, 70), np.float32), valid=known, bands=("red",), source="made"
    )
    sample = Sample("made", "one", {"image": image}, known, known)
    return LabelledSet(kinds={}, groups=("one",), files=(), read=lambda index: sample)


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
