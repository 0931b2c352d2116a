"""Grader: what turns two images of buildings into the probabilities of their grades."""

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from geo.raster import FloatArray
from models.card import ModelCard

IntArray: TypeAlias = npt.NDArray[np.int32]


class Grader(Protocol):
    """Grades the buildings of one window; a regression or a network."""

    @property
    def card(self) -> ModelCard:
        """What it wants and what it answers."""
        ...

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: IntArray, *, count: int
    ) -> FloatArray:
        """Return (count, 4): calibrated probabilities of the grades of the xBD scale.

        NaN where it has no answer: a building that is too small, or was not seen.

        Args:
            before: (3, rows, cols), red, green, blue, 0 to 255, NaN where not seen, on a grid
                of the card's resolution.
            after: the same after the event.
            buildings: (rows, cols); 0 none, k the k-th building.
            count: of buildings.
        """
        ...
