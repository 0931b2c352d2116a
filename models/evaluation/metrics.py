"""Scores of pixels and of damage grades against labels, from counts that add up over tiles.

Written here, and not from a library, because scoring a product must not import torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.types import BoolArray, CodeArray, Float64Array, FloatArray, IntArray
from models.cards.inputs import UNCLASSIFIED
from models.damage.grader import DAMAGED_FROM, GRADES

Number: TypeAlias = float | int | str | list[str] | None
Detail: TypeAlias = Literal["group", "tile"]


@dataclass(frozen=True)
class Counts:
    """Pixels by reference and prediction."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def n(self) -> int:
        """Pixels counted."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def labelled(self) -> int:
        """Pixels that are positive in the reference."""
        return self.true_positive + self.false_negative

    @property
    def predicted(self) -> int:
        """Pixels that are positive in the prediction."""
        return self.true_positive + self.false_positive

    @property
    def iou(self) -> float | None:
        """Intersection over union of the positive class; None where neither has any."""
        return ratio(self.true_positive, self.labelled + self.false_positive)

    @property
    def precision(self) -> float | None:
        """Share of the prediction that is right; None without a positive prediction."""
        return ratio(self.true_positive, self.predicted)

    @property
    def recall(self) -> float | None:
        """Share of the reference that was found; None without a positive reference."""
        return ratio(self.true_positive, self.labelled)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither has any."""
        return ratio(2 * self.true_positive, self.labelled + self.predicted)


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None where that divides by nothing or is not known (NaN)."""
    return float(part / whole) if whole and np.isfinite(part / whole) else None


def count(prediction: BoolArray, reference: BoolArray) -> Counts:
    """Count two masks of one shape."""
    both = int(np.count_nonzero(prediction & reference))
    found, true = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    return Counts(both, found - both, true - both, prediction.size - found - true + both)


def f1_scores(confusion: npt.NDArray[np.number]) -> list[float | None]:
    """Return the F1 of each class of a square confusion matrix; None for one that never occurs."""
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    return [ratio(2 * confusion[k, k], occurrences[k]) for k in range(len(confusion))]


def mean_of_known(scores: Sequence[float | None]) -> float | None:
    """Return the mean of the scores that are defined; None where none is."""
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def sample_deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


ECE_BINS = 15
"""Of equal width, as in Guo et al. 2017."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """By bins of the probability: pixels, those that are positive, and the sum of probabilities."""

    pixels: Float64Array
    positive: Float64Array
    probability_sum: Float64Array

    @classmethod
    def empty(cls) -> "Reliability":
        """Return one without a pixel."""
        return cls(*(np.zeros(ECE_BINS) for _ in range(3)))

    @classmethod
    def of(
        cls,
        probability: npt.NDArray[np.floating],
        positive: npt.NDArray[np.integer] | BoolArray,
        pixels: npt.NDArray[np.integer] | None = None,
    ) -> "Reliability":
        """Count probabilities, `positive` of the `pixels` (None: one) of each; all of one shape."""
        weights = np.ones(probability.shape) if pixels is None else pixels
        bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1).ravel()
        columns = (weights, positive, weights * probability)
        return cls(*(np.bincount(bins, np.ravel(c), ECE_BINS).astype(np.float64) for c in columns))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.pixels + other.pixels,
            self.positive + other.positive,
            self.probability_sum + other.probability_sum,
        )

    @property
    def ece(self) -> float:
        """Expected calibration error of the positive class (Naeini et al. 2015)."""
        gaps = np.abs(self.probability_sum - self.positive)
        return float(gaps.sum() / max(1.0, self.pixels.sum()))


_LIMIT = 20.0
"""Logits beyond are counted as this: a probability of 1 - 2e-9."""
_BINS = 4000
_EDGES = np.linspace(-_LIMIT, _LIMIT, _BINS + 1)
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2


@dataclass(frozen=True, eq=False)
class LogitTally:
    """Pixels by label and logit, from which temperature and threshold are chosen; adds up."""

    pixels: IntArray
    """(2, bins): negative and positive labels, by logit."""

    @classmethod
    def empty(cls) -> "LogitTally":
        """Return one without a pixel."""
        return cls(np.zeros((2, _BINS), np.int64))

    @classmethod
    def of(cls, logits: FloatArray, target: BoolArray) -> "LogitTally":
        """Count logits and labels of one shape."""
        limited = np.clip(logits, -_LIMIT, _LIMIT)
        rows = [np.histogram(limited[target == label], _EDGES)[0] for label in (False, True)]
        return cls(np.stack(rows).astype(np.int64))

    def __add__(self, other: "LogitTally") -> "LogitTally":
        return LogitTally(self.pixels + other.pixels)

    def counts(self, *, threshold: float, temperature: float = 1.0) -> Counts:
        """Return the counts where a probability from `threshold` on is positive."""
        found = expit(_CENTRES / temperature) >= threshold
        (true_negative, false_positive), (false_negative, true_positive) = (
            (int(row[~found].sum()), int(row[found].sum())) for row in self.pixels
        )
        return Counts(true_positive, false_positive, false_negative, true_negative)

    def temperature(self) -> float:
        """Return what logits are divided by so that the log loss is least."""
        found = minimize_scalar(
            lambda power: self._log_loss(float(np.exp(power))), bounds=(-2.0, 2.0), method="bounded"
        )
        return float(np.exp(found.x))

    def threshold(self, *, temperature: float) -> float:
        """Return the probability, in hundredths, that gives the largest IoU."""
        tried = np.arange(5, 96) / 100
        scores = [self.counts(threshold=t, temperature=temperature).iou or 0.0 for t in tried]
        return float(tried[int(np.argmax(scores))])

    def ece(self, *, temperature: float = 1.0) -> float:
        """Return the expected calibration error of the positive class; see `Reliability`."""
        probability = expit(_CENTRES / temperature)
        return Reliability.of(probability, self.pixels[1], self.pixels.sum(axis=0)).ece

    def _log_loss(self, temperature: float) -> float:
        scaled = _CENTRES / temperature
        # log(1 + exp(x)) without overflow, Maechler 2012.
        negative, positive = np.logaddexp(0, scaled), np.logaddexp(0, -scaled)
        total = (self.pixels[0] * negative + self.pixels[1] * positive).sum()
        return float(total / max(1, self.pixels.sum()))


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
        """0.3 F1 of localisation and 0.7 harmonic mean of the grades' F1; None if one is None."""
        # github.com/DIUx-xView/xView2_scoring
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
        """By the names of `aftermap evaluate`; only the AUC leaves out those without a grade."""
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
    """Return how often a positive scores above a negative, ties by half; None for one class."""
    # Mann and Whitney 1947.
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
