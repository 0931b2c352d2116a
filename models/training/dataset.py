"""Labelled samples as the tensors of a network: channels, targets, and the tiles of a training."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from geo.raster.classify import Finding
from geo.raster.indices import mndwi, ndwi
from geo.types import BoolArray
from models.cards.card import ModelCard
from models.cards.inputs import DAMAGE_STEPS, UNCLASSIFIED, CardInput, InputPhase
from models.datasets.base import LabelledSet, Sample, fill_inputs, inputs_of
from models.errors import DataInvalid, InputsMismatch
from models.inference.windows import ProgressReceiver
from models.networks.tensors import (
    SceneStatistics,
    ValueSample,
    scene_levels,
    stack,
    usable_pixels,
)
from models.training.config import LabelFilter, same_image

_INDEX_BANDS = {"ndwi": ("green", "nir"), "mndwi": ("green", "swir16")}


def accepted_labels(sample: Sample, label_filter: LabelFilter | None) -> BoolArray:
    """Return where a label passes a filter, (rows, cols), or its index is not defined."""
    if label_filter is None:
        return np.ones_like(sample.target)
    bands = _INDEX_BANDS[label_filter.index]
    image = next((i for i in sample.images.values() if set(bands) <= set(i.bands)), None)
    if image is None:
        raise DataInvalid(
            f"labels are filtered by {label_filter.index}, which needs {' and '.join(bands)}; the "
            f"images of {sample.name} have "
            f"{'; '.join(', '.join(i.bands) for i in sample.images.values())}"
        )
    index = {"ndwi": ndwi, "mndwi": mndwi}[label_filter.index]
    value = index(*(image.band(name) for name in bands))
    dry, wet = value < label_filter.wet_below, value > label_filter.dry_above
    return ~(np.where(sample.target, dry, wet) & image.valid)


def targets(sample: Sample, findings: Sequence[Finding]) -> tuple[BoolArray, BoolArray]:
    """Return where each finding is, and where that is known; (findings, rows, cols) both."""
    # A grade means so bad or worse, and is known where there is a graded building.
    if sample.grades is not None and findings[0] is not Finding.BUILDING:
        raise InputsMismatch(
            f"the labels of {sample.name} are buildings, and the card finds {findings[0]}; give "
            f"labels of {findings[0]}"
        )
    found, known = [sample.target], [sample.known]
    for finding in findings[1:]:
        if sample.grades is None or finding not in DAMAGE_STEPS:
            raise InputsMismatch(
                f"the labels of {sample.name} do not have {finding}; they have "
                f"{'building and grades' if sample.grades is not None else 'no grades'}"
            )
        graded = sample.known & (sample.grades > 0) & (sample.grades != UNCLASSIFIED)
        found.append(graded & (sample.grades > 1 + DAMAGE_STEPS.index(finding)))
        known.append(graded)
    return np.stack(found), np.stack(known)


@dataclass(frozen=True)
class Layout:
    """Which channels of the network belong to which input."""

    bands: dict[str, slice]
    flags: dict[str, int]
    """Channel that is 1 where the input was observed; empty where the network has none."""
    after: tuple[int, ...]
    """Numbers of the inputs after the event: without any of them a pixel has no label."""
    pairs: tuple[tuple[int, int], ...] = ()
    """Numbers of the inputs before and after that are of the same sensor and bands."""

    @classmethod
    def of(cls, card_inputs: tuple[CardInput, ...], *, availability: bool) -> "Layout":
        """Return the layout that `models.networks.tensors.stack` produces."""
        bands: dict[str, slice] = {}
        start = 0
        for entry in card_inputs:
            bands[entry.name] = slice(start, start + len(entry.bands))
            start += len(entry.bands)
        flags = {entry.name: start + i for i, entry in enumerate(card_inputs)}
        numbered = list(enumerate(card_inputs))
        after = tuple(i for i, entry in numbered if entry.phase is not InputPhase.BEFORE)
        pairs = tuple(
            (i, j)
            for i, one in numbered
            for j, other in numbered
            if (one.phase, other.phase) == (InputPhase.BEFORE, InputPhase.AFTER)
            and same_image(one, other)
        )
        return cls(bands, flags if availability else {}, after, pairs)

    def usable(self, observed: torch.Tensor) -> torch.Tensor:
        """Return where an input after the event was observed, (rows, cols) of (inputs, ...)."""
        return observed[list(self.after)].any(dim=0)


@dataclass(frozen=True)
class Tile:
    """One labelled tile, normalised."""

    channels: torch.Tensor
    """(channels, rows, cols), float16: half the memory, and finer than the imagery."""
    observed: torch.Tensor
    """(inputs, rows, cols), bool; True where the input was observed."""
    target: torch.Tensor
    """(findings, rows, cols), bool; see `targets`."""
    known: torch.Tensor
    """(findings, rows, cols), bool; False is neither trained on nor scored."""

    @property
    def size(self) -> int:
        """Memory, bytes."""
        return sum(part.nbytes for part in (self.channels, self.observed, self.target, self.known))


def tile_of(
    card: ModelCard,
    sample: Sample,
    *,
    filled: Mapping[str, str],
    label_filter: LabelFilter | None,
) -> Tile:
    """Return a sample as a tile, normalised as a scene of its own."""
    inputs = inputs_of(sample, filled)
    target, known = targets(sample, card.class_names)
    usable = usable_pixels(card, inputs) & accepted_labels(sample, label_filter)
    rasters = (inputs.get(entry.name) for entry in card.inputs)
    observed = [np.zeros_like(known[0]) if r is None else r.valid for r in rasters]
    values = ValueSample(card)
    values.feed(inputs)
    statistics = SceneStatistics(levels=scene_levels(card, values))
    return Tile(
        channels=torch.from_numpy(stack(card, [inputs], statistics)[0]).half(),
        observed=torch.from_numpy(np.stack(observed)),
        target=torch.from_numpy(target),
        known=torch.from_numpy(known & usable),
    )


class TileSet(Protocol):
    """Tiles by number, such as a `torch.utils.data.ConcatDataset` of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Tile: ...


