"""Speckle, the grain of radar images."""

import numpy as np
from scipy.ndimage import uniform_filter

from geo.raster import FloatArray
from geo.sensors import Units, to_decibel, to_physical


def lee(power: FloatArray, *, window_px: int, looks: float) -> FloatArray:
    """Return radar power with its speckle smoothed where nothing but speckle varies.

    Lee 1980, doi:10.1109/TPAMI.1980.4766994, in the form of Lopes et al. 1990,
    doi:10.1109/36.62623: the local mean, plus the share of the local variance that speckle
    does not explain times the deviation from it. Pixels that are not valid take no part.

    Args:
        power: (rows, cols), linear power, NaN where not valid.
        window_px: edge of the square window, odd.
        looks: equivalent number of looks; the squared coefficient of variation of the
            speckle is its reciprocal.

    Returns:
        (rows, cols), linear power, NaN where the input is.
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
