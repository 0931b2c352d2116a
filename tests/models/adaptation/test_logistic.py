import numpy as np
import pytest
from scipy.optimize import minimize

from models.adaptation.logistic import (
    INTERCEPT_STRENGTH,
    STRENGTHS,
    LabelledRows,
    adapt_logits,
    fit_labels,
    is_lower,
    label_losses,
)
from models.inference.windows import NoProgress

LABELS = 12
ALTERNATING = [number % 2 for number in range(LABELS)]


def rows_of(answers, *, pixels=5, seed=0):
    """Rows of three features, of which the second tells the answers apart."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(answers)), pixels)
    features = rng.normal(size=(len(label), 3))
    features[:, 1] += 1.5 * (np.nan_to_num(np.array(answers, float))[label] - 0.5)
    design = np.column_stack([np.ones(len(label)), features])
    return LabelledRows(design, label, np.array(answers, float)[:, None])


def adapt(rows, parent):
    """The coefficients, strength and held-out logits of the only logit."""
    found = adapt_logits(rows, np.array([parent]), NoProgress())
    return found.coefficients[0], found.strengths[0], found.held_out[:, 0]


@pytest.fixture
def rows():
    return rows_of(ALTERNATING)


def test_a_fit_is_the_least_of_loss_and_distance_from_the_parent(rows):
    parent = np.array([0.5, -0.3, 0.2, 0.1])
    found = fit_labels(rows, 0, np.ones(LABELS, bool), parent=parent, strength=3.0)
    sign = np.where(rows.answers[rows.label, 0] == 1, -1, 1)
    inverse_variance = np.array([INTERCEPT_STRENGTH, 3, 3, 3])

    def loss(at):
        each = np.logaddexp(0, sign * (rows.design @ at)) / 5
        return each.sum() + 0.5 * inverse_variance @ (at - parent) ** 2

    expected = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found, expected.x, atol=1e-5)


def test_labels_weigh_alike_however_many_rows_they_have(rows):
    more = np.concatenate([np.arange(60), np.flatnonzero(rows.label == 3)])
    larger = LabelledRows(rows.design[more], rows.label[more], rows.answers)
    one, other = (
        fit_labels(each, 0, np.ones(LABELS, bool), parent=np.zeros(4), strength=1.0)
        for each in (rows, larger)
    )
    np.testing.assert_allclose(one, other, atol=1e-7)


def test_a_held_out_label_does_not_know_its_own_answer(rows):
    _, before_strength, before = adapt(rows, np.zeros(4))
    answers = rows.answers.copy()
    answers[4] = 1 - answers[4]
    _, after_strength, after = adapt(LabelledRows(rows.design, rows.label, answers), np.zeros(4))
    assert before_strength == after_strength == min(STRENGTHS)
    own = rows.label == 4
    np.testing.assert_allclose(before[own], after[own], atol=1e-6)
    assert not np.allclose(before[~own], after[~own], atol=1e-3)


def test_labels_that_contradict_the_parent_are_learned(rows):
    parent = np.array([0.0, 0.0, -0.8, 0.0])
    coefficients, strength, held_out = adapt(rows, parent)
    assert strength == min(STRENGTHS)
    assert coefficients[2] > 0
    before, after = (label_losses(rows, 0, x) for x in (rows.design @ parent, held_out))
    assert after.mean() < before.mean() - 0.3


@pytest.mark.parametrize(
    "answers",
    [[1.0] * LABELS, [np.nan] * 10 + [0, 0], [1.0, 0.0]],
    ids=["all yes", "all no", "two labels"],
)
def test_labels_that_tell_nothing_apart_keep_the_parent(answers):
    parent = np.array([0.1, 0.2, 0.3, 0.4])
    coefficients, strength, _ = adapt(rows_of(answers), parent)
    assert strength is None
    assert (coefficients == parent).all()


def test_labels_that_agree_with_a_sure_parent_keep_it(rows):
    design = rows.design.copy()
    design[:, 2] = np.where(rows.answers[rows.label, 0] == 1, 2, -2)
    parent = np.array([0.0, 0.0, 6.0, 0.0])
    _, strength, held_out = adapt(LabelledRows(design, rows.label, rows.answers), parent)
    assert strength is None
    assert (held_out == design @ parent).all()


def test_labels_without_an_answer_are_predicted_by_the_fit_to_all(rows):
    answers = rows.answers.copy()
    answers[7] = np.nan
    coefficients, _, held_out = adapt(LabelledRows(rows.design, rows.label, answers), np.zeros(4))
    own = rows.label == 7
    np.testing.assert_allclose(held_out[own], rows.design[own] @ coefficients)


def test_of_two_as_good_as_each_other_neither_is_lower():
    losses = np.random.default_rng(5).normal(1, 0.3, 30)
    chance = np.random.default_rng(6).normal(0, 0.2, 30)
    chance -= chance.mean()
    assert not is_lower(losses, losses + chance)
    assert not is_lower(losses + chance, losses)
    assert is_lower(losses, losses + chance + 0.05)
    assert not is_lower(losses, losses)
    # Always lower, by nothing that anybody would see.
    assert not is_lower(losses, losses + 0.001)
