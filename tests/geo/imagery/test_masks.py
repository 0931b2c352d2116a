"""The provider's masks, and the fringe of radar images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geo.imagery.reader import BORDER_DB, BORDER_PX, quality_reason, radar_border
from geo.raster.classify import Label

CLEAR = 0
LAND, NOISE = np.float32(0.1), np.float32(10 ** (BORDER_DB / 10) / 2)


@pytest.mark.parametrize(
    ("value", "reason"),
    enumerate(
        [
            Label.NO_DATA, Label.NO_DATA, CLEAR, Label.CLOUD_SHADOW, CLEAR, CLEAR, CLEAR, CLEAR,
            Label.CLOUD, Label.CLOUD, Label.CLOUD, CLEAR,
        ]
    ),
)  # fmt: skip
def test_the_classes_of_sen2cor(value: int, reason: int) -> None:
    assert quality_reason(np.full((2, 3), value, np.uint16), "scl").tolist() == [[reason] * 3] * 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0b0000000001, Label.NO_DATA),
        (0b0000000010, Label.CLOUD),
        (0b0000000100, Label.CLOUD),
        (0b0000001000, Label.CLOUD),
        (0b0000010000, Label.CLOUD_SHADOW),
        (0b0000011000, Label.CLOUD),  # cloud on shadow
        (0b0000010001, Label.NO_DATA),  # fill before all
        (0b0000100000, CLEAR),  # snow
        (21824, CLEAR),  # "clear, low confidence set" of the guide's table 6-4
        (21952, CLEAR),  # water
        (22280, Label.CLOUD),  # high-confidence cloud
        (23888, Label.CLOUD_SHADOW),
        (54596, Label.CLOUD),  # high-confidence cirrus
        (65535, Label.NO_DATA),
    ],
)
def test_the_bits_of_qa_pixel(code: int, reason: int) -> None:
    assert quality_reason(np.full((1, 1), code, np.uint16), "qa_pixel")[0, 0] == reason


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
