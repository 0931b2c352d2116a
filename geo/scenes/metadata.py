"""Sensor, bands, time and backscatter of a file, from its name, its tags and its descriptions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from geo.errors import BandsUnknown, SensorUnknown, TimeUnknown, UnitsMismatch
from geo.scenes.sensors import (
    SENSORS,
    Backscatter,
    Family,
    Sensor,
    sensor_named,
    sensor_of_file_name,
)
from geo.scenes.source import Source

PARENTS = 5
"""Folders above a file whose names are read: in a .SAFE of Sentinel-2 the image is five deep."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR, _DAY = r"(?P<year>(?:19|20)\d\d)", r"(?P<day>\d\d?)"
_MONTH = (
    r"(?<![a-z])(?P<word>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![a-z])"
)
_DATES = tuple(
    re.compile(rf"(?<!\d){form}(?!\d)", re.IGNORECASE)
    for form in (
        rf"{_YEAR}(?P<month>\d\d)(?P<day>\d\d)",
        rf"{_YEAR}(?P<mark>[-_./: ])(?P<month>\d\d?)(?P=mark){_DAY}",
        rf"(?P<first>\d\d?)(?P<mark>[-_./ ])(?P<second>\d\d?)(?P=mark){_YEAR}",
        rf"{_DAY}(?:st|nd|rd|th)?[-_. ]*{_MONTH}[-_., ]*{_YEAR}",
        rf"{_MONTH}[-_. ]*{_DAY}(?:st|nd|rd|th)?[-_., ]*{_YEAR}",
        rf"{_YEAR}[-_. ]*{_MONTH}[-_. ]*{_DAY}",
    )
)
_CLOCK_IN_NAME = re.compile(r"T\d{6}(?!\d)", re.IGNORECASE)
_DATE_FORM = "write it as 2019-07-23 or 2019-07-23T17:38:00Z"

_BANDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Sentinel-1 SAFE: s1a-iw-grd-vv-20190917t175506-...-001, whose last number counts bands
        r"(?P<before>s1[a-d]-\w\w-\w{3})-(?P<band>v[vh])(?P<after>-.+)-\d{3}",
        r"((?P<before>.*?)[_\-])?(SR_)?(?P<band>BAND\d|B\d+|QA_PIXEL)(?P<after>)",
        r"((?P<before>.*)[_\-])?(?P<band>[A-Z0-9]+)(?P<after>)",
    )
)
_NO_BAND = re.compile(r"(_[126]0m|\.rtc)$", re.IGNORECASE)
"""Resolution of Sentinel-2, processing of Sentinel-1: after the band, and no part of it."""


def names_of(path: Path) -> tuple[str, ...]:
    """Return the file's name, and those of the folders above it that may describe it."""
    return (path.name, *(parent.name for parent in path.parents[:PARENTS]))


def band_in_name(path: Path, sensor: Sensor) -> tuple[str, str] | None:
    """Return (common name, rest of the stem) where a file name names a band, or None."""
    stem = _NO_BAND.sub("", path.stem)
    for pattern in _BANDS:
        if (match := pattern.fullmatch(stem)) and (name := sensor.band_of(match["band"])):
            return name, (match["before"] or "") + match["after"]
    return None


def parse_time(text: str) -> datetime:
    """Return the time that a text states, UTC; midnight where it states a date alone.

    The year has four digits and stands first or last; the month is a number or its English name:
    2019-07-23, 20190723, 23.07.2019, 23Jul2019, "July 23, 2019", 2019-07-23T17:38:00+02:00.
    """
    text = text.strip()
    for match in (form.match(text) for form in _DATES):
        readings = _readings(match, text[match.end() :]) if match else []
        if len(readings) > 1:
            days = " or ".join(f"{reading:%Y-%m-%d}" for reading in readings)
            raise TimeUnknown(f"{text!r} may be {days}; {_DATE_FORM}")
        if readings:
            return readings[0]
    raise TimeUnknown(f"{text!r} is no date; {_DATE_FORM}")


def time_in(name: str) -> datetime | None:
    """Return the first time, or else date, in a name, UTC; None without one, or if ambiguous."""
    matches = sorted((m for form in _DATES for m in form.finditer(name)), key=lambda m: m.start())
    clocks = [_CLOCK_IN_NAME.match(name, match.end()) for match in matches]
    timed = [
        _readings(match, clock[0]) for match, clock in zip(matches, clocks, strict=True) if clock
    ]
    dated = [_readings(match, "") for match in matches]
    return next((readings[0] for readings in (*timed, *dated) if len(readings) == 1), None)


