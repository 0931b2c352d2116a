"""Model: what the loop over windows calls; and the one door that loads any model by its card."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, overload

from geo.types import FloatArray
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef
from models.errors import InputsMismatch
from models.networks.tensors import Inputs, SceneStatistics

if TYPE_CHECKING:
    from models.damage.grader import Finder, Grader


class Model(Protocol):
    """A member of the family: it measures the scene once, then answers window by window.

    With `card.single_date` the images after and before are measured and predicted separately.
    """

    @property
    def card(self) -> ModelCard: ...

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Measure a scene by windows spread over it, read once; or raise InputsMismatch."""
        ...

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Return probabilities, float32 (n, classes, rows, cols), in the order of the card.

        In [0, 1], and NaN where the model has no answer, which never means "nothing".
        """
        ...


Purpose: TypeAlias = Literal["pixels", "grades", "footprints"]
"""What a model is loaded for: probabilities of pixels, grades of buildings, or finding these."""

CLASSES: Mapping[str, Mapping[bool, str]] = {
    "detector": {False: "models.networks.detectors:DetectorModel"},
    "network": {
        False: "models.networks.network:NetworkModel",
        True: "models.damage.network_grader:NetworkGrader",
    },
    "ukis-csmask": {False: "models.networks.csmask:CsmaskModel"},
    "building-regression": {True: "models.damage.regression:RegressionGrader"},
}
"""By the kind of the architecture, and by whether buildings are graded: module and class, which has
`load(ref, device=...)`; imported once a model of theirs is loaded, as torch takes seconds."""


@overload
def load_model(
    ref: CardRef, purpose: Literal["pixels"] = "pixels", *, device: str = "auto"
) -> Model: ...
@overload
def load_model(ref: CardRef, purpose: Literal["grades"], *, device: str = "auto") -> "Grader": ...
@overload
def load_model(
    ref: CardRef, purpose: Literal["footprints"], *, device: str = "auto"
) -> "Finder": ...
def load_model(ref: CardRef, purpose: Purpose = "pixels", *, device: str = "auto") -> Any:
    """Return the model of a card, ready to answer.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; only networks of torch heed it.

    Raises:
        InputsMismatch: where it answers something else.
        WeightsMismatch: where the weights are not the card's.
        DeviceMissing: where the device is not there.
        CardInvalid: where the card asks for a network that cannot be built.
    """
    _require(ref.card, purpose)
    module, name = CLASSES[ref.card.architecture.kind][purpose != "pixels"].split(":")
    return getattr(import_module(module), name).load(ref, device=device)


def _require(card: ModelCard, purpose: Purpose) -> None:
    grades = card.task is Task.DAMAGE
    if purpose == "pixels" and grades:
        raise InputsMismatch(
            f"{card.name} grades buildings and maps no pixels; name a model for water, flood or "
            "burnt area, or give buildings to grade"
        )
    if purpose != "pixels" and not grades:
        raise InputsMismatch(
            f"{card.name} is for {card.task} and grades no buildings; name a model for damage, "
            "such as damage-features"
        )
    if purpose == "footprints" and not card.finds_buildings:
        raise InputsMismatch(
            f"{card.name} grades buildings and finds none itself; name a model that does, such as "
            "damage-vhr"
        )
