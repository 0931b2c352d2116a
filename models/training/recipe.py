"""How a training learns: steps of the optimiser, changes of the images, and the loss."""

from typing import Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from models.architecture import Part
from models.terms import Physical


class Optimiser(Part):
    """AdamW with a warm-up and a cosine, and a running average of the weights."""

    epochs: PositiveInt
    batch: PositiveInt = 8
    examples: PositiveInt = Field(
        default=1,
        description="An epoch goes over a small set again until it has shown so many, each time "
        "another part of a tile.",
    )
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    cycles: PositiveInt = Field(
        default=1, description="Cosines that the rate goes through; the epochs are cut into them."
    )
    warm_up: float = Field(default=0.05, ge=0, lt=1, description="Share of the first cycle.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay a step of the average that is kept."
    )
    clip: PositiveFloat = Field(default=1.0, description="Largest norm of the gradient.")


class Jitter(Part):
    """Random changes of normalised values, drawn for each slot of each tile."""

    gain: NonNegativeFloat = Field(default=0.0, description="Deviation of the gain's logarithm.")
    offset: NonNegativeFloat = Field(default=0.0, description="Deviation, in deviations.")
    noise: NonNegativeFloat = Field(
        default=0.0, description="Largest deviation of noise a pixel; in dB that is speckle."
    )
    blur: float = Field(default=0.0, ge=0, le=1, description="Share of tiles that are smoothed.")
    haze: NonNegativeFloat = Field(
        default=0.0, description="Largest reflectance of the air that is added, at 0.49 um."
    )
    holes: float = Field(
        default=0.0, ge=0, le=1, description="Share of tiles with parts unseen, as under clouds."
    )


class Augmentation(Part):
    """What a tile may look like and still be the same place."""

    flips: bool = True
    affine: float = Field(default=0.0, ge=0, le=1, description="Share of tiles turned, scaled.")
    scale: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    centred: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of examples that are cut out around a pixel of the finding, for tiles "
        "that are mostly empty.",
    )
    shift_px: NonNegativeInt = Field(
        default=0,
        description="Largest shift of an image after the event against the rest, in rows and in "
        "columns: two dates never lie on each other exactly.",
    )
    calm: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of tiles that are shown as if no flood had come, see "
        "`models.training.calm`: a set where every tile is flooded teaches to find one everywhere.",
    )
    jitter: dict[Physical, Jitter] = Field(
        default_factory=dict, description="By the units of the slot."
    )


class LossPlan(Part):
    """Binary cross entropy and Dice, summed."""

    cross_entropy: NonNegativeFloat = 1.0
    dice: NonNegativeFloat = 1.0
    smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="Labels become s and 1 - s: outlines are coarse."
    )
    grades: NonNegativeFloat = Field(
        default=1.0, description="Weight of each grade, where the finding itself has 1."
    )
    balanced: bool = Field(
        default=False,
        description="Both answers of a grade weigh alike in the cross entropy of a batch, "
        "whatever their number; the share of a place's buildings that are damaged is that of "
        "its event, and no other's.",
    )

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if self.cross_entropy + self.dice == 0:
            raise ValueError("cross_entropy and dice are both 0; one of them must count")
        return self
