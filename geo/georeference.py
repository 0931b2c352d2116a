"""Georeference: where an image lies, told beside it by a world file, a .prj or the user."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from geo.errors import MissingCRS, SourceInvalid
from geo.source import Rows, Source, beside, world_file

_ESRI_CRS_BYTES = 1_000_000
"""A .prj is a line or two; what is larger is something else."""


@dataclass(frozen=True)
class Georeference:
    """What is told of an image's position; the image's own word goes before it."""

    crs: str | None = None
    """Authority code or WKT, for an image that states none."""
    transform: Affine | None = None
    """Of a world file, for an image that has no position of its own."""
    rows: Rows | None = None
    """How a tile tree counts its rows; None: nobody said."""
    notes: tuple[str, ...] = ()
    """Where it was found, as sentences."""

    @property
    def moves(self) -> bool:
        """Whether anything is told."""
        return (self.crs, self.transform, self.rows) != (None, None, None)

    @property
    def sha256(self) -> str:
        """Changes with everything that moves the image."""
        told = (self.crs, self.transform and tuple(self.transform), self.rows)
        return hashlib.sha256(repr(told).encode()).hexdigest()


NOTHING_TOLD = Georeference()


def georeference_of(source: Source, path: Path) -> Georeference:
    """Return what the user and the files beside an image tell of its position.

    Raises:
        MissingCRS: where the CRS that they name is not known.
        SourceInvalid: where the world file is damaged.
    """
    world, prj = world_file(path), beside(path, (".prj",))
    crs = _told(source.crs) if source.crs is not None else None
    notes = [f"{path.name} lies where {world.name} says"] if world else []
    if crs is None and prj is not None:
        crs = _of_prj(prj)
        notes.append(f"{prj.name} gives the coordinate reference system of {path.name}")
    transform = _read_world(world) if world else None
    return Georeference(crs, transform, source.rows, tuple(notes))


def _read_world(path: Path) -> Affine:
    """Return the transform of a world file: six numbers, the last two of a pixel's centre."""
    try:
        numbers = [float(word) for word in path.read_text("ascii")[:10_000].split()]
        a, d, b, e, c, f = numbers
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SourceInvalid(
            f"{path} is no world file: it should hold six numbers, the size and the turn of a "
            "pixel and the centre of the first one; export it again"
        ) from error
    transform = Affine(a, b, c, d, e, f) @ Affine.translation(-0.5, -0.5)
    if transform.is_degenerate:
        raise SourceInvalid(f"{path} gives a pixel no area; export it again")
    return transform


def _told(crs: str) -> str:
    try:
        return _named(CRS.from_user_input(crs))
    except CRSError as error:
        raise MissingCRS(
            f"--source-crs {crs} is not known; give a code, such as EPSG:32633"
        ) from error


def _of_prj(path: Path) -> str:
    try:
        return _named(CRS.from_wkt(path.read_text("utf-8")[:_ESRI_CRS_BYTES]))
    except (OSError, UnicodeDecodeError, CRSError) as error:
        raise MissingCRS(
            f"{path} names no coordinate reference system that is known; give it with "
            "--source-crs EPSG:32633, say"
        ) from error


def _named(crs: CRS) -> str:
    """Return the authority code of a CRS where it has one, else its WKT."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.to_wkt()
