"""The noisy border of radar images."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geo.imagery.reader import BORDER_DB, BORDER_PX, radar_border

LAND, NOISE = np.float32(0.1), np.float32(10 ** (BORDER_DB / 10) / 2)


def test_dark_water_inland_is_no_fringe_and_noise_at_the_edge_is() -> None:
    power = np.full((1, 40, 40), LAND)
    power[:, 20:30, 20:30] = NOISE  # a calm lake
    power[:, :, 5:8] = NOISE  # the fringe beside nothing
    valid = np.ones((40, 40), bool)
    valid[:, :5] = False
    expected = np.zeros((40, 40), bool)
    expected[:, 5:8] = True
    np.testing.assert_array_equal(radar_border(power, valid), expected)


@given(seed=st.integers(0, 99), land=st.floats(0.2, 0.9))
@settings(max_examples=30, deadline=None)
def test_the_fringe_is_the_dark_that_hangs_together_with_the_edge(seed: int, land: float) -> None:
    rng = np.random.default_rng(seed)
    power = np.where(rng.random((2, 30, 30)) < land, LAND, NOISE)
    valid = rng.random((30, 30)) > 0.05
    dark = (power < 10 ** (BORDER_DB / 10)).any(axis=0) & valid
    # Another way to it: whole pieces of dark and missing pixels that hold a missing one.
    pieces, _ = ndimage.label(dark | ~valid)
    touched = np.isin(pieces, np.unique(pieces[~valid])) & (pieces > 0)
    near = ndimage.distance_transform_edt(valid) <= BORDER_PX
    expected = touched & dark & near
    found = radar_border(power.astype(np.float32), valid)
    assert not (found & ~expected).any()
    # Only a path that winds for more than 50 pixels may be missed.
    assert (expected & ~found).sum() <= 0.02 * expected.sum()


def test_the_fringe_ends_where_no_noise_reaches() -> None:
    power = np.full((1, 1, 200), NOISE)
    valid = np.ones((1, 200), bool)
    valid[:, 0] = False
    assert radar_border(power, valid).sum() == BORDER_PX


def test_an_image_without_edge_has_no_fringe() -> None:
    power = np.full((2, 9, 9), NOISE)
    for value in (True, False):
        assert not radar_border(power, np.full((9, 9), value)).any()
