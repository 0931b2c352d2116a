"""Estimate: how right the grades of a product are, and how many buildings are damaged.

Everything is estimated for the whole product by the chances of the sample. What the eye could
not tell is left out, as if it were like the others of its published grade: say so where much of
it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geo.types import BoolArray, Float64Array
from models.evaluation.interval import DAMAGED, GRADES, Table, interval_of


@dataclass(frozen=True)
class Amount:
    """How many buildings, with a 95 % interval."""

    estimate: float | None
    """None where a stratum has no answer, so that nothing speaks for it."""
    low: int
    high: int
    """Ends of the interval, whole buildings; a stratum without answers may hold none or all."""


@dataclass(frozen=True)
class Share:
    """A share from 0 to 1, with a 95 % interval."""

    estimate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class GradeScore:
    """How right one grade is, among the buildings that the product grades."""

    grade: str
    users_accuracy: Share | None
    """Share of those that are published with the grade that have it (precision); None where
    none is."""
    producers_accuracy: float | None
    """Share of those that have the grade that are published with it (recall)."""
    f1: float | None
    """Harmonic mean of both; None where the grade was neither published nor seen."""


@dataclass(frozen=True)
class Counts:
    """How many buildings there are, as the eye would say of all of them."""

    buildings: int
    answered: int
    damaged: Amount
    """Destroyed or Damaged."""
    by_grade: dict[str, Amount]


@dataclass(frozen=True)
class Agreement:
    """How right the grades are, of the buildings that the product grades."""

    accuracy: Share
    """Share of the buildings whose grade is right."""
    macro_f1: float | None
    """Mean F1 of the grades that were published or seen."""
    accuracy_damaged: Share
    """Share of the buildings that are rightly called damaged (Destroyed or Damaged) or not."""
    grades: tuple[GradeScore, ...]
    accuracy_counted: float | None
    """Of the answers alone, without their weights."""
    macro_f1_counted: float | None


@dataclass(frozen=True)
class Estimate:
    """What the answers say of the whole product."""

    all_buildings: Counts
    graded_buildings: Counts
    """Without those that the product calls Not Analysed."""
    agreement: Agreement
    confusion_counted: tuple[tuple[int, ...], ...]
    """(published grades, seen grades), answers."""
    confusion_share: tuple[tuple[float | None, ...], ...]
    """The same as shares of all buildings; None in a row without answers."""


def estimate(table: Table) -> Estimate:
    """Return what a table says of the whole product."""
    return Estimate(
        all_buildings=_counts(table),
        graded_buildings=_counts(table.graded),
        agreement=_agreement(table.graded),
        confusion_counted=tuple(tuple(map(int, row)) for row in table.counts),
        confusion_share=tuple(
            tuple(_told(value) for value in row) for row in table.estimated / table.buildings.sum()
        ),
    )


def macro_f1(matrix: Float64Array) -> float | None:
    """Return the mean F1 of the classes that are in a square matrix at all.

    None where there is none, or where a row is not known (NaN).
    """
    scores = [score for score in _f1(matrix) if score is not None]
    return sum(scores) / len(scores) if scores and np.isfinite(matrix).all() else None


def _counts(table: Table) -> Counts:
    return Counts(
        buildings=int(table.buildings.sum()),
        answered=table.answered,
        damaged=_amount(table, table.cells(seen=DAMAGED)),
        by_grade={grade: _amount(table, table.cells(seen=[grade])) for grade in GRADES},
    )


def _agreement(graded: Table) -> Agreement:
    matrix = graded.estimated
    right = np.eye(len(GRADES), dtype=np.bool_)
    damaged = np.isin(GRADES, DAMAGED)
    counted = graded.counts.astype(np.float64)
    return Agreement(
        accuracy=_share(graded, right),
        macro_f1=macro_f1(matrix),
        accuracy_damaged=_share(graded, damaged[:, None] == damaged),
        grades=tuple(_grade_scores(graded)),
        accuracy_counted=_quotient(np.trace(counted), counted.sum()),
        macro_f1_counted=macro_f1(counted),
    )


def _grade_scores(graded: Table) -> Iterable[GradeScore]:
    matrix = graded.estimated
    for i, (grade, f1) in enumerate(zip(GRADES, _f1(matrix), strict=True)):
        alone = Table(graded.counts[i : i + 1], graded.buildings[i : i + 1], graded.design)
        published = alone.buildings[0] > 0
        yield GradeScore(
            grade,
            users_accuracy=_share(alone, np.array(GRADES)[None] == grade) if published else None,
            producers_accuracy=_quotient(matrix[i, i], matrix[:, i].sum()),
            f1=f1,
        )


def _f1(matrix: Float64Array) -> list[float | None]:
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return [_quotient(2 * matrix[i, i], both[i]) for i in range(len(matrix))]


def _amount(table: Table, cells: BoolArray) -> Amount:
    low, high = interval_of(table.strata(cells))
    total = table.estimated[cells].sum() if table.complete else np.nan
    return Amount(_told(total), low, high)


def _share(table: Table, cells: BoolArray) -> Share:
    amount, whole = _amount(table, cells), int(table.buildings.sum())
    if whole == 0:
        return Share(None, 0.0, 1.0)
    middle = None if amount.estimate is None else amount.estimate / whole
    return Share(middle, amount.low / whole, amount.high / whole)


def _quotient(above: float, below: float) -> float | None:
    return _told(above / below) if below else None


def _told(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
