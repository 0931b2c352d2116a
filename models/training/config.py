"""TrainingConfig, RegressionConfig: all that a training depends on, from TOML or JSON files."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from geo.raster.classify import Finding
from geo.vector.hazards import Hazard
from models.cards.architecture import NetworkArchitecture, Part
from models.cards.inputs import CardInput, InputPhase, Physical, Task
from models.cards.registry import read_fields, read_part
from models.damage.features import FEATURES
from models.datasets.catalog import ALL, PICTURES, Kind, SetOptions


class Optimiser(Part):
    """AdamW with a warm-up and a cosine, and a running average of the weights."""

    epochs: PositiveInt
    batch: PositiveInt = 8
    examples: PositiveInt = Field(
        default=1, description="Least examples of an epoch, for which a small set is repeated."
    )
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    warm_up: float = Field(default=0.05, ge=0, lt=1, description="Share of the steps.")
    average: float = Field(default=0.99, ge=0, lt=1, description="Decay of the average, a step.")
    clip: PositiveFloat = Field(default=1.0, description="Largest norm of the gradient.")


class Jitter(Part):
    """Random changes of normalised values, drawn for each input of each tile."""

    gain: NonNegativeFloat = Field(default=0.0, description="Deviation of the gain's logarithm.")
    offset: NonNegativeFloat = Field(default=0.0, description="Deviation, in deviations.")
    noise: NonNegativeFloat = Field(default=0.0, description="Largest deviation of the noise.")
    blur: float = Field(default=0.0, ge=0, le=1, description="Share of tiles that are smoothed.")
    haze: NonNegativeFloat = Field(default=0.0, description="Largest path reflectance, 0.49 um.")
    holes: float = Field(default=0.0, ge=0, le=1, description="Share of tiles under made clouds.")


class Augmentation(Part):
    """Random changes of a tile that keep its label."""

    flips: bool = True
    affine: float = Field(default=0.0, ge=0, le=1, description="Share of tiles turned, scaled.")
    scale: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    centred: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of examples that are cut out around a pixel of the finding.",
    )
    shift_px: NonNegativeInt = Field(
        default=0,
        description="Largest shift of an image after the event, in rows and in columns.",
    )
    without_event: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of tiles without the event, see `augment.remove_event`: a network that "
        "is trained on flooded tiles only finds floods everywhere.",
    )
    jitter: dict[Physical, Jitter] = Field(
        default_factory=dict, description="By the units of the input."
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
        description="Both answers of a grade weigh alike in the cross entropy of a batch: the "
        "share of damaged buildings differs from event to event.",
    )


_NOT_IN_DIGEST: dict[str, Any] = {
    "data": {
        "root": True,
        "cache_gb": True,
        "options": {"groups"},
        "additional": {"__all__": {"root": True, "options": {"groups"}}},
    },
    "card": {"version", "summary", "licence", "limits", "references"},
    "encoder_weights": True,
}
"""Fields that change no weight. The bytes of a file of groups are in the digest of the data, those
of encoder weights have their own."""


class CardText(Part):
    """Fields of the card that are copied from the config."""

    name: str
    version: str
    summary: str
    window_px: PositiveInt
    overlap_px: NonNegativeInt
    licence: str
    limits: tuple[str, ...] = Field(min_length=1)
    references: tuple[str, ...] = ()


class CardPlan(CardText):
    """Fields of the card of a network that are not measured."""

    task: Task
    finding: Finding
    grades: tuple[Finding, ...] = Field(
        default=(),
        description="Of the finding, the mildest first, each meaning so bad or worse; trained on "
        "the pixels of the finding.",
    )
    hazards: tuple[Hazard, ...] | None = None
    architecture: NetworkArchitecture
    inputs: tuple[CardInput, ...] = Field(
        min_length=1, description="Without mean and std, which are measured."
    )
    resolution_m: PositiveFloat | None = None
    stride_px: PositiveInt

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The classes of the network, in the order of its channels."""
        return (self.finding, *self.grades)


