"""From rasters to the arrays of a model, by the names and constants of its card."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from geo.classify import Label
from geo.raster import BoolArray, FloatArray, Raster
from geo.speckle import lee_decibel
from models.architecture import NetworkArchitecture
from models.card import ModelCard
from models.errors import InputsMismatch
from models.slot import CardInput
from models.survey import NOTHING_LEARNED, Survey

Inputs: TypeAlias = Mapping[str, Raster | None]
"""One window: the raster of each slot, None where there is no image for it."""


def select(entry: CardInput, raster: Raster) -> FloatArray:
    """Return the bands of a slot in the card's order, (bands, rows, cols).

    Radar bands lose their speckle where the card says so. `shape_of` has checked that the bands
    are there.
    """
    pixels = raster.pixels[[raster.bands.index(band) for band in entry.bands]]
    if entry.speckle is None:
        return pixels
    speckle = entry.speckle
    smooth = [lee_decibel(b, window_px=speckle.window_px, looks=speckle.looks) for b in pixels]
    return np.stack(smooth)


def shape_of(card: ModelCard, inputs: Inputs) -> tuple[int, int]:
    """Return (rows, cols) of a window, after checking that it fills the card's slots.

    Raises:
        InputsMismatch: where a required slot is empty, a slot is unknown, all are empty, a
            band is missing, or two rasters lie on different grids.
    """
    slots = {entry.slot for entry in card.inputs}
    unknown = sorted(inputs.keys() - slots)
    if unknown:
        raise InputsMismatch(
            f"{card.name} has the slots {', '.join(sorted(slots))}, not {', '.join(unknown)}"
        )
    empty = [e.slot for e in card.inputs if e.required and inputs.get(e.slot) is None]
    filled = [(e, raster) for e in card.inputs if (raster := inputs.get(e.slot)) is not None]
    rasters = [raster for _, raster in filled]
    if empty or not rasters:
        raise InputsMismatch(
            f"{card.name} needs an image for {', '.join(empty) or ' or '.join(sorted(slots))}"
        )
    for entry, raster in filled:
        _check_bands(entry, raster)
    if any(raster.geobox != rasters[0].geobox for raster in rasters):
        raise InputsMismatch(f"the images for {card.name} lie on different grids; use one grid")
    return rasters[0].valid.shape[0], rasters[0].valid.shape[1]


def trusted(raster: Raster, far: Collection[int]) -> Raster:
    """Return an image without the scenes that lie outside of the model's domain.

    Args:
        raster: of a slot.
        far: numbers of scenes, see `models.survey.Survey.far`.
    """
    if not far:
        return raster
    out = raster.valid & np.isin(raster.origin, list(far))
    return replace(
        raster,
        pixels=np.where(out, np.float32(np.nan), raster.pixels),
        valid=raster.valid & ~out,
        origin=np.where(out, np.uint8(0), raster.origin),
        reason=np.where(out, np.uint8(Label.OUT_OF_DOMAIN), raster.reason),
    )


def answered(card: ModelCard, inputs: Inputs) -> BoolArray:
    """Return where the model can answer, (rows, cols).

    That is where every required slot was observed, and at least one slot after the event: what
    lay there before says nothing of it.
    """
    seen = np.zeros(shape_of(card, inputs), bool)
    required = np.ones_like(seen)
    for entry in card.inputs:
        raster = inputs.get(entry.slot)
        if raster is None:
            continue
        if entry in card.after_inputs:
            seen |= raster.valid
        if entry.required:
            required &= raster.valid
    return seen & required


def stack(card: ModelCard, batch: Sequence[Inputs], survey: Survey = NOTHING_LEARNED) -> FloatArray:
    """Return windows of one shape as (n, channels, rows, cols), normalised by the card.

    The channels are the bands of the slots in the card's order, then, where the card asks
    for them, one channel a slot that is 1 where it was observed. Pixels that were not, and
    slots without an image, are 0, the mean of what the network learned from. The constants
    are the card's own or, where it says so, those of the whole scene: never of the window.

    Args:
        card: of a network.
        batch: windows.
        survey: of the scene that they belong to.

    Raises:
        InputsMismatch: where a window does not fill the slots, the shapes differ, or the survey
            lacks a level that the card asks for.
    """
    shapes = {shape_of(card, inputs) for inputs in batch}
    if len(shapes) != 1:
        raise InputsMismatch(f"a batch holds windows of one shape, not of {sorted(shapes)}")
    return np.stack([_channels(card, inputs, survey) for inputs in batch])


@dataclass(frozen=True)
class Channel:
    """What one channel of `stack` holds."""

    slot: str
    band: str | None
    """None: 1 where the slot was observed, else 0."""


def channels_of(card: ModelCard) -> tuple[Channel, ...]:
    """Return the channels of `stack`, in their order."""
    bands = [Channel(entry.slot, band) for entry in card.inputs for band in entry.bands]
    flags = [Channel(entry.slot, None) for entry in card.inputs]
    return tuple(bands + flags if _flagged(card) else bands)


def _flagged(card: ModelCard) -> bool:
    network = card.architecture
    return isinstance(network, NetworkArchitecture) and network.availability_channels


def _check_bands(entry: CardInput, raster: Raster) -> None:
    if len(set(raster.bands)) < len(raster.bands):
        raise InputsMismatch(
            f"{entry.slot}: a band is named twice in {', '.join(raster.bands)}; name each once"
        )
    missing = [band for band in entry.bands if band not in raster.bands]
    if missing:
        raise InputsMismatch(
            f"{entry.slot} wants the bands {', '.join(entry.bands)}; the image has "
            f"{', '.join(raster.bands)}, without {', '.join(missing)}"
        )


def _channels(card: ModelCard, inputs: Inputs, survey: Survey) -> FloatArray:
    shape = shape_of(card, inputs)
    bands: list[FloatArray] = []
    flags: list[FloatArray] = []
    for entry in card.inputs:
        raster = inputs.get(entry.slot)
        if raster is None:
            bands.append(np.zeros((len(entry.bands), *shape), np.float32))
            flags.append(np.zeros((1, *shape), np.float32))
        else:
            bands.append(_normalised(entry, raster, survey))
            flags.append(raster.valid[None].astype(np.float32))
    return np.concatenate(bands + flags if _flagged(card) else bands)


def _normalised(entry: CardInput, raster: Raster, survey: Survey) -> FloatArray:
    pixels = select(entry, raster)
    if not raster.valid.any():
        return np.zeros_like(pixels)
    mean, std = (
        np.asarray(values, np.float32)[:, None, None] for values in _constants(entry, survey)
    )
    scaled = pixels - mean
    scaled /= std
    return np.where(raster.valid & np.isfinite(scaled), scaled, np.float32(0))


def _constants(entry: CardInput, survey: Survey) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation by band."""
    if entry.normalised_by == "scene":
        levels = survey.levels.get(entry.slot)
        if levels is None:
            raise InputsMismatch(
                f"{entry.slot} is normalised by the whole scene, and the survey of the scene "
                "saw no value of it; survey windows that were observed"
            )
        return [level.mean for level in levels], [level.std for level in levels]
    return (entry.mean or (0.0,) * len(entry.bands), entry.std or (1.0,) * len(entry.bands))
