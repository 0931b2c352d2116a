import numpy as np
import pytest

from geo.raster.classify import Finding
from models.cards.inputs import DAMAGE_STEPS
from models.datasets.base import Sample
from models.errors import InputsMismatch
from models.networks.tensors import raster_without_location
from models.training.dataset import targets

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
