import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from models.evaluation.metrics import BuildingPredictions, PixelGrades, auc

RNG = np.random.default_rng(4)
TRUTH = RNG.integers(1, 5, 60).astype(np.uint8)
PROBABILITIES = RNG.dirichlet(np.ones(4), 60)
BUILDINGS = BuildingPredictions(TRUTH, PROBABILITIES)


def test_scores_by_building_are_those_of_another_implementation():
    likeliest = PROBABILITIES.argmax(axis=1) + 1
    damaged = PROBABILITIES[:, 2:].sum(axis=1)
    assert BUILDINGS.scores["auc_damaged"] == pytest.approx(roc_auc_score(TRUTH >= 3, damaged))
    two = f1_score(TRUTH >= 3, damaged >= 0.5, average="macro")
    assert BUILDINGS.scores["macro_f1_two"] == pytest.approx(two)
    four = f1_score(TRUTH, likeliest, average="macro")
    assert BUILDINGS.scores["macro_f1_four"] == pytest.approx(four)
    assert BUILDINGS.scores["accuracy_buildings"] == pytest.approx(accuracy_score(TRUTH, likeliest))


def test_ties_count_by_half():
    scores, positive = RNG.integers(0, 4, 50).astype(float), RNG.random(50) < 0.4
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert auc(scores, np.ones(50, bool)) is None


def test_a_building_without_an_answer_is_no_right_one():
    probabilities = PROBABILITIES.copy()
    probabilities[:10] = np.nan
    found = BuildingPredictions(TRUTH, probabilities)
    likeliest = np.concatenate([np.zeros(10, int), PROBABILITIES[10:].argmax(axis=1) + 1])
    assert len(found.graded.labels) == 50
    assert found.scores["accuracy_buildings"] == pytest.approx(accuracy_score(TRUTH, likeliest))
    four = f1_score(TRUTH, likeliest, labels=[1, 2, 3, 4], average="macro")
    assert found.scores["macro_f1_four"] == pytest.approx(four)
    assert found.scores["auc_damaged"] == pytest.approx(
        roc_auc_score(TRUTH[10:] >= 3, PROBABILITIES[10:, 2:].sum(axis=1))
    )


def test_perfect_and_absent_answers():
    sure = np.eye(4)[TRUTH - 1]
    perfect = BuildingPredictions(TRUTH, sure)
    assert set(perfect.scores.values()) == {1}
    assert perfect.ece == 0
    empty = BuildingPredictions.together([])
    assert set(empty.scores.values()) == {None}
    assert empty.ece is None


def masks(seed):
    rng = np.random.default_rng(seed)
    values = np.array([0, 1, 2, 3, 4, 255], np.uint8)
    return rng.choice(values[:5], (40, 50)), rng.choice(values, (40, 50))


def test_scores_by_pixel_are_those_of_another_implementation():
    answer, truth = masks(0)
    found = PixelGrades.of(answer, truth)
    localisation = f1_score((truth > 0).ravel(), (answer > 0).ravel())
    assert found.localisation.f1 == pytest.approx(localisation)
    graded = (truth > 0) & (truth < 255)
    each = f1_score(truth[graded], answer[graded], labels=[1, 2, 3, 4], average=None)
    np.testing.assert_allclose(found.f1_per_grade, each)
    harmonic = 4 / (1 / each).sum()
    assert found.xview2 == pytest.approx(0.3 * localisation + 0.7 * harmonic, abs=1e-5)


def test_pixels_add_up_over_tiles():
    (one, true_one), (two, true_two) = masks(1), masks(2)
    apart = PixelGrades.of(one, true_one) + PixelGrades.of(two, true_two)
    whole = PixelGrades.of(np.vstack([one, two]), np.vstack([true_one, true_two]))
    np.testing.assert_array_equal(apart.table, whole.table)


def test_a_grade_that_never_occurs_leaves_no_xview2_score():
    answer = np.array([[0, 1, 2, 3]], np.uint8)
    assert PixelGrades.of(answer, answer).xview2 is None
    assert PixelGrades.of(answer * 0, answer * 0).xview2 is None
    every = np.array([[0, 1, 2, 3, 4]], np.uint8)
    assert PixelGrades.of(every, every).xview2 == pytest.approx(1, abs=1e-5)
