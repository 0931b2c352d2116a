import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.evaluate import PixelScores, TileCounts, pooled
from models.evaluation.metrics import Counts, Reliability, sample_deviation

COUNTS = st.builds(Counts, *(st.integers(0, 50) for _ in range(4)))
TILES = st.lists(st.builds(TileCounts, st.text("ab", max_size=2), st.sampled_from("xyz"), COUNTS))


def agreement(tiles):
    return PixelScores(tuple(tiles), 0, Reliability.empty())


@given(tiles=TILES)
def test_the_groups_together_are_the_whole(tiles):
    whole = agreement(tiles)
    groups = whole.by_group
    assert sum(map(len, groups.values())) == len(tiles)
    assert sum(map(pooled, groups.values()), Counts(0, 0, 0, 0)) == whole.pooled
    assert all(tile.group == name for name, members in groups.items() for tile in members)
    rows = whole.rows("group")
    assert [row["group"] for row in rows] == sorted({tile.group for tile in tiles})
    assert sum(row["true_positive"] for row in rows) == whole.pooled.true_positive
    assert [row["tile"] for row in whole.rows("tile")] == [tile.name for tile in tiles]


@given(one=TILES, other=TILES)
def test_agreements_add_up(one, other):
    both = agreement(one) + agreement(other)
    assert both.tiles == (*one, *other)
    assert both.pooled == agreement(one).pooled + agreement(other).pooled
    assert (agreement(one) + PixelScores()).tiles == tuple(one)


def test_reliability_and_predicted_pixels_add_up():
    rng = np.random.default_rng(1)
    probability, label = rng.random(900), rng.random(900) < 0.4

    def part(where):
        return PixelScores((), int(where.sum()), Reliability.of(probability[where], label[where]))

    first = np.arange(900) < 250
    both = part(first) + part(~first)
    assert both.predicted_pixels == 900
    assert both.ece == pytest.approx(Reliability.of(probability, label).ece)
    assert PixelScores().ece is None


def test_the_spread_is_the_standard_deviation_of_a_sample():
    assert sample_deviation([0.7, 0.75, 0.71]) == pytest.approx(statistics.stdev([0.7, 0.75, 0.71]))
    assert sample_deviation([0.7]) is None
