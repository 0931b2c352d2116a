"""Indices of optical bands: normalised differences that stand for water, plants and fire.

Bands are float32 of any one shape, in reflectance (or brightness, for pictures), NaN where
not valid. An index lies in [-1, 1]. Atmospheric correction leaves slightly negative
reflectances over dark water; they count as 0. Where both bands are 0 the index is NaN.
"""

import numpy as np

from geo.raster import FloatArray


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
