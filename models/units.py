"""Do the values of a scene agree with the units that the card names?"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from geo.raster import CodeArray, FloatArray
from models.card import ModelCard
from models.errors import InputsMismatch
from models.inputs import Inputs, select
from models.slot import CardInput
from models.terms import Physical

_PER_SAMPLE = 4096
"""Values kept of a band of a sample; enough for a median to within a hundredth."""


@dataclass(frozen=True)
class Plausible:
    """What the values of a band of a whole scene can be."""

    median: tuple[float, float]
    reach: tuple[float, float]
    """The least value must lie below the first, the greatest above the second."""
    hint: str
    """What it probably is otherwise."""


PLAUSIBLE: dict[Physical, Plausible] = {
    # Land and water lie between -30 and 0 dB; linear power is never negative.
    Physical.DECIBEL: Plausible(
        (-35.0, 5.0), (0.0, -np.inf), "linear power or digital numbers; convert them to dB"
    ),
    # Snow and cloud reach 1.2; what is scaled by 10,000 or has 8 bits lies far above.
    Physical.REFLECTANCE: Plausible(
        (-0.1, 1.5), (np.inf, -np.inf), "scaled reflectance; divide it by its scale"
    ),
    Physical.BRIGHTNESS: Plausible(
        (0.0, 255.0), (np.inf, 1.0), "reflectance or 16-bit values; scale them to 0-255"
    ),
}


class ValueSample:
    """Keeps a regular sample of each band while windows go by, and judges it at the end."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._kept: dict[str, list[FloatArray]] = {entry.slot: [] for entry in card.inputs}
        self._origins: dict[str, list[CodeArray]] = {entry.slot: [] for entry in card.inputs}
        self._scenes: dict[str, tuple[str, ...]] = {}

    def feed(self, inputs: Inputs) -> None:
        """Add a window that fills the slots of the card."""
        for entry in self._card.inputs:
            raster = inputs.get(entry.slot)
            if raster is not None:
                seen = select(entry, raster)[:, raster.valid]
                step = max(1, seen.shape[1] // _PER_SAMPLE)
                self._kept[entry.slot].append(seen[:, ::step])
                self._origins[entry.slot].append(raster.origin[raster.valid][::step])
                self._scenes[entry.slot] = raster.sources

    def kept(self, entry: CardInput, *, without: Collection[int] = ()) -> FloatArray:
        """Return what was kept of a slot, (bands, values); without values where it is empty.

        Args:
            entry: the slot.
            without: numbers of scenes that are left out.
        """
        values = np.concatenate(
            [np.zeros((len(entry.bands), 0), np.float32), *self._kept[entry.slot]], axis=1
        )
        return values[:, ~np.isin(self.origins(entry), list(without))] if without else values

    def origins(self, entry: CardInput) -> CodeArray:
        """Return the number of the scene that each value kept of a slot comes from, (values,)."""
        return np.concatenate([np.zeros(0, np.uint8), *self._origins[entry.slot]])

    def scene(self, entry: CardInput, number: int) -> str:
        """Return the id of a scene of a slot; "the image" where it has no number."""
        return self._scenes[entry.slot][number - 1] if number else "the image"

    def check(self) -> None:
        """Compare what was kept with the units of the card.

        Raises:
            InputsMismatch: where they contradict each other.
        """
        for entry in self._card.inputs:
            if self._kept[entry.slot]:
                for band, row in zip(entry.bands, self.kept(entry), strict=True):
                    _check_band(entry, band, row[np.isfinite(row)])


def _check_band(entry: CardInput, band: str, values: FloatArray) -> None:
    if not values.size or values.min() == values.max() == 0:
        return
    wanted = PLAUSIBLE[entry.units]
    median = float(np.median(values))
    inside = wanted.median[0] <= median <= wanted.median[1]
    if inside and values.min() < wanted.reach[0] and values.max() > wanted.reach[1]:
        return
    raise InputsMismatch(
        f"{band} of {entry.slot} should be in {entry.units}; its values run from "
        f"{values.min():.3g} to {values.max():.3g} with a median of {median:.3g}, "
        f"which looks like {wanted.hint}"
    )
