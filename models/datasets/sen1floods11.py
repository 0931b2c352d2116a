"""Sen1Floods11: chips of Sentinel-1 in decibels and Sentinel-2 L1C, water labelled by hand.

Bonafilia et al., CVPR Workshops 2020, github.com/cloudtostreet/Sen1Floods11. Files are
PLACE_NUMBER_S1Hand.tif, _S2Hand.tif and _LabelHand.tif: beside each other, or in the folders
S1Hand, S2Hand and LabelHand as distributed, where lists of names make the splits.
"""

from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS, Units, to_physical
from models.datasets.base import ImageKind, LabelledSet, Sample
from models.datasets.image_files import read_codes, read_pixels, require_one_shape
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
_FILES = ("LabelHand", "S1Hand", "S2Hand")


def open_sen1floods11(root: Path, split: str) -> LabelledSet:
    """Return the chips of a split, such as Spain_7370579; "all" are those that are there.

    The group of a chip is its place: one flood each.

    Raises:
        DataInvalid: where the split or its list is unknown, or there is no chip.
    """
    paths = sorted(root.rglob("*Hand.tif"), key=lambda path: len(path.parts), reverse=True)
    there = {path.name: path for path in paths}
    ending = "_LabelHand.tif"
    found = {name.removesuffix(ending) for name in there if name.endswith(ending)}
    if not found:
        raise DataInvalid(f"{root} holds no *{ending}; give a folder of Sen1Floods11")
    chips = sorted(found if split == ALL else _listed(root, split))
    wanted = [tuple(f"{chip}_{name}.tif" for name in _FILES) for chip in chips]
    missing = [name for names in wanted for name in names if name not in there]
    if missing:
        raise DataInvalid(
            f"{root} lacks {len(missing)} files of the {len(chips)} chips of the split {split}, "
            f"{missing[0]} among them; fetch them"
        )
    groups = tuple(chip.rpartition("_")[0] for chip in chips)
    tiles = [[there[name] for name in names] for names in wanted]
    files = tuple(path for tile in tiles for path in tile)
    return LabelledSet(
        KINDS, groups, files, lambda index: _read(chips[index], groups[index], tiles[index])
    )


def _read(chip: str, group: str, paths: list[Path]) -> Sample:
    labels = read_codes(paths[0])
    radar, optical = (read_pixels(path) for path in paths[1:])
    shapes = (labels.shape, radar.valid.shape, optical.valid.shape)
    require_one_shape(dict(zip(paths, shapes, strict=True)))
    reflectance = to_physical(optical.values, units=Units.REFLECTANCE_10000)
    pixels = {"s1-after": (radar.values, radar.valid), "s2-after": (reflectance, optical.valid)}
    images = {
        name: raster_without_location(values, valid=valid, bands=KINDS[name].bands, source=chip)
        for name, (values, valid) in pixels.items()
    }
    return Sample(chip, group, images, labels == 1, np.isin(labels, (0, 1)))


def _listed(root: Path, split: str) -> set[str]:
    """Return the chips of the distributed list of a split."""
    if split not in LISTS:
        raise DataInvalid(f"sen1floods11 has the splits {', '.join((ALL, *LISTS))}, not {split!r}")
    lists = sorted(root.rglob(LISTS[split]))
    if not lists:
        raise DataInvalid(f"{root} holds no {LISTS[split]}, the list of {split}; fetch it")
    rows = lists[0].read_text("utf-8").split()
    return {row.split(",")[0].removesuffix("_S1Hand.tif") for row in rows}
