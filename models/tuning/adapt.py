"""A network that learns on: frozen features first, all weights where there are enough labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.mapping import Progress
from models.registry import CardRef
from models.tuning.labelled import LabelledTile

Stage: TypeAlias = Literal["none", "head", "all"]


@dataclass(frozen=True, eq=False)
class TunedNetwork:
    """What became of a network."""

    content: bytes
    """Safetensors of the whole network, of the architecture of its parent."""
    card: ModelCard
    """The parent's, with the weights' new sha256 and calibration; its name, its scores, and what
    it says that it learned from, are the parent's still."""
    stage: Stage
    """none: the parent is kept, bit for bit; head: the last convolution on features that stay as
    they are; all: every weight."""
    parent: npt.NDArray[np.float64]
    """(polygons, classes) calibrated probabilities, the mean over the pixels of each polygon; NaN
    where no pixel of it was seen. By the parent."""
    adapted: npt.NDArray[np.float64]
    """The same by a model that did not learn from the polygon: one that learned from all others
    (head), or from the other groups of polygons (all)."""
    groups: int
    """How many the polygons were cut into to be left out in turn: as many as there are polygons
    for the stage head."""


def adapt_network(
    ref: CardRef, tiles: Sequence[LabelledTile], *, device: str, progress: Progress
) -> TunedNetwork:
    """Teach a network the labels of a new place, as far as that foretells labels left out.

    Args:
        ref: of the parent, a network.
        tiles: of the new place, channels as the parent's card wants them.
        device: see `models.network.device_named`.
        progress: told the steps.

    Raises:
        InputsMismatch: where the model is no network, a polygon is missing or lies in two tiles,
            or every label says the same.
        WeightsMismatch: where the weights are not the card's.
        DeviceMissing: where the device is not there.
    """
    raise NotImplementedError
