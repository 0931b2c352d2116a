"""Source: what the user says of a file, a folder or a glob of imagery."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from geo.errors import SourceInvalid
from geo.sensors import Backscatter, Units

SUFFIXES = (".tif", ".tiff", ".jp2")
"""Endings of the files that are taken from a folder."""


@dataclass(frozen=True)
class Source:
    """Where imagery lies, and what its files cannot say of themselves."""

    path: str
    """A file, a folder, or a glob."""
    sensor: str | None = None
    """Name in `geo.sensors.SENSORS`."""
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
    """Of radar."""


def files_of(source: Source) -> tuple[Path, ...]:
    """Return the image files of a source, sorted by name.

    Raises:
        SourceInvalid: where there is no such file, or none with an ending that is read.
    """
    path = expanded(Path(source.path))
    if path.is_file():
        return (path,)
    found = _in_folder(path) if path.is_dir() else _glob(path)
    if not found:
        raise SourceInvalid(_nothing_at(path))
    return tuple(sorted(found))


def expanded(path: Path) -> Path:
    """Return a path with the user's home for ~; of a user who is not there, it stays."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _in_folder(folder: Path) -> set[Path]:
    """Return the image files of a folder and the folders in it, the hidden ones left out."""
    return {p for p in folder.rglob("*") if _is_image(p) and not _hidden(p.relative_to(folder))}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _glob(path: Path) -> set[Path]:
    """Return the files that a pattern matches, and those of the folders that it matches."""
    fixed = Path(*_until_wildcard(path.parts))
    pattern = str(path.relative_to(fixed)) if path != fixed else ""
    if not pattern or not fixed.is_dir():
        return set()
    seen = [p for p in fixed.glob(pattern) if not _hidden(p.relative_to(fixed))]
    inside = [_in_folder(p) for p in seen if p.is_dir()]
    return {p for p in seen if _is_image(p)}.union(*inside)


def _until_wildcard(parts: tuple[str, ...]) -> tuple[str, ...]:
    for count, part in enumerate(parts):
        if any(mark in part for mark in "*?["):
            return parts[:count]
    return parts


def _nothing_at(path: Path) -> str:
    endings = ", ".join(SUFFIXES)
    if path.is_dir():
        return f"the folder {path} holds no image file ({endings}); name the folder that does"
    return f"there is no file, folder or match at {path}; check the path"
