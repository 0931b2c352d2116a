"""Sen1Floods11: chips of Sentinel-1 in decibels and Sentinel-2 L1C, water labelled by hand.

Bonafilia et al., CVPR Workshops 2020, github.com/cloudtostreet/Sen1Floods11. Files are
PLACE_NUMBER_S1Hand.tif, _S2Hand.tif and _LabelHand.tif: beside each other, or in the folders
S1Hand, S2Hand and LabelHand as distributed, where lists of names make the splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS, Units, to_physical
from models.datasets.base import ImageKind, Sample, read_codes, read_pixels
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

ALL = "all"
LISTS = {
    "train": "flood_train_data.csv",
    "valid": "flood_valid_data.csv",
    "test": "flood_test_data.csv",
    "bolivia": "flood_bolivia_data.csv",
}
"""By split, the list as distributed: two columns, names of a radar file and of its label."""
_OPTICAL = tuple(band.name for band in SENSORS["sentinel-2-l1c"].bands if band.name != "scl")
KINDS = {
    "s1-after": ImageKind(Phase.AFTER, "sentinel-1-grd", ("vv", "vh")),
    "s2-after": ImageKind(Phase.AFTER, "sentinel-2-l1c", _OPTICAL),
}


@dataclass(frozen=True)
class Sen1Floods11:
    """Chips by name, such as Spain_7370579."""

    root: Path
    chips: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, split: str) -> "Sen1Floods11":
        """Find the chips of a split; "all" are those that lie there.

        Raises:
            DataInvalid: where the split or its list is unknown, or there is no chip.
        """
        found = {path.name.removesuffix("_LabelHand.tif") for path in root.rglob("*_LabelHand.tif")}
        if not found:
            raise DataInvalid(f"{root} holds no *_LabelHand.tif; give a folder of Sen1Floods11")
        chips = found if split == ALL else _listed(root, split)
        missing = sorted(chips - found)
        if missing:
            raise DataInvalid(
                f"the split {split} of {root} lists {len(chips)} chips, {len(missing)} are not "
                f"there, {missing[0]} among them; fetch them"
            )
        return cls(root, tuple(sorted(chips)))

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """Radar and optical, after the event."""
        return KINDS

    @property
    def groups(self) -> tuple[str, ...]:
        """The place: one flood each."""
        return tuple(chip.rpartition("_")[0] for chip in self.chips)

    @property
    def files(self) -> tuple[Path, ...]:
        """Images and labels."""
        names = ("LabelHand", "S1Hand", "S2Hand")
        return tuple(self._file(chip, name) for chip in self.chips for name in names)

    def __len__(self) -> int:
        """Return how many chips there are."""
        return len(self.chips)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a chip; see `LabelledSet`."""
        chip = self.chips[index]
        labels = read_codes(self._file(chip, "LabelHand"))
        radar = read_pixels(self._file(chip, "S1Hand"))
        optical = read_pixels(self._file(chip, "S2Hand"))
        shapes = {labels.shape, radar.valid.shape, optical.valid.shape}
        if len(shapes) > 1:
            raise DataInvalid(f"the files of {chip} are of {len(shapes)} shapes, {shapes}")
        reflectance = to_physical(optical.values, units=Units.REFLECTANCE_10000)
        kinds = self.kinds
        return Sample(
            name=chip,
            group=self.groups[index],
            images={
                "s1-after": raster_without_location(
                    radar.values, valid=radar.valid, bands=kinds["s1-after"].bands, source=chip
                ),
                "s2-after": raster_without_location(
                    reflectance, valid=optical.valid, bands=kinds["s2-after"].bands, source=chip
                ),
            },
            target=labels == 1,
            known=np.isin(labels, (0, 1)),
        )

    def _file(self, chip: str, name: str) -> Path:
        beside = self.root / f"{chip}_{name}.tif"
        if beside.is_file():
            return beside
        found = sorted(self.root.rglob(f"{name}/{chip}_{name}.tif"))
        if not found:
            raise DataInvalid(f"{self.root} holds no {chip}_{name}.tif; fetch it")
        return found[0]


def _listed(root: Path, split: str) -> set[str]:
    """Return the chips of the distributed list of a split."""
    if split not in LISTS:
        raise DataInvalid(f"sen1floods11 has the splits {', '.join((ALL, *LISTS))}, not {split!r}")
    lists = sorted(root.rglob(LISTS[split]))
    if not lists:
        raise DataInvalid(f"{root} holds no {LISTS[split]}, the list of {split}; fetch it")
    rows = lists[0].read_text("utf-8").split()
    return {row.split(",")[0].removesuffix("_S1Hand.tif") for row in rows}