def _readings(match: re.Match[str], clock: str) -> list[datetime]:
    """Return the times that a date with what follows it may be: of 05-06-2019 there are two."""
    date = match.groupdict()
    if "first" in date:
        days = {(date["first"], date["second"]), (date["second"], date["first"])}
    elif "word" in date:
        days = {(str(_MONTHS.index(date["word"][:3].lower()) + 1), date["day"])}
    else:
        days = {(date["month"], date["day"])}
    clock = re.sub(r"\s*UTC$", "Z", re.sub(r"^[T,_ ]+", "T", clock))
    found = (_parsed(f"{date['year']}-{int(m):02d}-{int(d):02d}{clock}") for m, d in sorted(days))
    return [time for time in found if time is not None]


def _parsed(text: str) -> datetime | None:
    try:
        return _in_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


_COLOURS = ("red", "green", "blue")


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

    @property
    def labels(self) -> list[tuple[str, int]]:
        """Description and number of each data band; "" without a description."""
        return [(self.descriptions[i - 1] or "", i) for i in self.data_bands]


def sensor_of(source: Source, header: Header) -> tuple[Sensor, str | None]:
    """Return the sensor by the user, the file name or the colours of a picture, and a note."""
    if source.sensor is not None:
        return sensor_named(source.sensor), None
    for name in names_of(header.path):
        if (known := sensor_of_file_name(name)) is not None:
            return known, None
    for sensor in SENSORS.values():
        low, high = sensor.assumed_gsd_m
        fits = {*header.dtypes} in [{name} for name in sensor.assumed_types]
        if fits and low <= header.gsd_m < high and header.colours[:3] == _COLOURS:
            return sensor, (
                f"{header.path.name} was taken for {sensor.title} by its colours and its "
                f"{header.gsd_m:.2g} m; --sensor says otherwise"
            )
    raise SensorUnknown(
        f"nothing says which sensor took {header.path.name} ({len(header.data_bands)} bands of "
        f"{header.dtypes[0]}, {header.gsd_m:.3g} m); name it with --sensor, one of "
        f"{', '.join(sorted(SENSORS))}"
    )


BandNumbers: TypeAlias = tuple[tuple[str, int], ...]
"""Common name of each band, and its number in the file, from 1."""


def band_names(source: Source, header: Header, sensor: Sensor) -> tuple[BandNumbers, str | None]:
    """Return which band of a file is which, and a note where that was concluded.

    In this order: the user, the name of a file of one band, the descriptions in the file, the
    colours, the provider's order where the number of bands is exactly that.
    """
    if source.bands is not None:
        return _each_once(_given(source.bands, header, sensor), header), None
    labelled = [(sensor.band_of(label), i) for label, i in header.labels]
    described = tuple((name, i) for name, i in labelled if name is not None)
    is_numbered = all(
        re.fullmatch(rf"band[\s_]*0*{i}", label, re.IGNORECASE) for label, i in header.labels
    )
    if len(header.data_bands) == 1 and (token := band_in_name(header.path, sensor)):
        if described and described[0][0] != token[0] and not is_numbered:
            raise BandsUnknown(
                f"the name of {header.path.name} says {token[0]} and the description in it says "
                f"{described[0][0]}; say which with --bands"
            )
        return ((token[0], header.data_bands[0]),), None
    if described:
        note = (
            f"{header.path.name} only counts its bands, from Band 1; they were taken for the bands "
            f"of {sensor.title} with these numbers; --bands says otherwise"
        )
        return _each_once(described, header), note if is_numbered else None
    return _by_colour(header, sensor) or _in_order(header, sensor)


def _given(bands: tuple[str, ...], header: Header, sensor: Sensor) -> BandNumbers:
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
        raise BandsUnknown(
            f"{sensor.title} has no band {', '.join(unknown)}; its bands are "
            f"{', '.join(band.name for band in sensor.bands)}"
        )
    return tuple((name, i) for (name, _), i in zip(names, numbers, strict=True) if name)


def _by_colour(header: Header, sensor: Sensor) -> tuple[BandNumbers, str | None] | None:
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
        return _each_once(tuple(named), header), None
    note = (
        f"{header.path.name} does not name its band {rest[0]}; it was taken for {wanted[0]}, the "
        f"only one of {sensor.title} that its colours leave; --bands says otherwise"
    )
    return _each_once((*named, (wanted[0], rest[0])), header), note


