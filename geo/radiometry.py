"""Are the values what the file is said to hold? Units and the Sentinel-2 offset, by data."""

import re

import numpy as np
import numpy.typing as npt

from geo.errors import UnitsMismatch
from geo.sensors import Family, Sensor, Units, to_decibel, to_physical
from geo.source import Source

Sample = npt.NDArray[np.float32]

OFFSET_BASELINE = 400
"""Processing baseline 04.00 (25 January 2022) brought the offset of -1000, Sentinel-2 Products
Specification S2-PDGS-TAS-DI-PSD 14.9; older acquisitions were reprocessed with it, so the
acquisition date is no test."""
_OFFSET = -1000.0
_DARK = 900.0
"""With the offset applied a value below 900 would be a reflectance below -0.01."""
_DARK_SHARE = 1e-3
"""Share of dark pixels from which the data prove that there is no offset."""


def sentinel2_offset(
    source: Source, sensor: Sensor, *, name: str, sample: Sample
) -> tuple[float, tuple[str, ...]]:
    """Return what to add to the stored values of a scene, and notes on how that is known.

    Args:
        source: the user's word on the baseline comes first.
        sensor: others than Sentinel-2 have no offset.
        name: file and folder names, searched for the provider's `_N0510_`.
        sample: (bands, rows, cols), stored values, NaN where nodata.

    Raises:
        UnitsMismatch: where baseline and data contradict each other, or neither tells.
    """
    if not sensor.name.startswith("sentinel-2"):
        return 0.0, ()
    dark = _dark_share(sample)
    baseline = _baseline(source, name)
    if baseline is None:
        if dark > _DARK_SHARE:
            return 0.0, (
                f"no processing baseline is stated; {dark:.1%} of the pixels are darker than the "
                "offset of baseline 04.00 allows, so none was applied",
            )
        raise UnitsMismatch(
            "nothing says whether this Sentinel-2 image carries the offset of processing baseline "
            "04.00, and its pixels do not tell; give its baseline with --baseline, such as 05.10"
        )
    if baseline < OFFSET_BASELINE:
        return 0.0, ()
    if dark > 10 * _DARK_SHARE:
        raise UnitsMismatch(
            f"the baseline is {baseline // 100:02d}.{baseline % 100:02d}, whose values carry an "
            f"offset of 1000, and {dark:.1%} of the pixels are below 900; the offset was already "
            "removed: give --baseline 03.01"
        )
    return _OFFSET, ()


def _dark_share(sample: Sample) -> float:
    """Return the share of valid pixels with a band below what the offset allows."""
    valid = np.isfinite(sample).all(axis=0) & (sample > 0).all(axis=0)
    if not valid.any():
        return 0.0
    return float((sample[:, valid] < _DARK).any(axis=0).mean())


def _baseline(source: Source, name: str) -> int | None:
    """Return the baseline as an integer, 510 for 05.10."""
    if source.baseline is not None:
        if not (told := re.fullmatch(r"(\d\d)\.?(\d\d)", source.baseline)):
            raise UnitsMismatch(
                f"the baseline {source.baseline!r} is not of the form 05.10; write it so"
            )
        return int(told.group(1) + told.group(2))
    match = re.search(r"_N(\d{4})_", name)
    return int(match.group(1)) if match else None


def check_units(sample: Sample, *, sensor: Sensor, units: Units, offset: float, name: str) -> None:
    """Refuse values that contradict their units.

    Args:
        sample: (bands, rows, cols), stored values, NaN where nodata.
        name: of the file, for the message.

    Raises:
        UnitsMismatch: with what was declared, what is there, and the cure.
    """
    values = sample[np.isfinite(sample)]
    if sensor.nodata is not None:
        values = values[values != sensor.nodata]
    if values.size == 0:
        return  # an image without any value is found out when it is read, as nodata
    if found := _contradiction(values, sensor=sensor, units=units, offset=offset):
        there, cure = found
        raise UnitsMismatch(
            f"{name} should hold {units.value} ({sensor.title}) and {there}; {cure}"
        )


def _contradiction(
    values: Sample, *, sensor: Sensor, units: Units, offset: float
) -> tuple[str, str] | None:
    """Return what is there and the cure, or None."""
    span = f"its values go from {values.min():.4g} to {values.max():.4g}"
    match sensor.family:
        case Family.RADAR:
            return _radar_contradiction(values, units, span)
        case Family.OPTICAL:
            physical = to_physical(values, units=units, offset=offset)
            darkest, median = np.percentile(physical, [2, 50])
            # Reflectance above 0.6 in the darkest 2 % is a cloud deck or another scale, and
            # a median below -0.05 is no reflectance at all.
            if darkest > 0.6 or median < -0.05:
                return span, (
                    "say how they are stored with --units: "
                    "'reflectance', 'reflectance x 10000' or 'Landsat Collection 2 level 2'"
                )
        case Family.PICTURE:
            top = 255 if units is Units.BITS_8 else 65535
            if values.min() < 0 or values.max() > top:
                return span, "say how they are stored with --units: '8-bit' or '16-bit'"
    return None


def _radar_contradiction(values: Sample, units: Units, span: str) -> tuple[str, str] | None:
    negative = float((values < 0).mean())
    if units is Units.LINEAR_POWER and negative > 0.01:
        return f"{negative:.0%} of its values are negative, as decibels are", "give --units dB"
    if units is Units.DECIBEL:
        if negative == 0:
            return f"{span}, as linear power does", "give --units 'linear power'"
        # Land and water lie between -35 and 5 dB at C band; see faults.md C11.
        if not -35 <= float(np.median(values)) <= 5:
            return f"their median is {np.median(values):.1f} dB", "calibrate it to sigma0 or gamma0"
    elif units is Units.LINEAR_POWER:
        power = float(np.median(to_decibel(values)))
        if not -35 <= power <= 5:
            return f"their median is {power:.1f} dB", "calibrate it to sigma0 or gamma0"
    return None
