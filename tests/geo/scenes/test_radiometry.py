"""Units and offsets that contradict the pixels are refused, right ones are accepted."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geo.errors import UnitsMismatch
from geo.scenes.radiometry import baseline_offset, check_units
from geo.scenes.sensors import SENSORS, UNITS_OF, Family, Sensor, Units, to_decibel, to_physical
from geo.scenes.source import Source
from tests.rasters import counts, decibels, picture

S2 = SENSORS["sentinel-2-l2a"]
NAME = "S2B_MSIL2A_20220923T104759_{}_R051_T30SXH_20220923T134537"
RIGHT = {True: ("05.10", "N0510"), False: ("02.13", "N0213")}
"""Baseline as told and as named, by whether it has the offset."""
Sample = np.ndarray


def tile(*, offset: bool) -> Sample:
    return counts(4, 64, 64, offset=1000 * offset).astype(np.float32)


def offset_of(
    sample: Sample, *, told: str | None = None, named: str | None = None,
    sensor: Sensor = S2, units: Units = Units.REFLECTANCE_10000,
) -> float:  # fmt: skip
    name = NAME.format(named) if named else "T30SXH_20220923T104759_B04"
    source = Source("x", baseline=told)
    return baseline_offset(source, sensor, units=units, name=name, sample=sample)[0]


@pytest.mark.parametrize("has_offset", [True, False])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_right_baseline_is_applied(has_offset: bool, by_name: bool) -> None:
    told, named = RIGHT[has_offset]
    said = {"named": named} if by_name else {"told": told}
    assert offset_of(tile(offset=has_offset), **said) == (-1000 if has_offset else 0)


@pytest.mark.parametrize("has_offset", [True, False])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_wrong_baseline_is_refused(has_offset: bool, by_name: bool) -> None:
    told, named = RIGHT[not has_offset]
    said = {"named": named} if by_name else {"told": told}
    with pytest.raises(UnitsMismatch, match=rf"the baseline is {told}, .*give --baseline 0"):
        offset_of(tile(offset=has_offset), **said)


def test_an_unknown_baseline_is_concluded_with_a_note_or_refused() -> None:
    without = tile(offset=False)
    offset, (note,) = baseline_offset(
        Source("x"), S2, units=Units.REFLECTANCE_10000, name="x", sample=without
    )
    assert offset == 0 and "no processing baseline is stated; 25.0% of the pixels" in note
    bright = without[:, 32:, 32:]
    for unclear in (tile(offset=True), bright, np.full_like(without, np.nan)):
        with pytest.raises(
            UnitsMismatch, match=r"give its baseline with --baseline, such as 05\.10"
        ):
            offset_of(unclear)


def test_the_user_goes_before_the_name() -> None:
    # The catalogue of Earth Search keeps the name and takes the offset away.
    assert offset_of(tile(offset=False), told="03.01", named="N0510") == 0
    assert offset_of(tile(offset=True), told="05.10", named="N0213") == -1000


def test_two_witnesses_are_believed_of_an_image_without_dark_pixels() -> None:
    hazy = np.full((4, 64, 64), 1100, np.float32)
    with pytest.raises(UnitsMismatch, match=r"keep 02[.]13 both in the product's name"):
        offset_of(hazy, named="N0213")
    assert offset_of(hazy, told="02.13", named="N0213") == 0
    assert offset_of(hazy + 700, named="N0213") == 0  # a desert says nothing


@pytest.mark.parametrize(
    ("text", "is_read"), [("05.10", True), ("0510", True), ("5.10", False), ("N0510", False)]
)
def test_how_a_baseline_is_written(text: str, is_read: bool) -> None:
    if is_read:
        assert offset_of(tile(offset=True), told=text) == -1000
    else:
        with pytest.raises(UnitsMismatch, match=f"--baseline '{text}' is not of the form"):
            offset_of(tile(offset=True), told=text)


def test_others_than_counts_of_sentinel_2_have_no_offset() -> None:
    dark = tile(offset=False)
    assert offset_of(dark, sensor=SENSORS["landsat-c1-sr"], named="N0510") == 0
    assert offset_of(dark / 10000, units=Units.REFLECTANCE, named="N0510") == 0


def test_a_few_negative_reflectances_are_no_proof_against_the_offset() -> None:
    sample = tile(offset=True)
    sample[0, :2, :10] = 700  # Sen2Cor over dark water, 0.5 % of the pixels
    assert offset_of(sample, named="N0510") == -1000


# --- units -----------------------------------------------------------------------------------

STORED: dict[Units, Sample] = {
    Units.DECIBEL: decibels(2, 64, 64),
    Units.LINEAR_POWER: 10 ** (decibels(2, 64, 64) / 10),
    Units.REFLECTANCE: tile(offset=False) / 10000,
    Units.REFLECTANCE_10000: tile(offset=False),
    Units.LANDSAT_C2: np.round((tile(offset=False) / 10000 + 0.2) / 0.0000275),
    Units.BITS_8: picture(4, 64, 64).astype(np.float32),
    Units.BITS_16: picture(4, 64, 64, "uint16").astype(np.float32),
}
SENSOR_OF = {
    Family.RADAR: SENSORS["sentinel-1-grd"],
    Family.OPTICAL: SENSORS["sentinel-2-l1c"],
    Family.PICTURE: SENSORS["aerial-rgbn"],
}


MEASURED = (*UNITS_OF[Family.RADAR], *UNITS_OF[Family.OPTICAL])
"""Brightness has no physics that could be contradicted: any numbers from 0 to 255 are some."""
ALIKE = {
    # Both are shares of what was sent, 0 to 1; the sensor has to be right.
    (Units.LINEAR_POWER, Units.REFLECTANCE),
    (Units.REFLECTANCE, Units.LINEAR_POWER),
    # Told apart by the type of the file, see test_eight_bits_are_no_reflectance.
    (Units.REFLECTANCE_10000, Units.BITS_8),
}


def check(sample: Sample, sensor: Sensor, units: Units) -> None:
    check_units(sample, sensor=sensor, units=units, offset=0.0, name="x.tif")


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("declared", Units)
@pytest.mark.parametrize("stored", Units)
def test_every_declaration_is_right_or_refused(
    family: Family, declared: Units, stored: Units
) -> None:
    sample, sensor = STORED[stored].astype(np.float32), SENSOR_OF[family]
    allowed = UNITS_OF[family]
    if declared in allowed and declared is stored:
        check(sample, sensor, declared)
    elif (declared, stored) not in ALIKE and (declared in MEASURED or declared not in allowed):
        with pytest.raises(UnitsMismatch, match=r"x\.tif .*--units|x\.tif .*calibrate"):
            check(sample, sensor, declared)


def test_a_picture_is_no_measurement() -> None:
    with pytest.raises(UnitsMismatch, match=r"declared as dB, and Aerial RGB .* 8-bit or 16-bit"):
        check(STORED[Units.DECIBEL], SENSORS["aerial-rgb"], Units.DECIBEL)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda power: np.where(np.arange(64) < 20, 0, power),  # a border of zeros
        lambda power: np.where(np.arange(64) < 20, np.nan, power),
        lambda power: np.where(np.arange(64) % 64 == 7, power - 0.01, power),  # noise removal
    ],
)
def test_linear_power_stays_right_with_zeros_and_a_few_negative_values(spoil: object) -> None:
    power = STORED[Units.LINEAR_POWER].astype(np.float32)
    assert callable(spoil)
    spoiled = np.asarray(spoil(power), np.float32)
    assert (spoiled < 0).mean() < 0.01
    check(spoiled, SENSOR_OF[Family.RADAR], Units.LINEAR_POWER)
    with pytest.raises(UnitsMismatch, match="as linear power does; give --units 'linear power'"):
        check(spoiled, SENSOR_OF[Family.RADAR], Units.DECIBEL)


def test_decibels_stay_right_with_a_border_of_zeros() -> None:
    sample = STORED[Units.DECIBEL].copy()
    sample[:, :50] = 0
    check(sample, SENSOR_OF[Family.RADAR], Units.DECIBEL)


@pytest.mark.parametrize("units", [Units.DECIBEL, Units.LINEAR_POWER])
def test_uncalibrated_amplitude_is_refused(units: Units) -> None:
    amplitude = np.random.default_rng(1).rayleigh(300, (2, 64, 64)).astype(np.float32)
    with pytest.raises(UnitsMismatch):
        check(amplitude, SENSOR_OF[Family.RADAR], units)


@pytest.mark.parametrize("bright", [7000, 12000])
def test_snow_and_cloud_stay_reflectance(bright: float) -> None:
    sample = np.random.default_rng(2).normal(bright, 900, (4, 64, 64)).astype(np.float32)
    sample[3] *= 0.4  # dark in the short-wave infrared
    check(sample, SENSOR_OF[Family.OPTICAL], Units.REFLECTANCE_10000)


def test_water_stays_reflectance() -> None:
    sample = np.random.default_rng(3).normal(150, 120, (4, 64, 64)).astype(np.float32)
    check(sample, SENSOR_OF[Family.OPTICAL], Units.REFLECTANCE_10000)
    landsat = np.round((sample / 10000 + 0.2) / 0.0000275)
    check(landsat, SENSORS["landsat-c2-l2"], Units.LANDSAT_C2)


def test_an_image_without_values_is_left_to_the_reading() -> None:
    for empty in (np.nan, 0):
        sample = np.full((1, 8, 8), empty, np.float32)
        check(sample, SENSOR_OF[Family.OPTICAL], Units.REFLECTANCE_10000)


# --- physical values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "stored", "physical"),
    [
        (Units.DECIBEL, -10.0, 0.1),
        (Units.LINEAR_POWER, 0.1, 0.1),
        (Units.REFLECTANCE, 0.3, 0.3),
        (Units.REFLECTANCE_10000, 3000, 0.3),
        (Units.LANDSAT_C2, 7273, 0.0),
        (Units.LANDSAT_C2, 43636, 1.0),
        (Units.BITS_8, 255, 255),
        (Units.BITS_16, 65535, 255),
    ],
)
def test_stored_values_become_physical(units: Units, stored: float, physical: float) -> None:
    value = to_physical(np.array([stored], np.float32), units=units)
    assert value.dtype == np.float32
    assert value[0] == pytest.approx(physical, abs=2e-5)


def test_the_offset_is_added_before_scaling() -> None:
    value = to_physical(np.array([4000], np.float32), units=Units.REFLECTANCE_10000, offset=-1000)
    assert value[0] == pytest.approx(0.3)


def test_no_power_has_no_decibels() -> None:
    values = to_decibel(np.array([1, 0.01, 0, -1, np.nan], np.float32))
    np.testing.assert_allclose(values, [0, -20, np.nan, np.nan, np.nan])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sensor", "units"),
    [
        ("sen1floods11/Spain_7370579_S1Hand.tif", "sentinel-1-grd", Units.DECIBEL),
        ("sen1floods11/Spain_7370579_S2Hand.tif", "sentinel-2-l1c", Units.REFLECTANCE_10000),
        ("coldsprings_fire/before.tif", "landsat-c1-sr", Units.REFLECTANCE_10000),
        ("coldsprings_fire/after.tif", "landsat-c1-sr", Units.REFLECTANCE_10000),
        ("naip_wetland/m_4709963_se_14_1_20140720.tif", "aerial-rgbn", Units.BITS_8),
        ("clouds_sentinel2/aeey_B04.tif", "sentinel-2-l2a", Units.REFLECTANCE_10000),
    ],
)
def test_real_values_have_one_right_unit(
    data_dir: Path, name: str, sensor: str, units: Units
) -> None:
    with rasterio.open(data_dir / name) as dataset:
        sample = dataset.read(masked=True).astype("float32").filled(np.nan)
    check(sample, SENSORS[sensor], units)
    for other in Units:
        is_alike = {units, other} == {Units.BITS_8, Units.BITS_16}
        if other is not units and not is_alike:
            with pytest.raises(UnitsMismatch):
                check(sample, SENSORS[sensor], other)
