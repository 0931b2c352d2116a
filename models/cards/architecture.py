"""How a model computes, as data: a network, a detector or a regression with every number."""

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)

Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """Base of every part of a card: frozen, finite, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureScale(Part):
    """A feature, and what it was in training."""

    name: str = Field(description="Of `models.damage.features.FEATURES`.")
    mean: float
    std: PositiveFloat


class Logit(Part):
    """One question of the grader: its log odds are a sum over the features."""

    intercept: float
    coefficients: tuple[Coefficient, ...] = Field(description="By feature, in the card's order.")


class RegressionArchitecture(Part):
    """Three logistic regressions, one below the other (nested dichotomies, Fox 1997, ch. 15).

    `damaged` parts major damage and destroyed from the rest, `minor` parts minor from no damage
    among the rest, `destroyed` parts destroyed from major damage among the damaged.
    """

    kind: Literal["building-regression"]
    features: tuple[FeatureScale, ...] = Field(min_length=1)
    limit: PositiveFloat = Field(description="Standardised features are cut to plus and minus it.")
    neighbours_px: PositiveFloat
    """Deviation of the Gaussian weights of a building's neighbours, pixels."""
    neighbours_share: float = Field(ge=0, lt=1)
    """Share of the neighbours' mean in the features: damage clusters."""
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


OptionValue: TypeAlias = bool | int | float | str | tuple[int, ...] | None


class ThresholdRule(Part):
    """Where the line between two classes of a feature comes from.

    Estimated from the tiles whose histogram has two modes (Chini et al. 2017,
    doi:10.1109/TGRS.2017.2737664; Martinis et al. 2009, doi:10.5194/nhess-9-303-2009), else from
    the scene as a whole; `fixed` where that has one, or the line lies outside of `plausible`.
    """

    method: Literal["fixed", "otsu"]
    fixed: float | None
    """Used where none was estimated; null answers that nothing was found."""
    width: PositiveFloat
    """Scale of the logistic around `fixed`, in the feature's units."""
    plausible: tuple[float, float] = Field(description="Limits of an estimated threshold.")
    tile_px: int = Field(default=64, ge=16, le=512, description="Edge of a tile, pixels.")
    min_ashman_d: PositiveFloat = 2.0
    """Two modes are apart above this (Ashman et al. 1994, eq. 4)."""
    min_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Smaller mode's least share of a tile."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        low, high = self.plausible
        if low >= high or not low <= (low if self.fixed is None else self.fixed) <= high:
            raise ValueError(f"the fixed threshold {self.fixed} is outside of {low} to {high}")
        if self.method == "fixed" and self.fixed is None:
            raise ValueError("the method fixed needs a fixed value; give one")
        return self


class LeeFilter(Part):
    """Speckle filter of Lee (1980), see `geo.raster.indices.lee`."""

    window_px: PositiveInt = Field(description="Edge of the square window, odd.")
    looks: PositiveFloat = Field(description="Equivalent number of looks of the product.")

    @model_validator(mode="after")
    def _check_odd(self) -> Self:
        if self.window_px % 2 == 0:
            raise ValueError(f"the speckle window is {self.window_px} px; it must be odd")
        return self


BANDS_OF_INDEX: dict[str, tuple[str, str]] = {
    "ndwi": ("green", "nir"),
    "mndwi": ("green", "swir16"),
    "ndvi": ("red", "nir"),
    "nbr": ("nir", "swir22"),
}
"""Common names of the bands of an index, in the order of its function in `geo.raster.indices`."""