class LabelFilter(Part):
    """Labels that contradict the image, by an index: used neither to train nor to validate.

    Labels of the water of many years, or of a coarser image, call dry ground water and the reverse.
    """

    index: Literal["ndwi", "mndwi"]
    wet_below: float = Field(description="Labelled water with a lower index is excluded.")
    dry_above: float = Field(description="Labelled dry with a higher index is excluded.")


class AdditionalData(Part):
    """A further set for training, whole: nothing of it is used to validate."""

    kind: Kind
    root: Path = Field(description="Relative to the folder of the config.")
    split: str = ALL
    options: SetOptions = PICTURES

    @property
    def title(self) -> str:
        """Name of the data for the card."""
        return f"{self.kind} {self.root.name}"


class DataPlan(Part):
    """Data for training, and the fold of it that chooses the threshold and the temperature."""

    kind: Kind
    root: Path = Field(description="Relative to the folder of the config.")
    split: str = "all"
    options: SetOptions = PICTURES
    folds: int = Field(ge=2, description="One of so many is held out, neighbours together.")
    fold: NonNegativeInt = 0
    block_px: PositiveInt | None = Field(
        default=None,
        description="A fold is squares of this side in every tile, for a set of one or two large "
        "tiles. null: whole groups of tiles.",
    )
    cache_gb: PositiveFloat | None = Field(
        default=None,
        description="Memory for tiles; the others are read again each time. null: all are cached.",
    )
    label_filter: LabelFilter | None = Field(default=None, description="null: all are used.")
    additional: tuple[AdditionalData, ...] = Field(
        default=(),
        description="Further sets for training; statistics, thresholds, scores are of the first.",
    )
    repeat: PositiveInt = Field(
        default=1, description="Times that the first is repeated for each time of the others."
    )

    @property
    def fold_title(self) -> str:
        """The fold that is held out, for the card."""
        fold = f"fold {self.fold} of {self.folds}"
        return f"{fold} in squares of {self.block_px} px" if self.block_px else fold

    @property
    def title(self) -> str:
        """Name of the data for the card: a folder of pairs is known by its name."""
        name = f"{self.kind} {self.root.name}" if self.kind is Kind.PAIRS else self.kind
        return name if self.split == ALL else f"{name} {self.split}"


class InputSubset(Part):
    """Inputs that a tile is shown with; the others are dropped."""

    inputs: tuple[str, ...] = Field(min_length=1)
    weight: PositiveFloat = Field(description="How often, against the other subsets.")


class TrainingConfig(Part):
    """A training that can be repeated."""

    seed: NonNegativeInt
    card: CardPlan
    data: DataPlan
    subsets: tuple[InputSubset, ...] = Field(
        default=(),
        description="The threshold is chosen with the first. Empty: all inputs, always.",
    )
    optimiser: Optimiser
    augmentation: Augmentation = Augmentation()
    loss: LossPlan = LossPlan()
    encoder_weights: Path | None = Field(
        default=None,
        description="Safetensors that the encoder starts with, or a folder of them, relative to "
        "the folder of the config; null: random ones. Their digest goes into the card.",
    )
    tile_px: PositiveInt = Field(description="Tiles are cut or padded to it.")
    validate_every: PositiveInt = Field(default=5, description="Epochs.")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    @property
    def digest(self) -> str:
        """sha256 of its JSON without texts, paths and defaults: a new field changes no digest."""
        return _digest(self.model_dump(mode="json", exclude=_NOT_IN_DIGEST, exclude_defaults=True))

    @property
    def input_subsets(self) -> tuple[InputSubset, ...]:
        """The subsets, or the one of all inputs where none is named."""
        every = InputSubset(inputs=tuple(entry.name for entry in self.card.inputs), weight=1)
        return self.subsets or (every,)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        names = {entry.name for entry in self.card.inputs}
        unknown = sorted({name for entry in self.subsets for name in entry.inputs} - names)
        if unknown:
            raise ValueError(
                f"a subset names {', '.join(unknown)}; the inputs are {', '.join(sorted(names))}"
            )
        after = {e.name for e in self.card.inputs if e.phase is not InputPhase.BEFORE}
        for subset in self.subsets:
            if not after & set(subset.inputs):
                raise ValueError(
                    f"the subset {', '.join(subset.inputs)} has no image after the event; "
                    f"add one of {', '.join(sorted(after))}"
                )
        inputs = self.card.inputs
        single = [
            one.name
            for one in inputs
            if not any(other.phase is not one.phase and same_image(one, other) for other in inputs)
        ]
        if self.augmentation.without_event and single:
            raise ValueError(
                f"augmentation.without_event needs both dates of every sensor, and "
                f"{', '.join(single)} has one; add the other, or leave out without_event"
            )
        wanted = len(self.card.findings)
        if self.card.architecture.classes != wanted:
            raise ValueError(
                f"the network has {self.card.architecture.classes} classes, the card {wanted}: "
                f"{', '.join(self.card.findings)}"
            )
        if self.tile_px % self.card.stride_px:
            raise ValueError(
                f"tiles of {self.tile_px} px are no multiple of the stride {self.card.stride_px}"
            )
        return self


