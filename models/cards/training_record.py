"""What the card of a learned model says besides: how it learned, how sure and how far it goes.

Adaptation: what a model learned on from, and what that was worth; a part of its card.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from models.cards.architecture import Part


class DomainLimits(Part):
    """How far a scene may lie from what a network learned from; see `models.networks.domain_check`.

    The figures that chose the defaults are there, and in `models.inference.cross_check`.
    """

    max_shift: PositiveFloat = Field(
        default=1.75,
        description="Between the percentiles of the scene and those in training, in deviations "
        "of the training, on average over the bands.",
    )
    max_band_shift: PositiveFloat = Field(default=2.5, description="The same of one band.")
    min_contrast: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Least range from the 1st to the 99th percentile, as a share of that in "
        "training, on average over the bands; not asked of slots normalised by the scene.",
    )
    max_constant_share: float = Field(
        default=0.75, gt=0, le=1, description="Greatest share of a band that is one number."
    )
    min_kappa: float | None = Field(
        default=-0.2,
        ge=-1,
        lt=0,
        description="Cohen's kappa with a detector below which a block is not trusted; null: no "
        "detector is run beside it.",
    )


class TemperatureParameters(Part):
    """Constants of temperature scaling."""

    temperature: tuple[PositiveFloat, ...] = Field(description="Logits are divided by it, a class.")


class Calibration(Part):
    """How logits became probabilities (Guo et al. 2017, arXiv:1706.04599)."""

    method: Literal["temperature"]
    parameters: TemperatureParameters
    fitted_on: str
    ece: float = Field(ge=0, le=1, description="Expected calibration error after fitting.")


class Training(Part):
    """How a network was trained, so that it can be repeated, and what that took."""

    config_sha256: str = Field(description="See `models.training.TrainingConfig.digest`.")
    data_sha256: str = Field(description="Of the names and bytes of the files that it read.")
    left_out: str | None = Field(
        default=None,
        description="Split of the data that it did not learn from, see `models.data.open_set`; "
        "null: it was not recorded.",
    )
    encoder_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Of the weights that its encoder began with; null: random ones."
    )
    seed: NonNegativeInt
    epochs: PositiveInt
    tiles: PositiveInt = Field(description="That it learned from; those left out not counted.")
    libraries: tuple[str, ...] = Field(description="Name and version.")
    device: str
    wall_s: float = Field(ge=0)
    energy_wh: float | None = Field(default=None, description="null: nothing measured it.")


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
