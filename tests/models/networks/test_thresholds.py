import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.raster.indices import GaussianPair
from models.cards.architecture import ThresholdRule
from models.networks.tensors import Threshold
from models.networks.thresholds import (
    INDEX_EDGES,
    TileHistograms,
    probability_above,
    probability_below,
)

PAIR = GaussianPair(low_mean=-0.4, low_std=0.1, low_share=0.7, high_mean=0.3, high_std=0.05)


def rule(**changes):
    known = {"method": "otsu", "fixed": 0.0, "width": 0.05, "plausible": (-0.3, 0.3)}
    return ThresholdRule(**known | changes)


def estimated(values, **changes):
    gathered = TileHistograms("index", rule(**changes), edges=INDEX_EDGES)
    for window in values:
        gathered.feed(window.astype(np.float32))
    return gathered.threshold()


def halves(low, high, *, size=128, seed=1):
    """A square whose left half has one mean, whose right half has another."""
    rng = np.random.default_rng(seed)
    values = rng.normal(low, 0.05, (size, size))
    values[:, size // 3 :] += high - low
    return values


@pytest.mark.parametrize("pair", [None, PAIR])
@given(value=st.floats(-0.3, 0.25))
@settings(max_examples=50, deadline=None)
def test_the_probability_is_a_half_at_the_threshold_and_grows(pair, value):
    threshold = Threshold("index", value, "otsu", 0.05, pair)
    at = np.array([value], np.float32)
    assert probability_above(threshold, at) == pytest.approx(0.5)
    assert probability_below(threshold, at) == pytest.approx(0.5)
    line = probability_above(threshold, np.linspace(-1, 1, 101, dtype=np.float32))
    assert (np.diff(line) >= 0).all()
    assert line[0] < 0.5 < line[-1]


def test_one_width_from_a_fixed_threshold_is_the_logistic_of_one():
    threshold = Threshold("index", 0.0, "fixed", 0.05)
    found = probability_above(threshold, np.array([-0.05, 0.05], np.float32))
    np.testing.assert_allclose(found, [0.26894, 0.73106], atol=1e-4)


def test_without_a_threshold_nothing_is_found_and_the_unseen_stays_unseen():
    threshold = Threshold("index", None, "none", 0.05)
    values = np.array([-1, 1, np.nan], np.float32)
    for function in (probability_above, probability_below):
        np.testing.assert_array_equal(function(threshold, values), [0, 0, np.nan])


def test_two_modes_in_the_tiles_give_the_line_between_them():
    threshold, notes = estimated([halves(-0.3, 0.2)])
    assert threshold.value == pytest.approx(-0.05, abs=0.08)
    assert (threshold.method, threshold.tiles, notes) == ("otsu", 2, ())
    assert threshold.pair.low_mean == pytest.approx(-0.3, abs=0.02)


def test_a_scene_of_pure_tiles_is_parted_as_a_whole():
    rng = np.random.default_rng(2)
    windows = [rng.normal(mean, 0.05, (64, 64)) for mean in (-0.3, -0.3, 0.2)]
    threshold, notes = estimated(windows)
    assert (threshold.method, threshold.tiles, notes) == ("otsu", 0, ())
    assert -0.2 < threshold.value < 0.1


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([np.random.default_rng(3).normal(0, 0.1, (128, 128))], "shows no two modes"),
        ([halves(0.4, 0.9)], "shows no two modes|parts at 0.*not between -0.3 and 0.3"),
        ([np.where(np.eye(128) > 0, 0.1, np.nan)], "has one value everywhere"),
        ([np.where(np.eye(128) > 0, np.arange(128) / 128, np.nan)], "was seen on no whole tile"),
    ],
)
def test_where_nothing_can_be_estimated_a_note_says_why(windows, why):
    for fixed, method in ((0.0, "fixed"), (None, "none")):
        threshold, (note,) = estimated(windows, fixed=fixed)
        assert threshold.value == (None if "one value" in why else fixed)
        assert threshold.method == ("none" if "one value" in why else method)
        assert re.search(why, note)


def test_a_small_bright_mode_does_not_count_as_a_class():
    values = np.random.default_rng(4).normal(-0.3, 0.05, (128, 128))
    values[:5, :64] = 0.25
    threshold, notes = estimated([values])
    assert threshold.method == "fixed"
    assert notes


def test_tiles_cover_a_window_that_is_no_multiple_of_them():
    """The only water lies in the last columns, beyond the second tile of 64."""
    values = np.random.default_rng(5).normal(-0.3, 0.05, (64, 180))
    values[:, 150:] += 0.5
    threshold, notes = estimated([values])
    assert threshold.tiles == 1
    assert notes == ()
