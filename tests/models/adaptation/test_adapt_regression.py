import numpy as np
import pytest

from models.adaptation.adapt import adapt_regression
from models.adaptation.logistic import STRENGTHS
from models.cards.registry import find
from models.damage.regression import logits, regression_of
from models.datasets.xbd import open_xbd
from models.errors import DataInvalid, InputsMismatch
from models.inference.windows import NoProgress
from models.training.train_regression import fit_card, measure_tile, training_buildings
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
    labelled = open_xbd(settings.root)
    return [measure_tile(labelled[index], settings) for index in range(2)]


@pytest.fixture(scope="module")
def parent(settings, tiles):
    return fit_card(settings, tiles[:1])


@pytest.fixture(scope="module")
def buildings(settings, tiles, parent):
    return training_buildings(settings, regression_of(parent), tiles[1:])


def turned(grades):
    """Grades of a place where the signs of damage mean the reverse."""
    return (5 - grades).astype(np.uint8)


def test_labels_that_contradict_the_parent_are_learned(parent, buildings):
    grades = turned(buildings.grades)
    order = np.random.default_rng(0).permutation(48)
    known, rest = order[:32], order[32:]
    adapted, found = adapt_regression(parent, buildings.design[known], grades[known], NoProgress())
    before, after = (
        logits(card, regression_of(card), buildings.design[rest])[:, 0]
        for card in (parent, adapted)
    )
    damaged = grades[rest] >= 3
    assert ((before > 0) == damaged).mean() < 0.4
    assert ((after > 0) == damaged).mean() > 0.6
    assert found.strengths[0] in STRENGTHS[-3:]
    assert ((found.held_out[:, 0] > 0) == (grades[known] >= 3)).mean() > 0.6


def test_labels_that_agree_change_little(parent, buildings):
    adapted, _ = adapt_regression(parent, buildings.design, buildings.grades, NoProgress())
    before, after = (logits(c, regression_of(c), buildings.design) for c in (parent, adapted))
    assert ((before[:, 0] > 0) == (after[:, 0] > 0)).mean() > 0.8


def test_a_logit_without_labels_of_both_answers_keeps_the_parent(parent, buildings):
    few = np.concatenate([np.flatnonzero(buildings.grades == grade)[:6] for grade in (1, 4)])
    adapted, found = adapt_regression(
        parent, buildings.design[few], turned(buildings.grades[few]), NoProgress()
    )
    old, new = regression_of(parent), regression_of(adapted)
    # Every undamaged building has no damage at all, every damaged one is destroyed.
    assert found.strengths[0] is not None
    assert found.strengths[1:] == (None, None)
    assert (new.minor, new.destroyed) == (old.minor, old.destroyed)
    assert new.damaged != old.damaged
    assert adapted.calibration == parent.calibration


def test_only_a_regression_is_adapted(buildings):
    card = find("ndwi-water").card
    with pytest.raises(InputsMismatch, match="ndwi-water is a detector and no regression"):
        adapt_regression(card, buildings.design, buildings.grades, NoProgress())


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
