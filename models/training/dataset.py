"""Samples as the tensors of a network, in the channels of its card.

The tiles of a set: those that there is room for in memory, the others read when they are due.

What a network should answer of a sample: a yes or no for every class of its card.

Labels that contradict the picture that they are of.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from geo.raster.classify import Finding
from geo.raster.indices import mndwi, ndwi
from geo.types import BoolArray, FloatArray, Raster
from models.cards.card import ModelCard
from models.cards.inputs import DAMAGE_STEPS, UNCLASSIFIED, BandStatistics, CardInput, InputPhase
from models.datasets.base import LabelledSet, Sample, fill_inputs, inputs_of
from models.errors import DataInvalid, InputsMismatch
from models.inference.windows import ProgressReceiver
from models.networks.tensors import (
    Inputs,
    SceneStatistics,
    ValueSample,
    scene_levels,
    select,
    stack,
    usable_pixels,
)
from models.training.config import CardPlan, Doubt, same_image

_BANDS = {"ndwi": ("green", "nir"), "mndwi": ("green", "swir16")}


def believed(sample: Sample, doubt: Doubt | None) -> BoolArray:
    """Return where the label of a sample is believed, (rows, cols).

    Where the index is not defined, or no image has its bands valid, the label is believed.

    Raises:
        DataInvalid: where no image of the sample has the bands of the index.
    """
    if doubt is None:
        return np.ones_like(sample.target)
    image = _image_for(sample, doubt)
    value = _index(image, doubt)
    contradicted = np.where(sample.target, value < doubt.wet_below, value > doubt.dry_above)
    believed: BoolArray = ~(contradicted & image.valid)
    return believed


def _image_for(sample: Sample, doubt: Doubt) -> Raster:
    wanted = _BANDS[doubt.index]
    for image in sample.images.values():
        if set(wanted) <= set(image.bands):
            return image
    raise DataInvalid(
        f"labels are doubted by {doubt.index}, which needs {' and '.join(wanted)}; the images of "
        f"{sample.name} have {'; '.join(', '.join(i.bands) for i in sample.images.values())}"
    )


def _index(image: Raster, doubt: Doubt) -> FloatArray:
    green, other = (image.pixels[image.bands.index(band)] for band in _BANDS[doubt.index])
    return ndwi(green, other) if doubt.index == "ndwi" else mndwi(green, other)


def targets(sample: Sample, findings: Sequence[Finding]) -> tuple[BoolArray, BoolArray]:
    """Return where each finding is, and where that is known; (findings, rows, cols) both.

    A grade means so bad or worse, and is known where there is a graded building. The first
    finding is what the sample was labelled for.

    Raises:
        InputsMismatch: where grades are asked for and the sample has none, or the other way round
            buildings are labelled and something else is to be learned.
    """
    if sample.grades is not None and findings[0] is not Finding.BUILDING:
        raise InputsMismatch(
            f"the labels of {sample.name} are buildings, and {findings[0]} is to be learned; give "
            f"labels of {findings[0]}"
        )
    found, known = [sample.target], [sample.known]
    for finding in findings[1:]:
        if sample.grades is None or finding not in DAMAGE_STEPS:
            raise InputsMismatch(
                f"the labels of {sample.name} do not say {finding}; they have "
                f"{'building and grades' if sample.grades is not None else 'no grades'}"
            )
        graded = sample.known & (sample.grades > 0) & (sample.grades != UNCLASSIFIED)
        found.append(graded & (sample.grades > 1 + DAMAGE_STEPS.index(finding)))
        known.append(graded)
    return np.stack(found), np.stack(known)


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
        """Return the layout that `models.networks.tensors.stack` produces."""
        bands: dict[str, slice] = {}
        start = 0
        for entry in card_inputs:
            bands[entry.name] = slice(start, start + len(entry.bands))
            start += len(entry.bands)
        flags = {entry.name: start + i for i, entry in enumerate(card_inputs)}
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
    """(findings, rows, cols), bool; see `models.training.dataset`."""
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
        filled: see `models.datasets.base.fill_inputs`.
        doubt: of its labels.
    """
    inputs = inputs_of(sample, filled)
    target, known = targets(sample, card.class_names)
    usable = usable_pixels(card, inputs) & believed(sample, doubt)
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
    filled = fill_inputs(plan.inputs, labelled.kinds, model=plan.name)
    wanted = min(len(labelled), STATISTICS_SAMPLES)
    spread = np.linspace(0, len(labelled) - 1, wanted).round().astype(int)
    kept: dict[str, list[FloatArray]] = {slot: [] for slot in filled}
    for sample in (labelled[int(index)] for index in spread):
        for entry in plan.inputs:
            if entry.name in filled:
                raster = sample.images[filled[entry.name]]
                kept[entry.name].append(select(entry, raster)[:, raster.valid][:, ::_EVERY])
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


