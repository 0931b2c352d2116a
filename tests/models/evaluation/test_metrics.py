"""Counts against another library: sklearn, which takes pixels by weight."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from models.evaluation.metrics import Counts

TRUTH, ANSWER = [1, 0, 1, 0], [1, 1, 0, 0]
"""In the order of `Counts`."""
PIXELS = st.one_of(st.integers(0, 3), st.integers(0, 10**11))


@settings(deadline=None)  # the first example imports the library
@given(pixels=st.tuples(PIXELS, PIXELS, PIXELS, PIXELS))
def test_scores_are_those_of_sklearn_and_none_where_they_are_not_defined(pixels):
    counts = Counts(*pixels)
    right, extra, missed, _ = pixels
    for score, other, of in (
        (counts.iou, jaccard_score, right + extra + missed),
        (counts.f1, f1_score, right + extra + missed),
        (counts.precision, precision_score, right + extra),
        (counts.recall, recall_score, right + missed),
    ):
        if not of:
            assert score is None
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = other(TRUTH, ANSWER, sample_weight=pixels, zero_division=0)
        assert score == pytest.approx(expected, rel=1e-12)
