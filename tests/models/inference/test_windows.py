"""The loop over windows: each window read and blended once, each side of the grid by one thread."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geo.raster.windows import lattice
from models.inference.windows import (
    READERS,
    NoProgress,
    WindowSource,
    row_bands,
    windows_ahead,
)


@dataclass(frozen=True)
class Places:
    """Windows whose values are the column and the row of their pixels; notes who read them."""

    overlap_px: int = 0
    batch: int = 1
    readers: dict[tuple[float, float], int] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    @property
    def source(self) -> WindowSource[Any]:
        """It as the loop wants it, in windows of 16 pixels."""
        return WindowSource(16, self.overlap_px, (2, 1), self.read, self.predict, self.batch)

    def read(self, geobox: GeoBox) -> Any:
        """Return (2, rows, cols)."""
        left, top = geobox.affine.c, -geobox.affine.f
        self.readers[left, top] = threading.get_ident()
        rows, cols = np.indices(tuple(geobox.shape))
        return np.stack([cols + left, rows + top]).astype(np.float32)

    def predict(self, batch: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return what was read, and its column modulo 256 as code."""
        self.batches.append(len(batch))
        return [(seen, (seen[:1] % 256).astype(np.uint8)) for seen in batch]


def grid_of(rows: int, cols: int) -> GeoBox:
    """Return a grid with pixels of 1 m and its corner at 0, 0."""
    return GeoBox((rows, cols), Affine(1, 0, 0, 0, -1, 0), "EPSG:32633")


SIZES = {"rows": st.integers(1, 60), "cols": st.integers(1, 120), "overlap": st.integers(0, 8)}


@settings(max_examples=50, deadline=None)
@given(**SIZES)
def test_every_window_comes_once_with_its_own_pixels_and_rows_stay_in_order(
    rows: int, cols: int, overlap: int
) -> None:
    grid = lattice((rows, cols), size=16, overlap=overlap)
    came = list(windows_ahead(Places().source, grid, grid_of(rows, cols)))
    places = [(window.rows.start, window.cols.start) for window, _ in came]
    assert sorted(places) == [(w.rows.start, w.cols.start) for w in grid]
    assert [row for row, _ in places] == sorted(row for row, _ in places)
    for window, seen in came:
        assert tuple(seen[::-1, 0, 0]) == (window.rows.start, window.cols.start)


@settings(max_examples=50, deadline=None)
@given(batch=st.integers(1, 5), **SIZES)
def test_bands_cover_the_grid_and_overlaps_leave_no_trace(
    rows: int, cols: int, overlap: int, batch: int
) -> None:
    source = Places(overlap_px=overlap, batch=batch)
    bands = list(row_bands(source.source, grid_of(rows, cols), title="x", progress=NoProgress()))
    assert [band.start for band in bands] == [0, *(band.stop for band in bands[:-1])]
    values = np.concatenate([band.values for band in bands], axis=1)
    codes = np.concatenate([band.codes for band in bands], axis=1)
    down, right = np.indices((rows, cols))
    np.testing.assert_allclose(values, np.stack([right, down]), atol=1e-3)
    np.testing.assert_array_equal(codes[0], right)
    assert max(source.batches) <= batch


def test_a_thread_reads_windows_that_lie_beside_each_other() -> None:
    source = Places()
    grid = lattice((64, 160), size=16, overlap=0)
    list(windows_ahead(source.source, grid, grid_of(64, 160)))
    columns: dict[int, set[float]] = {}
    for (left, _), thread in source.readers.items():
        columns.setdefault(thread, set()).add(left)
    assert len(columns) == READERS
    assert sorted(map(sorted, columns.values())) == [
        [0.0, 16.0, 32.0, 48.0, 64.0],
        [80.0, 96.0, 112.0, 128.0, 144.0],
    ]


def test_a_failure_to_read_reaches_the_loop() -> None:
    class Broken(Places):
        def read(self, geobox: GeoBox) -> Any:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        list(windows_ahead(Broken().source, lattice((40, 40), size=16, overlap=0), grid_of(40, 40)))
