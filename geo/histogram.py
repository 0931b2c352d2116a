"""Histograms with two modes: thresholds, and whether there are two modes at all.

A histogram is `counts (..., bins)` over `edges (bins + 1,)` of equal width.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.raster import FloatArray

Array: TypeAlias = npt.NDArray[np.float64]

_LEAST_SHARE = 1e-12


@dataclass(frozen=True)
class GaussianPair:
    """Two normal distributions, the lower and the higher mode of a feature."""

    low_mean: float
    low_std: float
    low_share: float
    """Share of the pixels that belong to the lower mode; the rest belong to the higher."""
    high_mean: float
    high_std: float

    def log_odds_high(self, values: FloatArray) -> FloatArray:
        """Return the log odds of the higher mode, never falling as the value grows.

        The quadratic that two unequal variances give turns back beyond its vertex, where it
        would give the far side of the narrow mode to the wide one; there it is held.
        """
        low, high = 1 / self.low_std**2, 1 / self.high_std**2
        if low != high:
            vertex = (self.low_mean * low - self.high_mean * high) / (low - high)
            below = vertex < (self.low_mean + self.high_mean) / 2
            values = np.maximum(values, vertex) if below else np.minimum(values, vertex)
        square = low * (values - self.low_mean) ** 2 - high * (values - self.high_mean) ** 2
        weight = (1 - self.low_share) * self.low_std / (self.low_share * self.high_std)
        return np.asarray(np.log(weight) + square / 2, np.float32)


@dataclass(frozen=True, eq=False)
class Modes:
    """A mixture of two normal distributions for each of many histograms; arrays of one shape."""

    low_mean: Array
    low_std: Array
    low_share: Array
    high_mean: Array
    high_std: Array

    @property
    def ashman_d(self) -> Array:
        """Separation of the modes; above 2 they are apart.

        Ashman, Bird and Zepf 1994, doi:10.1086/117248, equation 4.
        """
        spread = np.sqrt((self.low_std**2 + self.high_std**2) / 2)
        return np.asarray((self.high_mean - self.low_mean) / spread, np.float64)

    @property
    def smaller_share(self) -> Array:
        """Share of the smaller mode, 0 to 0.5."""
        return np.minimum(self.low_share, 1 - self.low_share)

    def pair(self) -> GaussianPair:
        """Return the two modes of a single histogram."""
        return GaussianPair(
            low_mean=float(self.low_mean),
            low_std=float(self.low_std),
            low_share=float(self.low_share),
            high_mean=float(self.high_mean),
            high_std=float(self.high_std),
        )


def otsu(counts: Array, edges: Array) -> float:
    """Return the inner edge that maximises the variance between two classes.

    Otsu 1979, doi:10.1109/TSMC.1979.4310076. Where several neighbouring edges are as good,
    as in a gap between two modes, their middle.
    """
    share, mean = _cumulated(counts, _centres(edges))
    share, total = share[:-1], mean[-1]
    spread = share * (1 - share)
    between = (total * share - mean[:-1]) ** 2
    usable = spread > 0
    return _least(np.where(usable, -between / np.where(usable, spread, 1), np.inf), edges)


def kittler_illingworth(
    counts: Array, edges: Array, *, between: tuple[float, float] | None = None
) -> float:
    """Return the inner edge with the least error of classification into two normal classes.

    Kittler and Illingworth 1986, doi:10.1016/0031-3203(86)90030-0, equation 15, with
    Sheppard's correction of the variance for the width of a bin. Where several neighbouring
    edges are as good, their middle.

    Args:
        counts: (bins,).
        edges: (bins + 1,).
        between: only edges strictly between these two values. The criterion has a false
            minimum at the ends of the histogram, where one class holds next to nothing; the
            means of the two modes keep it out. At least one inner edge must lie there.
    """
    criterion = minimum_error(counts, edges)
    if between is not None:
        inner = edges[1:-1]
        criterion = np.where((inner > between[0]) & (inner < between[1]), criterion, np.inf)
    return _least(criterion, edges)


def minimum_error(counts: Array, edges: Array) -> Array:
    """Return the criterion of Kittler and Illingworth at each inner edge, (bins - 1,).

    Infinite where a side is empty.
    """
    centres = _centres(edges)
    share, mean = _cumulated(counts, centres)
    _, square = _cumulated(counts, centres**2)
    criterion = np.ones(len(centres) - 1)
    for weight, first, second in (
        (share[:-1], mean[:-1], square[:-1]),
        (1 - share[:-1], mean[-1] - mean[:-1], square[-1] - square[:-1]),
    ):
        filled = weight > _LEAST_SHARE
        safe = np.where(filled, weight, 1)
        variance = np.maximum(second / safe - (first / safe) ** 2, 0) + _within(edges)
        cost = weight * np.log(variance) - 2 * weight * np.log(safe)
        criterion += np.where(filled, cost, np.inf)
    return criterion


def two_modes(counts: Array, edges: Array, *, steps: int = 100) -> Modes:
    """Fit a mixture of two normal distributions to each histogram.

    By expectation maximisation (Dempster, Laird and Rubin 1977), from the two halves around
    the mean. The two sides of a threshold would overstate how far the modes lie apart: the
    halves of a single normal distribution have an Ashman's D of 2.65.

    Args:
        counts: (..., bins), each with at least one pixel.
        edges: (bins + 1,).
        steps: of the iteration.
    """
    centres = _centres(edges)
    weights = counts / counts.sum(axis=-1, keepdims=True)
    mean = (weights * centres).sum(axis=-1, keepdims=True)
    high = np.where(centres > mean, 1.0, 0.0)
    for _ in range(steps):
        parts = [_moments(weights * part, edges) for part in (1 - high, high)]
        high = _share_of_second(parts, centres)
    (low_share, low_mean, low_std), (_, high_mean, high_std) = parts
    fitted = (low_mean, low_std, low_share, high_mean, high_std)
    return Modes(*(array[..., 0] for array in fitted))


def _moments(weights: Array, edges: Array) -> tuple[Array, Array, Array]:
    """Return share, mean and standard deviation, (..., 1) each."""
    centres = _centres(edges)
    share = weights.sum(axis=-1, keepdims=True) + _LEAST_SHARE
    mean = (weights * centres).sum(axis=-1, keepdims=True) / share
    variance = (weights * (centres - mean) ** 2).sum(axis=-1, keepdims=True) / share
    return share, mean, np.sqrt(variance + _within(edges))


def _share_of_second(parts: list[tuple[Array, Array, Array]], centres: Array) -> Array:
    """Return how much of each bin belongs to the second part, (..., bins)."""
    low, high = (
        np.log(share / std) - ((centres - mean) / std) ** 2 / 2 for share, mean, std in parts
    )
    return np.asarray(1 / (1 + np.exp(np.clip(low - high, -700, 700))), np.float64)


def _centres(edges: Array) -> Array:
    return (edges[:-1] + edges[1:]) / 2


def _within(edges: Array) -> float:
    """Return the variance inside a bin (Sheppard's correction)."""
    return float((edges[1] - edges[0]) ** 2 / 12)


def _cumulated(counts: Array, values: Array) -> tuple[Array, Array]:
    """Return the cumulated share, and the cumulated sum of values, (bins,) each."""
    weights = counts / counts.sum()
    return np.cumsum(weights), np.cumsum(weights * values)


def _least(criterion: Array, edges: Array) -> float:
    """Return the inner edge where a criterion is least, the middle of the first that tie."""
    ties = np.flatnonzero(np.isclose(criterion, criterion.min(), rtol=1e-9, atol=1e-12))
    steps = np.flatnonzero(np.diff(ties) > 1)
    last = ties[steps[0]] if steps.size else ties[-1]
    return float((edges[ties[0] + 1] + edges[last + 1]) / 2)
