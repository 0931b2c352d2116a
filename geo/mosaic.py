"""Blend windows into row bands, in memory that depends on the width and not on the height."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.raster import CodeArray, FloatArray
from geo.windows import Window


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
    """Gathers the windows of a lattice, row by row, and hands out rows that are complete.

    Values are blended by weight; codes (validity, origin) cannot be averaged and are taken
    from the window whose core holds the pixel.
    """

    def __init__(self, *, width: int, window_rows: int, layers: int, code_layers: int) -> None:
        self._top = 0
        self._values = np.zeros((layers, window_rows, width), np.float32)
        self._codes = np.zeros((code_layers, window_rows, width), np.uint8)

    def feed(self, window: Window, values: FloatArray, codes: CodeArray) -> None:
        """Add one window.

        Args:
            window: its place; no row of it may have been handed out already.
            values: (layers, rows, cols); NaN counts as zero, its pixel being not valid anyway.
            codes: (code layers, rows, cols).
        """
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
