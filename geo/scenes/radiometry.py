"""Do the values fit what the file is declared to hold: its units, its offset, its colours?

In a composite of near infrared, red and green, plants are purple-red: brightest in the first band,
and the band of red, which they absorb, below that of green. Of 251 pictures in natural colours (229
of flood_area, florence_vhr, joplin_xbd, joplin_vhr, puerto_rico_maria, opencities_drone,
naip_wetland) none is called infrared; the greatest share of purple-red is 7 %. Of naip_wetland in
near infrared, red and green the two of July are; that of September is not, nor are half of 82 chips
of water_multispectral, most of which show water and bare ground.
"""

import re
from enum import StrEnum

import numpy as np

from geo.errors import UnitsMismatch
from geo.scenes.sensors import (
    OFFSET_BASELINE,
    UNITS_OF,
    Family,
    Sensor,
    Units,
    to_decibel,
    to_physical,
)
from geo.scenes.source import Source
from geo.types import FloatArray

_DARK = 750.0  # with the offset applied a value below 750 would be a reflectance below -0.025
_DARK_SHARE = 0.01  # share of dark pixels from which the data prove that there is no offset
_RAISED = (950.0, 1300.0)
"""Range of the darkest pixels of an image with the offset: water and shadow reflect 0 to 0.03 of
the light in some band. Without it they are below 300."""

_FULL_16_BITS = 4096
"""16 bits are read as 65535 for white, whatever a scene holds, so that equal ground stays equal.
Pictures of 11 and 12 bits, as satellites take them, end below this and would be black."""


def baseline_offset(
    source: Source, sensor: Sensor, *, units: Units, name: str, sample: FloatArray
) -> tuple[float, tuple[str, ...]]:
    """Return what to add to the stored values of a scene, and notes on how that is known.

    Args:
        name: file and folder names, searched for the provider's `_N0510_`.
        sample: (bands, rows, cols), stored values, NaN where nodata.
    """
    if sensor.baseline_offset == 0 or units is not Units.REFLECTANCE_10000:
        return 0.0, ()
    dark = _dark_share(sample)
    given, named = _given_baseline(source), _named_baseline(name)
    baseline = named if given is None else given
    if baseline is None and dark > _DARK_SHARE:
        return 0.0, (
            f"no processing baseline is stated; {dark:.1%} of the pixels are darker than the "
            "offset of baseline 04.00 allows, so none was applied",
        )
    if baseline is None:
        raise UnitsMismatch(
            "nothing says whether this Sentinel-2 image has the offset of processing baseline "
            "04.00, and its pixels are no evidence; give its baseline with --baseline, such as "
            "05.10"
        )
    text = f"{baseline // 100:02d}.{baseline % 100:02d}"
    if baseline >= OFFSET_BASELINE:
        if dark > _DARK_SHARE:
            raise UnitsMismatch(
                f"the baseline is {text}, whose values have an offset of 1000, and {dark:.1%} of "
                f"the pixels are below {_DARK:.0f}; the offset was already removed: give "
                "--baseline 03.01"
            )
        return sensor.baseline_offset, ()
    is_confirmed = given is not None and named is not None and named < OFFSET_BASELINE
    if not is_confirmed and _RAISED[0] <= (darkest := _darkest(sample)) <= _RAISED[1]:
        raise UnitsMismatch(
            f"the baseline is {text}, whose values have no offset, and the darkest of any band is "
            f"{darkest:.0f}, as if they had one of 1000; give --baseline 04.00 if they do, or keep "
            f"{text} both in the product's name and in --baseline"
        )
    return 0.0, ()


def _dark_share(sample: FloatArray) -> float:
    """Return the share of valid pixels with a band below what the offset allows."""
    valid = np.isfinite(sample).all(axis=0) & (sample > 0).all(axis=0)
    return float((sample[:, valid] < _DARK).any(axis=0).mean()) if valid.any() else 0.0


def _darkest(sample: FloatArray) -> float:
    """Return the value of the darkest thousandth of the darkest band, infinite where all is NaN."""
    bands = (band[np.isfinite(band) & (band > 0)] for band in sample)
    return min((float(np.percentile(band, 0.1)) for band in bands if band.size), default=np.inf)


def _given_baseline(source: Source) -> int | None:
    """Return the user's baseline as an integer, 510 for 05.10."""
    if source.baseline is None:
        return None
    if not (match := re.fullmatch(r"(\d\d)\.?(\d\d)", source.baseline)):
        raise UnitsMismatch(f"--baseline {source.baseline!r} is not of the form 05.10")
    return int(match[1] + match[2])


def _named_baseline(name: str) -> int | None:
    match = re.search(r"_N(\d{4})_", name)
    return int(match[1]) if match else None


