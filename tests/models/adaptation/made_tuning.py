"""A tiny network of water, and tiles in which squares are labelled."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.adaptation.label_tiles import LabelledTile
from models.cards.card import ModelCard
from models.cards.registry import CardRef, find
from models.networks.network import build
from models.training.dataset import Tile
from tests.models.conftest import network_card

SIDE = 64
ACROSS = 4
"""Squares in a row of a tile, each of 8 px with 8 px between."""


def water_card(**architecture: Any) -> dict[str, Any]:
    """Return the card of a network on one picture."""
    image = {
        "name": "image", "phase": "each", "sensors": ["aerial-rgb"], "mean": [0.0] * 3,
        "bands": ["red", "green", "blue"], "units": "brightness 0-255", "std": [1.0] * 3,
    }  # fmt: skip
    known = network_card()["architecture"]
    own = {"in_channels": 3, "classes": 1, "availability_channels": False}
    classes = [{"name": "water", "threshold": 0.4}]
    calibration = {
        "method": "temperature", "parameters": {"temperature": [0.5]},
        "fitted_on": "nothing", "ece": 0.1,
    }  # fmt: skip
    return network_card(
        task="water", inputs=[image], classes=classes, calibration=calibration,
        architecture=known | own | architecture,
    )  # fmt: skip


def save(folder: Path, card: dict[str, Any]) -> CardRef:
    """Save the random weights of a card's network, at half precision as they are shipped."""
    torch.manual_seed(7)
    network = build(ModelCard.model_validate(card).architecture, name="tiny")
    state = {
        name: part.half() if part.is_floating_point() and part.dim() > 1 else part
        for name, part in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    save_file(state, weights)
    card["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return find(folder)


def tile(
    answers: Any,
    *,
    first: int = 1,
    bright: int = 0,
    channels: int = 3,
    slots: int = 1,
    seed: int = 0,
) -> LabelledTile:
    """Return a tile of noise with squares, brighter where a class is.

    Args:
        answers: (squares, classes): True, False or None, at most 16 squares.
        first: number of the first square.
        bright: number of that class.
        channels: of the network.
        slots: of its card.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 0.5, (channels, SIDE, SIDE))
    classes = len(answers[0])
    polygons = np.zeros((SIDE, SIDE), np.int32)
    target, known = np.zeros((2, classes, SIDE, SIDE), bool)
    for number, says in enumerate(answers):
        row, col = (4 + 16 * at for at in divmod(number, ACROSS))
        square = slice(row, row + 8), slice(col, col + 8)
        polygons[square] = first + number
        pixels[:, *square] += 1.5 if says[bright] else -1.5
        for index, value in enumerate(says):
            known[index, *square], target[index, *square] = value is not None, bool(value)
    parts = (torch.ones(slots, SIDE, SIDE) > 0, torch.tensor(target), torch.tensor(known))
    return LabelledTile(Tile(torch.tensor(pixels).half(), *parts), polygons)


def alternating(count: int) -> list[list[bool]]:
    """Return answers of one class, every other one yes."""
    return [[number % 2 == 0] for number in range(count)]
