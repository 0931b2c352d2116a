"""Logits against labels, counted in bins: calibration and the threshold come out of it.

Counting once keeps a set of any size in a few kilobytes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.raster import BoolArray, FloatArray
from models.metrics import Counts

Tally = npt.NDArray[np.int64]

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

    pixels: Tally
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

    pixels: npt.NDArray[np.float64]
    positive: npt.NDArray[np.float64]
    promised: npt.NDArray[np.float64]
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
