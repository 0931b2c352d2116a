"""Scores of damage grades against labels, by pixel and by building."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.types import BoolArray, CodeArray, Float64Array, IntArray
from models.cards.inputs import UNCLASSIFIED
from models.damage.grader import DAMAGED_FROM, GRADES
from models.evaluation.metrics import Counts, Reliability, f1_scores, mean_of_known

_CODES = len(GRADES) + 2
"""Background, four grades, un-classified."""
_EPSILON = 1e-6
"""Added to an F1 in the harmonic mean of the xView2 score, as in its scoring program."""


@dataclass(frozen=True, eq=False)
class PixelGrades:
    """Pixels by label (rows) and prediction (columns): 0 none, 1 to 4 a grade, 5 un-classified."""

    table: IntArray

    @classmethod
    def empty(cls) -> "PixelGrades":
        """Return one without a pixel."""
        return cls(np.zeros((_CODES, _CODES), np.int64))

    @classmethod
    def of(cls, prediction: CodeArray, labels: CodeArray) -> "PixelGrades":
        """Count two masks of xBD of one shape."""
        rows, cols = (np.where(m == UNCLASSIFIED, _CODES - 1, m) for m in (labels, prediction))
        return cls(_confusion(rows, cols, _CODES))

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
        graded = self.table.copy()
        graded[[0, -1]] = 0
        return tuple(f1_scores(graded)[1:-1])

    @property
    def xview2(self) -> float | None:
        """0.3 F1 of localisation and 0.7 harmonic mean of the grades' F1.

        github.com/DIUx-xView/xView2_scoring. None where there is no building, or labels and
        prediction both lack a grade.
        """
        found, each = self.localisation.f1, self.f1_per_grade
        known = [f1 for f1 in each if f1 is not None]
        if found is None or len(known) < len(each):
            return None
        harmonic = len(known) / sum(1 / (f1 + _EPSILON) for f1 in known)
        return 0.3 * found + 0.7 * harmonic


@dataclass(frozen=True, eq=False)
class BuildingPredictions:
    """Buildings that the labels grade, and the probabilities that a model gives them."""

    labels: CodeArray
    """(buildings,) 1 to 4."""
    probabilities: Float64Array
    """(buildings, 4); NaN where the model gives none."""

    @classmethod
    def together(cls, parts: Sequence["BuildingPredictions"]) -> "BuildingPredictions":
        """Return the buildings of several tiles."""
        return cls(
            np.concatenate([np.zeros(0, np.uint8), *(part.labels for part in parts)]),
            np.concatenate([np.zeros((0, 4)), *(part.probabilities for part in parts)]),
        )

    @property
    def has_grade(self) -> BoolArray:
        """(buildings,); True where the model gives a grade."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def graded(self) -> "BuildingPredictions":
        """Those with a grade of the model."""
        return BuildingPredictions(self.labels[self.has_grade], self.probabilities[self.has_grade])

    @property
    def grades(self) -> CodeArray:
        """The likeliest grade of each, 1 to 4; 0 where there is none."""
        likeliest = np.nan_to_num(self.probabilities).argmax(axis=1) + 1
        return np.where(self.has_grade, likeliest, 0).astype(np.uint8)

    @property
    def damaged(self) -> Float64Array:
        """Probability of major damage or destroyed."""
        return np.asarray(self.probabilities[:, DAMAGED_FROM - 1 :].sum(axis=1))

    @property
    def confusion(self) -> IntArray:
        """(5, 5): buildings by label and by likeliest grade, 0 being none."""
        return _confusion(self.labels, self.grades, len(GRADES) + 1)

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores per building, by the names of `aftermap evaluate`.

        `auc_damaged` is of the buildings with a grade. In the others a building without a grade
        counts as wrong: `macro_f1_two` is the mean F1 of damaged, from a probability of one half
        on, and of the rest; `macro_f1_four` that of the four grades.
        """
        graded, damaged = self.graded, np.nan_to_num(self.damaged) >= 0.5
        two = np.where(self.has_grade, 1 + damaged, 0)
        pairs = _confusion(1 + (self.labels >= DAMAGED_FROM), two, 3)
        right = (self.grades == self.labels).mean() if len(self.labels) else None
        return {
            "auc_damaged": auc(graded.damaged, graded.labels >= DAMAGED_FROM),
            "macro_f1_two": mean_of_known(f1_scores(pairs)[1:]),
            "macro_f1_four": mean_of_known(f1_scores(self.confusion)[1:]),
            "accuracy_buildings": None if right is None else float(right),
        }

    @property
    def ece(self) -> float | None:
        """Expected calibration error of the probability of damaged; None without a grade."""
        graded = self.graded
        if not len(graded.labels):
            return None
        return Reliability.of(graded.damaged, graded.labels >= DAMAGED_FROM).ece


def auc(scores: Float64Array, positive: BoolArray) -> float | None:
    """Return how often a positive scores above a negative, ties by half (Mann and Whitney 1947).

    None where all are of one class.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - half a second that only this function needs

    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return None
    above = rankdata(scores)[positive].sum() - ones * (ones + 1) / 2
    return float(above / (ones * zeros))


def _confusion(
    labels: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer], classes: int
) -> IntArray:
    """Return counts by label (rows) and prediction (columns), (classes, classes)."""
    pairs = labels.astype(np.int64).ravel() * classes + prediction.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
