import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from models.training.config import LossPlan, Optimiser
from models.training.loop import Loss, learning_rate

torch.manual_seed(0)
LOGITS = torch.randn(2, 1, 8, 8)
TARGET = torch.rand(2, 1, 8, 8) < 0.4
KNOWN = torch.rand(2, 1, 8, 8) < 0.7


def test_cross_entropy_is_the_mean_over_labelled_pixels_of_smoothed_labels():
    loss = Loss(LossPlan(dice=0, smoothing=0.1))(LOGITS, TARGET, KNOWN)
    soft = torch.where(TARGET, 0.9, 0.1)[KNOWN]
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS[KNOWN], soft)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)


def test_dice_is_its_definition_over_labelled_pixels():
    loss = Loss(LossPlan(cross_entropy=0))(LOGITS, TARGET, KNOWN)
    probability, truth = LOGITS.sigmoid()[KNOWN], TARGET[KNOWN].float()
    wanted = 1 - 2 * (probability * truth).sum() / (probability.sum() + truth.sum())
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)


def test_what_has_no_label_gives_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    Loss(LossPlan(smoothing=0.1))(logits, TARGET, KNOWN).backward()
    assert not logits.grad[~KNOWN].any()
    assert logits.grad[KNOWN].all()


def test_a_batch_without_one_label_is_learned_from_without_harm():
    loss = Loss(LossPlan())(LOGITS, TARGET, torch.zeros_like(KNOWN))
    assert float(loss) == 0


def graded(plan, logits, target, known):
    """The loss of a finding that costs nothing, and of one grade."""
    sure = torch.where(TARGET, 100.0, -100.0)
    return Loss(plan)(
        torch.cat([sure, logits], 1), torch.cat([TARGET, target], 1), torch.cat([KNOWN, known], 1)
    )


def test_the_loss_is_the_weighted_mean_over_the_finding_and_its_grades():
    plan = LossPlan(grades=3.0)
    one = Loss(plan)(LOGITS, TARGET, KNOWN)
    assert float(graded(plan, LOGITS, TARGET, KNOWN)) == pytest.approx(float(one) * 3 / 4, rel=1e-4)


def test_balanced_grades_weigh_as_scikit_learn_balances_them():
    plan = LossPlan(dice=0, balanced=True)
    loss = graded(plan, LOGITS, TARGET, KNOWN)
    truth, probability = TARGET[KNOWN].numpy(), LOGITS.sigmoid()[KNOWN].numpy()
    weights = compute_sample_weight("balanced", truth)
    wanted = log_loss(truth, probability, sample_weight=weights)
    assert float(loss) * 2 == pytest.approx(wanted, rel=1e-5)


def test_one_pixel_of_a_rare_grade_does_not_decide_a_step():
    """Its weight is ten at most, and the finding itself is never balanced."""
    rare = torch.zeros_like(TARGET)
    rare[0, 0, 0, 0] = True
    logits, known = torch.zeros_like(LOGITS), torch.ones_like(KNOWN)
    logits[0, 0, 0, 0] = -20
    plan = LossPlan(dice=0, balanced=True)
    assert float(graded(plan, logits, rare, known)) * 2 == pytest.approx(
        20 * 10 / 128 + 0.5 * np.log(2), rel=1e-3
    )
    alone = Loss(plan)(logits, rare, known)
    assert float(alone) == pytest.approx((20 + 127 * np.log(2)) / 128, rel=1e-3)


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    plan = Optimiser(epochs=1, learning_rate=0.1, warm_up=0.1)
    rates = np.array([learning_rate(step, steps=100, plan=plan) for step in range(101)])
    assert rates[0] == pytest.approx(0.01)
    assert rates.argmax() in (9, 10)
    assert rates.max() == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0)
    assert (np.diff(rates[10:]) < 0).all()
