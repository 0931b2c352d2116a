"""ModelCard: what a model wants, what it answers, how it was trained, and how good it is."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from geo.raster.classify import Finding
from geo.vector.hazards import Hazard
from models.cards.architecture import (
    Architecture,
    CsmaskArchitecture,
    DetectorArchitecture,
    DetectorMethod,
    NetworkArchitecture,
    Part,
    RegressionArchitecture,
)
from models.cards.inputs import CLASSES_OF, CardInput, InputPhase, Task
from models.errors import CardInvalid

CARD_NAME = "card.json"
WEIGHTS_NAME = "weights.safetensors"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CardClass(Part):
    """One answer of a model."""

    name: Finding
    threshold: float = Field(gt=0, lt=1, description="Probability from which a pixel is of it.")


class Score(Part):
    """One measured figure, with what it was measured on."""

    dataset: str
    split: str
    metric: str = Field(description="In full, with the class and the averaging.")
    value: float
    n: PositiveInt = Field(description="Images that it was measured on.")
    measure: Literal[
        "iou", "ece", "auc_damaged", "macro_f1_two", "macro_f1_four", "accuracy_buildings",
        "f1_localisation", "xview2", "auc_ground", "iou_ground",
    ] = Field(default="iou", description="As `aftermap evaluate` names it.")  # fmt: skip
    drop: tuple[str, ...] = ()
    """Images of the data that the model was not given."""
    trainings: tuple[float, ...] = ()
    trainings_differ_in: Literal["seed", "fold"] | None = None
    """seed: `value` is that of the shipped weights; fold: each training was scored on what it left
    out, and `value` is of all their pixels."""

    @model_validator(mode="after")
    def _check_trainings(self) -> Self:
        if bool(self.trainings) != (self.trainings_differ_in is not None):
            raise ValueError("trainings and trainings_differ_in go together; give both or neither")
        return self


class DomainLimits(Part):
    """How far a scene may lie from the training data; see `models.networks.domain_check`."""

    max_shift: PositiveFloat = 1.75
    """Of the percentiles from those in training, in deviations of the training, mean of bands."""
    max_band_shift: PositiveFloat = Field(default=2.5, description="The same of one band.")
    min_contrast: float = Field(default=0.1, ge=0, lt=1)
    """Least range from the 1st to the 99th percentile, as a share of that in training, on average
    over the bands; not of inputs normalised by the scene."""
    max_constant_share: float = Field(default=0.75, gt=0, le=1)
    """Greatest share of a band that is one number."""
    min_kappa: float | None = Field(default=-0.2, ge=-1, lt=0)
    """Cohen's kappa with a detector below which a block is not trusted; null: none is run."""


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
    left_out: str | None = None
    """Split of the data that it was not trained on; null: it was not recorded."""
    encoder_sha256: Sha256 | None = None
    """Of the weights that its encoder began with; null: random ones."""
    seed: NonNegativeInt
    epochs: PositiveInt
    tiles: PositiveInt = Field(description="Without those left out.")
    libraries: tuple[str, ...] = Field(description="Name and version.")
    device: str
    wall_s: float = Field(ge=0)
    energy_wh: float | None = Field(default=None, description="null: nothing measured it.")


class ParentModel(Part):
    """The model that was adapted."""

    name: str
    version: str
    digest: Sha256 = Field(description="Of its card, and through it of its weights.")


class LabelFile(Part):
    """The labels of the new place."""

    file: str = Field(description="Its name, without the folder.")
    sha256: Sha256
    column: str
    counts: dict[str, PositiveInt] = Field(description="Labels that were used, by class.")
    skipped: dict[str, PositiveInt] = Field(default_factory=dict)
    """Polygons that were not, by the reason."""
    buildings_sha256: Sha256 | None = None
    before: tuple[str, str] | None = None
    """Times of the first and the last image before, ISO 8601 UTC."""
    after: tuple[str, str] | None = Field(default=None, description="The same after the event.")


class LeftOut(Part):
    """One figure, each label predicted by models that were not trained on it."""

    measure: str
    parent: float | None = Field(description="Of the parent, on the same labels.")
    adapted: float | None


