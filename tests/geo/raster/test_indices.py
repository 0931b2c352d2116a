import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geo.raster import indices

VALUES = st.floats(-0.25, 1.5, width=32) | st.just(math.nan)
BAND = arrays(np.float32, (4, 5), elements=VALUES)


def by_hand(first: float, second: float) -> float:
    """The formula for one pixel, in Python's own floats."""
    if math.isnan(first) or math.isnan(second):
        return math.nan
    first, second = max(first, 0.0), max(second, 0.0)
    return math.nan if first + second == 0 else (first - second) / (first + second)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("function", [indices.ndwi, indices.mndwi, indices.nbr])
@given(first=BAND, second=BAND)
@settings(max_examples=50, deadline=None)
def test_an_index_is_the_normalised_difference_of_its_bands(function, first, second):
    wanted = np.vectorize(by_hand)(first.astype(float), second.astype(float))
    found = function(first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@given(red=BAND, nir=BAND)
@settings(max_examples=50, deadline=None)
def test_the_ndvi_grows_with_the_near_infrared(red, nir):
    wanted = np.vectorize(by_hand)(nir.astype(float), red.astype(float))
    np.testing.assert_allclose(indices.ndvi(red, nir), wanted, atol=1e-6)


def test_known_surfaces_have_the_signs_of_the_literature():
    """Typical reflectances of clear water and of a crop."""
    water = {
        name: np.float32([value])
        for name, value in {
            "green": 0.06,
            "red": 0.04,
            "nir": 0.01,
            "swir16": 0.005,
            "swir22": 0.003,
        }.items()
    }
    crop = {
        name: np.float32([value])
        for name, value in {
            "green": 0.08,
            "red": 0.04,
            "nir": 0.5,
            "swir16": 0.2,
            "swir22": 0.1,
        }.items()
    }
    assert indices.ndwi(water["green"], water["nir"]) > 0 > indices.ndwi(crop["green"], crop["nir"])
    assert indices.mndwi(water["green"], water["swir16"]) > 0
    assert indices.mndwi(crop["green"], crop["swir16"]) < 0
    assert indices.ndvi(crop["red"], crop["nir"]) > 0.8
    assert indices.nbr(crop["nir"], crop["swir22"]) > 0.6
