"""The network as a grader: what it says of pixels, and of the buildings that they make up."""

from dataclasses import dataclass

import numpy as np

from geo.raster.windows import Window, lattice
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
        """Load the network of a card.

        Raises:
            CardInvalid: where its classes are not a building and the grades, mildest first.
            WeightsMismatch: where the weights are not the card's.
            DeviceMissing: where the device is not there.
        """
        if ref.card.class_names[1:] != DAMAGE_STEPS:
            raise CardInvalid(
                f"{ref.card.name} answers {', '.join(ref.card.class_names)}; a grader answers "
                f"building, {', '.join(DAMAGE_STEPS)}, in this order"
            )
        return cls(NetworkModel.load(ref, device=device))

    @property
    def card(self) -> ModelCard:
        """What it wants, and what is known of it."""
        return self.model.card

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return the probabilities of the grades; see `models.damage.grader.Grader`.

        They are the means over the pixels of a footprint that were seen.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        check_shapes(self.card, before, after, buildings.shape)
        answer = self.probabilities(before, after)
        return within(answer[1:], buildings, count=count)

    def probabilities(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return calibrated probabilities of building and grades, (4, rows, cols).

        Those of the grades mean so bad or worse, if there is a building, and never rise. NaN
        where one of the images was not seen.

        Args:
            before: (3, rows, cols), brightness 0 to 255, NaN where not seen.
            after: the same.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        check_shapes(self.card, before, after, before.shape[1:])
        pixels, seen = self.channels(before, after)
        answer = np.zeros((len(self.card.classes), *seen.shape), np.float32)
        for window in lattice(seen.shape, size=self.card.window_px, overlap=self.card.overlap_px):
            answer[:, *window.slices] += self._of_window(pixels, window)
        answer[1:] = np.minimum.accumulate(answer[1:], axis=0)
        answer[:, ~seen] = np.nan
        return answer

    def _of_window(self, pixels: FloatArray, window: Window) -> FloatArray:
        """Return what the network says of a window, by its weight."""
        rows, cols = window.slices
        answer = self.model.probabilities(np.ascontiguousarray(pixels[None, :, rows, cols]))[0]
        return np.asarray(answer * window.weight, np.float32)

    def channels(self, before: FloatArray, after: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return the channels of the network, and where both images were observed."""
        seen: BoolArray = np.asarray(np.isfinite(np.concatenate([before, after])).all(axis=0))
        parts = []
        for entry in self.card.inputs:
            image = before if entry.phase is InputPhase.BEFORE else after
            mean, std = (
                np.asarray(values, np.float32)[:, None, None] for values in (entry.mean, entry.std)
            )
            parts.append(np.where(seen, (image - mean) / std, np.float32(0)))
        return np.concatenate(parts).astype(np.float32), seen


def within(reached: FloatArray, buildings: Int32Array, *, count: int) -> FloatArray:
    """Return the mean probabilities of four grades over each building, float32 (count, 4).

    A row is NaN where the building is too small, or too little of it was seen.

    Args:
        reached: (3, rows, cols), probability of each grade above no damage or of a worse one;
            NaN where not seen.
        buildings: (rows, cols), 0 none, k the k-th building.
        count: how many buildings there are.
    """
    seen: BoolArray = np.asarray(np.isfinite(reached).all(axis=0))
    inside = Zone.of(buildings, seen, count=count)
    whole = Zone.of(buildings, np.ones_like(seen), count=count).pixels
    means = [np.ones(count), *(inside.mean(part) for part in reached), np.zeros(count)]
    grades = -np.diff(np.stack(means, axis=1), axis=1)
    answered = (inside.pixels >= LEAST_PX) & (inside.pixels >= MIN_OBSERVED * whole)
    return np.where(answered[:, None], grades, np.nan).astype(np.float32)
