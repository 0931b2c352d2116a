"""Grader: what gives each building the probabilities of its grades; and the codes of grades."""

from typing import Protocol, runtime_checkable

import numpy as np

from geo.types import CodeArray, Float64Array, FloatArray, Int32Array
from geo.vector.schema import DAMAGE_XBD
from models.cards.card import ModelCard

GRADES = DAMAGE_XBD[3::-1]
"""The Joint Damage Scale of xBD, mildest first: 1 to 4 in masks and labels."""
DAMAGED_FROM = 3
"""Code from which a building counts as damaged: major damage and destroyed."""


class Grader(Protocol):
    """A model of the task damage."""

    @property
    def card(self) -> ModelCard: ...

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return calibrated probabilities of the four grades of xBD, float32 (count, 4).

        A row is NaN, never "no damage", where the building is too small or was not observed.

        Args:
            before: (3, rows, cols) float32, red, green, blue, 0 to 255, NaN where not observed, at
                the card's `resolution_m`; `after` is on the same grid.
            buildings: (rows, cols) int32, 0 none, k the k-th of `count`.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        ...


@runtime_checkable
class Comparing(Protocol):
    """A grader that measures how far buildings lie from its training."""

    def grade_and_compare(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> tuple[FloatArray, Float64Array]:
        """Return what `Grader.grade` does, and `regression.deviations`, (count, features)."""
        ...


@runtime_checkable
class Finder(Protocol):
    """A grader that finds the buildings itself."""

    @property
    def card(self) -> ModelCard: ...

    def probabilities(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return calibrated probabilities of its card's classes, (classes, rows, cols).

        The first is a building, the others one so bad or worse; NaN where not observed.
        """
        ...


def graded_mask(card: ModelCard, probabilities: FloatArray) -> CodeArray:
    """Return a mask as those of xBD, (rows, cols): 0 no building, or not observed; 1 to 4 a grade.

    The grade of a pixel is the worst that it more likely reaches than not. The probabilities are
    of the card's classes, (classes, rows, cols).
    """
    thresholds = [entry.threshold for entry in card.classes]
    steps = zip(probabilities[1:], thresholds[1:], strict=True)
    grades = 1 + np.sum([part >= threshold for part, threshold in steps], axis=0)
    return np.where(probabilities[0] >= thresholds[0], grades, 0).astype(np.uint8)
