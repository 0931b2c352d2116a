"""Chips of Sentinel-1 and Sentinel-2: OMBRIA (flood), Sen1Floods11 (water), On Cloud N (clouds)."""

from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS, Units, to_physical
from geo.types import Raster
from models.datasets.base import (
    ImageKind,
    LabelledSet,
    Sample,
    read_codes,
    read_mask,
    read_pixels,
    require_one_shape,
)
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
_KINDS = {
    "s1-after": ImageKind(Phase.AFTER, "sentinel-1-grd", ("vv", "vh")),
    "s2-after": ImageKind(Phase.AFTER, "sentinel-2-l1c", _OPTICAL),
}
_HAND_FILES = ("LabelHand", "S1Hand", "S2Hand")


def open_sen1floods11(root: Path, split: str) -> LabelledSet:
    """Return the chips of a split of Sen1Floods11: radar in decibels, Sentinel-2 L1C, water.

    Bonafilia et al., CVPR Workshops 2020, github.com/cloudtostreet/Sen1Floods11. Files are
    PLACE_NUMBER_S1Hand.tif, _S2Hand.tif and _LabelHand.tif, beside each other or in folders as
    distributed, where lists of names make the splits; "all" are the chips that are there. The
    group of a chip is its place: one flood each.

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
    wanted = [tuple(f"{chip}_{name}.tif" for name in _HAND_FILES) for chip in chips]
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
        kinds=_KINDS,
        groups=groups,
        files=files,
        read=lambda index: _read_flood_chip(chips[index], groups[index], tiles[index]),
    )


def _read_flood_chip(chip: str, group: str, paths: list[Path]) -> Sample:
    labels = read_codes(paths[0])
    radar, optical = (read_pixels(path) for path in paths[1:])
    shapes = (labels.shape, radar.valid.shape, optical.valid.shape)
    require_one_shape(dict(zip(paths, shapes, strict=True)))
    reflectance = to_physical(optical.values, units=Units.REFLECTANCE_10000)
    pixels = {"s1-after": (radar.values, radar.valid), "s2-after": (reflectance, optical.valid)}
    images = {
        name: raster_without_location(values, valid=valid, bands=_KINDS[name].bands, source=chip)
        for name, (values, valid) in pixels.items()
    }
    return Sample(chip, group, images, labels == 1, np.isin(labels, (0, 1)))


def _listed(root: Path, split: str) -> set[str]:
    if split not in LISTS:
        raise DataInvalid(f"sen1floods11 has the splits {', '.join((ALL, *LISTS))}, not {split!r}")
    lists = sorted(root.rglob(LISTS[split]))
    if not lists:
        raise DataInvalid(f"{root} holds no {LISTS[split]}, the list of {split}; fetch it")
    rows = lists[0].read_text("utf-8").split()
    return {row.split(",")[0].removesuffix("_S1Hand.tif") for row in rows}


_CLOUD_KIND = ImageKind(Phase.AFTER, "sentinel-2-l2a", ("blue", "green", "red", "nir"))
_CLOUD_BANDS = ("B02", "B03", "B04", "B08")
"""In the order of the names above. All were taken before 2021, when values had no offset."""
_CLOUD_PIXEL_M = 10.0


def open_on_cloud_n(root: Path, split: str) -> LabelledSet:
    """Return the chips of On Cloud N: Sentinel-2 L2A in four bands, clouds labelled by people.

    DrivenData and Radiant Earth 2022, "Sentinel-2 Cloud Cover Segmentation Dataset",
    doi:10.34911/rdnt.hfq6m7. Folders as distributed: train_features/CHIP/B02.tif and
    train_labels/CHIP.tif; or all files beside each other, as CHIP_B02.tif and CHIP_label.tif.
    Each chip is its own group.

    Raises:
        DataInvalid: where there is no chip, or a split is asked for: the set has none.
    """
    if split != ALL:
        raise DataInvalid(f"on-cloud-n has the split {ALL} and no other, not {split!r}")
    flat = {path.name.removesuffix("_label.tif") for path in root.glob("*_label.tif")}
    distributed = {path.stem for path in (root / "train_labels").glob("*.tif")}
    if not flat | distributed:
        raise DataInvalid(
            f"{root} holds neither train_labels/*.tif nor *_label.tif; give a folder of On Cloud N"
        )
    chips = tuple(sorted(flat | distributed))
    paths = [[_cloud_path(root, chip, name) for name in ("label", *_CLOUD_BANDS)] for chip in chips]
    files = tuple(path for each in paths for path in each)
    return LabelledSet(
        kinds={"image": _CLOUD_KIND},
        groups=chips,
        files=files,
        read=lambda index: _read_cloud_chip(chips[index], paths[index]),
    )


def _cloud_path(root: Path, chip: str, name: str) -> Path:
    flat = root / f"{chip}_{name}.tif"
    if flat.is_file():
        return flat
    if name == "label":
        return root / "train_labels" / f"{chip}.tif"
    return root / "train_features" / chip / f"{name}.tif"


def _read_cloud_chip(chip: str, paths: list[Path]) -> Sample:
    label, *bands = stored = [read_pixels(path) for path in paths]
    require_one_shape(dict(zip(paths, (part.valid.shape for part in stored), strict=True)))
    values = np.concatenate([band.values for band in bands])
    image = raster_without_location(
        to_physical(values, units=Units.REFLECTANCE_10000),
        valid=np.all([band.valid for band in bands], axis=0),
        bands=_CLOUD_KIND.bands,
        source=chip,
        pixel_m=_CLOUD_PIXEL_M,
    )
    return Sample(chip, chip, {"image": image}, label.values[0] == 1, label.valid)


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
