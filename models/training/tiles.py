"""Samples as the tensors of a network, in the channels of its card."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from geo.raster import BoolArray, FloatArray
from models.card import ModelCard
from models.data.sample import LabelledSet, Sample, fill_slots, inputs_of
from models.errors import DataInvalid
from models.inputs import Inputs, answered, select, stack
from models.scene_statistics import scene_levels
from models.slot import BandStatistics, CardInput
from models.survey import Survey
from models.terms import InputPhase
from models.training.config import CardPlan, Doubt, same_image
from models.training.doubt import believed
from models.training.targets import targets
from models.units import ValueSample

STATISTICS_SAMPLES = 200
"""Samples, spread over a set, that the statistics of its bands are taken from."""
_EVERY = 7
"""Of their pixels, one in so many: no divisor of a tile's width, so no column is favoured."""


@dataclass(frozen=True)
class Layout:
    """Which channels of the network belong to which slot."""

    bands: dict[str, slice]
    flags: dict[str, int]
    """Channel that is 1 where the slot was observed; empty where the network has none."""
    after: tuple[int, ...]
    """Numbers of the slots after the event: where none was seen there is nothing to learn."""
    pairs: tuple[tuple[int, int], ...] = ()
    """Numbers of the slots before and after that the same sensor fills with the same bands."""

    @classmethod
    def of(cls, card_inputs: tuple[CardInput, ...], *, availability: bool) -> "Layout":
        """Return the layout that `models.inputs.stack` produces."""
        bands: dict[str, slice] = {}
        start = 0
        for entry in card_inputs:
            bands[entry.slot] = slice(start, start + len(entry.bands))
            start += len(entry.bands)
        flags = {entry.slot: start + i for i, entry in enumerate(card_inputs)}
        after = tuple(
            i for i, entry in enumerate(card_inputs) if entry.phase is not InputPhase.BEFORE
        )
        return cls(bands, flags if availability else {}, after, _pairs(card_inputs))

    def answered(self, seen: torch.Tensor) -> torch.Tensor:
        """Return where a slot after the event was seen, (rows, cols), of (slots, rows, cols)."""
        return seen[list(self.after)].any(dim=0)


@dataclass(frozen=True)
class Tile:
    """One labelled tile, normalised."""

    channels: torch.Tensor
    """(channels, rows, cols), float16: half the memory, and finer than the imagery."""
    seen: torch.Tensor
    """(slots, rows, cols), bool; True where the slot was observed."""
    target: torch.Tensor
    """(findings, rows, cols), bool; see `models.training.targets`."""
    known: torch.Tensor
    """(findings, rows, cols), bool; False is neither learned nor scored."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(part.nbytes for part in (self.channels, self.seen, self.target, self.known))


def tile_of(
    card: ModelCard, sample: Sample, *, filled: Mapping[str, str], doubt: Doubt | None
) -> Tile:
    """Return a sample as a tile, a scene of its own.

    Args:
        card: of what learns.
        sample: of a set.
        filled: see `models.data.sample.fill_slots`.
        doubt: of its labels.
    """
    inputs = inputs_of(sample, filled)
    target, known = targets(sample, card.class_names)
    usable = answered(card, inputs) & believed(sample, doubt)
    return Tile(
        channels=torch.from_numpy(stack(card, [inputs], _survey(card, inputs))[0]).half(),
        seen=torch.from_numpy(_seen(card, inputs, sample.target.shape)),
        target=torch.from_numpy(target),
        known=torch.from_numpy(known & usable),
    )


def statistics(plan: CardPlan, labelled: LabelledSet) -> dict[str, tuple[BandStatistics, ...]]:
    """Return what the values of each band are, by slot, in physical units.

    Raises:
        InputsMismatch: where the images of the set are not what the plan wants.
        DataInvalid: where a sample cannot be read, or a band has no value.
    """
    filled = fill_slots(plan.inputs, labelled.kinds, model=plan.name)
    wanted = min(len(labelled), STATISTICS_SAMPLES)
    spread = np.linspace(0, len(labelled) - 1, wanted).round().astype(int)
    kept: dict[str, list[FloatArray]] = {slot: [] for slot in filled}
    for sample in (labelled[int(index)] for index in spread):
        for entry in plan.inputs:
            if entry.slot in filled:
                raster = sample.images[filled[entry.slot]]
                kept[entry.slot].append(select(entry, raster)[:, raster.valid][:, ::_EVERY])
    return {
        slot: tuple(_statistics(row, slot=slot) for row in np.concatenate(parts, axis=1))
        for slot, parts in kept.items()
    }


def _pairs(card_inputs: tuple[CardInput, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (before, after)
        for before, one in enumerate(card_inputs)
        for after, other in enumerate(card_inputs)
        if one.phase is InputPhase.BEFORE
        and other.phase is InputPhase.AFTER
        and same_image(one, other)
    )


def _statistics(values: FloatArray, *, slot: str) -> BandStatistics:
    if not values.size:
        raise DataInvalid(f"not one pixel of the images for {slot} is valid; check their nodata")
    low, middle, high = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return BandStatistics(
        mean=float(values.mean()),
        std=float(values.std()) or 1.0,
        percentiles=(low, middle, high),
    )


def _survey(card: ModelCard, inputs: Inputs) -> Survey:
    values = ValueSample(card)
    values.feed(inputs)
    return Survey(levels=scene_levels(card, values))


def _seen(card: ModelCard, inputs: Inputs, shape: tuple[int, ...]) -> BoolArray:
    nothing = np.zeros(shape, bool)
    rasters = (inputs.get(entry.slot) for entry in card.inputs)
    return np.stack([nothing if raster is None else raster.valid for raster in rasters])
