import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from models.adaptation.trial import STRENGTHS, Lesson, beats, fitted, learn_class, surprise

POLYGONS = 12


def lesson(answers, *, spots=5, seed=0):
    """A lesson on three features, of which the second tells the answers apart."""
    rng = np.random.default_rng(seed)
    polygon = np.repeat(np.arange(len(answers)), spots)
    features = rng.normal(size=(len(polygon), 3)) * (1, 2, 5) + (0, 3, -1)
    features[:, 1] += 3 * np.nan_to_num(np.array(answers, float))[polygon]
    says = np.array(answers, float)[:, None]
    return Lesson(features, polygon, np.ones(len(polygon), bool), says)


@pytest.fixture
def made():
    return lesson([number % 2 for number in range(POLYGONS)])


EVERYONE = np.ones(POLYGONS, bool)


def test_it_is_the_least_of_loss_and_distance_from_the_parent(made):
    parent = np.array([0.5, -0.3, 0.2, 0.1])
    found = fitted(made, 0, parent=parent, strength=3.0, learners=EVERYONE)
    sign = np.where(made.answers[made.polygon, 0] == 1, -1, 1)
    firm = np.array([1.0, 3, 3, 3])

    def loss(at):
        each = np.logaddexp(0, sign * (made.design @ at)) / 5
        return each.sum() + 0.5 * firm @ (at - parent) ** 2

    expected = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found, expected.x, atol=1e-5)


def test_drawn_to_zero_it_is_the_ridge_of_scikit_learn(made):
    found = fitted(made, 0, parent=np.zeros(4), strength=1.0, learners=EVERYONE)
    other = LogisticRegression(C=1, fit_intercept=False, tol=1e-9)
    other.fit(made.design, made.answers[made.polygon, 0], sample_weight=np.full(60, 1 / 5))
    np.testing.assert_allclose(found, other.coef_[0], atol=1e-4)


def test_polygons_weigh_alike_however_many_spots_they_have(made):
    more = np.concatenate([np.arange(60), np.flatnonzero(made.polygon == 3)])
    larger = Lesson(made.features[more], made.polygon[more], np.ones(65, bool), made.answers)
    parent = np.array([0.5, -0.3, 0.2, 0.1])
    heads = [
        one.of_features(
            fitted(
                one, 0, parent=one.in_deviations(parent[None])[0], strength=1e-3, learners=EVERYONE
            )[None]
        )
        for one in (made, larger)
    ]
    np.testing.assert_allclose(heads[0], heads[1], rtol=0.05, atol=0.02)


def test_deviations_and_back_are_the_same_head(made):
    head = np.random.default_rng(3).normal(size=(2, 4))
    there = made.in_deviations(head)
    plain = head[:, 0] + made.features @ head[:, 1:].T
    np.testing.assert_allclose(made.design @ there.T, plain)
    np.testing.assert_allclose(made.of_features(there), head)


def test_a_feature_that_never_changes_is_no_fault(made):
    still = Lesson(np.where([1, 1, 0], made.features, 2), made.polygon, made.fits, made.answers)
    learned = learn_class(still, 0, parent=np.zeros(4))
    assert np.isfinite(learned.left_out).all()
    assert learned.head[3] == 0


def test_the_answer_left_out_does_not_know_its_own_label(made):
    parent = np.zeros(4)
    before = learn_class(made, 0, parent=parent)
    turned = made.answers.copy()
    turned[4] = 1 - turned[4]
    after = learn_class(Lesson(made.features, made.polygon, made.fits, turned), 0, parent=parent)
    assert before.strength == after.strength == min(STRENGTHS)
    own = made.polygon == 4
    np.testing.assert_allclose(before.left_out[own], after.left_out[own], atol=1e-6)
    assert not np.allclose(before.left_out[~own], after.left_out[~own], atol=1e-3)


def test_labels_that_contradict_the_parent_are_learned(made):
    parent = np.array([0.0, 0.0, -0.8, 0.0])
    learned = learn_class(made, 0, parent=parent)
    assert learned.strength == min(STRENGTHS)
    assert learned.head[2] > 0
    before, after = (surprise(made, 0, x) for x in (made.design @ parent, learned.left_out))
    assert after.mean() < before.mean() - 0.3


@pytest.mark.parametrize(
    "answers", [[1.0] * POLYGONS, [np.nan] * 10 + [0, 0]], ids=["all yes", "all no"]
)
def test_a_class_of_one_answer_stays_the_parent_s(answers):
    parent = np.array([0.1, 0.2, 0.3, 0.4])
    learned = learn_class(lesson(answers), 0, parent=parent)
    assert learned.strength is None
    assert (learned.head == parent).all()


def test_labels_that_agree_with_a_sure_parent_leave_it(made):
    features = made.features.copy()
    features[:, 1] = np.where(made.answers[made.polygon, 0] == 1, 2, -2)
    clear = Lesson(features, made.polygon, made.fits, made.answers)
    parent = np.array([0.0, 0.0, 6.0, 0.0])
    learned = learn_class(clear, 0, parent=parent)
    assert learned.strength is None
    assert (learned.left_out == clear.design @ parent).all()


def test_labels_of_others_answer_what_says_nothing(made):
    answers = made.answers.copy()
    answers[7] = np.nan
    learned = learn_class(
        Lesson(made.features, made.polygon, made.fits, answers), 0, parent=np.zeros(4)
    )
    own = made.polygon == 7
    np.testing.assert_allclose(learned.left_out[own], made.design[own] @ learned.head)


def test_of_two_as_good_as_each_other_neither_beats():
    losses = np.random.default_rng(5).normal(1, 0.3, 30)
    chance = np.random.default_rng(6).normal(0, 0.2, 30)
    chance -= chance.mean()
    assert not beats(losses, losses + chance)
    assert not beats(losses + chance, losses)
    assert beats(losses, losses + chance + 0.05)
    assert not beats(losses, losses)
    # Always better, by nothing that anybody would see.
    assert not beats(losses, losses + 0.001)
