"""Blend windows into row bands, in memory that depends on the width and not on the height."""

from dataclasses import dataclass

import numpy as np

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
        weighted = np.nan_to_num(values, nan=0.0) * window.weight
        self._values[:, rows, cols] += weighted
        own_rows = slice(window.rows.core_start - self._top, window.rows.core_stop - self._top)
        own_cols = slice(window.cols.core_start, window.cols.core_stop)
        self._codes[:, own_rows, own_cols] = codes[:, window.rows.core, window.cols.core]

    def drain(self, upto: int) -> RowBand:
        """Hand out the rows above `upto`, which no window to come may touch."""
        count = upto - self._top
        band = RowBand(self._top, self._values[:, :count].copy(), self._codes[:, :count].copy())
        for store in (self._values, self._codes):
            kept = store.shape[1] - count
            store[:, :kept] = store[:, count:].copy()
            store[:, kept:] = 0
        self._top = upto
        return band
