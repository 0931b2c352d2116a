"""What a file's name, tags and descriptions say of it; nothing is guessed in silence."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geo.errors import BandsUnknown, SensorUnknown, TimeUnknown
from geo.sensors import SENSORS, Sensor, sensor_named, sensor_of_file_name
from geo.source import Source

_COLOURS = ("red", "green", "blue")
_TIME = re.compile(r"(?<!\d)((?:19|20)\d{6})T(\d{6})(?!\d)", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{6})(?!\d)")


@dataclass(frozen=True)
class Header:
    """What is read from a file before its pixels."""

    path: Path
    descriptions: tuple[str | None, ...]
    """One a band."""
    colours: tuple[str, ...]
    """Colour interpretation, one a band: red, green, blue, alpha, gray, undefined ..."""
    dtypes: tuple[str, ...]
    tags: dict[str, str]
    gsd_m: float
    """Ground sampling distance, metres."""

    @property
    def data_bands(self) -> tuple[int, ...]:
        """Band numbers from 1, the alpha band left out."""
        return tuple(i for i, colour in enumerate(self.colours, 1) if colour != "alpha")


@dataclass(frozen=True)
class BandNames:
    """Which band number holds which band, and how that is known."""

    names: tuple[tuple[str, int], ...]
    """(common name, band number from 1)."""
    note: str | None = None
    """A sentence where the order was concluded rather than written in the file."""


def sensor_of(source: Source, header: Header) -> tuple[Sensor, str | None]:
    """Return the sensor that the user, the file name or the pixels' colours tell, and a note.

    Raises:
        SensorUnknown: where nothing tells.
    """
    if source.sensor is not None:
        return sensor_named(source.sensor), None
    for name in (header.path.name, *(parent.name for parent in header.path.parents[:4])):
        if (known := sensor_of_file_name(name)) is not None:
            return known, None
    if _is_picture(header):
        return _picture(header)
    raise SensorUnknown(
        f"nothing says which sensor took {header.path.name} ({len(header.data_bands)} bands of "
        f"{header.dtypes[0]}, {header.gsd_m:.3g} m); name it with --sensor, one of "
        f"{', '.join(sorted(SENSORS))}"
    )


def _is_picture(header: Header) -> bool:
    """Only a file that itself says red, green, blue in 8 bits is taken for a picture."""
    return header.colours[:3] == _COLOURS and set(header.dtypes) == {"uint8"}


def _picture(header: Header) -> tuple[Sensor, str]:
    """Return the picture sensor of a resolution: drones fly below 0.2 m, satellites do not."""
    sensor = SENSORS["drone-rgb" if header.gsd_m < 0.2 else "vhr-rgb"]
    return sensor, (
        f"{header.path.name} was taken for {sensor.title} by its colours and its "
        f"{header.gsd_m:.2g} m; --sensor says otherwise"
    )


def band_names(source: Source, header: Header, sensor: Sensor) -> BandNames:
    """Return which band of a file is which.

    In this order: what the user says, the descriptions in the file, the band in the file
    name, the colour interpretation, the provider's order where the count is exactly that.

    Raises:
        BandsUnknown: where none of these tells.
    """
    numbers = header.data_bands
    if source.bands is not None:
        return _told(source.bands, header, sensor)
    described = [(sensor.band_of(d or ""), i) for d, i in _labelled(header)]
    if known := tuple((name, i) for name, i in described if name is not None):
        return BandNames(_each_once(known, header))
    if len(numbers) == 1 and (token := band_in_name(header.path, sensor)):
        return BandNames(((token[0], numbers[0]),))
    if header.colours[:3] == _COLOURS and sensor.band_of("red"):
        return BandNames(tuple(zip(_COLOURS, (1, 2, 3), strict=True)))
    ordered = [band.name for band in sensor.bands if band.name != sensor.quality]
    if len(ordered) == len(numbers):
        note = (
            f"{header.path.name} does not name its bands; they were taken in the order of "
            f"{sensor.title}: {', '.join(ordered)}; --bands says otherwise"
        )
        return BandNames(tuple(zip(ordered, numbers, strict=True)), note)
    raise BandsUnknown(
        f"nothing says which of the {len(numbers)} bands of {header.path.name} is which; "
        f"{sensor.title} has {', '.join(ordered)}: give the file's order with --bands"
    )


def _labelled(header: Header) -> list[tuple[str | None, int]]:
    return [(header.descriptions[i - 1], i) for i in header.data_bands]


def _told(bands: tuple[str, ...], header: Header, sensor: Sensor) -> BandNames:
    numbers = header.data_bands
    if len(bands) != len(numbers):
        raise BandsUnknown(
            f"--bands names {len(bands)} bands ({', '.join(bands)}) and {header.path.name} has "
            f"{len(numbers)}; name every band of the file, in its order"
        )
    names = [(sensor.band_of(band), band) for band in bands]
    if unknown := [band for name, band in names if name is None]:
        there = ", ".join(band.name for band in sensor.bands)
        raise BandsUnknown(
            f"{sensor.title} has no band {', '.join(unknown)}; its bands are {there}"
        )
    pairs = tuple((name, i) for (name, _), i in zip(names, numbers, strict=True) if name)
    return BandNames(_each_once(pairs, header))


def _each_once(pairs: tuple[tuple[str, int], ...], header: Header) -> tuple[tuple[str, int], ...]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BandsUnknown(
            f"{header.path.name} names band {', '.join(twice)} more than once; give the file's "
            "order with --bands"
        )
    return pairs


def band_in_name(path: Path, sensor: Sensor) -> tuple[str, str] | None:
    """Return (common name, stem without the band) where a file name ends in a band, or None.

    The provider's `_B04_10m`, `_SR_B4`, `-vv-` and `_VV` are all understood.
    """
    stem = re.sub(r"_(10|20|60)m$", "", path.stem)
    for pattern in (r"^(.*)[_\-](SR_B\d+|QA_PIXEL)$", r"^(.*)[_\-]([A-Za-z0-9]+)$"):
        if (match := re.match(pattern, stem)) and (name := sensor.band_of(match.group(2))):
            return name, match.group(1)
    return None


def taken_at(source: Source, header: Header) -> datetime | None:
    """Return the acquisition time, UTC, from the user, the file name or the TIFF's own tag.

    Raises:
        TimeUnknown: where a tag is there and is not a date.
    """
    if source.taken is not None:
        told = source.taken
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    folders = (parent.name for parent in header.path.parents[:4])
    for name in (header.path.stem, *(name for name in folders if sensor_of_file_name(name))):
        if (found := _time_in(name)) is not None:
            return found
    if text := header.tags.get("TIFFTAG_DATETIME"):
        return _time_of_tag(text, header.path)
    return None


def _time_in(name: str) -> datetime | None:
    if match := _TIME.search(name):
        return _parsed("".join(match.groups()), "%Y%m%d%H%M%S")
    if match := _DATE.search(name):
        return _parsed(match.group(1), "%Y%m%d")
    return None


def _parsed(digits: str, form: str) -> datetime | None:
    """Return the time, or None where eight digits that look like a date are none."""
    try:
        return datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _time_of_tag(text: str, path: Path) -> datetime:
    try:
        # TIFF 6.0 writes "YYYY:MM:DD HH:MM:SS", many writers ISO 8601.
        told = datetime.fromisoformat(re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text))
    except ValueError as error:
        raise TimeUnknown(
            f"{path.name} says it was taken {text!r}, which is no date; give the date of the image"
        ) from error
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
