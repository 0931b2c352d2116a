"""Windows read ahead: all of them, row by row, each side of the grid by one thread."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geo.raster.windows import lattice
from geo.scenes.scene import Phase
from geo.types import Raster
from models.inference.map_scenes import READERS, windows_ahead
from models.inference.scene_inputs import CoverageOnly, SceneInput


@dataclass(frozen=True)
class Noted:
    """Stands for a mosaic: its pixels say where they lie, and it notes who read them."""

    readers: dict[tuple[float, float], int] = field(default_factory=dict)
    scenes: Sequence[object] = ()

    def read(self, geobox: GeoBox) -> Raster:
        """Return the left and upper edge of the window as its pixels."""
        corner = geobox.affine.c, geobox.affine.f
        self.readers[corner] = threading.get_ident()
        shape = tuple(geobox.shape)
        zeros = np.zeros(shape, np.uint8)
        pixels = np.stack([np.full(shape, value, np.float32) for value in corner])
        return Raster(pixels, zeros == 0, geobox, ("x", "y"), (), zeros, zeros)


def grid_of(rows: int, cols: int) -> GeoBox:
    """Return a grid with pixels of 1 m and its corner at 0, 0."""
    return GeoBox((rows, cols), Affine(1, 0, 0, 0, -1, 0), "EPSG:32633")


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 60), cols=st.integers(1, 120), overlap=st.integers(0, 8))
def test_every_window_comes_once_with_its_own_pixels_and_rows_stay_in_order(
    rows: int, cols: int, overlap: int
) -> None:
    grid = lattice((rows, cols), size=16, overlap=overlap)
    mosaic = Noted()
    reader = CoverageOnly((SceneInput("after", Phase.AFTER, mosaic),))
    came = list(windows_ahead(reader, grid, grid_of(rows, cols)))

    places = [(window.rows.start, window.cols.start) for window, _ in came]
    assert sorted(places) == [(w.rows.start, w.cols.start) for w in grid]
    assert [row for row, _ in places] == sorted(row for row, _ in places)
    for window, seen in came:
        pixels = seen["after"].pixels
        assert (pixels[0] == window.cols.start).all() and (pixels[1] == -window.rows.start).all()


def test_a_thread_reads_windows_that_lie_beside_each_other() -> None:
    mosaic = Noted()
    reader = CoverageOnly((SceneInput("after", Phase.AFTER, mosaic),))
    grid = lattice((64, 160), size=16, overlap=0)
    list(windows_ahead(reader, grid, grid_of(64, 160)))

    columns: dict[int, set[float]] = {}
    for (x, _), thread in mosaic.readers.items():
        columns.setdefault(thread, set()).add(x)
    assert len(columns) == READERS
    assert sorted(map(sorted, columns.values())) == [
        [0.0, 16.0, 32.0, 48.0, 64.0],
        [80.0, 96.0, 112.0, 128.0, 144.0],
    ]


def test_a_failure_to_read_reaches_the_loop() -> None:
    class Broken(Noted):
        def read(self, geobox: GeoBox) -> Raster:
            raise OSError("no")

    reader = CoverageOnly((SceneInput("after", Phase.AFTER, Broken()),))
    with pytest.raises(OSError, match="no"):
        list(windows_ahead(reader, lattice((40, 40), size=16, overlap=0), grid_of(40, 40)))
