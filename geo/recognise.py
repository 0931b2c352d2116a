"""What a file's name, tags and descriptions say of it; nothing is guessed in silence."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geo.errors import BandsUnknown, SensorUnknown, TimeUnknown
from geo.naming import band_in_name, names_of, time_in
from geo.sensors import SENSORS, Family, Sensor, sensor_named, sensor_of_file_name
from geo.source import Source

_COLOURS = ("red", "green", "blue")
_DRONE_GSD_M = 0.2
"""Drones fly below this, satellites do not."""


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
    for name in names_of(header.path):
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
    """Whether a file itself says that it is red, green and blue, in bits that pictures have.

    Of 16 bits only where a drone took it: a satellite's may hold reflectance.
    """
    if header.colours[:3] != _COLOURS:
        return False
    kinds = set(header.dtypes)
    return kinds == {"uint8"} or (kinds == {"uint16"} and header.gsd_m < _DRONE_GSD_M)


def _picture(header: Header) -> tuple[Sensor, str]:
    """Return the picture sensor of a resolution."""
    sensor = SENSORS["drone-rgb" if header.gsd_m < _DRONE_GSD_M else "vhr-rgb"]
    return sensor, (
        f"{header.path.name} was taken for {sensor.title} by its colours and its "
        f"{header.gsd_m:.2g} m; --sensor says otherwise"
    )


def band_names(source: Source, header: Header, sensor: Sensor) -> BandNames:
    """Return which band of a file is which.

    In this order: what the user says, the band in the name of a file of one band, the
    descriptions in the file, the colour interpretation, the provider's order where the count
    is exactly that.

    Raises:
        BandsUnknown: where none of these tells, or two contradict each other.
    """
    if source.bands is not None:
        return _told(source.bands, header, sensor)
    described = [(sensor.band_of(label or ""), i) for label, i in _labelled(header)]
    known = tuple((name, i) for name, i in described if name is not None)
    if len(header.data_bands) == 1 and (token := band_in_name(header.path, sensor)):
        return _named(token[0], known, header)
    if known:
        return BandNames(_each_once(known, header), _numbered_note(header, sensor))
    return _by_colour(header, sensor) or _in_order(header, sensor)


def _labelled(header: Header) -> list[tuple[str | None, int]]:
    return [(header.descriptions[i - 1], i) for i in header.data_bands]


def _told(bands: tuple[str, ...], header: Header, sensor: Sensor) -> BandNames:
    # GDAL calls the fourth of four bands of 8 bits alpha, unless the writer objects.
    is_all = len(bands) == len(header.colours)
    numbers = tuple(range(1, len(bands) + 1)) if is_all else header.data_bands
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


def _named(name: str, described: tuple[tuple[str, int], ...], header: Header) -> BandNames:
    """Return the band of a file of one band, by its name."""
    if described and described[0][0] != name and not _is_numbered(header):
        raise BandsUnknown(
            f"the name of {header.path.name} says {name} and the description in it says "
            f"{described[0][0]}; say which with --bands"
        )
    return BandNames(((name, header.data_bands[0]),))


def _is_numbered(header: Header) -> bool:
    """Whether the descriptions are "Band 1", "Band 2" ..., as writers count bands of any kind."""
    return all(
        re.fullmatch(rf"band[\s_]*0*{i}", label or "", re.IGNORECASE)
        for label, i in _labelled(header)
    )


def _numbered_note(header: Header, sensor: Sensor) -> str | None:
    if not _is_numbered(header):
        return None
    return (
        f"{header.path.name} only counts its bands, from Band 1; they were taken for the bands of "
        f"{sensor.title} with these numbers; --bands says otherwise"
    )


def _by_colour(header: Header, sensor: Sensor) -> BandNames | None:
    """Return the bands by their colours, and a last one that only one band is left for."""
    colours = [(header.colours[i - 1], i) for i in header.data_bands]
    named = [(colour, i) for colour, i in colours if sensor.band_of(colour) == colour]
    if not {colour for colour, _ in named}.issuperset(_COLOURS):
        return None
    rest = [i for i in header.data_bands if i not in {number for _, number in named}]
    wanted = [band.name for band in sensor.bands if band.name not in {name for name, _ in named}]
    if not rest and len(wanted) == 1 and "alpha" in header.colours:
        raise BandsUnknown(
            f"{header.path.name} says that one of its bands is alpha, as some programs do of any "
            f"fourth band, and {sensor.title} has {wanted[0]}; name all {len(header.colours)} with "
            f"--bands if it is {wanted[0]}, or else correct --sensor"
        )
    if len(rest) != 1 or len(wanted) != 1:
        return BandNames(_each_once(tuple(named), header))
    note = (
        f"{header.path.name} does not name its band {rest[0]}; it was taken for {wanted[0]}, the "
        f"only one of {sensor.title} that its colours leave; --bands says otherwise"
    )
    return BandNames(_each_once((*named, (wanted[0], rest[0])), header), note)


def _in_order(header: Header, sensor: Sensor) -> BandNames:
    ordered = [band.name for band in sensor.bands if band.name != sensor.quality]
    numbers = header.data_bands
    if len(numbers) == 1 and sensor.family is Family.PICTURE:
        raise BandsUnknown(
            f"{header.path.name} has one band, a grey picture, and {sensor.title} has "
            f"{', '.join(ordered)}; give the coloured image"
        )
    if len(ordered) != len(numbers):
        raise BandsUnknown(
            f"nothing says which of the {len(numbers)} bands of {header.path.name} is which; "
            f"{sensor.title} has {', '.join(ordered)}: give the file's order with --bands"
        )
    note = (
        f"{header.path.name} does not name its bands; they were taken in the order of "
        f"{sensor.title}: {', '.join(ordered)}; --bands says otherwise"
    )
    return BandNames(tuple(zip(ordered, numbers, strict=True)), note)


def _each_once(pairs: tuple[tuple[str, int], ...], header: Header) -> tuple[tuple[str, int], ...]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BandsUnknown(
            f"{header.path.name} names band {', '.join(twice)} more than once; give the file's "
            "order with --bands"
        )
    return pairs


def taken_at(source: Source, header: Header) -> tuple[datetime | None, str | None]:
    """Return the acquisition time, UTC, from the user, the names or the TIFF's tag, and a note.

    Raises:
        TimeUnknown: where a tag is there and is not a date.
    """
    if source.taken is not None:
        return _in_utc(source.taken), None
    file, *folders = names_of(header.path)
    for name in (file, *(folder for folder in folders if sensor_of_file_name(folder))):
        if (found := time_in(name)) is not None:
            return found, None
    text = header.tags.get("TIFFTAG_DATETIME", "")
    if not re.search("[1-9]", text):  # writers that do not know leave it blank, or all zeros
        return None, None
    return _time_of_tag(text, header.path), (
        f"the time of {header.path.name} is that of its DateTime tag, {text}, which some programs "
        "set when they write the file; its date in the request says otherwise"
    )


def _time_of_tag(text: str, path: Path) -> datetime:
    try:
        # TIFF 6.0 writes "YYYY:MM:DD HH:MM:SS", many writers ISO 8601.
        return _in_utc(datetime.fromisoformat(re.sub(r"^(\d{4}):(\d\d):", r"\1-\2-", text)))
    except ValueError as error:
        raise TimeUnknown(
            f"{path.name} says it was taken {text!r}, which is no date; give the date of the image"
        ) from error


def _in_utc(told: datetime) -> datetime:
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