class Adaptation(Part):
    """How a model was adapted from its parent."""

    parent: ParentModel
    labels: LabelFile
    stage: Literal["none", "regression", "head", "all"]
    """none: adapting did not help, and every number is the parent's; regression: the coefficients
    moved; head: the last layer, on frozen features; all: every weight."""
    scores: tuple[LeftOut, ...] = Field(description="Leave-one-out, parent and adapted.")
    groups: NonNegativeInt
    """Parts that the labels were cut into, to be left out in turn."""

    @property
    def helped(self) -> bool:
        """Whether the numbers are others than the parent's."""
        return self.stage != "none"


class ModelCard(Part):
    """Everything that is known of a model; lies beside its weights as `card.json`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    summary: str = Field(min_length=1, description="One sentence for a list of models.")
    weights_sha256: Sha256 | None = None
    task: Task
    hazards: tuple[Hazard, ...] | None = Field(default=None, min_length=1)
    """For which it is taken unasked; null: all that its task is of."""
    architecture: Architecture
    inputs: tuple[CardInput, ...] = Field(min_length=1)
    resolution_m: PositiveFloat | None = None
    """Of the grid that it wants; null: the image's own."""
    window_px: PositiveInt
    overlap_px: NonNegativeInt = Field(description="Shared by neighbouring windows.")
    stride_px: PositiveInt = 1
    """Windows are padded to multiples of it (the encoder's stride)."""
    classes: tuple[CardClass, ...] = Field(min_length=1)
    trained_on: str
    training: Training | None = Field(default=None, description="null: it was not trained.")
    adaptation: Adaptation | None = None
    tested_on: str
    scores: tuple[Score, ...] = ()
    calibration: Calibration | None = None
    domain: DomainLimits | None = None
    licence: str
    limits: tuple[str, ...] = Field(min_length=1, description="Sentences.")
    references: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON without defaults: fields added later do not change it."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def finds_buildings(self) -> bool:
        """Whether it grades buildings and needs no footprints."""
        return self.task is Task.DAMAGE and Finding.BUILDING in self.class_names

    @property
    def unchecked(self) -> Self:
        """The same card, without limits to its domain; the card of the same network still."""
        return self.model_copy(update={"domain": None})

    @property
    def class_names(self) -> tuple[Finding, ...]:
        """Its classes, in the order of its answer."""
        return tuple(entry.name for entry in self.classes)

    def threshold(self, finding: Finding) -> float:
        """Return the probability from which a pixel is of one of its classes."""
        return next(entry.threshold for entry in self.classes if entry.name is finding)

    @property
    def single_date(self) -> bool:
        """Whether it sees one image at a time, and runs on the after and the before image."""
        return self.task in (Task.WATER, Task.CLOUD)

    @property
    def after_inputs(self) -> tuple[CardInput, ...]:
        """The inputs of images after the event; an image before it alone says nothing of it."""
        return tuple(entry for entry in self.inputs if entry.phase is not InputPhase.BEFORE)

    @model_validator(mode="after")
    def _check_card(self) -> Self:
        names = [f"input {entry.name}" for entry in self.inputs]
        names += [f"class {name}" for name in self.class_names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is there more than once")
        self._check_phases()
        self._check_classes()
        kind = self.architecture
        if self.overlap_px < 2 * kind.margin_px:
            raise ValueError(
                f"windows overlap by {self.overlap_px} px, a margin of {kind.margin_px} px on both "
                "sides needs twice that"
            )
        if 2 * self.overlap_px > self.window_px:
            raise ValueError(
                f"windows of {self.window_px} px overlap by {self.overlap_px} px; at most half fits"
            )
        self._check_weights()
        if isinstance(kind, DetectorArchitecture):
            self._check_detector(kind.parameters)
        elif isinstance(kind, RegressionArchitecture):
            self._check_regression()
        elif isinstance(kind, NetworkArchitecture):
            self._check_network(kind)
        else:
            self._check_csmask(kind)
        if self.task is Task.CLOUD and (self.resolution_m is None or len(self.inputs) > 1):
            raise ValueError("a model of clouds has one input and a resolution_m")
        if self.calibration is not None:
            temperatures = len(self.calibration.parameters.temperature)
            if temperatures != len(self.classes):
                raise ValueError(f"{temperatures} temperatures, {len(self.classes)} classes")
        return self

    def _check_phases(self) -> None:
        each = [entry.phase is InputPhase.EACH for entry in self.inputs]
        if any(each) != self.single_date or any(each) != all(each):
            raise ValueError(
                f"inputs of phase {InputPhase.EACH} belong to the task {Task.WATER} or "
                f"{Task.CLOUD}, all of them and nowhere else"
            )
        if not self.after_inputs:
            raise ValueError("no input is of after the event; give one")

    def _check_classes(self) -> None:
        must, may = CLASSES_OF[self.task]
        names = set(self.class_names)
        if not must <= names <= must | may:
            has, could, there = (", ".join(sorted(part)) for part in (must, may, names))
            raise ValueError(
                f"the task {self.task} has the class {has}{could and f' and may have {could}'}; "
                f"the card has {there}"
            )

    def _check_detector(self, method: DetectorMethod) -> None:
        phases = sorted(entry.phase.value for entry in self.inputs)
        if phases != sorted(method.phases):
            raise ValueError(
                f"{method.method} takes one image of phase {' and '.join(method.phases)}; the card "
                f"has {' and '.join(phases)}"
            )
        for entry in self.inputs:
            if entry.speckle is not None:
                raise ValueError(f"a detector has its own speckle filter, not one of {entry.name}")
            if set(entry.bands) != set(method.bands) or not entry.required:
                raise ValueError(
                    f"{method.method} needs the bands {', '.join(method.bands)} in {entry.name}, "
                    f"which is required; the card has {', '.join(entry.bands)}"
                )

    def _check_regression(self) -> None:
        bands = ("red", "green", "blue")
        inputs = [(entry.phase, entry.bands) for entry in self.inputs if entry.required]
        wanted = [(InputPhase.AFTER, bands), (InputPhase.BEFORE, bands)]
        if self.task is not Task.DAMAGE or sorted(inputs) != wanted or len(self.inputs) != 2:
            raise ValueError(
                f"a regression on buildings has the task {Task.DAMAGE} and two required inputs of "
                "red, green, blue, one before and one after"
            )

    def _check_weights(self) -> None:
        if isinstance(self.architecture, (DetectorArchitecture, RegressionArchitecture)):
            if self.weights_sha256 is not None or self.domain is not None:
                raise ValueError(
                    f"a {self.architecture.kind} has every number on its card; set weights_sha256 "
                    "and domain to null"
                )
            return
        if self.weights_sha256 is None:
            raise ValueError(f"a network needs weights_sha256, the sha256 of its {WEIGHTS_NAME}")
        if any(e.normalised_by == "card" and None in (e.mean, e.std) for e in self.inputs):
            raise ValueError("every input of a network needs mean and std, or the scene's own")

    def _check_csmask(self, network: CsmaskArchitecture) -> None:
        bands = sum(len(entry.bands) for entry in self.inputs)
        answers = (Finding.CLOUD, Finding.CLOUD_SHADOW)
        if self.class_names != answers or f"_{bands}b_" not in network.file:
            raise ValueError(
                f"{network.file} finds {' and '.join(answers)} in the bands that its name counts; "
                f"the card has {' and '.join(self.class_names)} in {bands} bands"
            )

    def _check_network(self, network: NetworkArchitecture) -> None:
        for entry in self.inputs:
            reach = entry.speckle.window_px // 2 if entry.speckle else 0
            if network.margin_px < reach:
                raise ValueError(
                    f"the speckle filter of {entry.name} reaches {reach} px, more than the margin "
                    f"of {network.margin_px} px"
                )
        flags = len(self.inputs) if network.availability_channels else 0
        channels = flags + sum(len(entry.bands) for entry in self.inputs)
        if network.in_channels != channels:
            raise ValueError(f"the inputs make {channels} channels, not {network.in_channels}")
        if network.classes != len(self.classes):
            raise ValueError(f"the network has {network.classes} classes, not {len(self.classes)}")


def card_bytes(card: ModelCard) -> bytes:
    """Return a card as its file."""
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def read_card(path: Path) -> ModelCard:
    """Return the card in a file, or raise CardInvalid."""
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CardInvalid(f"the card {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CardInvalid(f"the card {path} is not valid: {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong, and how many more there are."""
    first, *others = error.errors(include_url=False)
    place = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}{place and ': '}{said}{f' (and {len(others)} more)' if others else ''}"
