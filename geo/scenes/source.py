"""Source: what the user states of a file, a folder or a glob of imagery, and its files."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from affine import Affine

from geo.errors import SourceInvalid
from geo.scenes.sensors import Backscatter, Units

SUFFIXES = (".tif", ".tiff", ".jp2")
"""Endings of the files that are taken from a folder."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Endings of pictures: imagery where they have a world file, photos otherwise."""


class Rows(StrEnum):
    """From where a tile tree counts its rows."""

    NORTH = "north"
    """XYZ, as web maps do."""
    SOUTH = "south"
    """TMS, OSGeo Tile Map Service 1.0."""


class Preference(StrEnum):
    """Which scene a pixel is taken from where several have it."""

    NEWEST = "newest"
    LEAST_CLOUDY = "least-cloudy"


class Clouds(StrEnum):
    """Which mask of clouds and their shadows is used."""

    AUTO = "auto"
    """The provider's own where the scene has one, or else a network where its bands suffice."""
    PROVIDER = "provider"
    """The provider's own, and none where a scene has none."""
    NETWORK = "network"
    """A network, whether the provider has a mask or not."""
    OFF = "off"


@dataclass(frozen=True)
class Source:
    """Where imagery is, and what its files do not state themselves."""

    path: str
    """A file, a folder, or a glob."""
    sensor: str | None = None
    """Name in `geo.scenes.sensors.SENSORS`."""
    bands: tuple[str, ...] | None = None
    """Band names in the order of the file."""
    units: Units | None = None
    taken: datetime | None = None
    """Acquisition time, UTC."""
    baseline: str | None = None
    """Sentinel-2 processing baseline, such as "05.10"."""
    cloud_cover: float | None = None
    """Share of cloud, per cent."""
    backscatter: Backscatter | None = None
    crs: str | None = None
    """CRS of the images that state none."""
    rows: Rows | None = None
    """How a tile tree counts its rows; None: as its description says, or from the north."""


@dataclass(frozen=True)
class Georeference:
    """Where an image is, for an image that does not hold its own georeference."""

    crs: str | None = None
    """Authority code or WKT."""
    transform: Affine | None = None
    rows: Rows | None = None
    notes: tuple[str, ...] = ()
    """Where it was found, as sentences."""

    @property
    def moves(self) -> bool:
        """Whether anything is given."""
        return (self.crs, self.transform, self.rows) != (None, None, None)

    @property
    def sha256(self) -> str:
        """Changes with everything that moves the image."""
        given = (self.crs, self.transform and tuple(self.transform), self.rows)
        return hashlib.sha256(repr(given).encode()).hexdigest()


NO_GEOREFERENCE = Georeference()


def files_of(source: Source) -> tuple[Path, ...]:
    """Return the image files of a source, sorted by name; at least one."""
    if found := _images_of(source):
        return found
    path = expanded(Path(source.path))
    if path.is_dir():
        raise SourceInvalid(
            f"the folder {path} holds no image file ({', '.join(SUFFIXES)}); name the folder that "
            "does"
        )
    raise SourceInvalid(f"there is no file, folder or match at {path}; check the path")


def placed_of(source: Source) -> tuple[Path, ...]:
    """Return the georeferenced images of a source, sorted by name; maybe none."""
    return tuple(path for path in _images_of(source) if not _is_photo(path))


def photos_of(source: Source) -> tuple[Path, ...]:
    """Return the photos of a source, pictures without a world file, sorted by name."""
    path = expanded(Path(source.path))
    found = (path,) if path.is_file() else _matching(path, _is_photo)
    return tuple(photo for photo in found if _is_photo(photo))


def _images_of(source: Source) -> tuple[Path, ...]:
    path = expanded(Path(source.path))
    return (path,) if path.is_file() else _matching(path, _is_image)


def world_file(image: Path) -> Path | None:
    """Return the world file of an image: beside x.tif, x.tfw, x.tifw or x.wld."""
    ending = image.suffix.lower()
    return beside(image, (f".{ending[1:2]}{ending[-1:]}w", f"{ending}w", ".wld"))


def beside(image: Path, endings: tuple[str, ...]) -> Path | None:
    """Return the first file of an image's name with one of these endings, small or capital."""
    forms = [form for ending in endings for form in (ending, ending.upper())]
    named = [image.with_suffix(form) for form in forms] if image.suffix else []
    return next((path for path in named if path.is_file()), None)


def expanded(path: Path) -> Path:
    """Return a path with the user's home for ~; unchanged where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _matching(path: Path, wanted: Callable[[Path], bool]) -> tuple[Path, ...]:
    found = _in_folder(path, wanted) if path.is_dir() else _glob(path, wanted)
    return tuple(sorted(found))


def _in_folder(folder: Path, wanted: Callable[[Path], bool]) -> set[Path]:
    return {p for p in folder.rglob("*") if wanted(p) and not _hidden(p.relative_to(folder))}


def _is_image(path: Path) -> bool:
    ending = path.suffix.lower()
    placed = ending in PICTURE_SUFFIXES and world_file(path) is not None
    return (ending in SUFFIXES or placed) and path.is_file()


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and world_file(path) is None


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _glob(path: Path, wanted: Callable[[Path], bool]) -> set[Path]:
    """Return the files that a pattern matches, and those of the folders that it matches."""
    wild = [any(mark in part for mark in "*?[") for part in path.parts]
    fixed = Path(*path.parts[: (*wild, True).index(True)])
    pattern = str(path.relative_to(fixed)) if path != fixed else ""
    if not pattern or not fixed.is_dir():
        return set()
    matches = [p for p in fixed.glob(pattern) if not _hidden(p.relative_to(fixed))]
    inside = [_in_folder(p, wanted) for p in matches if p.is_dir()]
    return {p for p in matches if wanted(p)}.union(*inside)
