"""Counts of agreement, and the scores that are made of them: count once, score many.

The formulas are those of segmentation_models_pytorch. It brings torch and seconds of import, so it
is imported where a score is asked for: listing a store needs none.
"""

import math
from dataclasses import astuple, dataclass
from typing import Literal

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
        return _score(self, "iou_score")

    @property
    def precision(self) -> float | None:
        """Share of the answer that is true; None without an answer."""
        return _score(self, "precision")

    @property
    def recall(self) -> float | None:
        """Share of the truth that was found; None without truth."""
        return _score(self, "recall")

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither has any."""
        return _score(self, "f1_score")


def count(answer: BoolArray, truth: BoolArray) -> Counts:
    """Count two masks of one shape."""
    both = int(np.count_nonzero(answer & truth))
    answered, true = int(np.count_nonzero(answer)), int(np.count_nonzero(truth))
    return Counts(both, answered - both, true - both, answer.size - answered - true + both)


def _score(
    counts: Counts, metric: Literal["iou_score", "f1_score", "precision", "recall"]
) -> float | None:
    """Return a score of the library; None where it divides nothing by nothing."""
    import torch  # noqa: PLC0415 (see above)
    from segmentation_models_pytorch import metrics  # noqa: PLC0415 (the same)

    # In float64, which counts every pixel; of the library's own choice, float32, are 7 digits.
    pixels = [torch.tensor(n, dtype=torch.float64) for n in astuple(counts)]
    value = float(getattr(metrics, metric)(*pixels, reduction="micro"))
    return None if math.isnan(value) else value
