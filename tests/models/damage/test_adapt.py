import numpy as np
import pytest

from models.adaptation.adapt_regression import STRENGTHS, adapt_regression
from models.cards.registry import find
from models.damage.regression import logits, regression_of
from models.datasets.xbd import Xbd
from models.errors import DataInvalid, InputsMismatch
from models.training.fit_regression import fit_card, lesson_of, measure_tile
from tests.benchmarks.learning_curve import LABELS, learning_curve
from tests.models.damage.made import plan, town, write_xbd

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("xbd")
    for seed in (1, 2):
        write_xbd(root, f"made-storm_0000000{seed}", town(seed, chance=1.0))
    return plan(root)


@pytest.fixture(scope="module")
def tiles(settings):
    labelled = Xbd.open(settings.root)
    return [measure_tile(labelled[index], settings) for index in range(2)]


@pytest.fixture(scope="module")
def parent(settings, tiles):
    return fit_card(settings, tiles[:1])


@pytest.fixture(scope="module")
def lesson(settings, tiles, parent):
    return lesson_of(settings, regression_of(parent), tiles[1:])


def turned(grades):
    """Grades of a place where the signs of damage mean the reverse."""
    return (5 - grades).astype(np.uint8)


def test_labels_that_contradict_the_parent_are_learned(parent, lesson):
    grades = turned(lesson.grades)
    order = np.random.default_rng(0).permutation(48)
    known, rest = order[:32], order[32:]
    adapted = adapt_regression(parent, lesson.design[known], grades[known])
    before, after = (
        logits(card, regression_of(card), lesson.design[rest])[:, 0]
        for card in (parent, adapted.card)
    )
    damaged = grades[rest] >= 3
    assert ((before > 0) == damaged).mean() < 0.4
    assert ((after > 0) == damaged).mean() > 0.6
    assert adapted.strengths[0] in STRENGTHS[:2]
    assert adapted.left_out_loss[0] < adapted.parent_loss[0]


def test_labels_that_agree_change_little(parent, lesson):
    adapted = adapt_regression(parent, lesson.design, lesson.grades)
    before, after = (logits(c, regression_of(c), lesson.design) for c in (parent, adapted.card))
    assert ((before[:, 0] > 0) == (after[:, 0] > 0)).mean() > 0.8


def test_few_labels_of_one_kind_move_the_intercept_that_way_and_hardly_a_coefficient(
    parent, lesson
):
    few = np.flatnonzero(lesson.grades == 4)[:3]
    adapted = adapt_regression(parent, lesson.design[few], lesson.grades[few])
    old, new = regression_of(parent), regression_of(adapted.card)
    assert new.damaged.intercept > old.damaged.intercept
    np.testing.assert_allclose(new.damaged.coefficients, old.damaged.coefficients, atol=0.01)
    # Nobody was asked whether sound houses have minor damage.
    assert new.minor == old.minor
    assert adapted.left_out_loss[1] is None
    assert adapted.labels == 3
    assert adapted.card.calibration == parent.calibration


@pytest.mark.parametrize(
    ("features", "grades", "said"),
    [
        (np.zeros((3, 4)), [1, 2, 3], r"need known features of the shape \(3, 24\)"),
        (np.full((1, 24), np.nan), [1], "leave out buildings without an answer"),
        (np.zeros((2, 24)), [1, 255], "labels are grades from 1 to 4, at least one; there is 1, 2"),
        (np.zeros((0, 24)), [], "there is none"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(parent, features, grades, said):
    with pytest.raises(InputsMismatch, match=said):
        adapt_regression(parent, features, np.array(grades, np.uint8))


def test_only_a_regression_is_adapted(lesson):
    card = find("ndwi-water").card
    with pytest.raises(InputsMismatch, match="ndwi-water is a detector and no regression"):
        adapt_regression(card, lesson.design, lesson.grades)


def test_a_curve_scores_on_what_gave_no_label(settings, tiles):
    points = list(learning_curve(settings, tiles, draws=2))
    # 18 of 48 buildings may give a label.
    assert [(p.tile[-1], p.labels, p.scored) for p in points] == [
        ("1", 0, 48), ("1", 5, 43), ("2", 0, 48), ("2", 5, 43),
    ]  # fmt: skip
    assert [len(p.auc_damaged) for p in points] == [1, 2, 1, 2]
    assert LABELS == (0, 5, 20, 50, 100)
    with pytest.raises(DataInvalid, match="a curve needs two tiles"):
        next(learning_curve(settings, tiles[:1]))
