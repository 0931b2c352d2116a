"""The draw: the same for the same seed, fair, and with every grade in it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SampleInvalid
from models.evaluation.sampling import Design, allocate, draw

GRADED = {
    f"b{i:04d}": "Destroyed" if i < 6 else "Damaged" if i < 40 else "No visible damage"
    for i in range(400)
}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=5), st.integers(0, 600))
def test_every_stratum_is_looked_at_and_none_beyond_its_buildings(
    sizes: list[int], more: int
) -> None:
    total = 2 * len(sizes) + more
    drawn = allocate(sizes, total)
    assert sum(drawn) == min(total, sum(sizes))
    assert all(1 <= n <= size for n, size in zip(drawn, sizes, strict=True))


def test_half_is_shared_equally_and_half_by_size() -> None:
    assert allocate([1000, 4000], 100) == [25 + 10, 25 + 40]
    assert allocate([4, 4000], 100) == [4, 96]


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    first = draw(GRADED, total=60, design=Design.STRATIFIED, seed=1)
    turned = dict(reversed(GRADED.items()))
    assert draw(turned, total=60, design=Design.STRATIFIED, seed=1) == first
    assert draw(GRADED, total=60, design=Design.STRATIFIED, seed=2).ids != first.ids
    regraded = GRADED | {"b0399": "Destroyed"}
    assert draw(regraded, total=60, design=Design.STRATIFIED, seed=1).ids != first.ids


@pytest.mark.parametrize("design", Design)
def test_every_building_of_a_stratum_has_the_same_chance(design: Design) -> None:
    times: Counter[str] = Counter()
    for seed in range(600):
        drawn = draw(GRADED, total=60, design=design, seed=seed)
        assert len(set(drawn.ids)) == len(drawn.ids) == 60
        times.update(drawn.ids)
    for stratum in drawn.strata:
        members = [n for n, grade in GRADED.items() if stratum.name in (grade, "all buildings")]
        shares = np.array([times[name] for name in members]) / 600
        chance = stratum.drawn / stratum.buildings
        assert len(members) == stratum.buildings
        assert shares.mean() == pytest.approx(chance)
        assert np.abs(shares - chance).max() <= 5 * np.sqrt(chance * (1 - chance) / 600)


def test_whoever_stops_early_has_seen_a_random_sample() -> None:
    firsts = [draw(GRADED, total=60, design=Design.STRATIFIED, seed=s).ids[:10] for s in range(300)]
    share = np.mean([GRADED[name] == "Destroyed" for ids in firsts for name in ids])
    assert share == pytest.approx(6 / 60, abs=0.03)


def test_too_few_to_look_at_every_grade() -> None:
    with pytest.raises(SampleInvalid, match=r"5 buildings cannot be drawn from 3 grades .*least 6"):
        draw(GRADED, total=5, design=Design.STRATIFIED, seed=0)
