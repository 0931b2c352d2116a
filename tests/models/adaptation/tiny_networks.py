"""A tiny network of water, and tiles in which squares are labelled."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.adaptation.label_tiles import LabelTile
from models.cards.card import ModelCard
from models.cards.registry import CardRef, find
from models.networks.network import build
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


def tile(codes: list[int], *, channels: int = 3, seed: int = 0) -> LabelTile:
    """Return a tile of noise with squares, at most 16, brighter where the code is not 0."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 0.5, (channels, SIDE, SIDE))
    numbers = np.zeros((SIDE, SIDE), np.int32)
    for number, code in enumerate(codes):
        row, col = (4 + 16 * at for at in divmod(number, ACROSS))
        square = slice(row, row + 8), slice(col, col + 8)
        numbers[square] = 1 + number
        pixels[:, *square] += 1.5 if code else -1.5
    return LabelTile(torch.tensor(pixels).half(), numbers)


ALTERNATING = [(number + 1) % 2 for number in range(16)]
"""Codes of labels, every other one yes."""
