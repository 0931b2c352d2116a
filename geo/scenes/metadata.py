"""What a file's name, tags and descriptions say of it; nothing is guessed in silence.

Names of files and folders: the band, the time and the product that they tell.

Backscatter: sigma0 or gamma0, as the user, the bands, the name or the sensor tell.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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

_PARENTS = 5
"""Folders above a file that are asked: in a .SAFE of Sentinel-2 the image lies five deep."""

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
"""Dates as people write them."""
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

_S1 = r"(S1[A-D]_\w\w_GRD\w_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6})_[0-9A-F]{4}"
_S2 = r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})(?:_N\d{4})?(_R\d{3}_T\w{5})_\d{8}T\d{6}"
_PRODUCT = re.compile(rf"({_S1}(_rtc)?|{_S2})(\.SAFE)?", re.IGNORECASE)
"""Whole product names: Sentinel-1 Product Definition S1-RS-MDA-52-7440, 4.1; Sentinel-2 Products
Specification S2-PDGS-TAS-DI-PSD, 3.4.1. The catalogues leave the baseline out."""


def names_of(path: Path) -> tuple[str, ...]:
    """Return the file's name, and those of the folders above it that may tell of it."""
    return (path.name, *(parent.name for parent in path.parents[:_PARENTS]))


def product_folder(path: Path) -> Path | None:
    """Return the folder of one whole product that a file lies in, or None."""
    folders = path.parents[:_PARENTS]
    return next((folder for folder in folders if _PRODUCT.fullmatch(folder.name)), None)


def band_in_name(path: Path, sensor: Sensor) -> tuple[str, str] | None:
    """Return (common name, stem without the band) where a file name tells a band, or None.

    The providers' `_B04_10m`, `B04`, `_SR_B4`, `_sr_band4`, `-vv-`, `iw-vv.rtc` and `_VV` are
    all understood; the stem is empty where the name is the band alone.
    """
    stem = _NO_BAND.sub("", path.stem)
    for pattern in _BANDS:
        if (match := pattern.fullmatch(stem)) and (name := sensor.band_of(match["band"])):
            return name, (match["before"] or "") + match["after"]
    return None


def parse_time(text: str) -> datetime:
    """Return the time that a text states, UTC; midnight where it states a date alone.

    The year has four digits and stands first or last; the month is a number or its English name:
    2019-07-23, 20190723, 23.07.2019, 23Jul2019, "July 23, 2019", 2019-07-23T17:38:00+02:00.

    Raises:
        TimeUnknown: where it is no date, or the day and the month cannot be told apart.
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
    """Return the first time, or else the first date, in a name, UTC; None where there is none.

    A date whose day and month cannot be told apart is none.
    """
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


def acquisition_key(name: str) -> str:
    """Return a name that revisions of one acquisition share, [a-z0-9-].

    Sentinel-1 product names end in a unique id of four hex digits, Sentinel-2's hold the
    baseline and the discriminator time: neither tells acquisitions apart.
    """
    key = re.sub(_S1, r"\1", name, flags=re.IGNORECASE)
    key = re.sub(_S2, r"\1\2", key, flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    if len(slug) <= 64:
        return slug or "scene"
    return f"{slug[:51]}-{hashlib.sha256(slug.encode()).hexdigest()[:12]}"


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
    try:
        taken = parse_time(text)
    except TimeUnknown as error:
        raise TimeUnknown(f"the DateTime tag of {header.path.name}: {error}") from error
    return taken, (
        f"the time of {header.path.name} is that of its DateTime tag, {text}, which some programs "
        "set when they write the file; its date in the request says otherwise"
    )


def _in_utc(told: datetime) -> datetime:
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


# ASF's HyP3: after the pixel stands the software, then g or s for gamma0 or sigma0, then p for
# power (hyp3-docs.asf.alaska.edu, RTC product guide, naming convention).
_HYP3 = re.compile(r"_RTC\d\d_[A-Z]_(?P<letter>[gs])p", re.IGNORECASE)
_LETTERS = {"g": Backscatter.GAMMA0, "s": Backscatter.SIGMA0}


def backscatter_of(source: Source, sensor: Sensor, headers: Sequence[Header]) -> Backscatter | None:
    """Return what a radar scene holds; None for other sensors.

    In this order: what the user says, the descriptions of the bands, the names of the files, the
    sensor's own.

    Args:
        headers: of the scene's files.

    Raises:
        UnitsMismatch: where the bands or the names say two things, or the user speaks of
            backscatter of a sensor that is no radar.
    """
    if sensor.backscatter is None:
        if source.backscatter is not None:
            raise UnitsMismatch(
                f"{source.backscatter} was said of {headers[0].path.name}, and {sensor.title} is "
                "no radar; leave the backscatter out, or correct --sensor"
            )
        return None
    told = source.backscatter or _described(headers) or _backscatter_named(headers)
    return told or sensor.backscatter


def _described(headers: Sequence[Header]) -> Backscatter | None:
    texts = (text for header in headers for text in header.descriptions if text)
    return _only({kind for text in texts for kind in _kinds_in(text)}, headers)


def _backscatter_named(headers: Sequence[Header]) -> Backscatter | None:
    """Return what the files' names tell; folders are called after anything."""
    return _only({kind for h in headers for kind in _kinds_in(h.path.name)}, headers)


def _kinds_in(text: str) -> set[Backscatter]:
    plain = re.sub(r"[\s_\-]", "", text.lower())
    kinds = {kind for kind in Backscatter if kind.value in plain}
    match = _HYP3.search(text)
    return kinds | {_LETTERS[match["letter"].lower()]} if match else kinds


def _only(kinds: set[Backscatter], headers: Sequence[Header]) -> Backscatter | None:
    if len(kinds) > 1:
        raise UnitsMismatch(
            f"{headers[0].path.name} is called both {' and '.join(sorted(kinds))}; say which with "
            "--backscatter"
        )
    return next(iter(kinds), None)
