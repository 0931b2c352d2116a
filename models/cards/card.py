"""ModelCard: what a model wants, what it answers, and how far it can be trusted."""

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
    NetworkArchitecture,
    Part,
    RegressionArchitecture,
)
from models.cards.inputs import CLASSES_OF, CardInput, InputPhase, Task
from models.cards.training_record import Adaptation, Calibration, DomainLimits, Training
from models.errors import CardInvalid

CARD_NAME = "card.json"
WEIGHTS_NAME = "weights.safetensors"


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
        "auc_ground",
        "iou_ground",
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


class ModelCard(Part):
    """Everything that is known of a model; lies beside its weights as `card.json`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    summary: str = Field(min_length=1, description="One sentence for a list of models.")
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description=f"Of `{WEIGHTS_NAME}`; null for detectors."
    )
    task: Task
    hazards: tuple[Hazard, ...] | None = Field(
        default=None,
        min_length=1,
        description="For which it is taken unasked; null: all that its task is of.",
    )
    architecture: Architecture
    inputs: tuple[CardInput, ...] = Field(min_length=1)
    resolution_m: PositiveFloat | None = Field(
        default=None, description="Of the grid that it wants; null: the image's own."
    )
    window_px: PositiveInt
    overlap_px: NonNegativeInt = Field(description="Shared by neighbouring windows.")
    stride_px: PositiveInt = Field(
        default=1, description="Windows are padded to multiples of it (the encoder's stride)."
    )
    classes: tuple[CardClass, ...] = Field(min_length=1)
    trained_on: str
    training: Training | None = Field(default=None, description="null: it was not trained.")
    adaptation: Adaptation | None = Field(
        default=None, description="null: it learned on from no other model."
    )
    tested_on: str
    scores: tuple[Score, ...] = ()
    calibration: Calibration | None = Field(
        default=None, description="null: its probabilities are not calibrated."
    )
    domain: DomainLimits | None = Field(
        default=None, description="null: scenes are not compared with the training data."
    )
    licence: str
    limits: tuple[str, ...] = Field(min_length=1, description="Sentences.")
    references: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 of the card's canonical JSON; through it also of the weights.

        Fields at their defaults are left out: one that a later version adds changes no digest.
        """
        plain = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def finds_buildings(self) -> bool:
        """Whether it grades buildings and needs no footprints: it sees where they are."""
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
        """The slots of images after the event; an image before it alone says nothing of it."""
        return tuple(entry for entry in self.inputs if entry.phase is not InputPhase.BEFORE)

    @model_validator(mode="after")
    def _check_card(self) -> Self:
        _check_unique("slot", [entry.name for entry in self.inputs])
        _check_unique("class", list(self.class_names))
        self._check_phases()
        self._check_classes()
        if self.overlap_px < 2 * self.architecture.margin_px:
            raise ValueError(
                f"windows overlap by {self.overlap_px} px, a margin of "
                f"{self.architecture.margin_px} px on both sides needs twice that"
            )
        if 2 * self.overlap_px > self.window_px:
            raise ValueError(
                f"windows of {self.window_px} px overlap by {self.overlap_px} px; at most half fits"
            )
        if isinstance(self.architecture, DetectorArchitecture):
            self._check_detector(self.architecture)
        elif isinstance(self.architecture, RegressionArchitecture):
            self._check_regression()
        else:
            self._check_learned()
        if isinstance(self.architecture, NetworkArchitecture):
            self._check_network(self.architecture)
        if isinstance(self.architecture, CsmaskArchitecture):
            self._check_csmask(self.architecture)
        if self.task is Task.CLOUD and (self.resolution_m is None or len(self.inputs) > 1):
            raise ValueError("a model of clouds sees one image, and says at which resolution_m")
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
            raise ValueError("no input is of after the event; without one nothing can be said")

    def _check_classes(self) -> None:
        must, may = CLASSES_OF[self.task]
        names = set(self.class_names)
        if not must <= names <= must | may:
            raise ValueError(
                f"the task {self.task} has the class {_listed(must)}"
                + (f" and may have {_listed(may)}" if may else "")
                + f"; the card has {_listed(names)}"
            )

    def _check_detector(self, detector: DetectorArchitecture) -> None:
        parameters = detector.parameters
        if self.weights_sha256 is not None:
            raise ValueError("a detector has no weights; set weights_sha256 to null")
        if self.domain is not None:
            raise ValueError("a detector learned from no image; set domain to null")
        phases = sorted(entry.phase.value for entry in self.inputs)
        if phases != sorted(parameters.phases):
            raise ValueError(
                f"{parameters.method} takes one image of phase {' and '.join(parameters.phases)}; "
                f"the card has {' and '.join(phases)}"
            )
        for entry in self.inputs:
            if entry.speckle is not None:
                raise ValueError(
                    f"{parameters.method} has its speckle filter among its parameters; remove that "
                    f"of {entry.name}"
                )
            if set(entry.bands) != set(parameters.bands) or not entry.required:
                raise ValueError(
                    f"{parameters.method} needs the bands {', '.join(parameters.bands)} in "
                    f"{entry.name}, which is required; the card has {', '.join(entry.bands)}"
                )

    def _check_regression(self) -> None:
        slots = {(entry.phase, entry.bands) for entry in self.inputs if entry.required}
        bands = ("red", "green", "blue")
        wanted = {(InputPhase.BEFORE, bands), (InputPhase.AFTER, bands)}
        if self.task is not Task.DAMAGE or slots != wanted or len(self.inputs) != len(wanted):
            raise ValueError(
                f"a regression on buildings has the task {Task.DAMAGE} and two required inputs of "
                "red, green, blue, one before and one after"
            )
        if self.weights_sha256 is not None or self.domain is not None:
            raise ValueError(
                "every number of a regression is on its card; set weights_sha256 and domain to null"
            )

    def _check_learned(self) -> None:
        if self.weights_sha256 is None:
            raise ValueError(f"a network needs weights_sha256, the sha256 of its {WEIGHTS_NAME}")
        if any(
            entry.normalised_by == "card" and (entry.mean is None or entry.std is None)
            for entry in self.inputs
        ):
            raise ValueError("every input of a network needs mean and std, or the scene's own")

    def _check_csmask(self, network: CsmaskArchitecture) -> None:
        bands = sum(len(entry.bands) for entry in self.inputs)
        answers = (Finding.CLOUD, Finding.CLOUD_SHADOW)
        if self.class_names != answers or f"_{bands}b_" not in network.file:
            raise ValueError(
                f"{network.file} finds {' and '.join(answers)}, in this order, in as many bands as "
                f"its name says; the card has {' and '.join(self.class_names)} in {bands} bands"
            )

    def _check_network(self, network: NetworkArchitecture) -> None:
        for entry in self.inputs:
            reach = entry.speckle.window_px // 2 if entry.speckle else 0
            if network.margin_px < reach:
                raise ValueError(
                    f"the speckle filter of {entry.name} reaches {reach} px, the margin is "
                    f"{network.margin_px} px; it must hold it"
                )
        channels = sum(len(entry.bands) for entry in self.inputs)
        if network.availability_channels:
            channels += len(self.inputs)
        if network.in_channels != channels:
            raise ValueError(f"the inputs make {channels} channels, not {network.in_channels}")
        if network.classes != len(self.classes):
            raise ValueError(f"the network has {network.classes} classes, not {len(self.classes)}")


def card_bytes(card: ModelCard) -> bytes:
    """Return a card as its file."""
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def read_card(path: Path) -> ModelCard:
    """Return the card in a file.

    Raises:
        CardInvalid: where it cannot be read or contradicts itself.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CardInvalid(f"the card {path} cannot be read: {error.strerror}") from error
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise CardInvalid(f"the card {path} is not valid: {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong, and how many more there are."""
    first, *others = error.errors(include_url=False)
    place = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {said}{more}" if place else f"{said}{more}"


def _check_unique(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {', '.join(twice)} is there more than once")


def _listed(names: frozenset[Finding] | set[Finding]) -> str:
    return ", ".join(sorted(names))
