"""The tiles of a set: those that there is room for in memory, the others read when they are due."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from models.card import ModelCard
from models.data.sample import LabelledSet, fill_slots
from models.mapping import Progress
from models.training.config import Doubt
from models.training.tiles import Tile, tile_of

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
        self._filled = fill_slots(card.inputs, labelled.kinds, model=card.name)
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

    def keep(self, *, room: float, progress: Progress) -> float:
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
