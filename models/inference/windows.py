"""Windows read ahead, predicted in batches, blended into rows; memory follows the grid's width."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, Protocol, TypeVar

from odc.geo.geobox import GeoBox

from geo.raster.windows import Lattice, RowBand, RowMosaic, Window, lattice
from geo.types import CodeArray, FloatArray

READERS = 2
"""Threads that read ahead of the model; decoding is what they wait for, each on its own handle."""
IN_FLIGHT = 2 * READERS
"""Windows that wait for the model, or for their reader."""

Seen = TypeVar("Seen")


class ProgressReceiver(Protocol):
    """Whoever wants to know how far the work is."""

    def start(self, label: str, total: int) -> None:
        """Say what begins and how many windows it has."""

    def advance(self, n: int = 1, /) -> None:
        """Say that windows are done."""

    def finish(self) -> None:
        """Say that it is over."""


class NoProgress:
    """Says nothing."""

    def start(self, label: str, total: int) -> None: ...

    def advance(self, n: int = 1, /) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class WindowSource(Generic[Seen]):
    """Whoever reads windows, and predicts there."""

    window_px: int
    overlap_px: int
    layers: tuple[int, int]
    """How many layers of probabilities, and how many of codes, a prediction has."""
    read: Callable[[GeoBox], Seen]
    """Reads one window; safe in several threads."""
    predict: Callable[[Sequence[Seen]], Sequence[tuple[FloatArray, CodeArray]]]
    """Returns probabilities and codes of windows of one shape, (layers, rows, cols) each."""
    batch: int = 1


def row_bands(
    source: WindowSource[Seen], geobox: GeoBox, *, title: str, progress: ProgressReceiver
) -> Iterator[RowBand]:
    """Yield finished rows from the top, each band as soon as no window to come touches it."""
    rows, cols = geobox.shape
    grid = lattice((rows, cols), size=source.window_px, overlap=source.overlap_px)
    layers, codes = source.layers
    height = min(source.window_px, rows)
    mosaic = RowMosaic(width=cols, window_rows=height, layers=layers, code_layers=codes)
    progress.start(title, len(grid))
    ahead = windows_ahead(source, grid, geobox)
    for number, span in enumerate(grid.rows):
        for start in range(0, len(grid.cols), source.batch):
            size = min(source.batch, len(grid.cols) - start)
            batch = [next(ahead) for _ in range(size)]
            answers = source.predict([seen for _, seen in batch])
            for (window, _), answer in zip(batch, answers, strict=True):
                mosaic.feed(window, *answer)
            progress.advance(size)
        last = number == len(grid.rows) - 1
        yield mosaic.drain(span.stop if last else grid.rows[number + 1].start)


def windows_ahead(
    source: WindowSource[Seen], grid: Lattice, geobox: GeoBox
) -> Iterator[tuple[Window, Seen]]:
    """Yield the windows of a grid with what is read there, in rows from the top.

    Each thread reads one side of the grid: a handle finds again only what it decoded itself.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(READERS)]
        waiting: deque[tuple[Window, Future[Seen]]] = deque()
        for side, window in _in_turns(grid):
            waiting.append((window, sides[side].submit(source.read, geobox[window.slices])))
            if len(waiting) > IN_FLIGHT:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _in_turns(grid: Lattice) -> Iterator[tuple[int, Window]]:
    """Yield the windows, each with the number of its side."""
    width = -(-len(grid.cols) // READERS)
    sides = [grid.cols[start : start + width] for start in range(0, len(grid.cols), width)]
    for rows in grid.rows:
        for turn in zip_longest(*sides):
            for side, cols in enumerate(turn):
                if cols is not None:
                    yield side, Window(rows, cols)
