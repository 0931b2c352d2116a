"""The estimate: unbiased, and its scores are scikit-learn's with the weights of the sample."""

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from geo.vector.schema import DAMAGE_GRA
from models.evaluation.accuracy import Estimate, estimate, tabulate
from models.evaluation.sampling import DAMAGED, GRADES, NOT_ANALYSED, Design, draw

SHARES = (0.05, 0.1, 0.15, 0.6, 0.1)


def population(n: int, seed: int = 3) -> tuple[dict[str, str], dict[str, str]]:
    """Return published and true grades of made buildings."""
    random = np.random.default_rng(seed)
    published = random.choice(DAMAGE_GRA, n, p=SHARES)
    near = [
        str(random.choice(GRADES, p=[0.05, 0.1, 0.15, 0.7]))
        if grade == NOT_ANALYSED or random.random() < 0.3
        else str(grade)
        for grade in published
    ]
    ids = [f"b{i:05d}" for i in range(n)]
    return dict(zip(ids, map(str, published), strict=True)), dict(zip(ids, near, strict=True))


PUBLISHED, TRUTH = population(1500)
SIZES = dict(Counter(PUBLISHED.values()))
DAMAGED_TRUTH = sum(grade in DAMAGED for grade in TRUTH.values())


def validated(design: Design, *, total: int = 150, seed: int = 0) -> tuple[list[str], Estimate]:
    """Return the ids that were drawn, and what true answers say."""
    ids = draw(PUBLISHED, total=total, design=design, seed=seed).ids
    seen = {name: TRUTH[name] for name in ids}
    table = tabulate(PUBLISHED, seen, sizes=SIZES, design=design)
    return list(ids), estimate(table)


@pytest.mark.parametrize("design", Design)
def test_scores_are_those_of_scikit_learn_with_the_weights_of_the_sample(design: Design) -> None:
    ids, found = validated(design)
    ids = [name for name in ids if PUBLISHED[name] != NOT_ANALYSED]
    said, true = [PUBLISHED[name] for name in ids], [TRUTH[name] for name in ids]
    drawn = Counter(said)
    by_grade = [SIZES[grade] / drawn[grade] for grade in said]
    weights = by_grade if design is Design.STRATIFIED else np.ones(len(ids))
    options = {"labels": GRADES, "average": None, "sample_weight": weights}
    agreement = found.agreement
    assert agreement.accuracy.estimate == pytest.approx(
        accuracy_score(true, said, sample_weight=weights)
    )
    assert agreement.macro_f1 == pytest.approx(f1_score(true, said, **options).mean())
    assert agreement.accuracy_counted == pytest.approx(accuracy_score(true, said))
    assert agreement.macro_f1_counted == pytest.approx(f1_score(true, said, average="macro"))
    users = [g.users_accuracy.estimate for g in agreement.grades if g.users_accuracy]
    assert users == pytest.approx(precision_score(true, said, **options))
    producers = [g.producers_accuracy for g in agreement.grades]
    assert producers == pytest.approx(recall_score(true, said, **options))
    two = [grade in DAMAGED for grade in true], [grade in DAMAGED for grade in said]
    assert agreement.accuracy_damaged.estimate == pytest.approx(
        accuracy_score(*two, sample_weight=weights)
    )
    counted = confusion_matrix(said, true, labels=GRADES)
    assert np.array_equal(found.confusion_counted[:4], counted)


def test_shares_of_a_simple_sample_of_a_part_are_of_that_part() -> None:
    _, found = validated(Design.SIMPLE)
    graded, whole = found.graded_buildings, found.all_buildings
    assert graded.buildings == 1500 - SIZES[NOT_ANALYSED]
    assert graded.answered < whole.answered == 150
    assert whole.damaged.estimate == pytest.approx(
        1500 * sum(sum(row[:2]) for row in found.confusion_counted) / 150
    )


@pytest.mark.parametrize("design", Design)
def test_the_estimate_is_unbiased_and_its_interval_holds(design: Design) -> None:
    found = [validated(design, seed=seed)[1].all_buildings for seed in range(300)]
    each = np.array([counts.damaged.estimate for counts in found])
    assert each.mean() == pytest.approx(DAMAGED_TRUTH, abs=4 * each.std() / np.sqrt(300))
    held = [c.damaged.low <= DAMAGED_TRUTH <= c.damaged.high for c in found]
    assert np.mean(held) >= 0.94
    for counts in found:
        parts = [amount.estimate for amount in counts.by_grade.values()]
        assert sum(parts) == pytest.approx(1500)
        assert counts.damaged.low <= counts.damaged.estimate <= counts.damaged.high


def test_all_seen_leaves_no_doubt() -> None:
    _, found = validated(Design.STRATIFIED, total=1500)
    damaged = found.all_buildings.damaged
    assert (damaged.estimate, damaged.low, damaged.high) == (DAMAGED_TRUTH,) * 3
    assert np.nansum(found.confusion_share) == pytest.approx(1)
    right = sum(PUBLISHED[name] == TRUTH[name] for name in TRUTH)
    accuracy = right / (1500 - SIZES[NOT_ANALYSED])
    assert found.agreement.accuracy.low == pytest.approx(accuracy)


def test_where_nothing_speaks_for_a_grade_there_is_an_interval_and_no_estimate() -> None:
    seen = {n: TRUTH[n] for n in draw(PUBLISHED, total=150, design=Design.STRATIFIED, seed=1).ids}
    blind = {n: grade for n, grade in seen.items() if PUBLISHED[n] != NOT_ANALYSED}
    found = estimate(tabulate(PUBLISHED, blind, sizes=SIZES, design=Design.STRATIFIED))
    graded, whole = found.graded_buildings.damaged, found.all_buildings.damaged
    assert whole.estimate is None
    assert graded.estimate is not None
    assert (whole.low, whole.high) == (graded.low, graded.high + SIZES[NOT_ANALYSED])
    assert found.confusion_share[4] == (None,) * 4
    assert found.agreement.macro_f1 is not None
    # Of a grade that the product graded, the scores fall too.
    lame = {n: grade for n, grade in blind.items() if PUBLISHED[n] != "Damaged"}
    lost = estimate(tabulate(PUBLISHED, lame, sizes=SIZES, design=Design.STRATIFIED)).agreement
    assert (lost.macro_f1, lost.accuracy.estimate) == (None, None)
    assert lost.accuracy.low < lost.accuracy.high
    assert lost.macro_f1_counted is not None


def test_a_product_that_grades_nothing_has_no_accuracy() -> None:
    published = dict.fromkeys(PUBLISHED, NOT_ANALYSED)
    seen = {name: TRUTH[name] for name in list(TRUTH)[:50]}
    table = tabulate(published, seen, sizes={NOT_ANALYSED: 1500}, design=Design.STRATIFIED)
    found = estimate(table)
    assert found.agreement.accuracy.estimate is None
    assert found.graded_buildings.damaged.high == 0
    assert all(score.users_accuracy is None for score in found.agreement.grades)
    assert 0 < found.all_buildings.damaged.low < found.all_buildings.damaged.high < 1500
