"""Adaptation: what a model learned on from, and what that was worth; a part of its card."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from models.architecture import Part

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ParentModel(Part):
    """The model that learned on."""

    name: str
    version: str
    digest: Sha256 = Field(description="Of its card, and through it of its weights.")


class LabelFile(Part):
    """The labels of the new place."""

    file: str = Field(description="Its name, without the folder.")
    sha256: Sha256
    column: str
    counts: dict[str, PositiveInt] = Field(description="Labels that were learned from, by class.")
    skipped: dict[str, PositiveInt] = Field(
        default={}, description="Polygons that were not, by the reason."
    )
    buildings_sha256: Sha256 | None = Field(
        default=None, description="Of the footprints that they are of, where these were given."
    )
    before: tuple[str, str] | None = Field(
        default=None, description="Times of the first and the last image before, ISO 8601 UTC."
    )
    after: tuple[str, str] | None = Field(default=None, description="The same after the event.")


class LeftOut(Part):
    """One figure, each label judged by models that did not learn from it."""

    measure: str
    parent: float | None = Field(description="Of the parent, on the same labels.")
    adapted: float | None


class Adaptation(Part):
    """How a model came from its parent."""

    parent: ParentModel
    labels: LabelFile
    stage: Literal["none", "regression", "head", "all"] = Field(
        description="none: adapting did not help, and every number is the parent's; regression: "
        "the coefficients moved; head: the last layer, on frozen features; all: every weight."
    )
    scores: tuple[LeftOut, ...] = Field(description="Leave-one-out, parent and adapted.")
    groups: NonNegativeInt = Field(
        description="Parts that the labels were cut into, to be left out in turn."
    )

    @property
    def helped(self) -> bool:
        """Whether the numbers are others than the parent's."""
        return self.stage != "none"
