"""OMBRIA: 256 px tiles of 23 floods, Sentinel-1 and Sentinel-2, before and after.

Drakonakis et al., IEEE JSTARS 2022, github.com/geodrak/OMBRIA. Folders as distributed:
OmbriaS1/train/BEFORE/S1_before_0001.png. The masks beside Sentinel-1 serve both sensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.types import Raster
from models.datasets.base import ImageKind, Sample, read_mask, read_pixels
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
"""What 0 and 255 of a radar tile stand for here. Each tile was scaled by its own least and
greatest value, so its decibels are lost: this only puts it where decibels lie, and a model
that trusts the gain or the offset of these tiles is wrong."""


@dataclass(frozen=True)
class Ombria:
    """One split."""

    root: Path
    split: str
    numbers: tuple[str, ...]
    """Four digits each."""

    @classmethod
    def open(cls, root: Path, split: str) -> "Ombria":
        """Find the tiles of a split.

        Raises:
            DataInvalid: where the split is unknown, or the folder is laid out otherwise.
        """
        if split not in SPLITS:
            raise DataInvalid(f"ombria has the splits {', '.join(SPLITS)}, not {split!r}")
        masks = root / "OmbriaS1" / split / "MASK"
        numbers = sorted(path.stem.removeprefix("S1_mask_") for path in masks.glob("S1_mask_*.png"))
        if not numbers:
            raise DataInvalid(
                f"{root} holds no OmbriaS1/{split}/MASK/S1_mask_*.png; give the folder that holds "
                "OmbriaS1 and OmbriaS2 as distributed"
            )
        return cls(root, split, tuple(numbers))

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """Four images."""
        return KINDS

    @property
    def groups(self) -> tuple[str, ...]:
        """Blocks of numbers."""
        return tuple(_group(number) for number in self.numbers)

    @property
    def files(self) -> tuple[Path, ...]:
        """Images and masks."""
        names = ("mask", *KINDS)
        return tuple(self._file(name, number) for number in self.numbers for name in names)

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self.numbers)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a tile; see `LabelledSet`."""
        number = self.numbers[index]
        target = read_mask(self._file("mask", number))
        images = {name: self._image(name, number) for name in KINDS}
        for name, image in images.items():
            if image.valid.shape != target.shape:
                raise DataInvalid(
                    f"{self._file(name, number)} is {image.valid.shape}, its mask is "
                    f"{target.shape} rows and columns; fetch both again"
                )
        return Sample(number, _group(number), images, target, np.ones_like(target))

    def _file(self, name: str, number: str) -> Path:
        sensor, what = ("s1", name) if name == "mask" else name.split("-")
        folder = self.root / f"Ombria{sensor.upper()}" / self.split / what.upper()
        return folder / f"{sensor.upper()}_{what}_{number}.png"

    def _image(self, name: str, number: str) -> Raster:
        path, bands = self._file(name, number), KINDS[name].bands
        stored = read_pixels(path)
        if len(stored.values) != len(bands):
            raise DataInvalid(f"{path} has {len(stored.values)} bands, ombria has {len(bands)}")
        share = stored.values / np.float32(255)
        if name.startswith("s1"):
            low, high = _NOMINAL_DB
            pixels = share * np.float32(high - low) + np.float32(low)
            return raster_without_location(
                pixels, valid=stored.valid, bands=bands, source=path.stem
            )
        # Level 1C reflectance times 255, to judge by the means: green 0.13, nir 0.30 before.
        # 0 in all bands is Sentinel-2's nodata.
        seen = stored.valid & (stored.values > 0).any(axis=0)
        return raster_without_location(share, valid=seen, bands=bands, source=path.stem)


def _group(number: str) -> str:
    return f"{int(number) // BLOCK:03d}"
