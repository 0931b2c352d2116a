"""Every pixel is covered once by cores and to one by weights; blending keeps a constant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.raster.windows import RowMosaic, lattice

shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))
sizes = st.integers(4, 96).flatmap(lambda s: st.tuples(st.just(s), st.integers(0, s // 2)))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, geometry=sizes)
def test_cores_tile_the_grid_and_weights_sum_to_one(
    shape: tuple[int, int], geometry: tuple[int, int]
) -> None:
    size, overlap = geometry
    owned = np.zeros(shape, int)
    weight = np.zeros(shape)
    for window in lattice(shape, size=size, overlap=overlap):
        rows, cols = window.rows, window.cols
        owned[rows.core_start : rows.core_stop, cols.core_start : cols.core_stop] += 1
        weight[window.slices] += window.weight
    assert (owned == 1).all()
    np.testing.assert_allclose(weight, 1, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, geometry=sizes, seed=st.integers(0, 2**16))
def test_blending_windows_of_one_image_returns_the_image(
    shape: tuple[int, int], geometry: tuple[int, int], seed: int
) -> None:
    size, overlap = geometry
    image = np.random.default_rng(seed).random((2, *shape), dtype=np.float32)
    codes = (image[:1] * 200).astype(np.uint8)
    grid = lattice(shape, size=size, overlap=overlap)
    mosaic = RowMosaic(width=shape[1], window_rows=size, layers=2, code_layers=1)
    bands = []
    for index, rows in enumerate(grid.rows):
        for window in (w for w in grid if w.rows is rows):
            part = (slice(None), *window.slices)
            mosaic.feed(window, image[part], codes[part])
        last = index == len(grid.rows) - 1
        bands.append(mosaic.drain(shape[0] if last else grid.rows[index + 1].start))
    values = np.concatenate([band.values for band in bands], axis=1)
    np.testing.assert_allclose(values, image, rtol=1e-5, atol=1e-6)
    assert np.array_equal(np.concatenate([band.codes for band in bands], axis=1), codes)


def test_all_windows_keep_their_size_on_a_larger_grid() -> None:
    grid = lattice((1000, 700), size=256, overlap=64)
    assert {(w.rows.stop - w.rows.start, w.cols.stop - w.cols.start) for w in grid} == {(256, 256)}


def test_an_overlap_beyond_half_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at most half"):
        lattice((100, 100), size=32, overlap=17)
