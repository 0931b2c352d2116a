import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import jaccard_score

from models.evaluation.metrics import ECE_BINS, LogitTally, Reliability


def drawn(seed, *, sharpness=1.0, n=40_000):
    """Return logits and labels; the labels come from the probabilities that they promise."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, n)
    return (logits * sharpness).astype(np.float32), rng.random(n) < expit(logits)


def ece_by_hand(probability, label):
    """The definition, bin by bin."""
    total = 0.0
    for low in np.arange(ECE_BINS) / ECE_BINS:
        inside = (probability >= low) & (probability < low + 1 / ECE_BINS)
        if inside.any():
            total += inside.mean() * abs(probability[inside].mean() - label[inside].mean())
    return total


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.floats(0.1, 0.9))
def test_counts_agree_with_sklearn(seed, threshold):
    logits, label = drawn(seed, n=3000)
    counts = LogitTally.of(logits, label).counts(threshold=threshold)
    # A logit is counted as the middle of its bin, a hundredth wide: one on the line may tip.
    assert counts.iou == pytest.approx(jaccard_score(label, expit(logits) >= threshold), abs=0.004)
    assert counts.n == logits.size


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_is_that_of_the_logistic_regression(sharpness):
    logits, label = drawn(3, sharpness=sharpness)
    slope = LogisticRegression(C=np.inf, fit_intercept=False).fit(logits[:, None], label).coef_
    assert LogitTally.of(logits, label).temperature() == pytest.approx(1 / slope[0, 0], rel=0.01)
    assert LogitTally.of(logits, label).temperature() == pytest.approx(sharpness, rel=0.05)


def test_calibration_error_is_its_definition_and_falls_with_the_temperature():
    logits, label = drawn(4, sharpness=3.0)
    tally = LogitTally.of(logits, label)
    assert Reliability.of(expit(logits), label).ece == pytest.approx(
        ece_by_hand(expit(logits), label), abs=1e-6
    )
    assert tally.ece() == pytest.approx(ece_by_hand(expit(logits), label), abs=2e-3)
    assert tally.ece(temperature=3.0) < 0.01 < tally.ece()


def test_the_threshold_is_where_the_iou_is_largest():
    logits, label = drawn(5)
    tally = LogitTally.of(logits, label)
    best = tally.threshold(temperature=1.0)
    by_sklearn = {t: jaccard_score(label, expit(logits) >= t) for t in np.arange(5, 96, 5) / 100}
    assert tally.counts(threshold=best).iou >= max(by_sklearn.values()) - 0.002


def test_tallies_add_up():
    logits, label = drawn(6, n=1000)
    halves = LogitTally.of(logits[:400], label[:400]) + LogitTally.of(logits[400:], label[400:])
    np.testing.assert_array_equal(halves.pixels, LogitTally.of(logits, label).pixels)
    parts = Reliability.of(expit(logits[:300]), label[:300]) + Reliability.of(
        expit(logits[300:]), label[300:]
    )
    assert parts.ece == pytest.approx(Reliability.of(expit(logits), label).ece)
