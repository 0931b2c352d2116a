"""Damage grades against labels, by pixel and by building: count once, score many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu

from geo.types import BoolArray, CodeArray, Float64Array, IntArray
from models.cards.inputs import UNCLASSIFIED
from models.datasets.xbd import GRADES
from models.evaluation.metrics import Counts, Reliability

DAMAGED_FROM = 3
"""Major damage and destroyed are damaged."""
_CODES = len(GRADES) + 2
"""Background, four grades, un-classified."""
_EPSILON = 1e-6
"""Added to an F1 in the harmonic mean of the xView2 score, as in its scoring program."""


@dataclass(frozen=True, eq=False)
class PixelGrades:
    """Pixels by truth (rows) and answer (columns): 0 none, 1 to 4 a grade, 5 un-classified."""

    table: IntArray

    @classmethod
    def empty(cls) -> "PixelGrades":
        """Return one without a pixel."""
        return cls(np.zeros((_CODES, _CODES), np.int64))

    @classmethod
    def of(cls, answer: CodeArray, truth: CodeArray) -> "PixelGrades":
        """Count two masks of xBD of one shape."""
        last = np.uint8(_CODES - 1)
        rows, cols = (np.where(m == UNCLASSIFIED, last, m).astype(int) for m in (truth, answer))
        pairs = np.bincount((rows * _CODES + cols).ravel(), minlength=_CODES**2)
        return cls(pairs.reshape(_CODES, _CODES))

    def __add__(self, other: "PixelGrades") -> "PixelGrades":
        """Return the pixels of both."""
        return PixelGrades(self.table + other.table)

    @property
    def localisation(self) -> Counts:
        """Building against none; an un-classified building is a building."""
        both, missed = self.table[1:, 1:].sum(), self.table[1:, 0].sum()
        extra, neither = self.table[0, 1:].sum(), self.table[0, 0]
        return Counts(int(both), int(extra), int(missed), int(neither))

    @property
    def f1_per_grade(self) -> tuple[float | None, ...]:
        """By grade, on pixels whose building has a grade in the labels, as xView2 scores them."""
        graded = self.table[1:-1]
        return tuple(_of_class(graded, row, grade).f1 for row, grade in enumerate(range(1, 5)))

    @property
    def xview2(self) -> float | None:
        """0.3 F1 of localisation and 0.7 harmonic mean of the grades' F1.

        github.com/DIUx-xView/xView2_scoring. None where there is no building, or the labels and
        the answer lack a grade altogether.
        """
        found, each = self.localisation.f1, self.f1_per_grade
        known = [f1 for f1 in each if f1 is not None]
        if found is None or len(known) < len(each):
            return None
        harmonic = len(known) / sum(1 / (f1 + _EPSILON) for f1 in known)
        return 0.3 * found + 0.7 * harmonic


@dataclass(frozen=True, eq=False)
class BuildingGrades:
    """Buildings that the labels grade, and the probabilities that they were given."""

    truth: CodeArray
    """(buildings,) 1 to 4."""
    probabilities: Float64Array
    """(buildings, 4); NaN where the model has no answer."""

    @classmethod
    def together(cls, parts: Sequence["BuildingGrades"]) -> "BuildingGrades":
        """Return the buildings of several tiles."""
        return cls(
            np.concatenate([np.zeros(0, np.uint8), *(part.truth for part in parts)]),
            np.concatenate([np.zeros((0, 4)), *(part.probabilities for part in parts)]),
        )

    @property
    def graded(self) -> "BuildingGrades":
        """Those with an answer."""
        there = np.isfinite(self.probabilities).all(axis=1)
        return BuildingGrades(self.truth[there], self.probabilities[there])

    @property
    def answer(self) -> CodeArray:
        """The likeliest grade of each, 1 to 4; 0 where there is no answer."""
        there = np.isfinite(self.probabilities).all(axis=1)
        likeliest = np.nan_to_num(self.probabilities).argmax(axis=1) + 1
        return np.where(there, likeliest, 0).astype(np.uint8)

    @property
    def damaged(self) -> Float64Array:
        """Probability of major damage or destroyed."""
        return np.asarray(self.probabilities[:, DAMAGED_FROM - 1 :].sum(axis=1))

    @property
    def auc_damaged(self) -> float | None:
        """Area under the ROC curve of damaged, of those with an answer; None for one class."""
        graded = self.graded
        return auc(graded.damaged, graded.truth >= DAMAGED_FROM)

    @property
    def macro_f1_two(self) -> float | None:
        """Mean F1 of damaged, from a probability of one half on, and of the rest.

        A building without an answer is a fault of both.
        """
        there = self.answer > 0
        said = np.where(there, 1 + (np.nan_to_num(self.damaged) >= 0.5), 0)
        return _macro_f1(said, 1 + (self.truth >= DAMAGED_FROM), classes=2)

    @property
    def macro_f1_four(self) -> float | None:
        """Mean F1 of the four grades, the likeliest one being the answer."""
        return _macro_f1(self.answer, self.truth, classes=4)

    @property
    def accuracy(self) -> float | None:
        """Share whose likeliest grade is that of the label; no answer is none."""
        return float((self.answer == self.truth).mean()) if len(self.truth) else None

    @property
    def reliability(self) -> Reliability:
        """Of the probability of damaged."""
        graded = self.graded
        return Reliability.of(graded.damaged, graded.truth >= DAMAGED_FROM)


def auc(scores: Float64Array, positive: BoolArray) -> float | None:
    """Return how often a positive scores above a negative, ties by half (Mann and Whitney 1947)."""
    ones, zeros = scores[positive], scores[~positive]
    if not len(ones) or not len(zeros):
        return None
    # The test's probability is not asked for: the asymptotic one is the quick one.
    above = mannwhitneyu(ones, zeros, method="asymptotic").statistic
    return float(above / (len(ones) * len(zeros)))


def _macro_f1(answer: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], *, classes: int
) -> float | None:  # fmt: skip
    """Return the mean F1 of classes 1 on that occur in truth or answer; None without any."""
    size = classes + 1
    table = np.bincount(truth.astype(int) * size + answer, minlength=size * size)
    table = table.reshape(size, size)
    each = [_of_class(table, number, number).f1 for number in range(1, size)]
    known = [f1 for f1 in each if f1 is not None]
    return float(np.mean(known)) if known else None


def _of_class(table: IntArray, row: int, column: int) -> Counts:
    """Return the counts of one class of a table of truth and answer."""
    right = int(table[row, column])
    missed = int(table[row].sum()) - right
    wrong = int(table[:, column].sum()) - right
    return Counts(right, wrong, missed, int(table.sum()) - right - missed - wrong)