def check_units(
    sample: FloatArray, *, sensor: Sensor, units: Units, offset: float, name: str
) -> None:
    """Refuse stored values, (bands, rows, cols), NaN where nodata, that contradict their units."""
    if units not in (allowed := UNITS_OF[sensor.family]):
        raise UnitsMismatch(
            f"{name} was declared as {units.value}, and {sensor.title} stores "
            f"{' or '.join(allowed)}; correct --units or --sensor"
        )
    values = sample[np.isfinite(sample)]
    if sensor.nodata is not None:
        values = values[values != sensor.nodata]
    if values.size == 0:
        return  # an image without any value is all nodata when it is read
    span, fault = f"its values go from {values.min():.4g} to {values.max():.4g}", None
    match sensor.family:
        case Family.RADAR:
            fault = _radar_fault(values, units, span)
        case Family.OPTICAL if _is_no_reflectance(to_physical(values, units=units, offset=offset)):
            others = ", ".join(repr(str(other)) for other in UNITS_OF[Family.OPTICAL])
            fault = f"{span}; say how they are stored with --units: {others}"
        case Family.PICTURE:
            fault = _picture_fault(values, units, span)
    if fault is not None:
        raise UnitsMismatch(f"{name} should hold {units.value} ({sensor.title}) and {fault}")


def _picture_fault(values: FloatArray, units: Units, span: str) -> str | None:
    if values.min() < 0 or values.max() > (255 if units is Units.BITS_8 else 65535):
        return f"{span}; say how they are stored with --units: '8-bit' or '16-bit'"
    if units is Units.BITS_16 and values.max() < _FULL_16_BITS:
        bits = max(int(values.max()).bit_length(), 8)
        return (
            f"{span}, as of {bits} bits; it would be read as nearly black; scale it to 8 bits with "
            f"`gdal_translate -ot Byte -scale 0 {2**bits - 1} 0 255`"
        )
    return None


def _is_no_reflectance(physical: FloatArray) -> bool:
    """Whether values are too bright, too dark or too negative to be reflectance.

    Landsat Collection 2 read as x 10000 begins at 0.73; a deck of cloud keeps a darker band
    or shadow, and seldom exceeds 1.2. x 10000 read as Landsat Collection 2 begins at -0.2;
    reflectance of water is seldom below -0.05. Reflectance divided twice ends at 0.0002.
    """
    darkest, middle, bright = np.percentile(physical, [2, 50, 99])
    return bool(darkest > 0.7 or middle > 1.6 or darkest < -0.1 or bright < 0.005)


def _radar_fault(values: FloatArray, units: Units, span: str) -> str | None:
    negative = float((values < 0).mean())
    if units is Units.LINEAR_POWER and negative > 0.01:
        return f"{negative:.0%} of its values are negative, as decibels are; give --units dB"
    # Noise removal and cubic resampling leave a few negative powers; of decibels most are.
    if units is Units.DECIBEL and negative < 0.2:
        return f"{span}, as linear power does; give --units 'linear power'"
    decibel = values if units is Units.DECIBEL else to_decibel(values[values > 0])
    # Medians of land and water are between -35 and 5 dB at C band.
    if not -35 <= (median := float(np.median(decibel))) <= 5:
        return f"their median is {median:.1f} dB; calibrate it to sigma0 or gamma0"
    return None


RGB = ("red", "green", "blue")

GREY_STEP = 2.0
"""Of 255: the bands of a grey picture differ by rounding where it was compressed in colour."""
PURPLE = 1.4
"""The first band over the second, from which on a pixel is purple-red."""
INFRARED_FROM = 0.15
"""Least share of purple-red pixels of an infrared picture, and twice that of green ones."""
_GREEN = 1.03  # the second band over each other one, from which on a pixel is green


class Colours(StrEnum):
    """What the bands red, green and blue of a picture hold."""

    NATURAL = "natural"
    GREY = "grey"
    INFRARED = "infrared"
    """Near infrared, red and green."""


def colours_of(pixels: FloatArray, *, top: float = 255.0) -> Colours:
    """Return what a picture holds; natural where nothing else can be shown.

    Args:
        pixels: (3, ...), red, green and blue as stored, at most `top`; NaN where nodata.
    """
    observed = pixels[:, np.isfinite(pixels).all(axis=0) & (pixels != 0).any(axis=0)]
    if not observed.shape[1]:
        return Colours.NATURAL
    if np.ptp(observed, axis=0).max() <= GREY_STEP * top / 255:
        # White alone, as snow or a burnt-out sky, is no sign of it.
        return Colours.GREY if np.ptp(observed) > GREY_STEP * top / 255 else Colours.NATURAL
    first, second, third = observed
    purple = float(((first > PURPLE * second) & (third > second)).mean())
    green = float(((second > _GREEN * first) & (second > _GREEN * third)).mean())
    infrared = purple > INFRARED_FROM and purple > 2 * green
    return Colours.INFRARED if infrared else Colours.NATURAL
