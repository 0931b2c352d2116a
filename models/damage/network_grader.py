"""The network as a grader: its probabilities of pixels, and their means over buildings."""

from dataclasses import dataclass

import numpy as np

from geo.raster.windows import lattice
from geo.types import BoolArray, FloatArray, Int32Array
from models.cards.card import ModelCard
from models.cards.inputs import DAMAGE_STEPS, InputPhase
from models.cards.registry import CardRef
from models.damage.features import LEAST_PX, Zone
from models.damage.regression import MIN_OBSERVED, check_shapes
from models.errors import CardInvalid
from models.networks.network import NetworkModel


@dataclass(frozen=True, eq=False)
class NetworkGrader:
    """A `models.damage.grader.Grader` that finds buildings, too."""

    model: NetworkModel

    @classmethod
    def load(cls, ref: CardRef, *, device: str) -> "NetworkGrader":
        """Load a card's network; raise CardInvalid unless its classes are building and grades."""
        if ref.card.class_names[1:] != DAMAGE_STEPS:
            raise CardInvalid(
                f"{ref.card.name} answers {', '.join(ref.card.class_names)}; a grader answers "
                f"building, {', '.join(DAMAGE_STEPS)}, in this order"
            )
        return cls(NetworkModel.load(ref, device=device))

    @property
    def card(self) -> ModelCard:
        return self.model.card

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return `Grader.grade` as means over the observed pixels of each footprint."""
        check_shapes(self.card, before, after, buildings.shape)
        probabilities = self.probabilities(before, after)
        return within(probabilities[1:], buildings, count=count)

    def probabilities(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return calibrated probabilities of building and grades, (4, rows, cols).

        Those of the grades mean so bad or worse, if there is a building, and never rise. NaN where
        one of the images, (3, rows, cols), brightness 0 to 255, was not observed.
        """
        check_shapes(self.card, before, after, before.shape[1:])
        pixels, observed = self.channels(before, after)
        probabilities = np.zeros((len(self.card.classes), *observed.shape), np.float32)
        card = self.card
        for window in lattice(observed.shape, size=card.window_px, overlap=card.overlap_px):
            rows, cols = window.slices
            part = np.ascontiguousarray(pixels[None, :, rows, cols])
            probabilities[:, rows, cols] += self.model.probabilities(part)[0] * window.weight
        probabilities[1:] = np.minimum.accumulate(probabilities[1:], axis=0)
        probabilities[:, ~observed] = np.nan
        return probabilities

    def channels(self, before: FloatArray, after: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return the channels of the network, and where both images were observed."""
        observed: BoolArray = np.asarray(np.isfinite(np.concatenate([before, after])).all(axis=0))
        parts = []
        for entry in self.card.inputs:
            image = before if entry.phase is InputPhase.BEFORE else after
            mean, std = (
                np.asarray(values, np.float32)[:, None, None] for values in (entry.mean, entry.std)
            )
            parts.append(np.where(observed, (image - mean) / std, np.float32(0)))
        return np.concatenate(parts).astype(np.float32), observed


def within(reached: FloatArray, buildings: Int32Array, *, count: int) -> FloatArray:
    """Return the mean probabilities of four grades over each building, float32 (count, 4).

    A row is NaN where the building is too small, or too little of it was observed.

    Args:
        reached: (3, rows, cols), of each grade above no damage or a worse one; NaN: not observed.
    """
    observed: BoolArray = np.asarray(np.isfinite(reached).all(axis=0))
    inside = Zone.of(buildings, observed, count=count)
    whole = Zone.of(buildings, np.ones_like(observed), count=count).pixels
    means = [np.ones(count), *(inside.mean(part) for part in reached), np.zeros(count)]
    grades = -np.diff(np.stack(means, axis=1), axis=1)
    graded = (inside.pixels >= LEAST_PX) & (inside.pixels >= MIN_OBSERVED * whole)
    return np.where(graded[:, None], grades, np.nan).astype(np.float32)
