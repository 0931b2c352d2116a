"""Model: what the loop over windows calls, whether a network or a detector answers."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from geo.types import FloatArray
from models.cards.architecture import (
    CsmaskArchitecture,
    DetectorArchitecture,
    RegressionArchitecture,
)
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef
from models.errors import InputsMismatch
from models.networks.detectors import DetectorModel
from models.networks.tensors import Inputs, SceneStatistics


class Model(Protocol):
    """A member of the family: it statistics the scene once, then answers window by window.

    A model of the task water (`card.single_date`) sees one image at a time: statistics and
    predict the after image, then, separately and with a statistics of its own, the before image.
    """

    @property
    def card(self) -> ModelCard:
        """What it wants and what it answers."""
        ...

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Learn what holds for the whole scene from windows spread over it.

        The samples are read once, in order, one at a time. The same samples give the same
        statistics.

        Raises:
            InputsMismatch: where a slot is not filled, or the values contradict its units.
        """
        ...

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Return probabilities, float32 (n, classes, rows, cols), in the order of the card.

        They lie in [0, 1], and are NaN where the model has no answer: a required slot was
        not observed there, or its feature is not defined. Never read a NaN as "nothing".

        Raises:
            InputsMismatch: where a slot is not filled, or the windows differ in shape.
        """
        ...


def load_model(ref: CardRef, *, device: str = "auto") -> Model:
    """Return the model of a card, ready to predict.

    Detectors and the networks of ukis-csmask run on the CPU whatever the device, and import no
    torch.

    Args:
        ref: a card and its folder, as `models.cards.registry.find` returns it.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        WeightsMismatch: where the weights are not the card's.
        DeviceMissing: where the device is not there.
        CardInvalid: where the card asks for a network that cannot be built.
        InputsMismatch: where it answers for buildings, see `models.damage.grader`.
    """
    architecture = ref.card.architecture
    if isinstance(architecture, DetectorArchitecture):
        return DetectorModel.of(ref.card, architecture)
    if isinstance(architecture, RegressionArchitecture) or ref.card.task is Task.DAMAGE:
        raise InputsMismatch(
            f"{ref.card.name} grades buildings and maps no pixels; name a model for "
            "water, flood or burnt area, or give buildings to grade"
        )
    if isinstance(architecture, CsmaskArchitecture):
        from models.networks.csmask import CsmaskModel  # noqa: PLC0415 - only clouds need onnxruntime

        return CsmaskModel.load(ref, architecture)
    from models.networks.network import NetworkModel  # noqa: PLC0415 - torch takes seconds to import

    return NetworkModel.load(ref, architecture, device=device)