class DetectorMethod(Part):
    """Base of the parameters of a detector, by `method`; see `models.networks.detectors`."""

    method: str
    phases: ClassVar[tuple[str, ...]] = ("each",)
    known: ClassVar[dict[str, type["DetectorMethod"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in get_args(cls.model_fields["method"].annotation):
            cls.known[name] = cls

    @property
    @abstractmethod
    def bands(self) -> tuple[str, ...]:
        """Common names of the bands that it needs."""


class WaterIndex(DetectorMethod):
    """Water where an optical index lies above a threshold."""

    method: Literal["water-index"]
    index: Literal["ndwi", "mndwi"]
    water: ThresholdRule

    @property
    def bands(self) -> tuple[str, ...]:
        return BANDS_OF_INDEX[self.index]


class RadarMethod(DetectorMethod):
    """What the methods on backscatter share."""

    polarisations: tuple[Literal["vv", "vh"], ...] = Field(min_length=1)
    """Averaged in dB where there are two."""
    speckle: LeeFilter
    water: ThresholdRule

    @property
    def bands(self) -> tuple[str, ...]:
        return self.polarisations


class RadarWater(RadarMethod):
    """Water where the filtered backscatter of one date, in dB, lies below a threshold."""

    method: Literal["radar-water"]


class RadarChange(RadarMethod):
    """Flood where the after image is water, the before image is not, and it got darker."""

    method: Literal["radar-change"]
    change: ThresholdRule = Field(description="Of after minus before, dB.")
    phases: ClassVar[tuple[str, ...]] = ("before", "after")


class IndexChange(DetectorMethod):
    """Burnt where a vegetation index fell by more than a threshold."""

    method: Literal["index-change"]
    index: Literal["ndvi", "nbr"]
    change: ThresholdRule = Field(description="Of before minus after.")
    vegetated_above: float = Field(ge=-1, le=1)
    """Only pixels whose NDVI before lies above can have burnt."""
    phases: ClassVar[tuple[str, ...]] = ("before", "after")

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(BANDS_OF_INDEX["ndvi"] + BANDS_OF_INDEX[self.index]))


class DetectorArchitecture(Part):
    """A transparent detector: no weights, every number is on the card."""

    kind: Literal["detector"]
    parameters: SerializeAsAny[DetectorMethod]
    margin_px: NonNegativeInt = 0
    """Pixels around a window that its answer depends on."""

    @field_validator("parameters", mode="before")
    @classmethod
    def _of_its_method(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        name = str(value.get("method"))
        if name not in DetectorMethod.known:
            module = f"models.networks.{name.replace('-', '_')}"
            if name.replace("-", "").isidentifier() and find_spec(module):
                import_module(module)
        if name not in DetectorMethod.known:
            raise ValueError(
                f"no detector has the method {name!r}; there are {', '.join(DetectorMethod.known)}"
            )
        return DetectorMethod.known[name].model_validate(value)


class NetworkArchitecture(Part):
    """A network of segmentation-models-pytorch."""

    kind: Literal["network"]
    arch: str = Field(description="As `segmentation_models_pytorch.create_model` calls it.")
    encoder: str
    encoder_weights: str | None = None
    """What the encoder was trained from; a record, never loaded."""
    decoder_options: dict[str, OptionValue] = Field(default_factory=dict)
    in_channels: PositiveInt
    classes: PositiveInt
    availability_channels: bool = False
    """One more channel an input: 1 where it was observed, else 0."""
    pixel_head: PositiveInt | None = None
    """Features of a pixel, classified with the pixel's own channels, as skip connections begin at
    half the resolution; null: the network gives the logits itself."""
    siamese: bool = False
    """The images before and after go through one encoder, and are joined at every scale."""
    shrink: PositiveInt = 1
    """The network sees means of so many by so many pixels, the pixel head each pixel."""
    margin_px: NonNegativeInt = 0
    """Pixels at a window's edge whose answer lacks context."""
    symmetries: Literal[1, 2, 4, 8] = 1
    """Views of a window whose logits are averaged: 2 with its mirror image, 4 with both mirror
    images and the half turn, 8 with the quarter turns as well."""

    @property
    def image_channels(self) -> int:
        """Channels that the encoder is given at once."""
        return self.in_channels // 2 if self.siamese else self.in_channels

    @model_validator(mode="after")
    def _check_reserved(self) -> Self:
        # A network gives logits of its classes and nothing else.
        reserved = {
            "arch", "encoder_name", "encoder_weights", "in_channels", "classes", "activation",
            "aux_params", "kwargs", "self",
        }  # fmt: skip
        if taken := sorted(reserved & self.decoder_options.keys()):
            raise ValueError(f"decoder_options may not set {', '.join(taken)}")
        if self.siamese and (self.in_channels % 2 or self.availability_channels):
            raise ValueError(
                "a siamese network sees two images of the same bands: in_channels is even, and "
                "availability_channels false"
            )
        if self.shrink > 1 and self.pixel_head is None:
            raise ValueError(f"shrink {self.shrink} needs a pixel_head for the full resolution")
        return self


class CsmaskArchitecture(Part):
    """A network of ukis-csmask: ground, cloud and cloud shadow in reflectance of about 30 m.

    Wieland, Fichtner and Martinis 2022, doi:10.5194/isprs-archives-XLIII-B3-2022-217-2022.
    """

    kind: Literal["ukis-csmask"]
    file: Literal[
        "model_4b_l1c.onnx", "model_4b_l2a.onnx", "model_6b_l1c.onnx", "model_6b_l2a.onnx"
    ] = Field(description="In the package: so many bands, of a level of processing.")
    cloud_buffer_px: NonNegativeInt
    """A cloud is so much wider than the network says: its edge is thin."""
    shadow_reach_px: PositiveInt
    """A shadow counts where a cloud is so near; without one it is dark water."""

    @property
    def margin_px(self) -> int:
        return max(self.cloud_buffer_px, self.shadow_reach_px)


Architecture: TypeAlias = Annotated[
    DetectorArchitecture | NetworkArchitecture | CsmaskArchitecture | RegressionArchitecture,
    Field(discriminator="kind"),
]
