"""Indices of bands, radar without speckle, thresholds of histograms.

Bands are float32 reflectance (or brightness), NaN where not valid; negative values count as 0. An
index is in [-1, 1], NaN where both bands are 0. A histogram is `counts (..., bins)` over `edges
(bins + 1,)` of equal width.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import uniform_filter

from geo.scenes.sensors import Units, to_decibel, to_physical
from geo.types import Float64Array, FloatArray


def ndwi(green: FloatArray, nir: FloatArray) -> FloatArray:
    """Return the water index of McFeeters 1996, doi:10.1080/01431169608948714."""
    return normalised_difference(green, nir)


def mndwi(green: FloatArray, swir16: FloatArray) -> FloatArray:
    """Return the modified water index of Xu 2006, doi:10.1080/01431160600589179."""
    return normalised_difference(green, swir16)


def ndvi(red: FloatArray, nir: FloatArray) -> FloatArray:
    """Return the vegetation index of Rouse et al. 1974, NASA SP-351, volume 1, page 309."""
    return normalised_difference(nir, red)


def nbr(nir: FloatArray, swir22: FloatArray) -> FloatArray:
    """Return the burn ratio of Key and Benson 2006, USDA RMRS-GTR-164-CD, LA-25."""
    return normalised_difference(nir, swir22)


def normalised_difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return (first - second) / (first + second), negative values counting as 0."""
    positive, other = np.maximum(first, 0), np.maximum(second, 0)
    total = positive + other
    safe = np.where(total > 0, total, np.float32(np.nan))
    return np.asarray((positive - other) / safe, np.float32)


def lee(power: FloatArray, *, window_px: int, looks: float) -> FloatArray:
    """Return linear power, (rows, cols), smoothed where only speckle varies; NaN takes no part.

    Lee 1980, doi:10.1109/TPAMI.1980.4766994, in the form of Lopes et al. 1990,
    doi:10.1109/36.62623: the local mean, plus the share of the local variance that speckle does not
    explain times the deviation from it.

    Args:
        window_px: edge of the square window, odd.
        looks: equivalent number of looks, 1 / the squared coefficient of variation of speckle.
    """
    valid = np.isfinite(power)
    filled = np.where(valid, power, 0).astype(np.float64)
    share = np.maximum(uniform_filter(valid.astype(np.float64), window_px), 1 / window_px**2)
    mean = uniform_filter(filled, window_px) / share
    variance = np.maximum(uniform_filter(filled**2, window_px) / share - mean**2, 0)
    speckle = mean**2 / looks
    weight = np.maximum(1 - speckle / np.maximum(variance, np.finfo(np.float64).tiny), 0)
    smooth = mean + weight * (filled - mean)
    return np.where(valid, smooth, np.nan).astype(np.float32)


def lee_decibel(decibel: FloatArray, *, window_px: int, looks: float) -> FloatArray:
    """Return decibels, (rows, cols), after `lee` on their power; NaN where the input is."""
    power = to_physical(decibel, units=Units.DECIBEL)
    return to_decibel(lee(power, window_px=window_px, looks=looks))


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
        """Return the log odds of the higher mode, never falling as the value grows: constant beyond
        the vertex, where the quadratic of two unequal variances turns back."""
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

    low_mean: Float64Array
    low_std: Float64Array
    low_share: Float64Array
    high_mean: Float64Array
    high_std: Float64Array

    @property
    def ashman_d(self) -> Float64Array:
        """Separation, apart above 2: Ashman, Bird and Zepf 1994, doi:10.1086/117248, equation 4."""
        spread = np.sqrt((self.low_std**2 + self.high_std**2) / 2)
        return np.asarray((self.high_mean - self.low_mean) / spread, np.float64)

    @property
    def smaller_share(self) -> Float64Array:
        """Share of the smaller mode, 0 to 0.5."""
        return np.minimum(self.low_share, 1 - self.low_share)

    def pair(self) -> GaussianPair:
        """Return the two modes of a single histogram."""
        return GaussianPair(
            **{field.name: float(getattr(self, field.name)) for field in fields(self)}
        )


def otsu(counts: Float64Array, edges: Float64Array) -> float:
    """Return the inner edge that maximises the variance between two classes, the middle of
    neighbouring ties (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    weights = counts / counts.sum()
    share, mean = np.cumsum(weights), np.cumsum(weights * _centres(edges))
    share, total = share[:-1], mean[-1]
    spread = share * (1 - share)
    between = (total * share - mean[:-1]) ** 2
    usable = spread > 0
    between = np.where(usable, between / np.where(usable, spread, 1), -np.inf)
    ties = np.flatnonzero(np.isclose(between, between.max(), rtol=1e-9, atol=1e-12))
    steps = np.flatnonzero(np.diff(ties) > 1)
    last = ties[steps[0]] if steps.size else ties[-1]
    return float((edges[ties[0] + 1] + edges[last + 1]) / 2)


def two_modes(counts: Float64Array, edges: Float64Array, *, steps: int = 100) -> Modes:
    """Fit a mixture of two normal distributions to each histogram, (..., bins) with pixels each.

    By expectation maximisation (Dempster, Laird and Rubin 1977), from the halves around the mean.
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


def _moments(
    weights: Float64Array, edges: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return share, mean and standard deviation, (..., 1) each."""
    centres = _centres(edges)
    share = weights.sum(axis=-1, keepdims=True) + _LEAST_SHARE
    mean = (weights * centres).sum(axis=-1, keepdims=True) / share
    variance = (weights * (centres - mean) ** 2).sum(axis=-1, keepdims=True) / share
    # Sheppard's correction: the variance inside a bin.
    return share, mean, np.sqrt(variance + (edges[1] - edges[0]) ** 2 / 12)


def _share_of_second(
    parts: list[tuple[Float64Array, Float64Array, Float64Array]], centres: Float64Array
) -> Float64Array:
    """Return how much of each bin belongs to the second part, (..., bins)."""
    low, high = (
        np.log(share / std) - ((centres - mean) / std) ** 2 / 2 for share, mean, std in parts
    )
    return np.asarray(1 / (1 + np.exp(np.clip(low - high, -700, 700))), np.float64)


def _centres(edges: Float64Array) -> Float64Array:
    return (edges[:-1] + edges[1:]) / 2