def same_image(one: CardInput, other: CardInput) -> bool:
    """Return whether two inputs are of the same sensor and bands, on whichever date."""
    return (one.sensors, one.bands, one.units) == (other.sensors, other.bands, other.units)


class RegressionCard(CardText):
    """Fields of the card of a regression that are not measured."""

    sensors: tuple[str, ...] = Field(min_length=1)
    resolution_m: PositiveFloat


class RegressionConfig(Part):
    """A regression on buildings that can be fitted again."""

    kind: Literal["building-regression"]
    root: Path = Field(description="Of xBD, relative to the folder of the file.")
    split: str = ALL
    card: RegressionCard
    features: tuple[str, ...] = Field(default=tuple(FEATURES), min_length=1)
    limit: PositiveFloat = Field(description="See `RegressionArchitecture`, as the next three.")
    neighbours_px: PositiveFloat
    neighbours_share: float = Field(ge=0, lt=1)
    least_px: PositiveInt
    strength: PositiveFloat = Field(
        description="Of the ridge, a building: half of it times the squared coefficients is added "
        "to the mean loss."
    )
    block_px: PositiveInt = Field(description="Side of the blocks that the folds are made of.")
    folds: int = Field(ge=2, description="The temperature is chosen with one of so many held out.")

    @property
    def digest(self) -> str:
        """sha256 of its canonical JSON, without texts and paths, which change no number."""
        return _digest(self.model_dump(mode="json", exclude={"root": True, "card": True}))

    @model_validator(mode="after")
    def _check_features(self) -> Self:
        unknown = sorted(set(self.features) - FEATURES.keys())
        if unknown:
            raise ValueError(
                f"no feature {', '.join(unknown)}; the features are {', '.join(FEATURES)}"
            )
        return self


def _digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_regression_config(path: Path) -> bool:
    """Return whether a file is the config of a regression on buildings, and not of a network."""
    return path.is_file() and read_fields(path).get("kind") == "building-regression"


def read_regression_config(path: Path, *, root: Path | None = None) -> RegressionConfig:
    """Read the config of a regression; `root` is the folder of the data instead of the config's.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    config = read_part(path, RegressionConfig)
    return config.model_copy(update={"root": root or path.parent / config.root})


def read_config(path: Path) -> TrainingConfig:
    """Read the config of a network; relative paths in it are taken from the folder of the file.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    config, folder = read_part(path, TrainingConfig), path.parent
    data, encoder = config.data, config.encoder_weights
    options = data.options
    if options.groups is not None:
        options = options.model_copy(update={"groups": folder / options.groups})
    additional = tuple(
        more.model_copy(update={"root": folder / more.root}) for more in data.additional
    )
    changes = {"root": folder / data.root, "options": options, "additional": additional}
    return config.model_copy(
        update={
            "data": data.model_copy(update=changes),
            "encoder_weights": None if encoder is None else folder / encoder,
        }
    )


def at_root(config: TrainingConfig, root: Path) -> TrainingConfig:
    """Return the config with its data at another place."""
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})