class TileDataset(torch.utils.data.Dataset[Tile]):
    """The tiles of a labelled set, some of them cached; safe in several threads."""

    def __init__(
        self, card: ModelCard, labelled: LabelledSet, *, label_filter: LabelFilter | None
    ) -> None:
        self._card = card
        self._labelled = labelled
        self._label_filter = label_filter
        self._filled = fill_inputs(card.inputs, labelled.kinds, model=card.name)
        self._cached: list[Tile] = []

    def __len__(self) -> int:
        return len(self._labelled)

    def __getitem__(self, index: int, /) -> Tile:
        if index < len(self._cached):
            return self._cached[index]
        sample = self._labelled[index]
        return tile_of(self._card, sample, filled=self._filled, label_filter=self._label_filter)

    def cache(self, *, room: float, progress: ProgressReceiver) -> float:
        """Read tiles from the first on, as many as fit into `room` bytes; return those left."""
        for index in range(len(self._cached), len(self)):
            tile = self[index]
            if tile.size > room:
                break
            room -= tile.size
            self._cached.append(tile)
            progress.advance(1)
        return room


READERS = 8
"""Threads that read tiles before they are needed; they wait for decoding."""
IN_FLIGHT = 4 * READERS
"""Tiles that are read and not used yet, or being read."""


def prefetch(tiles: TileSet, order: Sequence[int]) -> Iterator[Tile]:
    """Yield tiles in an order, read by threads while the ones before them are used."""
    with ThreadPoolExecutor(READERS) as readers:
        waiting: deque[Future[Tile]] = deque()
        for index in order:
            waiting.append(readers.submit(tiles.__getitem__, index))
            if len(waiting) >= IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
