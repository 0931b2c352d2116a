import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.damage.regression import balanced, fit_logistic, log_loss

RNG = np.random.default_rng(1)
DESIGN = RNG.normal(size=(80, 5))
POSITIVE = DESIGN @ [1.0, -2.0, 0.5, 0.0, 0.0] + RNG.logistic(size=80) > 0.8
ONES = np.column_stack([np.ones(80), DESIGN])
ZERO = np.zeros(6)


def ridge(strength):
    return np.array([0.0, *[strength] * 5])


@pytest.mark.parametrize("strength", [0.01, 1.0, 40.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_logistic_regression_of_another_implementation(strength, weighted):
    weights = balanced(POSITIVE) if weighted else np.ones(80)
    found = fit_logistic(ONES, POSITIVE, weights=weights, towards=ZERO, strength=ridge(strength))
    other = LogisticRegression(
        C=1 / strength, class_weight="balanced" if weighted else None, tol=1e-10, max_iter=10_000
    ).fit(DESIGN, POSITIVE)
    np.testing.assert_allclose(found, [*other.intercept_, *other.coef_[0]], atol=1e-5)


def test_it_begins_where_it_is_drawn_to_and_leaves_by_strength():
    towards = RNG.normal(size=6)
    moved = [
        np.abs(
            fit_logistic(
                ONES, POSITIVE, weights=np.ones(80), towards=towards, strength=np.full(6, strength)
            )
            - towards
        ).max()
        for strength in (1e9, 100.0, 1.0, 0.01)
    ]
    assert moved[0] < 1e-6
    assert moved == sorted(moved)


def test_labels_that_a_line_parts_still_have_one_answer():
    parted = DESIGN[:, 0] > 0
    found = fit_logistic(ONES, parted, weights=np.ones(80), towards=ZERO, strength=np.full(6, 1e-3))
    assert np.isfinite(found).all()
    assert ((ONES @ found > 0) == parted).all()


def test_balanced_weights_make_both_sides_count_alike():
    weights = balanced(POSITIVE)
    assert weights[POSITIVE].sum() == pytest.approx(weights[~POSITIVE].sum())
    assert weights.mean() == pytest.approx(1)


def test_the_loss_of_a_coin_is_one_bit():
    loss = log_loss(np.zeros(80), POSITIVE, np.ones(80))
    assert loss == pytest.approx(np.log(2))
