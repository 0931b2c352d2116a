"""Windows with overlap over a grid, blended into row bands by weights that sum to one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.types import CodeArray, FloatArray


@dataclass(frozen=True, eq=False)
class Span:
    """One window along one axis, in pixels of the grid."""

    start: int
    stop: int
    core_start: int
    """First pixel that no other span owns; the cores of an axis tile it without gaps."""
    core_stop: int
    weight: FloatArray
    """(stop - start,); the weights of all spans at a pixel sum to one."""

    @property
    def core(self) -> slice:
        """The core in the span's own pixels."""
        return slice(self.core_start - self.start, self.core_stop - self.start)


@dataclass(frozen=True, eq=False)
class Window:
    """A rectangle of the grid: read whole, blended by weight, owned at its core."""

    rows: Span
    cols: Span

    @property
    def weight(self) -> FloatArray:
        """(rows, cols); over all windows of the grid the weights of a pixel sum to one."""
        weight: FloatArray = self.rows.weight[:, None] * self.cols.weight[None, :]
        return weight

    @property
    def slices(self) -> tuple[slice, slice]:
        """The whole window, in pixels of the grid."""
        return slice(self.rows.start, self.rows.stop), slice(self.cols.start, self.cols.stop)


@dataclass(frozen=True, eq=False)
class Lattice:
    """All windows of a grid, in rows from the top."""

    rows: tuple[Span, ...]
    cols: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def __iter__(self) -> Iterator[Window]:
        return (Window(rows, cols) for rows in self.rows for cols in self.cols)


def lattice(shape: tuple[int, int], *, size: int, overlap: int) -> Lattice:
    """Cover a grid with square windows.

    Args:
        size: side of a window, pixels; a shorter axis gets one shorter window.
        overlap: pixels that neighbours share at least; the last window ends with the grid.

    Raises:
        ValueError: unless 0 <= overlap <= size / 2.
    """
    if not 0 <= 2 * overlap <= size:
        raise ValueError(f"overlap is {overlap} px of a window of {size} px; at most half fits")
    rows, cols = shape
    return Lattice(
        _spans(rows, size=size, overlap=overlap), _spans(cols, size=size, overlap=overlap)
    )


def _spans(length: int, *, size: int, overlap: int) -> tuple[Span, ...]:
    starts = list(range(0, max(1, length - overlap), size - overlap))
    starts = sorted({max(0, min(start, length - size)) for start in starts})
    stops = [min(start + size, length) for start in starts]
    cuts = [(a + b) // 2 for a, b in zip(starts[1:], stops[:-1], strict=True)]
    ramps = [
        _ramp(start, stop, first=start == 0, last=stop == length, overlap=overlap)
        for start, stop in zip(starts, stops, strict=True)
    ]
    total = np.zeros(length, np.float64)
    for start, stop, ramp in zip(starts, stops, ramps, strict=True):
        total[start:stop] += ramp
    edges = [0, *cuts, length]
    return tuple(
        Span(start, stop, low, high, (ramp / total[start:stop]).astype(np.float32))
        for start, stop, ramp, low, high in zip(
            starts, stops, ramps, edges[:-1], edges[1:], strict=True
        )
    )


def _ramp(
    start: int, stop: int, *, first: bool, last: bool, overlap: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return a trapezoid: linear over the overlap, flat inside and at the grid's own edge."""
    position = np.arange(stop - start, dtype=np.float64) + 0.5
    width = max(overlap, 1)
    ramp = np.ones(stop - start)
    if not first:
        ramp = np.minimum(ramp, position / width)
    if not last:
        ramp = np.minimum(ramp, position[::-1] / width)
    return ramp


@dataclass(frozen=True, eq=False)
class RowBand:
    """Finished rows of the mosaic, the whole width."""

    start: int
    """First row, in pixels of the grid."""
    values: FloatArray
    """(layers, rows, width); blended."""
    codes: CodeArray
    """(code layers, rows, width); each pixel from the window that owns it."""

    @property
    def stop(self) -> int:
        """One past the last row."""
        return self.start + int(self.codes.shape[1])

    def strips(self, rows: int) -> Iterator["RowBand"]:
        """Yield copies of at most so many rows at a time, from the top."""
        for top in range(0, self.codes.shape[1], rows):
            part = slice(top, top + rows)
            values, codes = self.values[:, part].copy(), self.codes[:, part].copy()
            yield RowBand(self.start + top, values, codes)


class RowMosaic:
    """Gathers windows row by row: values are blended, codes are of the window that owns them."""

    def __init__(self, *, width: int, window_rows: int, layers: int, code_layers: int) -> None:
        self._top = 0
        self._values = np.zeros((layers, window_rows, width), np.float32)
        self._codes = np.zeros((code_layers, window_rows, width), np.uint8)

    def feed(self, window: Window, values: FloatArray, codes: CodeArray) -> None:
        """Add values, (layers, rows, cols), NaN as 0, and codes, (code layers, rows, cols)."""
        rows = slice(window.rows.start - self._top, window.rows.stop - self._top)
        _, cols = window.slices
        weighted = values * window.weight
        np.copyto(weighted, np.float32(0), where=np.isnan(weighted))
        self._values[:, rows, cols] += weighted
        own_rows = slice(window.rows.core_start - self._top, window.rows.core_stop - self._top)
        own_cols = slice(window.cols.core_start, window.cols.core_stop)
        self._codes[:, own_rows, own_cols] = codes[:, window.rows.core, window.cols.core]

    def drain(self, upto: int) -> RowBand:
        """Hand out the rows above `upto`, which no window to come may touch."""
        count = upto - self._top
        band = RowBand(self._top, self._values[:, :count], self._codes[:, :count])
        self._values = _moved_up(self._values, count)
        self._codes = _moved_up(self._codes, count)
        self._top = upto
        return band


def _moved_up(store: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return the rows from `count` on, with zeros below; what was handed out stays as it is."""
    moved = np.zeros(store.shape, store.dtype)
    moved[:, : store.shape[1] - count] = store[:, count:]
    return moved