def _survey(card: ModelCard, inputs: Inputs) -> SceneStatistics:
    values = ValueSample(card)
    values.feed(inputs)
    return SceneStatistics(levels=scene_levels(card, values))


def _seen(card: ModelCard, inputs: Inputs, shape: tuple[int, ...]) -> BoolArray:
    nothing = np.zeros(shape, bool)
    rasters = (inputs.get(entry.name) for entry in card.inputs)
    return np.stack([nothing if raster is None else raster.valid for raster in rasters])


READERS = 8
"""Threads that read tiles ahead of the training; decoding is what they wait for."""
IN_FLIGHT = 4 * READERS
"""Tiles that wait for the training, or for their reader."""


class TileSet(Protocol):
    """Tiles by number; a tuple of them is one."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, index: int, /) -> Tile:
        """Return a tile."""
        ...


class Stock:
    """The tiles of a set, each a scene of its own; safe in several threads.

    A pair of 1024 px with four answers takes 23 MB: the 9,168 pairs to learn from in xBD would
    take 210 GB.
    """

    def __init__(self, card: ModelCard, labelled: LabelledSet, *, doubt: Doubt | None) -> None:
        """Read nothing yet.

        Raises:
            InputsMismatch: where the images of the set are not what the card wants.
        """
        self._card = card
        self._labelled = labelled
        self._doubt = doubt
        self._filled = fill_inputs(card.inputs, labelled.kinds, model=card.name)
        self._kept: list[Tile] = []

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self._labelled)

    def __getitem__(self, index: int, /) -> Tile:
        """Return a tile, read anew where it is not kept.

        Raises:
            DataInvalid: where its sample cannot be read.
        """
        if index < len(self._kept):
            return self._kept[index]
        sample = self._labelled[index]
        return tile_of(self._card, sample, filled=self._filled, doubt=self._doubt)

    def keep(self, *, room: float, progress: ProgressReceiver) -> float:
        """Read the tiles from the first on and keep them, as many as fit.

        Args:
            room: bytes.
            progress: told the tiles.

        Returns:
            The bytes that are left.

        Raises:
            DataInvalid: where a sample cannot be read.
        """
        for index in range(len(self._kept), len(self)):
            tile = self[index]
            if tile.size > room:
                break
            room -= tile.size
            self._kept.append(tile)
            progress.advance(1)
        return room


@dataclass(frozen=True)
class Mixture:
    """Several sets of tiles as one."""

    parts: tuple[TileSet, ...]
    """A set that is named twice is gone over twice."""

    def __len__(self) -> int:
        """Return how many tiles there are, repeated ones as often as they are."""
        return sum(map(len, self.parts))

    def __getitem__(self, index: int, /) -> Tile:
        """Return a tile."""
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def ahead(tiles: TileSet, order: Sequence[int]) -> Iterator[Tile]:
    """Yield tiles in an order, read by threads while the ones before them are learned from."""
    with ThreadPoolExecutor(READERS) as readers:
        waiting: deque[Future[Tile]] = deque()
        for index in order:
            waiting.append(readers.submit(tiles.__getitem__, index))
            if len(waiting) >= IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
