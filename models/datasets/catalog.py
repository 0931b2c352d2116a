"""The kinds of labelled data that there are, and their splits."""

import re
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator

from geo.scenes.sensors import SENSORS
from models.datasets.base import LabelledSet, split_fold
from models.datasets.chips import open_ombria, open_on_cloud_n, open_sen1floods11
from models.datasets.footprints import Bounds, open_footprints
from models.datasets.image_mask_pairs import open_pairs
from models.datasets.xbd import PIXEL_M, DamageTiles, building_pixels, open_xbd
from models.errors import DataInvalid

ALL = "all"
_FOLD = re.compile(r"^(?:(.+)-)?fold-(\d+)-of-(\d+)$")


class Kind(StrEnum):
    """Layouts that can be read; the names of `--dataset`."""

    OMBRIA = "ombria"
    SEN1FLOODS11 = "sen1floods11"
    ON_CLOUD_N = "on-cloud-n"
    PAIRS = "pairs"
    XBD = "xbd"
    OUTLINES = "outlines"
    """Imagery as it comes and a file of buildings, see `models.datasets.footprints`."""


_WITH_SPLITS = {
    Kind.OMBRIA: open_ombria,
    Kind.SEN1FLOODS11: open_sen1floods11,
    Kind.ON_CLOUD_N: open_on_cloud_n,
}
GRADED = frozenset({Kind.XBD, Kind.OUTLINES})
"""Kinds whose labels are buildings."""


class SetOptions(BaseModel):
    """Properties of pairs and outlines that their files do not state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str = Field(default="aerial-rgb", description="Name of `geo.scenes.sensors.SENSORS`.")
    bands: tuple[str, ...] = Field(
        default=("red", "green", "blue"), min_length=1, description="In the order of the files."
    )
    block: int = Field(
        default=1, ge=1, description="Files with near numbers are neighbours, so many in a row."
    )
    groups: Path | None = Field(
        default=None,
        description="CSV with the columns stem and group, instead of numbers in the file names; "
        "`python -m tests.benchmarks.overlapping_images` finds the images that overlap.",
    )

    resolution_m: PositiveFloat = Field(default=PIXEL_M, description="Of tiles of outlines.")
    bounds: Bounds | None = Field(
        default=None,
        description="West, south, east, north of outlines, degrees; null: all of both images",
    )
    without_event: bool = Field(
        default=False,
        description="Of outlines: the image before is taken for the one after, too, with no damage",
    )

    @field_validator("sensor")
    @classmethod
    def _known(cls, sensor: str) -> str:
        if sensor not in SENSORS:
            raise ValueError(f"no sensor {sensor!r}; the sensors are {', '.join(sorted(SENSORS))}")
        return sensor


PICTURES = SetOptions()


def open_set(
    kind: Kind, root: Path, *, split: str = ALL, options: SetOptions = PICTURES
) -> LabelledSet:
    """Open a labelled set; raise DataInvalid where the folder or the split is not there.

    Splits are the set's own, "all", and folds of them: "train-fold-3-of-8", "fold-0-of-5".
    """
    if not root.is_dir():
        raise DataInvalid(f"there is no folder {root}; give the folder of the {kind} data")
    found = _FOLD.match(split)
    if found is None:
        return _open_whole(kind, root, split, options)
    whole = _open_whole(kind, root, found[1] or ALL, options)
    return split_fold(whole, folds=int(found[3]), number=int(found[2]))[1]


def open_graded(
    kind: Kind, root: Path, *, split: str = ALL, options: SetOptions = PICTURES
) -> DamageTiles:
    """Open a set of graded buildings, of a kind in `GRADED`."""
    if kind is Kind.XBD:
        return open_xbd(root, split)
    _require_all(kind, split)
    return open_footprints(
        root,
        resolution_m=options.resolution_m,
        bounds=options.bounds,
        without_event=options.without_event,
    )


def fold_name(split: str, *, folds: int, number: int) -> str:
    """Return what `open_set` calls a fold of a split."""
    name = f"fold-{number}-of-{folds}"
    return name if split == ALL else f"{split}-{name}"


def _open_whole(kind: Kind, root: Path, split: str, options: SetOptions) -> LabelledSet:
    if kind in _WITH_SPLITS:
        return _WITH_SPLITS[kind](root, split)
    if kind in GRADED:
        return building_pixels(open_graded(kind, root, split=split, options=options))
    _require_all(kind, split)
    return open_pairs(
        root,
        sensor=options.sensor,
        bands=options.bands,
        block=options.block,
        groups_file=options.groups,
    )


def _require_all(kind: Kind, split: str) -> None:
    if split != ALL:
        raise DataInvalid(f"{kind} have the splits {ALL} and fold-0-of-5 and alike, not {split!r}")
