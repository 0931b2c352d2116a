"""Pairs: a folder with images/ and masks/ of equal stems, as PNG, JPEG or GeoTIFF."""

import csv
import re
from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS, Family, to_decibel, to_physical
from models.datasets.base import (
    ImageKind,
    LabelledSet,
    Sample,
    read_mask,
    read_pixels,
    require_one_shape,
)
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

IMAGE = "image"
_ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def open_pairs(
    root: Path,
    *,
    sensor: str,
    bands: tuple[str, ...],
    block: int = 1,
    groups_file: Path | None = None,
) -> LabelledSet:
    """Return the pairs of a folder.

    Args:
        sensor: name in `geo.scenes.sensors.SENSORS`; its units are those of the files.
        block: pictures with near numbers in their names are neighbours, so many of them.
        groups_file: CSV with the columns stem and group, instead of `block`.

    Raises:
        DataInvalid: where there are no pairs, an image has no mask, or `groups_file` lacks one.
    """
    images, masks = _by_stem(root / "images"), _by_stem(root / "masks")
    alone = sorted(images.keys() ^ masks.keys())
    if alone:
        there, other = ("images", "masks") if alone[0] in images else ("masks", "images")
        raise DataInvalid(
            f"{alone[0]} is in {root / there} and not in {root / other} ({len(alone)} are "
            "without the other); give each image a mask with the same stem"
        )
    kind = ImageKind(Phase.AFTER, sensor, bands)
    stems = tuple(sorted(images, key=_natural))
    groups = (
        tuple(group_of(stem, block=block) for stem in stems)
        if groups_file is None
        else _read_groups(groups_file, stems)
    )
    pairs = [(images[stem], masks[stem]) for stem in stems]
    files = (*(path for pair in pairs for path in pair), *([groups_file] if groups_file else []))
    return LabelledSet(
        kinds={IMAGE: kind},
        groups=groups,
        files=files,
        read=lambda index: _read(kind, groups[index], *pairs[index]),
    )


def _read(kind: ImageKind, group: str, image: Path, mask: Path) -> Sample:
    stored, target = read_pixels(image, bands=kind.bands), read_mask(mask)
    require_one_shape({mask: target.shape, image: stored.valid.shape})
    sensor = SENSORS[kind.sensor]
    pixels = to_physical(stored.values, units=sensor.units)
    if sensor.family is Family.RADAR:
        pixels = to_decibel(pixels)
    raster = raster_without_location(
        pixels, valid=stored.valid, bands=kind.bands, source=image.stem
    )
    return Sample(image.stem, group, {IMAGE: raster}, target, np.ones_like(target))


def group_of(stem: str, *, block: int) -> str:
    """Return the group of a file name: what stands before its last number, and the block."""
    found = re.search(r"(\d+)\D*$", stem)
    if found is None or block == 1:
        return stem
    return f"{stem[: found.start()]}{int(found[1]) // block:06d}"


def _read_groups(path: Path, stems: tuple[str, ...]) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            by_stem = {row["stem"]: row["group"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataInvalid(
            f"{path} cannot be read as a CSV with the columns stem and group: {error}"
        ) from error
    alone = [stem for stem in stems if not by_stem.get(stem)]
    if alone:
        raise DataInvalid(
            f"{path} names no group for {alone[0]} ({len(alone)} are without one); make it anew"
        )
    return tuple(by_stem[stem] for stem in stems)


def _by_stem(folder: Path) -> dict[str, Path]:
    files = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in _ENDINGS]
    if not files:
        raise DataInvalid(
            f"{folder} holds no PNG, JPEG or GeoTIFF; give a folder with images/ and masks/"
        )
    stems: dict[str, Path] = {}
    for path in files:
        if path.stem in stems:
            raise DataInvalid(f"{stems[path.stem]} and {path} share a stem; remove one of them")
        stems[path.stem] = path
    return stems


def _natural(stem: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts 2 before 10."""
    parts = re.findall(r"\d+|\D+", stem)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
