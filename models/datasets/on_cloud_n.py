"""On Cloud N: chips of Sentinel-2 L2A in four bands, clouds labelled by people.

DrivenData and Radiant Earth 2022, "Sentinel-2 Cloud Cover Segmentation Dataset",
doi:10.34911/rdnt.hfq6m7. Folders as distributed: train_features/CHIP/B02.tif and
train_labels/CHIP.tif; or all files beside each other, as CHIP_B02.tif and CHIP_label.tif.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import Units, to_physical
from models.datasets.base import ImageKind, Sample, read_pixels
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

ALL = "all"
IMAGE = "image"
KINDS = {IMAGE: ImageKind(Phase.AFTER, "sentinel-2-l2a", ("blue", "green", "red", "nir"))}
_BANDS = ("B02", "B03", "B04", "B08")
"""In the order of the names above. All were taken before 2021, when values had no offset."""
_PIXEL_M = 10.0


@dataclass(frozen=True)
class OnCloudN:
    """Chips by name, such as adwp; each is its own group."""

    root: Path
    chips: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, split: str) -> "OnCloudN":
        """Find the chips.

        Raises:
            DataInvalid: where there is no chip, or a split is asked for: the set has none.
        """
        if split != ALL:
            raise DataInvalid(f"on-cloud-n has the split {ALL} and no other, not {split!r}")
        beside = {path.name.removesuffix("_label.tif") for path in root.glob("*_label.tif")}
        apart = {path.stem for path in (root / "train_labels").glob("*.tif")}
        if not beside | apart:
            raise DataInvalid(
                f"{root} holds neither train_labels/*.tif nor *_label.tif; give a folder of On "
                "Cloud N"
            )
        return cls(root, tuple(sorted(beside | apart)))

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """One image."""
        return KINDS

    @property
    def groups(self) -> tuple[str, ...]:
        """The chips."""
        return self.chips

    @property
    def files(self) -> tuple[Path, ...]:
        """Bands and labels."""
        return tuple(self._file(chip, name) for chip in self.chips for name in ("label", *_BANDS))

    def __len__(self) -> int:
        """Return how many chips there are."""
        return len(self.chips)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a chip; see `LabelledSet`."""
        chip = self.chips[index]
        label = read_pixels(self._file(chip, "label"))
        bands = [read_pixels(self._file(chip, name)) for name in _BANDS]
        shapes = {part.valid.shape for part in (label, *bands)}
        if len(shapes) > 1:
            raise DataInvalid(f"the files of {chip} are of {len(shapes)} shapes, {shapes}")
        stored = np.concatenate([band.values for band in bands])
        image = raster_without_location(
            to_physical(stored, units=Units.REFLECTANCE_10000),
            valid=np.all([band.valid for band in bands], axis=0),
            bands=KINDS[IMAGE].bands,
            source=chip,
            pixel_m=_PIXEL_M,
        )
        return Sample(chip, chip, {IMAGE: image}, label.values[0] == 1, label.valid)

    def _file(self, chip: str, name: str) -> Path:
        beside = self.root / f"{chip}_{name}.tif"
        if beside.is_file():
            return beside
        if name == "label":
            return self.root / "train_labels" / f"{chip}.tif"
        return self.root / "train_features" / chip / f"{name}.tif"
