"""OMBRIA: 256 px tiles of 23 floods, Sentinel-1 and Sentinel-2, before and after.

Drakonakis et al., IEEE JSTARS 2022, github.com/geodrak/OMBRIA. Folders as distributed:
OmbriaS1/train/BEFORE/S1_before_0001.png. The masks beside Sentinel-1 serve both sensors.
"""

from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.types import Raster
from models.datasets.base import ImageKind, LabelledSet, Sample
from models.datasets.image_files import read_mask, read_pixels, require_one_shape
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

SPLITS = ("train", "test")
BLOCK = 20
"""Tiles with near numbers are neighbours on the Earth: so many in a row are one group."""
_OPTICAL_BANDS = ("swir16", "nir", "green")
"""B11, B8 and B3, in the order of the channels."""
KINDS = {
    "s1-before": ImageKind(Phase.BEFORE, "sentinel-1-grd", ("vv",)),
    "s1-after": ImageKind(Phase.AFTER, "sentinel-1-grd", ("vv",)),
    "s2-before": ImageKind(Phase.BEFORE, "sentinel-2-l1c", _OPTICAL_BANDS),
    "s2-after": ImageKind(Phase.AFTER, "sentinel-2-l1c", _OPTICAL_BANDS),
}
_NOMINAL_DB = (-25.0, 0.0)
"""What 0 and 255 of a radar tile stand for here: each tile was scaled by its own least and greatest
value, so its decibels, gain and offset are lost."""


def open_ombria(root: Path, split: str) -> LabelledSet:
    """Return the tiles of a split; raise DataInvalid where it is unknown or has no files."""
    if split not in SPLITS:
        raise DataInvalid(f"ombria has the splits {', '.join(SPLITS)}, not {split!r}")
    masks = root / "OmbriaS1" / split / "MASK"
    numbers = sorted(path.stem.removeprefix("S1_mask_") for path in masks.glob("S1_mask_*.png"))
    if not numbers:
        raise DataInvalid(
            f"{root} holds no OmbriaS1/{split}/MASK/S1_mask_*.png; give the folder that holds "
            "OmbriaS1 and OmbriaS2 as distributed"
        )
    tiles = [_paths(root, split, number) for number in numbers]
    groups = tuple(f"{int(number) // BLOCK:03d}" for number in numbers)
    files = tuple(path for tile in tiles for path in tile.values())
    return LabelledSet(
        kinds=KINDS,
        groups=groups,
        files=files,
        read=lambda index: _read(numbers[index], groups[index], tiles[index]),
    )


def _paths(root: Path, split: str, number: str) -> dict[str, Path]:
    paths = {}
    for name in ("mask", *KINDS):
        sensor, what = ("s1", name) if name == "mask" else name.split("-")
        folder = root / f"Ombria{sensor.upper()}" / split / what.upper()
        paths[name] = folder / f"{sensor.upper()}_{what}_{number}.png"
    return paths


def _read(number: str, group: str, paths: dict[str, Path]) -> Sample:
    target = read_mask(paths["mask"])
    images = {name: _image(name, paths[name]) for name in KINDS}
    shapes = {paths[name]: image.valid.shape for name, image in images.items()}
    require_one_shape({paths["mask"]: target.shape, **shapes})
    return Sample(number, group, images, target, np.ones_like(target))


def _image(name: str, path: Path) -> Raster:
    bands = KINDS[name].bands
    stored = read_pixels(path, bands=bands)
    share = stored.values / np.float32(255)
    if name.startswith("s1"):
        low, high = _NOMINAL_DB
        pixels = share * np.float32(high - low) + np.float32(low)
        return raster_without_location(pixels, valid=stored.valid, bands=bands, source=path.stem)
    # Level 1C reflectance times 255, to judge by the means: green 0.13, nir 0.30 before.
    # 0 in all bands is Sentinel-2's nodata.
    observed = stored.valid & (stored.values > 0).any(axis=0)
    return raster_without_location(share, valid=observed, bands=bands, source=path.stem)
