"""Counts of agreement, and the scores that are made of them: count once, score many."""

from dataclasses import dataclass

import numpy as np

from geo.raster import BoolArray


@dataclass(frozen=True)
class Counts:
    """Pixels by truth and answer; they add up over images, so scores are of pooled pixels."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both sets of pixels together."""
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
    def iou(self) -> float | None:
        """Intersection over union of the positive class; None where neither has any."""
        return _ratio(
            self.true_positive, self.true_positive + self.false_positive + self.false_negative
        )

    @property
    def precision(self) -> float | None:
        """Share of the answer that is true; None without an answer."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """Share of the truth that was found; None without truth."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        wrong = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + wrong)


def count(answer: BoolArray, truth: BoolArray) -> Counts:
    """Count two masks of one shape."""
    both = int(np.count_nonzero(answer & truth))
    answered, true = int(np.count_nonzero(answer)), int(np.count_nonzero(truth))
    return Counts(both, answered - both, true - both, answer.size - answered - true + both)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
