"""A grader for tests: it answers by how much the middle of a building changed its brightness."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.types import FloatArray
from models.cards.card import CardInput, ModelCard
from models.cards.inputs import InputPhase, Physical, Task

RGB = ("red", "green", "blue")
SENSORS = ("aerial-rgb", "drone-rgb", "vhr-rgb")
LEAST_PX = 8


def double_card(**changes: Any) -> ModelCard:
    """Return the card of the double; no validator has seen it."""
    slots = tuple(
        CardInput(name=phase.value, phase=phase, sensors=SENSORS, bands=RGB,
                  units=Physical.BRIGHTNESS)
        for phase in (InputPhase.BEFORE, InputPhase.AFTER)
    )  # fmt: skip
    fields = {
        "name": "double", "version": "0.0.1", "summary": "For tests.", "task": Task.DAMAGE,
        "inputs": slots, "resolution_m": 0.5, "window_px": 256, "overlap_px": 64,
    }  # fmt: skip
    return ModelCard.model_construct(**{**fields, **changes})


@dataclass(frozen=True)
class Double:
    """Destroyed where the mean brightness changed by more than 50 of 255."""

    card: ModelCard

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: npt.NDArray[np.int32], *, count: int
    ) -> FloatArray:
        """Return the probabilities, as `models.damage.grader.Grader` says."""
        change = np.abs(after.mean(axis=0) - before.mean(axis=0))
        answers = np.full((count, 4), np.nan, np.float32)
        for k in range(1, count + 1):
            values = change[(buildings == k) & np.isfinite(change)]
            if len(values) >= LEAST_PX:
                destroyed = np.float32(0.9 if values.mean() > 50 else 0.1)
                answers[k - 1] = (0.9 - destroyed + 0.05, 0.03, 0.02, destroyed)
        return answers
