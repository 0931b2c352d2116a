"""Zonal statistics: what the pixels of each polygon say, in one pass over row bands."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo._traced import IndexArray, Traced
from geo._zones import (
    BOTTOM,
    PERCENT,
    PIXELS,
    SEEN,
    TOP,
    Sweep,
    Totals,
    add_band,
    vertical_edges,
)
from geo.errors import GridMismatch
from geo.raster import CodeArray

Numbers: TypeAlias = frozenset[int]
"""Numbers of scenes, from 1."""

MeasuredBand: TypeAlias = tuple[CodeArray, CodeArray]
"""Probability (rows, cols), per cent, 255 where there is none; and for each reading the
number of the scene that each pixel came from, (readings, rows, cols), 0 for none."""


@dataclass(frozen=True, eq=False)
class Zones:
    """What the pixels of each polygon say, in the order of the polygons."""

    pixels: IndexArray
    """(polygons,), number of pixels."""
    percent: npt.NDArray[np.float64]
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
