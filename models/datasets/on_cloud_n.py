"""On Cloud N: chips of Sentinel-2 L2A in four bands, clouds labelled by people.

DrivenData and Radiant Earth 2022, "Sentinel-2 Cloud Cover Segmentation Dataset",
doi:10.34911/rdnt.hfq6m7. Folders as distributed: train_features/CHIP/B02.tif and
train_labels/CHIP.tif; or all files beside each other, as CHIP_B02.tif and CHIP_label.tif.
"""

from pathlib import Path

import numpy as np

from geo.scenes.scene import Phase
from geo.scenes.sensors import Units, to_physical
from models.datasets.base import ImageKind, LabelledSet, Sample
from models.datasets.image_files import read_pixels, require_one_shape
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

ALL = "all"
IMAGE = "image"
KIND = ImageKind(Phase.AFTER, "sentinel-2-l2a", ("blue", "green", "red", "nir"))
_BANDS = ("B02", "B03", "B04", "B08")
"""In the order of the names above. All were taken before 2021, when values had no offset."""
_PIXEL_M = 10.0


def open_on_cloud_n(root: Path, split: str) -> LabelledSet:
    """Return the chips, such as adwp; each is its own group.

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
    paths = [[_path(root, chip, name) for name in ("label", *_BANDS)] for chip in chips]
    files = tuple(path for each in paths for path in each)
    return LabelledSet({IMAGE: KIND}, chips, files, lambda index: _read(chips[index], paths[index]))


def _path(root: Path, chip: str, name: str) -> Path:
    flat = root / f"{chip}_{name}.tif"
    if flat.is_file():
        return flat
    if name == "label":
        return root / "train_labels" / f"{chip}.tif"
    return root / "train_features" / chip / f"{name}.tif"


def _read(chip: str, paths: list[Path]) -> Sample:
    label, *bands = stored = [read_pixels(path) for path in paths]
    require_one_shape(dict(zip(paths, (part.valid.shape for part in stored), strict=True)))
    values = np.concatenate([band.values for band in bands])
    image = raster_without_location(
        to_physical(values, units=Units.REFLECTANCE_10000),
        valid=np.all([band.valid for band in bands], axis=0),
        bands=KIND.bands,
        source=chip,
        pixel_m=_PIXEL_M,
    )
    return Sample(chip, chip, {IMAGE: image}, label.values[0] == 1, label.valid)
