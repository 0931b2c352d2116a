import numpy as np
import pytest

from geo.raster.indices import lee, lee_decibel

LOOKS = 4.4


def speckled(mean, *, shape=(120, 120), seed=2):
    rng = np.random.default_rng(seed)
    return (mean * rng.gamma(LOOKS, 1 / LOOKS, shape)).astype(np.float32)


def by_hand(power, row, col, half):
    """The filter at one pixel, from its definition."""
    window = power[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1]
    seen = window[np.isfinite(window)].astype(float)
    mean, variance = seen.mean(), seen.var()
    weight = max(0.0, 1 - mean**2 / LOOKS / variance)
    return mean + weight * (power[row, col] - mean)


def test_each_pixel_is_the_formula_over_its_valid_neighbours():
    power = speckled(0.05)
    power[40:50, 40:43] = np.nan
    power[70, 70] = 30.0
    smooth = lee(power, window_px=5, looks=LOOKS)
    for row, col in [(10, 10), (39, 41), (45, 44), (70, 70), (72, 72), (100, 55)]:
        assert smooth[row, col] == pytest.approx(by_hand(power, row, col, 2), rel=1e-4)


def test_speckle_goes_and_the_mean_stays():
    power = speckled(0.05)
    smooth = lee(power, window_px=7, looks=LOOKS)
    assert smooth.mean() == pytest.approx(power.mean(), rel=0.02)
    assert smooth.std() < 0.5 * power.std()


def test_an_edge_stays_sharp():
    power = speckled(0.05)
    power[:, 60:] = speckled(5.0)[:, 60:]
    smooth = lee(power, window_px=5, looks=LOOKS)
    assert (smooth[3:-3, 59] < 1.0).all()
    assert np.median(smooth[:, 60]) > 2.0


@pytest.mark.filterwarnings("error")
def test_what_is_not_valid_stays_so_and_spreads_nowhere():
    power = np.full((30, 30), 0.1, np.float32)
    power[10:20, 10:20] = np.nan
    smooth = lee(power, window_px=5, looks=LOOKS)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(power))
    np.testing.assert_allclose(smooth[np.isfinite(smooth)], 0.1, rtol=1e-6)
    assert np.isnan(lee(np.full((9, 9), np.nan, np.float32), window_px=5, looks=LOOKS)).all()


def test_decibels_are_filtered_as_power():
    decibel = (10 * np.log10(speckled(0.05))).astype(np.float32)
    decibel[3:6, 2:9] = np.nan
    smooth = lee_decibel(decibel, window_px=5, looks=LOOKS)
    by_power = lee((10 ** (decibel / 10)).astype(np.float32), window_px=5, looks=LOOKS)
    np.testing.assert_allclose(10 ** (smooth / 10), by_power, rtol=1e-4)
