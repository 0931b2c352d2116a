"""Scores of pixels against labels: count once, score many.

Counts add up over tiles, sets and models, so every score is of pooled pixels; a set of any size
takes a few kilobytes. The formulas are the usual ones (`tests` compare them with scikit-learn);
they are written here because listing or scoring a product must not import torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.types import BoolArray, Float64Array, FloatArray, IntArray

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
        """Count probabilities.

        Args:
            probability: any shape.
            positive: of that shape: how many of its pixels are positive, or whether it is.
            pixels: of that shape: how many there are of each; None: one.
        """
        weights = np.ones(probability.shape) if pixels is None else pixels
        bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1).ravel()
        columns = (weights, positive, weights * probability)
        return cls(*(np.bincount(bins, np.ravel(c), ECE_BINS).astype(np.float64) for c in columns))

    def __add__(self, other: "Reliability") -> "Reliability":
        """Return the pixels of both."""
        return Reliability(
            self.pixels + other.pixels,
            self.positive + other.positive,
            self.probability_sum + other.probability_sum,
        )

    @property
    def ece(self) -> float:
        """Expected calibration error (Naeini et al. 2015), of the positive class.

        The mean over pixels of how far, in its bin of the probability of the positive class,
        the mean probability lies from the share that is positive.
        """
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
        """Return the pixels of both."""
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
        """Return the negative log likelihood a pixel."""
        scaled = _CENTRES / temperature
        # log(1 + exp(x)) without overflow, Maechler 2012.
        negative, positive = np.logaddexp(0, scaled), np.logaddexp(0, -scaled)
        total = (self.pixels[0] * negative + self.pixels[1] * positive).sum()
        return float(total / max(1, self.pixels.sum()))


@dataclass(frozen=True)
class TileCounts:
    """The counts of one labelled tile."""

    name: str
    group: str
    """Neighbouring tiles share it: a flood event, a photo."""
    counts: Counts


@dataclass(frozen=True)
class PixelScores:
    """Predictions compared with labels, tile by tile; adds up over sets and models."""

    tiles: tuple[TileCounts, ...] = ()
    """One a sample; a pixel without a prediction counts as not found."""
    predicted_pixels: int = 0
    """Labelled pixels that have a prediction."""
    reliability: Reliability = field(default_factory=Reliability.empty)
    """Of the pixels that have a prediction."""

    def __add__(self, other: "PixelScores") -> "PixelScores":
        """Return the tiles of both."""
        return PixelScores(
            self.tiles + other.tiles,
            self.predicted_pixels + other.predicted_pixels,
            self.reliability + other.reliability,
        )

    @property
    def pooled(self) -> Counts:
        """The pixels of all tiles together."""
        return pooled(self.tiles)

    @property
    def ece(self) -> float | None:
        """Expected calibration error; None where nothing was predicted."""
        return self.reliability.ece if self.predicted_pixels else None

    @property
    def by_group(self) -> Mapping[str, Sequence[TileCounts]]:
        """Tiles by their group, groups in order of name."""
        names = sorted({tile.group for tile in self.tiles})
        return {name: [tile for tile in self.tiles if tile.group == name] for name in names}

    def as_json(self) -> dict[str, Number]:
        """Return the scores as plain numbers."""
        counts = self.pooled
        return {
            "n": len(self.tiles),
            "pixels": counts.n,
            "answered_share": ratio(self.predicted_pixels, counts.n),
            "iou": counts.iou,
            "precision": counts.precision,
            "recall": counts.recall,
            "f1": counts.f1,
            "iou_per_tile_mean": mean_of_known([tile.counts.iou for tile in self.tiles]),
            "ece": self.ece,
        }

    def rows(self, by: Detail) -> list[dict[str, Number]]:
        """Return counts and scores of each group or tile as plain numbers."""
        if by == "tile":
            return [{"tile": t.name, "group": t.group, **_row([t])} for t in self.tiles]
        return [{"group": name, **_row(tiles)} for name, tiles in self.by_group.items()]


def pooled(tiles: Sequence[TileCounts]) -> Counts:
    """Return the pixels of tiles together."""
    return sum((tile.counts for tile in tiles), Counts())


def _row(tiles: Sequence[TileCounts]) -> dict[str, Number]:
    counts = pooled(tiles)
    return {
        "n": len(tiles),
        "true_positive": counts.true_positive,
        "false_positive": counts.false_positive,
        "false_negative": counts.false_negative,
        "true_negative": counts.true_negative,
        "iou": counts.iou,
        "precision": counts.precision,
        "recall": counts.recall,
    }
