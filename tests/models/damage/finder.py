"""A finder for tests: bright before is a building, dark after is damage."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geo.types import FloatArray
from models.cards.card import ModelCard
from tests.models.conftest import network_card
from tests.models.damage.made_card import SENSORS

NAMES = ("building", "minor_damage", "damaged", "destroyed")


def finder_card(**changes: Any) -> dict[str, Any]:
    """Return the card of a network that finds buildings, as JSON values."""
    inputs = [
        {"name": phase, "phase": phase, "sensors": SENSORS, "bands": ["red", "green", "blue"],
         "units": "brightness 0-255", "mean": [100.0] * 3, "std": [50.0] * 3}
        for phase in ("before", "after")
    ]  # fmt: skip
    architecture = network_card()["architecture"] | {
        "in_channels": 6, "classes": 4, "availability_channels": False, "siamese": True,
    }  # fmt: skip
    fields = {
        "name": "sees-roofs", "task": "damage", "inputs": inputs, "architecture": architecture,
        "classes": [{"name": name, "threshold": 0.5} for name in NAMES],
        "resolution_m": 0.5, "window_px": 256, "overlap_px": 64,
    }  # fmt: skip
    return network_card(**(fields | changes))


def write_finder(folder: Path, **changes: Any) -> Path:
    """Write the card of a finder, without weights, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(finder_card(**changes)))
    return folder


@dataclass(frozen=True)
class SeesRoofs:
    """What `models.damage.grader.Finder` asks for, and no network."""

    card: ModelCard

    @classmethod
    def made(cls, **changes: Any) -> "SeesRoofs":
        """Return one with a card."""
        return cls(ModelCard.model_validate(finder_card(**changes)))

    def probabilities(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return 0.95 or 0.02 of a building, 0.9 or 0.1 of each grade; NaN where not seen."""
        bright, dark = before.mean(axis=0), after.mean(axis=0)
        built = np.where(bright > 140, 0.95, 0.02)
        damage = np.where(dark < 120, 0.9, 0.1)
        answer = np.stack([built, damage, damage, damage])
        seen = np.isfinite(bright) & np.isfinite(dark)
        return np.where(seen, answer, np.nan).astype(np.float32)
