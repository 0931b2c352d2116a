"""A small scene made of smooth fields, and what a network answers to it.

Nothing of it is drawn at random or read from a file: it is the same on every machine.
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput, Physical
from models.cards.registry import CardRef, all_cards
from models.inference.model import Model
from models.networks.network import NetworkModel
from models.networks.tensors import Inputs
from tests.models.conftest import make_raster

SIZE_PX = 64
EVERY_PX = 4
"""Pixels of the answer that are kept, in rows and columns."""
WAVES = 3
RANGE = {
    Physical.DECIBEL: (-24.0, -4.0),
    Physical.REFLECTANCE: (0.01, 0.45),
    Physical.BRIGHTNESS: (10.0, 240.0),
}


def shipped_networks() -> list[CardRef]:
    """Return the networks on the shelf."""
    return [ref for ref in all_cards() if isinstance(ref.card.architecture, NetworkArchitecture)]


def network_of(ref: CardRef) -> NetworkModel:
    """Load a network to answer pixels, also one that is a grader of buildings elsewhere."""
    return NetworkModel.load(ref, device="cpu")


def scene(card: ModelCard) -> Inputs:
    """Return an image for each slot, in the slot's units."""
    return {
        entry.name: make_raster({band: _field(entry, band) for band in entry.bands})
        for entry in card.inputs
    }


def cases(card: ModelCard) -> Iterator[tuple[str, Inputs]]:
    """Yield the whole scene, and each slot alone that may be alone."""
    whole = scene(card)
    yield "all", whole
    required = {entry.name for entry in card.inputs if entry.required}
    for slot in whole:
        if len(whole) > 1 and required <= {slot}:
            yield slot, {name: image if name == slot else None for name, image in whole.items()}


def answers(model: Model) -> dict[str, list[list[list[float]]]]:
    """Return, by case, the probabilities of every class on a part of the pixels."""
    found = {}
    for name, inputs in cases(model.card):
        probability = model.predict([inputs], model.scene_statistics([inputs]))[0]
        kept = probability[:, EVERY_PX // 2 :: EVERY_PX, EVERY_PX // 2 :: EVERY_PX]
        found[name] = np.round(kept.astype(float), 5).tolist()
    return found


def _field(entry: CardInput, band: str) -> npt.NDArray[np.float64]:
    """Return waves of their own direction and phase for each slot and band, (rows, cols)."""
    rows, cols = np.mgrid[:SIZE_PX, :SIZE_PX] / SIZE_PX
    waves = np.zeros((SIZE_PX, SIZE_PX))
    for wave in range(1, WAVES + 1):
        turn = 2 * np.pi * crc32(f"{entry.name} {band} {wave}".encode()) / 2**32
        along = rows * np.cos(turn) + cols * np.sin(turn)
        waves += np.cos(2 * np.pi * wave * along + turn) / wave
    low, high = RANGE[entry.units]
    return low + (high - low) * (waves - waves.min()) / (waves.max() - waves.min())
