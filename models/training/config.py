"""TrainingConfig: everything that a training depends on, read from a TOML or JSON file.

How a training learns: steps of the optimiser, changes of the images, and the loss.
"""

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
from models.cards.registry import read_part
from models.datasets.catalog import ALL, PICTURES, Kind, SetOptions


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
        "`models.training.augment`: a set where every tile is flooded teaches one everywhere.",
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


_PLACES_AND_WORDS: dict[str, Any] = {
    "data": {
        "root": True,
        "kept_gb": True,
        "options": {"groups"},
        "also": {"__all__": {"root": True, "options": {"groups"}}},
    },
    "card": {"version", "summary", "licence", "limits", "references"},
    "encoder_weights": True,
}
"""What changes no weight; the bytes of a file of groups count with the data, those of encoder
weights by themselves."""


class CardPlan(Part):
    """What the card will say; the rest is measured."""

    name: str
    version: str
    summary: str
    task: Task
    finding: Finding
    grades: tuple[Finding, ...] = Field(
        default=(),
        description="Of the finding, the mildest first, each meaning so bad or worse; learned "
        "where there is one to grade.",
    )
    hazards: tuple[Hazard, ...] | None = None
    architecture: NetworkArchitecture
    inputs: tuple[CardInput, ...] = Field(
        min_length=1, description="Without mean and std, which are measured."
    )
    resolution_m: PositiveFloat | None = None
    window_px: PositiveInt
    overlap_px: NonNegativeInt
    stride_px: PositiveInt
    licence: str
    limits: tuple[str, ...] = Field(min_length=1)
    references: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the network answers, in the order of its channels."""
        return (self.finding, *self.grades)


class Doubt(Part):
    """Labels that contradict the picture: neither learned, nor chosen or calibrated by.

    Labels drawn from the water of many years, or by hand on a coarser image, call dry ground
    water and the reverse. The index (see `geo.raster.indices`) decides which of them to leave out.
    """

    index: Literal["ndwi", "mndwi"]
    wet_below: float = Field(description="Labelled water with a lower index is left out.")
    dry_above: float = Field(description="Labelled dry with a higher index is left out.")


class MoreData(Part):
    """A further set that is learned from, whole: nothing of it is left out."""

    kind: Kind
    root: Path = Field(description="Relative to the folder of the config.")
    split: str = ALL
    options: SetOptions = PICTURES

    @property
    def title(self) -> str:
        """What the data is, in words."""
        return f"{self.kind} {self.root.name}"


class DataPlan(Part):
    """What is learned from, and what is left out to choose and to calibrate by."""

    kind: Kind
    root: Path = Field(description="Relative to the folder of the config.")
    split: str = "all"
    options: SetOptions = PICTURES
    folds: int = Field(ge=2, description="One of so many is left out, neighbours together.")
    fold: NonNegativeInt = 0
    block_px: PositiveInt | None = Field(
        default=None,
        description="A fold is so large squares of every tile instead of whole tiles: for a set "
        "of one or two large ones. null: whole groups of tiles.",
    )
    kept_gb: PositiveFloat | None = Field(
        default=None,
        description="Memory for tiles; those beyond it are read again each time. null: all are "
        "kept.",
    )
    doubt: Doubt | None = Field(default=None, description="null: every label is believed.")
    also: tuple[MoreData, ...] = Field(
        default=(),
        description="Learned from beside it; statistics, choices and scores come from the first.",
    )
    repeat: PositiveInt = Field(
        default=1, description="How often the first is gone over for each time of the others."
    )

    @property
    def left(self) -> str:
        """What is left out, in words."""
        fold = f"fold {self.fold} of {self.folds}"
        return f"{fold} in squares of {self.block_px} px" if self.block_px else fold

    @property
    def title(self) -> str:
        """What the data is, in words: a folder of pairs is known by its name."""
        name = f"{self.kind} {self.root.name}" if self.kind is Kind.PAIRS else self.kind
        return name if self.split == ALL else f"{name} {self.split}"


class InputSubset(Part):
    """Slots that a tile is seen with; the others are dropped."""

    inputs: tuple[str, ...] = Field(min_length=1)
    weight: PositiveFloat = Field(description="How often, against the other subsets.")


class TrainingConfig(Part):
    """A training that can be repeated."""

    seed: NonNegativeInt
    card: CardPlan
    data: DataPlan
    subsets: tuple[InputSubset, ...] = Field(
        default=(),
        description="The threshold is chosen by the first. Empty: every tile with all its images.",
    )
    optimiser: Optimiser
    augmentation: Augmentation = Augmentation()
    loss: LossPlan = LossPlan()
    encoder_weights: Path | None = Field(
        default=None,
        description="Safetensors that the encoder begins with, or a folder of them, relative to "
        "the folder of the config; null: random ones. Its digest goes into the card.",
    )
    tile_px: PositiveInt = Field(description="Tiles are cut or padded to it.")
    validate_every: PositiveInt = Field(default=5, description="Epochs.")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    @property
    def digest(self) -> str:
        """sha256 of its canonical JSON, without what changes no weight: words and places.

        Nor do fields at their defaults count: a field that is added later changes no digest.
        """
        plain = self.model_dump(mode="json", exclude=_PLACES_AND_WORDS, exclude_defaults=True)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def seen_with(self) -> tuple[InputSubset, ...]:
        """The subsets, or the one of all slots where none is named."""
        every = InputSubset(inputs=tuple(entry.name for entry in self.card.inputs), weight=1)
        return self.subsets or (every,)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        slots = {entry.name for entry in self.card.inputs}
        unknown = sorted({slot for entry in self.subsets for slot in entry.inputs} - slots)
        if unknown:
            raise ValueError(
                f"a subset names {', '.join(unknown)}; the slots are {', '.join(sorted(slots))}"
            )
        after = {e.name for e in self.card.inputs if e.phase is not InputPhase.BEFORE}
        for subset in self.subsets:
            if not after & set(subset.inputs):
                raise ValueError(
                    f"the subset {', '.join(subset.inputs)} has no image after the event; nothing "
                    f"can be learned from it: add one of {', '.join(sorted(after))}"
                )
        alone = [e.name for e in self.card.inputs if self.augmentation.calm and not self._dated(e)]
        if alone:
            raise ValueError(
                f"calm tiles are asked for, and {', '.join(alone)} has no image before it of the "
                "same sensor and bands; add one, or leave out calm"
            )
        wanted = len(self.card.findings)
        if self.card.architecture.classes != wanted:
            raise ValueError(
                f"the network has {self.card.architecture.classes} classes; {wanted} are learned: "
                f"{', '.join(self.card.findings)}"
            )
        if self.tile_px % self.card.stride_px:
            raise ValueError(
                f"tiles of {self.tile_px} px are no multiple of the stride {self.card.stride_px}"
            )
        return self

    def _dated(self, entry: CardInput) -> bool:
        """Return whether a slot has one of the same sensor and bands on the other date."""
        return any(
            other.phase is not entry.phase and same_image(entry, other)
            for other in self.card.inputs
        )


def same_image(one: CardInput, other: CardInput) -> bool:
    """Return whether the same sensor fills two slots with the same bands, on whichever date."""
    return (one.sensors, one.bands, one.units) == (other.sensors, other.bands, other.units)


def read_config(path: Path) -> TrainingConfig:
    """Read a config; relative paths in it are taken from the folder of the file.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    config = read_part(path, TrainingConfig)
    rooted = _with_encoder(_with_groups(config, path.parent), path.parent)
    also = tuple(
        more.model_copy(update={"root": path.parent / more.root}) for more in config.data.also
    )
    data = rooted.data.model_copy(update={"also": also})
    return at_root(rooted.model_copy(update={"data": data}), path.parent / config.data.root)


def at_root(config: TrainingConfig, root: Path) -> TrainingConfig:
    """Return the config with its data at another place."""
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})


def _with_groups(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """Return the config with its file of groups, if any, taken from a folder."""
    options = config.data.options
    if options.groups is None:
        return config
    there = options.model_copy(update={"groups": folder / options.groups})
    return config.model_copy(update={"data": config.data.model_copy(update={"options": there})})


def _with_encoder(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """Return the config with its encoder weights, if any, taken from a folder."""
    if config.encoder_weights is None:
        return config
    return config.model_copy(update={"encoder_weights": folder / config.encoder_weights})
