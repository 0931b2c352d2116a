"""Compiled kernels that find the pixels of traced polygons again, row by row."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geo._compile import compiled
from geo._trace import IntArray
from geo.raster import CodeArray

TOP, BOTTOM, COLUMN, POLYGON = range(4)
"""Columns of the vertical edges, (edges, 4) int32: the rows from TOP to before BOTTOM, the
column of the pixels to the right, and the polygon there, or NOBODY where one ends."""
NOBODY = -1

PIXELS, SEEN, PERCENT = range(3)
"""Columns of the sums: pixels, those with a probability, and its sum in per cent."""


class Sweep(NamedTuple):
    """The edges, and which of them cross the row; updated in place."""

    edges: IntArray
    """(edges, 4), see TOP, sorted by it."""
    begins: IntArray
    """(cols + 1, 2), the polygon that begins at each column, and the row until which it does."""
    ends: IntArray
    """(cols + 1,), the row until which some polygon ends at each column."""


class Totals(NamedTuple):
    """What is known of the polygons so far; updated in place."""

    sums: npt.NDArray[np.int64]
    """(polygons, 3), see PIXELS."""
    flags: CodeArray
    """(polygons, readings, 32), a bit for each number of a scene."""


@compiled
def vertical_edges(
    coords: IntArray,
    ring_offsets: npt.NDArray[np.int64],
    polygon_offsets: npt.NDArray[np.int64],
) -> IntArray:
    """Return the vertical edges of traced polygons; walked upwards, the polygon is right."""
    count = 0
    for i in range(len(coords) - 1):
        count += coords[i, 1] != coords[i + 1, 1]  # also from ring to ring: more than enough
    edges = np.empty((count, 4), np.int32)
    count = 0
    for polygon in range(len(polygon_offsets) - 1):
        for ring in range(polygon_offsets[polygon], polygon_offsets[polygon + 1]):
            for i in range(ring_offsets[ring], ring_offsets[ring + 1] - 1):
                y, y_next = coords[i, 1], coords[i + 1, 1]
                if y == y_next:
                    continue
                edges[count, TOP] = min(y, y_next)
                edges[count, BOTTOM] = max(y, y_next)
                edges[count, COLUMN] = coords[i, 0]
                edges[count, POLYGON] = polygon if y_next < y else NOBODY
                count += 1
    return edges[:count]


@compiled
def add_band(
    measured: tuple[CodeArray, CodeArray], row: int, next_edge: int, sweep: Sweep, totals: Totals
) -> int:
    """Add the pixels of one row band to the totals of their polygons.

    Args:
        measured: (rows, cols) probability, 255 where there is none; and (readings, rows,
            cols) numbers of scenes.
        row: row of the raster at which the band starts.
        next_edge: the first edge that starts in the band.

    Returns:
        The first edge that starts below the band.
    """
    percent, sources = measured
    rows, cols = percent.shape
    for i in range(rows):
        next_edge = _enter_row(row + i, next_edge, sweep)
        owner, start = NOBODY, 0
        for col in range(cols + 1):
            if sweep.begins[col, 1] > row + i:
                following = sweep.begins[col, 0]
            elif sweep.ends[col] > row + i:
                following = NOBODY
            else:
                continue
            if owner != NOBODY:
                run = percent[i, start:col], sources[:, i, start:col]
                _add_run(run, totals.sums[owner], totals.flags[owner])
            owner, start = following, col
    return next_edge


@compiled
def _enter_row(row: int, next_edge: int, sweep: Sweep) -> int:
    """Take in the edges that start at a row, and return the first that starts below."""
    while next_edge < len(sweep.edges) and sweep.edges[next_edge, TOP] == row:
        col, polygon = sweep.edges[next_edge, COLUMN], sweep.edges[next_edge, POLYGON]
        if polygon == NOBODY:
            sweep.ends[col] = sweep.edges[next_edge, BOTTOM]
        else:
            sweep.begins[col, 0] = polygon
            sweep.begins[col, 1] = sweep.edges[next_edge, BOTTOM]
        next_edge += 1
    return next_edge


@compiled
def _add_run(
    run: tuple[CodeArray, CodeArray], sums: npt.NDArray[np.int64], flags: CodeArray
) -> None:
    """Add pixels of one row, (cols,) and (readings, cols), to the totals of one polygon."""
    percent, sources = run
    sums[PIXELS] += len(percent)
    for value in percent:
        if value != 255:
            sums[SEEN] += 1
            sums[PERCENT] += value
    for reading in range(len(sources)):
        for number in sources[reading]:
            flags[reading, number >> 3] |= 1 << (number & 7)
