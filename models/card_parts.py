"""The parts of a card: classes, scores, calibration, training, and the limits of a domain."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from geo.classify import Finding
from models.architecture import Part


class DomainLimits(Part):
    """How far a scene may lie from what a network learned from; see `models.domain`.

    The figures that chose the defaults are there, and in `models.witness`.
    """

    shift: PositiveFloat = Field(
        default=1.75,
        description="Between the percentiles of the scene and those in training, in deviations "
        "of the training, on average over the bands.",
    )
    band_shift: PositiveFloat = Field(default=2.5, description="The same of one band.")
    contrast: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Least range from the 1st to the 99th percentile, as a share of that in "
        "training, on average over the bands; not asked of slots normalised by the scene.",
    )
    stuck: float = Field(
        default=0.75, gt=0, le=1, description="Greatest share of a band that is one number."
    )
    contradiction: float | None = Field(
        default=-0.2,
        ge=-1,
        lt=0,
        description="Cohen's kappa with a detector below which a block is not trusted; null: no "
        "detector is run beside it.",
    )


class CardClass(Part):
    """One answer of a model."""

    name: Finding
    threshold: float = Field(gt=0, lt=1, description="Probability from which a pixel is of it.")


class Score(Part):
    """One measured figure, with what it was measured on."""

    dataset: str
    split: str
    metric: str = Field(description="Said in full, with the class and the averaging.")
    value: float
    n: PositiveInt = Field(description="Images that it was measured on.")
    measure: Literal[
        "iou",
        "ece",
        "auc_damaged",
        "macro_f1_two",
        "macro_f1_four",
        "accuracy_buildings",
        "f1_localisation",
        "xview2",
    ] = Field(default="iou", description="Its name in what `aftermap evaluate` prints.")
    drop: tuple[str, ...] = Field(
        default=(), description="Images of the data that the model was not given."
    )
    trainings: tuple[float, ...] = Field(
        default=(), description="The same figure of several trainings, where there were several."
    )
    trainings_differ_in: Literal["seed", "fold"] | None = Field(
        default=None,
        description="seed: `value` is that of the shipped weights; fold: each training was scored "
        "on what it left out, and `value` is of all their pixels.",
    )

    @model_validator(mode="after")
    def _check_trainings(self) -> Self:
        if bool(self.trainings) != (self.trainings_differ_in is not None):
            raise ValueError("trainings and trainings_differ_in go together; give both or neither")
        return self


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
