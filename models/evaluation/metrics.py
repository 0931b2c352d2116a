"""Counts of agreement, and the scores that are made of them: count once, score many.

The formulas are those of segmentation_models_pytorch. It brings torch and seconds of import, so it
is imported where a score is asked for: listing a store needs none.

Logits against labels, counted in bins: calibration and the threshold come out of it.

Counting once keeps a set of any size in a few kilobytes.

Agreement: answers held against labels, tile by tile; it adds up over sets and models.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.types import BoolArray, Float64Array, FloatArray, IntArray


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


_LIMIT = 20.0
"""Logits beyond are counted as this: a probability of 1 - 2e-9."""
_BINS = 4000
_EDGES = np.linspace(-_LIMIT, _LIMIT, _BINS + 1)
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
ECE_BINS = 15
"""Of equal width, as in Guo et al. 2017."""


@dataclass(frozen=True, eq=False)
class LogitTally:
    """Pixels by label and logit; adds up over tiles."""

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
        """Return the agreement where a probability from `threshold` on is positive."""
        found = expit(_CENTRES / temperature) >= threshold
        (right_no, wrong_yes), (wrong_no, right_yes) = (
            (int(row[~found].sum()), int(row[found].sum())) for row in self.pixels
        )
        return Counts(right_yes, wrong_yes, wrong_no, right_no)

    def temperature(self) -> float:
        """Return what logits are divided by so that the labels are likeliest."""
        found = minimize_scalar(
            lambda power: self._surprise(float(np.exp(power))), bounds=(-2.0, 2.0), method="bounded"
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

    def _surprise(self, temperature: float) -> float:
        """Return the negative log likelihood a pixel."""
        scaled = _CENTRES / temperature
        # log(1 + exp(x)) without overflow, Maechler 2012.
        negative, positive = np.logaddexp(0, scaled), np.logaddexp(0, -scaled)
        total = (self.pixels[0] * negative + self.pixels[1] * positive).sum()
        return float(total / max(1, self.pixels.sum()))


@dataclass(frozen=True, eq=False)
class Reliability:
    """By bins of the probability: pixels, those that are positive, and what was promised."""

    pixels: Float64Array
    positive: Float64Array
    promised: Float64Array
    """Sum of the probabilities."""

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
        return cls(
            *(
                np.bincount(bins, np.ravel(values), minlength=ECE_BINS).astype(np.float64)
                for values in (weights, positive, weights * probability)
            )
        )

    def __add__(self, other: "Reliability") -> "Reliability":
        """Return the pixels of both."""
        return Reliability(
            self.pixels + other.pixels,
            self.positive + other.positive,
            self.promised + other.promised,
        )

    @property
    def ece(self) -> float:
        """Expected calibration error (Naeini et al. 2015), of the positive class.

        The mean over pixels of how far, in its bin of the probability of the positive class,
        the mean probability lies from the share that is positive.
        """
        return float(np.abs(self.promised - self.positive).sum() / max(1.0, self.pixels.sum()))


Number: TypeAlias = float | int | str | list[str] | None
Detail: TypeAlias = Literal["group", "tile"]
NOTHING = Counts(0, 0, 0, 0)


@dataclass(frozen=True)
class TileCounts:
    """One labelled tile."""

    name: str
    group: str
    """Neighbours share it."""
    counts: Counts


@dataclass(frozen=True)
class Agreement:
    """What an answer is worth on labelled tiles."""

    tiles: tuple[TileCounts, ...]
    """One a sample; what got no answer counts as not found."""
    answered_pixels: int
    """Labelled pixels that got an answer."""
    reliability: Reliability
    """Of the pixels that got an answer."""

    @classmethod
    def empty(cls) -> "Agreement":
        """Return one without a tile."""
        return cls((), 0, Reliability.empty())

    def __add__(self, other: "Agreement") -> "Agreement":
        """Return the tiles of both."""
        return Agreement(
            self.tiles + other.tiles,
            self.answered_pixels + other.answered_pixels,
            self.reliability + other.reliability,
        )

    @property
    def pooled(self) -> Counts:
        """The pixels of all tiles together."""
        return sum((tile.counts for tile in self.tiles), NOTHING)

    @property
    def iou_per_tile_mean(self) -> float | None:
        """Mean over the tiles that have an IoU: a label or an answer."""
        scores = [tile.counts.iou for tile in self.tiles if tile.counts.iou is not None]
        return float(np.mean(scores)) if scores else None

    @property
    def ece(self) -> float | None:
        """Expected calibration error; None where nothing was answered."""
        return self.reliability.ece if self.answered_pixels else None

    @property
    def by_group(self) -> Mapping[str, Sequence[TileCounts]]:
        """Tiles by their group, both in order of name."""
        groups: dict[str, list[TileCounts]] = {name: [] for name in sorted(self._groups)}
        for tile in self.tiles:
            groups[tile.group].append(tile)
        return groups

    @property
    def _groups(self) -> set[str]:
        return {tile.group for tile in self.tiles}

    def as_json(self) -> dict[str, Number]:
        """Return its scores as plain numbers."""
        pooled = self.pooled
        return {
            "n": len(self.tiles),
            "pixels": pooled.n,
            "answered_share": self.answered_pixels / pooled.n if pooled.n else None,
            "iou": pooled.iou,
            "precision": pooled.precision,
            "recall": pooled.recall,
            "f1": pooled.f1,
            "iou_per_tile_mean": self.iou_per_tile_mean,
            "ece": self.ece,
        }

    def rows(self, by: Detail) -> list[dict[str, Number]]:
        """Return counts and scores of each group or tile as plain numbers."""
        if by == "tile":
            return [{"tile": t.name, "group": t.group, **_row([t])} for t in self.tiles]
        return [{"group": name, **_row(tiles)} for name, tiles in self.by_group.items()]


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


def pooled(tiles: Sequence[TileCounts]) -> Counts:
    """Return the pixels of tiles together."""
    return sum((tile.counts for tile in tiles), NOTHING)


def spread(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
