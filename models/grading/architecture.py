"""How the transparent grader of buildings computes: every number that it uses, as data."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, model_validator

Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class Numbers(BaseModel):
    """Base of the parts of this architecture: frozen, finite, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureScale(Numbers):
    """A feature, and what it was in training."""

    name: str = Field(description="Of `models.grading.features.FEATURES`.")
    mean: float
    std: PositiveFloat


class Logit(Numbers):
    """One question of the grader: its log odds are a sum over the features."""

    intercept: float
    coefficients: tuple[Coefficient, ...] = Field(description="By feature, in the card's order.")


class RegressionArchitecture(Numbers):
    """Three logistic regressions, one below the other (nested dichotomies, Fox 1997, ch. 15).

    `damaged` parts major damage and destroyed from the rest, `minor` parts minor from no damage
    among the rest, `destroyed` parts destroyed from major damage among the damaged.
    """

    kind: Literal["building-regression"]
    features: tuple[FeatureScale, ...] = Field(min_length=1)
    limit: PositiveFloat = Field(description="Standardised features are cut to plus and minus it.")
    neighbours_px: PositiveFloat = Field(
        description="Deviation of the Gaussian weights of a building's neighbours, pixels."
    )
    neighbours_share: float = Field(
        ge=0, lt=1, description="Share of the neighbours' mean in what is judged: damage clusters."
    )
    least_px: NonNegativeInt = Field(description="A building of fewer pixels has no answer.")
    damaged: Logit
    minor: Logit
    destroyed: Logit

    @property
    def margin_px(self) -> int:
        """Pixels around a window that its answer depends on: two deviations of the neighbours."""
        return round(2 * self.neighbours_px)

    @property
    def logits(self) -> tuple[Logit, Logit, Logit]:
        """Damaged, minor, destroyed."""
        return self.damaged, self.minor, self.destroyed

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) < len(names):
            raise ValueError(f"a feature is named twice: {', '.join(names)}")
        for logit in self.logits:
            if len(logit.coefficients) != len(names):
                raise ValueError(f"{len(logit.coefficients)} coefficients, {len(names)} features")
        return self
