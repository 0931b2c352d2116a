"""How right the grades of a product are, and how many buildings are damaged, from a visual check.

Estimated for the whole product by the chances of the sample. Buildings that the images do not
tell are left out, as if they were like the others of their published grade.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geo.types import BoolArray, Float64Array, IntArray
from geo.vector.schema import DAMAGE_GRA
from models.evaluation.metrics import f1_scores, mean_of_known, ratio
from models.evaluation.sampling import DAMAGED, GRADES, Design, StratumCount, count_interval


@dataclass(frozen=True, eq=False)
class GradeConfusion:
    """Answers by published and by answered grade, and the buildings that they stand for."""

    counts: IntArray
    """(published grades, answered grades), answers; in the order of `DAMAGE_GRA` and `GRADES`."""
    buildings: IntArray
    """(published grades,), of the whole product."""
    design: Design

    @property
    def graded(self) -> "GradeConfusion":
        """The same of the buildings that the product grades."""
        return GradeConfusion(
            self.counts[: len(GRADES)], self.buildings[: len(GRADES)], self.design
        )

    @property
    def answered(self) -> int:
        """How many answers."""
        return int(self.counts.sum())

    @property
    def complete(self) -> bool:
        """Whether every stratum has an answer, so that all buildings can be estimated."""
        return all(stratum.drawn for stratum in self.strata(self.cells(())))

    def cells(self, grades: Sequence[str]) -> BoolArray:
        """Return where the answer is one of the grades, (published, answered)."""
        return np.broadcast_to(np.isin(GRADES, grades), self.counts.shape)

    def strata(self, cells: BoolArray) -> list[StratumCount]:
        """Return by stratum what the sample showed, counting the answers of some cells."""
        # A simple sample has one stratum: what was drawn of a part is a simple sample of that part.
        counted = np.where(cells, self.counts, 0).sum(axis=1)
        rows = np.stack([self.buildings, self.counts.sum(axis=1), counted])
        if self.design is Design.SIMPLE:
            rows = rows.sum(axis=1, keepdims=True)
        return [StratumCount(*map(int, row)) for row in rows.T if row[0]]

    @property
    def weights(self) -> Float64Array:
        """(published grades,), buildings that an answer stands for; NaN without an answer."""
        # Horvitz and Thompson 1952; Olofsson et al. 2014, equation 4.
        drawn = self.counts.sum(axis=1)
        if self.design is Design.SIMPLE:
            drawn = np.full_like(drawn, drawn.sum())
            return _divide(np.full_like(drawn, self.buildings.sum()), drawn)
        return _divide(self.buildings, drawn)

    @property
    def estimated(self) -> Float64Array:
        """(published grades, answered grades), of all buildings; NaN where nothing was answered."""
        stratified = self.counts * self.weights[:, None]
        return np.where((self.buildings == 0)[:, None], 0.0, stratified)


def tabulate(
    published: Mapping[str, str],
    answered: Mapping[str, str],
    *,
    sizes: Mapping[str, int],
    design: Design,
) -> GradeConfusion:
    """Return the confusion matrix of grades by building id; `sizes` are of the whole product."""
    counts = np.zeros((len(DAMAGE_GRA), len(GRADES)), np.int64)
    for name, grade in answered.items():
        counts[DAMAGE_GRA.index(published[name]), GRADES.index(grade)] += 1
    buildings = np.array([sizes.get(grade, 0) for grade in DAMAGE_GRA], np.int64)
    return GradeConfusion(counts, buildings, design)


def _divide(above: IntArray, below: IntArray) -> Float64Array:
    quotient: Float64Array = np.divide(
        above, below, out=np.full(len(below), np.nan), where=below > 0
    )
    return quotient


@dataclass(frozen=True)
class CountEstimate:
    """How many buildings, with a 95 % interval."""

    estimate: float | None
    """None where a stratum has no answer, so that it cannot be estimated."""
    low: int
    high: int
    """Ends of the interval, whole buildings; a stratum without answers may hold none or all."""


@dataclass(frozen=True)
class ShareEstimate:
    """A share from 0 to 1, with a 95 % interval."""

    estimate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class GradeScore:
    """How right one grade is, among the buildings that the product grades."""

    grade: str
    users_accuracy: ShareEstimate | None
    """Precision: share of those published with the grade that have it; None where none is."""
    producers_accuracy: float | None
    """Recall: share of those that have the grade that are published with it."""
    f1: float | None
    """Harmonic mean of both; None where the grade was neither published nor answered."""


@dataclass(frozen=True)
class BuildingCounts:
    """How many buildings there are of each grade, estimated from those that were checked."""

    buildings: int
    answered: int
    damaged: CountEstimate
    """Destroyed or Damaged."""
    by_grade: dict[str, CountEstimate]


@dataclass(frozen=True)
class GradeAccuracy:
    """How right the grades are, of the buildings that the product grades."""

    accuracy: ShareEstimate
    macro_f1: float | None
    """Mean F1 of the grades that were published or answered."""
    accuracy_damaged: ShareEstimate
    """Share of the buildings that are rightly called damaged (Destroyed or Damaged) or not."""
    grades: tuple[GradeScore, ...]
    accuracy_counted: float | None
    """Of the answers alone, without their weights."""
    macro_f1_counted: float | None


@dataclass(frozen=True)
class Estimate:
    """Accuracy and counts for the whole product."""

    all_buildings: BuildingCounts
    graded_buildings: BuildingCounts
    """Without those that the product calls Not Analysed."""
    agreement: GradeAccuracy
    confusion_counted: tuple[tuple[int, ...], ...]
    """(published grades, answered grades), answers."""
    confusion_share: tuple[tuple[float | None, ...], ...]
    """The same as shares of all buildings; None in a row without answers."""


def estimate(table: GradeConfusion) -> Estimate:
    """Return accuracy and counts for the whole product."""
    return Estimate(
        all_buildings=_counts(table),
        graded_buildings=_counts(table.graded),
        agreement=_agreement(table.graded),
        confusion_counted=tuple(tuple(map(int, row)) for row in table.counts),
        confusion_share=tuple(
            tuple(_finite(value) for value in row)
            for row in table.estimated / table.buildings.sum()
        ),
    )


def macro_f1(matrix: Float64Array) -> float | None:
    """Return the mean F1 of the classes of a square matrix; None without any, or with a NaN."""
    return mean_of_known(f1_scores(matrix)) if np.isfinite(matrix).all() else None


def _counts(table: GradeConfusion) -> BuildingCounts:
    return BuildingCounts(
        buildings=int(table.buildings.sum()),
        answered=table.answered,
        damaged=_amount(table, table.cells(DAMAGED)),
        by_grade={grade: _amount(table, table.cells([grade])) for grade in GRADES},
    )


def _agreement(graded: GradeConfusion) -> GradeAccuracy:
    matrix = graded.estimated
    right = np.eye(len(GRADES), dtype=np.bool_)
    damaged = np.isin(GRADES, DAMAGED)
    counted = graded.counts.astype(np.float64)
    return GradeAccuracy(
        accuracy=_share(graded, right),
        macro_f1=macro_f1(matrix),
        accuracy_damaged=_share(graded, damaged[:, None] == damaged),
        grades=tuple(_grade_scores(graded)),
        accuracy_counted=ratio(np.trace(counted), counted.sum()),
        macro_f1_counted=macro_f1(counted),
    )


def _grade_scores(graded: GradeConfusion) -> Iterable[GradeScore]:
    matrix = graded.estimated
    for i, (grade, f1) in enumerate(zip(GRADES, f1_scores(matrix), strict=True)):
        alone = GradeConfusion(graded.counts[i : i + 1], graded.buildings[i : i + 1], graded.design)
        published = alone.buildings[0] > 0
        yield GradeScore(
            grade,
            users_accuracy=_share(alone, np.array(GRADES)[None] == grade) if published else None,
            producers_accuracy=ratio(matrix[i, i], matrix[:, i].sum()),
            f1=f1,
        )


def _amount(table: GradeConfusion, cells: BoolArray) -> CountEstimate:
    low, high = count_interval(table.strata(cells))
    total = table.estimated[cells].sum() if table.complete else np.nan
    return CountEstimate(_finite(total), low, high)


def _share(table: GradeConfusion, cells: BoolArray) -> ShareEstimate:
    amount, whole = _amount(table, cells), int(table.buildings.sum())
    if whole == 0:
        return ShareEstimate(None, 0.0, 1.0)
    middle = None if amount.estimate is None else amount.estimate / whole
    return ShareEstimate(middle, amount.low / whole, amount.high / whole)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
