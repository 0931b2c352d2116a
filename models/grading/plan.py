"""GradingPlan: everything that a regression on buildings depends on, read from a file."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from models.architecture import Part
from models.config_file import read_fields, read_part
from models.data.xbd import ALL
from models.errors import TrainingInvalid
from models.grading.features import FEATURES

KIND = "building-regression"


class GradingCard(Part):
    """What the card will say; the rest is measured."""

    name: str
    version: str
    summary: str
    sensors: tuple[str, ...] = Field(min_length=1)
    resolution_m: PositiveFloat
    window_px: PositiveInt
    overlap_px: NonNegativeInt
    licence: str
    limits: tuple[str, ...] = Field(min_length=1)
    references: tuple[str, ...] = ()


class GradingPlan(Part):
    """A regression that can be fitted again."""

    kind: Literal["building-regression"]
    root: Path = Field(description="Of xBD, relative to the folder of the file.")
    split: str = ALL
    card: GradingCard
    features: tuple[str, ...] = Field(default=tuple(FEATURES), min_length=1)
    limit: PositiveFloat = Field(description="See `RegressionArchitecture`, as the next three.")
    neighbours_px: PositiveFloat
    neighbours_share: float = Field(ge=0, lt=1)
    least_px: PositiveInt
    strength: PositiveFloat = Field(
        description="Of the ridge, a building: half of it times the squared coefficients is added "
        "to the mean loss."
    )
    block_px: PositiveInt = Field(
        description="Edge of the blocks that are learned from or left out as a whole."
    )
    folds: int = Field(ge=2, description="The temperature is chosen with one of so many left out.")

    @property
    def digest(self) -> str:
        """sha256 of its canonical JSON, without what changes no number: words and places."""
        plain = self.model_dump(mode="json", exclude={"root": True, "card": True})
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def is_grading_plan(path: Path) -> bool:
    """Whether a file is the plan of a regression on buildings, and not that of a network."""
    return path.is_file() and read_fields(path).get("kind") == KIND


def read_grading_plan(path: Path, *, root: Path | None = None) -> GradingPlan:
    """Read a plan.

    Args:
        root: folder of the data instead of the plan's.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    plan = read_part(path, GradingPlan)
    unknown = sorted(set(plan.features) - FEATURES.keys())
    if unknown:
        raise TrainingInvalid(
            f"{path}: no feature {', '.join(unknown)}; the features are {', '.join(FEATURES)}"
        )
    return plan.model_copy(update={"root": root or path.parent / plan.root})
