"""Shifts between blocks: found to a fraction of a pixel, believed only where they stand out."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from geo.raster.coregistration import BlockShift, ShiftField, block_shift, edges, outlines

Array = npt.NDArray[np.float32]
MIDDLE = (128.0, 128.0)


def town(seed: int = 0, side: int = 320) -> Array:
    """Return a made picture of houses on rough ground, (3, rows, cols)."""
    rng = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(rng.normal(90, 40, (side, side)), 2)
    for row, col, high, wide in rng.integers((10, 10, 12, 12), (side - 50, side - 50, 30, 30),
                                             (60, 4)):  # fmt: skip
        ground[row : row + high, col : col + wide] = rng.uniform(60, 240)
    return np.repeat(ground[None], 3, axis=0).astype(np.float32)


def moved(picture: Array, down: float, right: float) -> Array:
    """Return what lies `down` and `right` further in the picture, by splines."""
    return np.stack([ndimage.shift(band, (down, right), mode="nearest") for band in picture])


def cut(picture: Array) -> Array:
    return edges(picture)[32:288, 32:288]


def found(before: Array, after: Array, reach_px: int = 30) -> BlockShift:
    return block_shift(cut(before), cut(after), reach_px=reach_px, middle=MIDDLE)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -7), (-12.5, 4.25), (0.4, 0.7)])
def test_a_shift_is_found_to_a_quarter_pixel(down: float, right: float) -> None:
    picture = town()
    shift = found(picture, moved(picture, down, right))
    assert (shift.down, shift.right) == pytest.approx((down, right), abs=0.25)
    assert shift.trusted


def test_skimage_finds_the_same() -> None:
    picture = town(1)
    other = moved(picture, 5.3, -2.6)
    shift = found(picture, other)
    theirs, *_ = phase_cross_correlation(cut(other), cut(picture), upsample_factor=20)
    assert (shift.down, shift.right) == pytest.approx(tuple(theirs), abs=0.3)


def test_light_noise_and_what_was_not_seen_change_little() -> None:
    picture = town(2)
    rng = np.random.default_rng(3)
    other = 0.6 * moved(picture, 4, 9) + 30 + rng.normal(0, 8, picture.shape)
    other[:, 40:160, 60:200] = np.nan
    shift = found(picture, other.astype(np.float32))
    assert (shift.down, shift.right) == pytest.approx((4, 9), abs=0.3)
    assert shift.trusted


def test_two_places_that_have_nothing_in_common_are_not_believed() -> None:
    strengths = [found(town(k), town(k + 100)).strength for k in range(10)]
    assert max(strengths) < 5


def test_one_colour_and_nothing_seen_are_not_believed() -> None:
    flat = np.full((3, 320, 320), 80, np.float32)
    unseen = np.full((3, 320, 320), np.nan, np.float32)
    for picture in (flat, unseen):
        assert not found(picture, town()).trusted
        assert not found(town(), picture).trusted


def test_outlines_are_found_where_the_houses_are() -> None:
    numbers = np.zeros((256, 256), np.int32)
    picture = np.full((3, 256, 256), 90, np.float32)
    rng = np.random.default_rng(4)
    for k, (row, col) in enumerate(rng.integers(20, 200, (20, 2)), 1):
        numbers[row : row + 24, col : col + 18] = k
        picture[:, row + 6 : row + 30, col - 3 : col + 15] = rng.uniform(120, 250)
    picture += rng.normal(0, 5, picture.shape).astype(np.float32)
    shift = block_shift(edges(picture), outlines(numbers), reach_px=20, middle=MIDDLE)
    assert (shift.down, shift.right) == pytest.approx((-6, 3), abs=0.5)


def field(*shifts: tuple[float, float], strength: float = 8) -> ShiftField:
    blocks = [
        BlockShift(100.0 * (k // 4), 100.0 * (k % 4), *shift, strength)
        for k, shift in enumerate(shifts)
    ]
    return ShiftField(tuple(blocks), tolerance_px=4)


def test_a_field_follows_its_blocks_and_passes_over_one_that_is_wrong() -> None:
    steady = [(2 + 0.2 * k, -1.0) for k in range(15)]
    shifts = field(*steady[:6], (30, 30), *steady[6:])
    assert shifts.is_translation
    assert shifts.agreeing.sum() == 15
    assert shifts.median == pytest.approx((3.4, -1.0), abs=0.2)
    down, right = shifts.at(np.array([0.0]), np.array([0.0]))[0]
    assert (down, right) == pytest.approx((2.4, -1), abs=0.5)


def test_blocks_that_contradict_each_other_are_no_translation() -> None:
    rng = np.random.default_rng(5)
    shifts = field(*rng.uniform(-40, 40, (16, 2)))
    assert shifts.is_sure
    assert not shifts.is_translation


@pytest.mark.parametrize("shifts", [[], [(1.0, 1.0)] * 16])
def test_too_few_believed_blocks_say_nothing(shifts: list[tuple[float, float]]) -> None:
    unsure = field(*shifts, strength=3)
    assert not unsure.is_sure
    assert not unsure.is_translation
    assert unsure.median == (0, 0)


def test_where_the_neighbours_contradict_each_other_nothing_is_said() -> None:
    west = [BlockShift(100.0 * k, 0, 2, 2, 8) for k in range(8)]
    east = [BlockShift(100.0 * k, 5000, 30.0 * (k % 3), -30.0 * (k % 2), 8) for k in range(6)]
    found = ShiftField((*west, *east), tolerance_px=4).at(
        np.array([300.0, 300.0]), np.array([0.0, 5000.0])
    )
    assert found[0] == pytest.approx((2, 2))
    assert np.isnan(found[1]).all()


@pytest.mark.data
@pytest.mark.parametrize(("down", "right"), [(0, 0), (8, -5)])
def test_real_roofs_are_found_where_they_were_put(
    data_dir: Path, down: float, right: float
) -> None:
    with rasterio.open(data_dir / "joplin_vhr" / "pre" / "tile_337-9136.tif") as tile:
        picture = tile.read(out_dtype="float32")[:, :320, :320]
    shift = found(picture, moved(picture, down, right))
    assert (shift.down, shift.right) == pytest.approx((down, right), abs=0.1)
    assert shift.strength > 8


@pytest.mark.data
def test_puerto_rico_lies_five_metres_off(data_dir: Path) -> None:
    pictures = []
    for phase in ("before", "after"):
        with rasterio.open(data_dir / "puerto_rico_maria" / f"{phase}.tif") as image:
            pictures.append(image.read(out_dtype="float32"))
    blocks = [np.s_[top : top + 256, left : left + 256] for top in (0, 256) for left in (0, 256)]
    before, after = map(edges, pictures)
    shifts = ShiftField(
        tuple(
            block_shift(before[b], after[b], reach_px=66, middle=(b[0].start, b[1].start))
            for b in blocks
        ),
        tolerance_px=6.6,
    )
    # By eye: the orange roof and the pool lie 8 to 11 pixels of half a metre further up.
    assert shifts.is_translation
    down, right = (0.305 * value for value in shifts.median)
    assert (down, right) == pytest.approx((-5.3, 0.9), abs=0.5)