def _in_order(header: Header, sensor: Sensor) -> tuple[BandNumbers, str]:
    names = [band.name for band in sensor.bands if band.name != sensor.quality]
    numbers, listed = header.data_bands, ", ".join(names)
    if len(numbers) == 1 and sensor.family is Family.PICTURE:
        raise BandsUnknown(
            f"{header.path.name} has one band, a grey picture, and {sensor.title} has {listed}; "
            "give the coloured image"
        )
    if len(names) != len(numbers):
        raise BandsUnknown(
            f"nothing says which of the {len(numbers)} bands of {header.path.name} is which; "
            f"{sensor.title} has {listed}: give the file's order with --bands"
        )
    return tuple(zip(names, numbers, strict=True)), (
        f"{header.path.name} does not name its bands; they were taken in the order of "
        f"{sensor.title}: {listed}; --bands says otherwise"
    )


def _each_once(bands: BandNumbers, header: Header) -> BandNumbers:
    names = [name for name, _ in bands]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BandsUnknown(
            f"{header.path.name} names band {', '.join(twice)} more than once; give the file's "
            "order with --bands"
        )
    return bands


def taken_at(source: Source, header: Header) -> tuple[datetime | None, str | None]:
    """Return the acquisition time, UTC, from the user, the names or the TIFF's tag, and a note."""
    if source.taken is not None:
        return _in_utc(source.taken), None
    file, *folders = names_of(header.path)
    for name in (file, *(folder for folder in folders if sensor_of_file_name(folder))):
        if (found := time_in(name)) is not None:
            return found, None
    text = header.tags.get("TIFFTAG_DATETIME", "")
    if not re.search("[1-9]", text):  # writers that do not know leave it blank, or all zeros
        return None, None
    try:
        taken = parse_time(text)
    except TimeUnknown as error:
        raise TimeUnknown(
            f"the DateTime tag of {header.path.name} is {text!r}, which is no date; give the date "
            "of the image in the request"
        ) from error
    return taken, (
        f"the time of {header.path.name} is that of its DateTime tag, {text}, which some programs "
        "set when they write the file; its date in the request says otherwise"
    )


_CLOUD_TAGS = (
    "CLOUDY_PIXEL_PERCENTAGE", "CLOUD_COVERAGE_ASSESSMENT", "CLOUD_COVER", "eo:cloud_cover"
)  # fmt: skip


def cloud_cover_of(source: Source, header: Header) -> float | None:
    """Return the share of cloud, per cent, by the user or the provider's tags; None: not known."""
    if source.cloud_cover is not None:
        return source.cloud_cover
    numbers = (re.fullmatch(r"\d+(\.\d*)?", header.tags.get(tag, "")) for tag in _CLOUD_TAGS)
    covers = [float(number[0]) for number in numbers if number]
    return covers[0] if covers and covers[0] <= 100 else None


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


# ASF's HyP3: after the pixel stands the software, then g or s for gamma0 or sigma0, then p for
# power (hyp3-docs.asf.alaska.edu, RTC product guide, naming convention).
_HYP3 = re.compile(r"_RTC\d\d_[A-Z]_(?P<letter>[gs])p", re.IGNORECASE)
_LETTERS = {"g": Backscatter.GAMMA0, "s": Backscatter.SIGMA0}


def backscatter_of(source: Source, sensor: Sensor, headers: Sequence[Header]) -> Backscatter | None:
    """Return what a radar scene holds; None for other sensors.

    In this order: the user, the descriptions of the bands, the names of the scene's files (not of
    folders, which are called after anything), the sensor's own.
    """
    name = headers[0].path.name
    if sensor.backscatter is None:
        if source.backscatter is not None:
            raise UnitsMismatch(
                f"--backscatter is {source.backscatter} for {name}, and {sensor.title} is no "
                "radar; leave it out, or correct --sensor"
            )
        return None
    if source.backscatter is not None:
        return source.backscatter
    described = [text for header in headers for text in header.descriptions if text]
    for texts in (described, [header.path.name for header in headers]):
        kinds = {kind for text in texts for kind in _backscatter_in(text)}
        if len(kinds) > 1:
            raise UnitsMismatch(
                f"{name} is called both {' and '.join(sorted(kinds))}; say which with --backscatter"
            )
        if kinds:
            return kinds.pop()
    return sensor.backscatter


def _backscatter_in(text: str) -> set[Backscatter]:
    plain = re.sub(r"[\s_\-]", "", text.lower())
    kinds = {kind for kind in Backscatter if kind.value in plain}
    match = _HYP3.search(text)
    return kinds | {_LETTERS[match["letter"].lower()]} if match else kinds
