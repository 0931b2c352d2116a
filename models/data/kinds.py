"""The kinds of labelled data that there are, and their splits."""

import re
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from geo.sensors import SENSORS
from models.data.ombria import Ombria
from models.data.pairs import Pairs
from models.data.sample import LabelledSet
from models.data.sen1floods11 import Sen1Floods11
from models.data.splits import Part, fold
from models.errors import DataInvalid

ALL = "all"
_FOLD = re.compile(r"^fold-(\d+)-of-(\d+)$")


class Kind(StrEnum):
    """Layouts that can be read."""

    OMBRIA = "ombria"
    SEN1FLOODS11 = "sen1floods11"
    PAIRS = "pairs"


class SetOptions(BaseModel):
    """What the files of a folder of pairs cannot say of themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str = Field(default="aerial-rgb", description="Name of `geo.sensors.SENSORS`.")
    bands: tuple[str, ...] = Field(
        default=("red", "green", "blue"), min_length=1, description="In the order of the files."
    )
    block: int = Field(
        default=1, ge=1, description="Files with near numbers are neighbours, so many in a row."
    )

    @field_validator("sensor")
    @classmethod
    def _known(cls, sensor: str) -> str:
        if sensor not in SENSORS:
            raise ValueError(f"no sensor {sensor!r}; the sensors are {', '.join(sorted(SENSORS))}")
        return sensor


PICTURES = SetOptions()
"""Pictures of red, green and blue."""


def open_set(
    kind: Kind, root: Path, *, split: str = ALL, options: SetOptions = PICTURES
) -> LabelledSet:
    """Open a labelled set.

    Args:
        kind: the layout.
        root: folder of the set.
        split: one of the set's own, "all" where it has none, or "fold-0-of-5" of pairs: the
            fold that is left out, never learned from.
        options: for pairs.

    Raises:
        DataInvalid: where the folder or the split is not there.
    """
    if not root.is_dir():
        raise DataInvalid(f"there is no folder {root}; give the folder of the {kind} data")
    if kind is Kind.OMBRIA:
        return Ombria.open(root, split)
    if kind is Kind.SEN1FLOODS11:
        return Sen1Floods11.open(root, split)
    pairs = Pairs.open(root, sensor=options.sensor, bands=options.bands, block=options.block)
    return _part(pairs, split)


def _part(pairs: Pairs, split: str) -> LabelledSet:
    if split == ALL:
        return pairs
    found = _FOLD.match(split)
    if found is None:
        raise DataInvalid(f"pairs have the splits {ALL} and fold-0-of-5 and alike, not {split!r}")
    out: Part = fold(pairs, folds=int(found[2]), number=int(found[1])).left_out
    return out
