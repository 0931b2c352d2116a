"""Windows that are read ahead of the model."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import zip_longest

from odc.geo.geobox import GeoBox

from geo.windows import Lattice, Window
from models.reader import Reader, Seen, read

READERS = 2
"""Threads that read ahead of the model; decoding is what they wait for, each on its own handle."""
IN_FLIGHT = 2 * READERS
"""Windows that wait for the model, or for their reader."""


def windows_ahead(reader: Reader, grid: Lattice, geobox: GeoBox) -> Iterator[tuple[Window, Seen]]:
    """Yield the windows of a grid with what is seen there, in rows from the top.

    Each thread reads one side of the grid: windows that lie beside each other share blocks
    of a file, and a handle finds again only what it decoded itself. The sides take turns
    along a row.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(READERS)]
        waiting: deque[tuple[Window, Future[Seen]]] = deque()
        for side, window in _in_turns(grid):
            waiting.append((window, sides[side].submit(read, reader, geobox[window.slices])))
            if len(waiting) > IN_FLIGHT:
                yield _done(waiting)
        while waiting:
            yield _done(waiting)


def _in_turns(grid: Lattice) -> Iterator[tuple[int, Window]]:
    """Yield the windows, each with the number of its side."""
    width = -(-len(grid.cols) // READERS)
    sides = [grid.cols[start : start + width] for start in range(0, len(grid.cols), width)]
    for rows in grid.rows:
        for turn in zip_longest(*sides):
            for side, cols in enumerate(turn):
                if cols is not None:
                    yield side, Window(rows, cols)


def _done(waiting: deque[tuple[Window, Future[Seen]]]) -> tuple[Window, Seen]:
    window, future = waiting.popleft()
    return window, future.result()
