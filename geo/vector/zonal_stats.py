"""Zonal statistics: what the pixels of each polygon say, in one pass over row bands.

Compiled kernels that find the pixels of traced polygons again, row by row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from geo.errors import GridMismatch
from geo.types import CodeArray, Float64Array, Int32Array, IntArray
from geo.vector._kernels import compiled
from geo.vector._tracer import Traced

TOP, BOTTOM, COLUMN, POLYGON = range(4)
"""Columns of the vertical edges, (edges, 4) int32: the rows from TOP to before BOTTOM, the
column of the pixels to the right, and the polygon there, or NOBODY where one ends."""
NOBODY = -1

PIXELS, SEEN, PERCENT = range(3)
"""Columns of the sums: pixels, those with a probability, and its sum in per cent."""


class Sweep(NamedTuple):
    """The edges, and which of them cross the row; updated in place."""

    edges: Int32Array
    """(edges, 4), see TOP, sorted by it."""
    begins: Int32Array
    """(cols + 1, 2), the polygon that begins at each column, and the row until which it does."""
    ends: Int32Array
    """(cols + 1,), the row until which some polygon ends at each column."""


class Totals(NamedTuple):
    """What is known of the polygons so far; updated in place."""

    sums: IntArray
    """(polygons, 3), see PIXELS."""
    flags: CodeArray
    """(polygons, readings, 32), a bit for each number of a scene."""


@compiled
def vertical_edges(
    coords: Int32Array,
    ring_offsets: IntArray,
    polygon_offsets: IntArray,
) -> Int32Array:
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
def _add_run(run: tuple[CodeArray, CodeArray], sums: IntArray, flags: CodeArray) -> None:
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


Numbers: TypeAlias = frozenset[int]
"""Numbers of scenes, from 1."""

MeasuredBand: TypeAlias = tuple[CodeArray, CodeArray]
"""Probability (rows, cols), per cent, 255 where there is none; and for each reading the
number of the scene that each pixel came from, (readings, rows, cols), 0 for none."""


@dataclass(frozen=True, eq=False)
class Zones:
    """What the pixels of each polygon say, in the order of the polygons."""

    pixels: IntArray
    """(polygons,), number of pixels."""
    percent: Float64Array
    """(polygons,), mean probability over the pixels that have one, NaN where none has."""
    sources: tuple[tuple[Numbers, ...], ...]
    """For each polygon and each reading, the scenes that its pixels came from."""


def zonal_statistics(traced: Traced, bands: Iterable[MeasuredBand], *, width: int) -> Zones:
    """Return the statistics of each polygon over rasters on the grid it was traced from.

    The vertical edges of the polygons, sorted by row, say where a row enters and leaves
    them; so nothing is rasterised, and memory holds the edges and one band.

    Args:
        traced: polygons in pixel coordinates; may be a selection.
        bands: from the top, of any number of rows; all have the same number of readings.
        width: columns of the rasters.

    Raises:
        GridMismatch: where a band is not uint8 or has another shape, or the rasters end
            above or left of a part of a polygon.
    """
    sweep = _sweep(traced, width)
    totals = _totals(len(traced), readings=0)
    row = next_edge = 0
    for percent, sources in bands:
        if row == 0:
            totals = _totals(len(traced), readings=len(sources))
        _check(percent, sources, (totals.flags.shape[1], len(percent), width))
        # One layout, so the kernel is compiled once.
        band = np.ascontiguousarray(percent), np.ascontiguousarray(sources)
        next_edge = add_band(band, row, next_edge, sweep, totals)
        row += len(percent)
    _check_extent(sweep, row)
    sums = totals.sums
    with np.errstate(invalid="ignore"):
        mean = sums[:, PERCENT] / sums[:, SEEN]
    return Zones(pixels=sums[:, PIXELS], percent=mean, sources=_numbers(totals.flags))


def _sweep(traced: Traced, width: int) -> Sweep:
    rightmost = int(traced.coords[:, 0].max(initial=0))
    if rightmost > width:
        raise GridMismatch(
            f"polygons reach column {rightmost}, and the rasters that should attribute them have "
            f"{width}; both must be of one grid"
        )
    edges = vertical_edges(traced.coords, traced.ring_offsets, traced.polygon_offsets)
    return Sweep(
        edges=edges[np.argsort(edges[:, TOP], kind="stable")],
        begins=np.zeros((width + 1, 2), np.int32),
        ends=np.zeros(width + 1, np.int32),
    )


def _totals(polygons: int, *, readings: int) -> Totals:
    return Totals(
        sums=np.zeros((polygons, 3), np.int64),
        flags=np.zeros((polygons, readings, 32), np.uint8),
    )


def _check(percent: CodeArray, sources: CodeArray, expected: tuple[int, int, int]) -> None:
    shapes_differ = percent.shape != expected[1:] or sources.shape != expected
    if shapes_differ or percent.dtype != np.uint8 or sources.dtype != np.uint8:
        raise GridMismatch(
            f"a band holds probability {percent.shape} {percent.dtype} and scene numbers "
            f"{sources.shape} {sources.dtype}; the polygons and the bands before it ask for "
            f"{expected[1:]} and {expected}, both uint8"
        )


def _check_extent(sweep: Sweep, rows: int) -> None:
    lowest = int(sweep.edges[:, BOTTOM].max(initial=0))
    if lowest > rows:
        raise GridMismatch(
            f"polygons reach down to row {lowest}, and the rasters that should attribute them "
            f"end at row {rows}; both must be of one grid"
        )


def _numbers(flags: CodeArray) -> tuple[tuple[Numbers, ...], ...]:
    """Return the set bits; polygons with the same scenes share the same sets."""
    polygons, readings, size = flags.shape
    kinds, kind_of = np.unique(flags.reshape(-1, size), axis=0, return_inverse=True)
    bits = np.unpackbits(kinds, axis=1, bitorder="little")
    bits[:, 0] = 0  # number 0 is no scene
    sets = [frozenset(np.flatnonzero(row).tolist()) for row in bits]
    return tuple(
        tuple(sets[kind] for kind in kinds_of_polygon)
        for kinds_of_polygon in kind_of.reshape(polygons, readings).tolist()
    )
