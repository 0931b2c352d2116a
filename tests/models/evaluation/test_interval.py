"""The interval: exact in one stratum, and holding the truth in many."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from models.evaluation import sampling
from models.evaluation.sampling import StratumCount, count_interval
from tests.benchmarks.coverage import Event, events, simulate


@st.composite
def stratum(draw: st.DrawFn, largest: int = 60) -> StratumCount:
    """Any sample of one stratum."""
    buildings = draw(st.integers(1, largest))
    drawn = draw(st.integers(0, buildings))
    return StratumCount(buildings, drawn, draw(st.integers(0, drawn)))


@pytest.mark.parametrize(("buildings", "drawn"), [(1, 1), (7, 3), (30, 8), (60, 60), (200, 20)])
def test_one_stratum_has_the_exact_hypergeometric_interval(buildings: int, drawn: int) -> None:
    there = np.arange(buildings + 1)
    for counted in range(drawn + 1):
        at_least = hypergeom.sf(counted - 1, buildings, there, drawn)
        at_most = hypergeom.cdf(counted, buildings, there, drawn)
        kept = there[(at_least > 0.025) & (at_most > 0.025)]
        found = count_interval([StratumCount(buildings, drawn, counted)])
        assert found == (kept.min(), kept.max())


def test_two_small_strata_hold_the_truth_whatever_it_is() -> None:
    sizes, drawn = (12, 20), (4, 6)
    samples = list(product(range(5), range(7)))
    ends = {
        (a, b): count_interval([StratumCount(12, 4, a), StratumCount(20, 6, b)]) for a, b in samples
    }  # fmt: skip
    for damaged in product(range(13), range(21)):
        chance = [
            hypergeom.pmf(np.arange(n + 1), size, there, n)
            for size, there, n in zip(sizes, damaged, drawn, strict=True)
        ]
        held = sum(
            chance[0][a] * chance[1][b]
            for a, b in samples
            if ends[a, b][0] <= sum(damaged) <= ends[a, b][1]
        )
        assert held >= 0.95, damaged


CASES = [e for n, drawn in ((50, 20), (500, 50), (50_000, 100)) for e in events((n,), (drawn,))]


def test_the_interval_holds_the_truth_of_simulated_events() -> None:
    found = [simulate(event, samples=200, seed=5) for event in CASES]
    print("mean width", np.mean([each.width for each in found]))
    assert [each for each in found if each.share < 0.93] == []
    # That the simulation can tell: the textbook interval fails on the same samples.
    assert sum(each.textbook_share < 0.93 for each in found) > len(CASES) / 4
    assert min(each.textbook_share for each in found) < 0.5


def test_good_grades_narrow_the_interval() -> None:
    sizes, damaged = (800, 700, 1000, 7000), (760, 560, 250, 140)
    by_grade, simple = (
        simulate(Event("", sizes, damaged, 200, by_grade=flag), samples=200, seed=2)
        for flag in (True, False)
    )
    assert by_grade.width < 0.8 * simple.width


@given(st.lists(stratum(), min_size=1, max_size=5))
def test_the_ends_hold_what_was_counted_and_turn_with_what_is_counted(
    strata: list[StratumCount],
) -> None:
    low, high = count_interval(strata)
    whole = sum(each.buildings for each in strata)
    least = sum(each.counted for each in strata)
    most = whole - sum(each.drawn - each.counted for each in strata)
    assert least <= low <= high <= most
    assert count_interval([each.complement for each in strata]) == (whole - high, whole - low)


@given(st.lists(stratum(), max_size=3), st.integers(0, 9), st.integers(0, 9))
def test_a_stratum_drawn_whole_adds_its_count_and_no_doubt(
    strata: list[StratumCount], counted: int, others: int
) -> None:
    low, high = count_interval(strata)
    known = StratumCount(counted + others, counted + others, counted)
    assert count_interval([*strata, known]) == (low + counted, high + counted)


def test_a_stratum_that_nobody_looked_at_may_hold_none_or_all() -> None:
    low, high = count_interval([StratumCount(100, 20, 5)])
    assert count_interval([StratumCount(100, 20, 5), StratumCount(40, 0, 0)]) == (low, high + 40)


@settings(max_examples=30)
@given(st.lists(stratum(largest=400), min_size=1, max_size=4))
def test_rounding_to_steps_only_widens(strata: list[StratumCount]) -> None:
    low, high = count_interval(strata)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "MAX_STEPS", 50)
        coarse_low, coarse_high = count_interval(strata)
    step = -(-sum(each.not_drawn for each in strata) // 50)
    assert low - step * len(strata) <= coarse_low <= low
    assert high <= coarse_high <= high + step * len(strata)
