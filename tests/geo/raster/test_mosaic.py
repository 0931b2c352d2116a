"""Windows blended into row bands: the oracle is the whole mosaic in memory."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.raster.windows import RowBand, RowMosaic, lattice


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 70), cols=st.integers(1, 70),
    overlap=st.integers(0, 8), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_row_bands_are_the_rows_of_the_whole_mosaic(
    rows: int, cols: int, overlap: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    grid = lattice((rows, cols), size=16, overlap=overlap)
    mosaic = RowMosaic(width=cols, window_rows=min(16, rows), layers=2, code_layers=1)
    values, codes = np.zeros((2, rows, cols)), np.zeros((1, rows, cols), np.uint8)
    bands: list[RowBand] = []
    for number, span in enumerate(grid.rows):
        for window in (w for w in grid if w.rows is span):
            shape = span.stop - span.start, window.cols.stop - window.cols.start
            seen = rng.random((2, *shape), np.float32)
            seen[rng.random(seen.shape) < 0.1] = np.nan
            code = rng.integers(0, 255, (1, *shape), np.uint8)
            mosaic.feed(window, seen, code)
            values[(slice(None), *window.slices)] += np.nan_to_num(seen) * window.weight
            own_rows = slice(window.rows.core_start, window.rows.core_stop)
            own_cols = slice(window.cols.core_start, window.cols.core_stop)
            codes[:, own_rows, own_cols] = code[:, window.rows.core, window.cols.core]
        last = number == len(grid.rows) - 1
        bands.append(mosaic.drain(rows if last else grid.rows[number + 1].start))
    # Only now: what was handed out must not change while later windows come in.
    strips = [strip for band in bands for strip in band.strips(5)]
    np.testing.assert_allclose(np.concatenate([s.values for s in strips], 1), values, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([s.codes for s in strips], 1), codes)
    assert [strip.start for strip in strips] == [0, *(strip.stop for strip in strips[:-1])]
