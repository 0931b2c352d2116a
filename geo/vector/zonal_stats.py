"""Zonal statistics: what the pixels of each polygon say, in one pass over row bands."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from geo.errors import GridMismatch
from geo.types import CodeArray, Float64Array, IntArray
from geo.vector.polygonize import Traced

Numbers: TypeAlias = frozenset[int]
"""Numbers of scenes, from 1."""

MeasuredBand: TypeAlias = tuple[CodeArray, CodeArray]
"""Probability (rows, cols), per cent, 255 where there is none; and for each model input the
number of the scene that each pixel came from, (inputs, rows, cols), 0 for none."""


@dataclass(frozen=True, eq=False)
class ZonalStatistics:
    """What the pixels of each polygon say, in the order of the polygons."""

    percent: Float64Array
    """(polygons,), mean probability over the pixels that have one, NaN where none has."""
    sources: tuple[tuple[Numbers, ...], ...]
    """For each polygon and each model input, the scenes that its pixels came from."""


def zonal_statistics(
    traced: Traced, bands: Iterable[MeasuredBand], *, width: int
) -> ZonalStatistics:
    """Return the statistics of each polygon over rasters on the grid it was traced from.

    Args:
        bands: from the top, of any number of rows; all have the same number of inputs.

    Raises:
        GridMismatch: where a band is not uint8 or has another shape, or polygons reach beyond.
    """
    edges = _VerticalEdges.of(traced)
    _check_extent("column", int(edges.col.max(initial=0)), width)
    known, total = np.zeros((2, len(traced)))
    flags = np.zeros((len(traced), 0, 32), np.uint8)
    row = 0
    for percent, sources in bands:
        if row == 0:
            flags = np.zeros((len(traced), len(sources), 32), np.uint8)
        _check_band(percent, sources, (flags.shape[1], len(percent), width))
        owner = edges.owners(row, rows=len(percent), width=width)
        pixels = np.flatnonzero(owner)
        polygon = owner.ravel()[pixels] - 1
        value = percent.ravel()[pixels]
        has_value = value != 255
        known += np.bincount(polygon[has_value], minlength=len(traced))
        total += np.bincount(polygon[has_value], value[has_value], minlength=len(traced))
        for layer, numbers in enumerate(sources):
            code = np.unique(polygon * 256 + numbers.ravel()[pixels])
            number = code % 256
            bit = (1 << (number % 8)).astype(np.uint8)
            place = (code // 256 * len(sources) + layer) * 32 + number // 8
            np.bitwise_or.at(flags.reshape(-1), place, bit)
        row += len(percent)
    _check_extent("row", int(edges.bottom.max(initial=0)), row)
    with np.errstate(invalid="ignore"):
        return ZonalStatistics(total / known, _scene_numbers(flags))


@dataclass(frozen=True, eq=False)
class _VerticalEdges:
    """The vertical edges of polygons: where a row enters and leaves them; all (edges,)."""

    top: IntArray
    bottom: IntArray
    """The first row below the edge."""
    col: IntArray
    """Column of the pixels to the right of the edge."""
    step: IntArray
    """Number of the polygon from 1, added to the owner to its right; negative at its end."""

    @classmethod
    def of(cls, traced: Traced) -> "_VerticalEdges":
        """Return the edges of traced polygons; walked upwards, the polygon is to the right."""
        x, y = traced.coords.T.astype(np.int64)
        down = np.diff(y, append=0)
        down[traced.ring_offsets[1:] - 1] = 0
        sizes = np.diff(traced.ring_offsets[traced.polygon_offsets])
        polygon = np.repeat(np.arange(1, len(traced) + 1), sizes)
        edge = np.flatnonzero(down)
        start, end = y[edge], y[edge] + down[edge]
        step = -np.sign(down[edge]) * polygon[edge]
        return cls(np.minimum(start, end), np.maximum(start, end), x[edge], step)

    def owners(self, first_row: int, *, rows: int, width: int) -> IntArray:
        """Return the number from 1 of the polygon of each pixel of a band, 0 for none."""
        near = (self.top < first_row + rows) & (self.bottom > first_row)
        top = np.maximum(self.top[near] - first_row, 0)
        length = np.minimum(self.bottom[near] - first_row, rows) - top
        begin = np.cumsum(length) - length
        row = np.arange(length.sum()) + np.repeat(top - begin, length)
        at = row * (width + 1) + np.repeat(self.col[near], length)
        steps = np.bincount(at, np.repeat(self.step[near], length), minlength=rows * (width + 1))
        return np.cumsum(steps.reshape(rows, width + 1), axis=1)[:, :width].astype(np.int64)


def _check_band(percent: CodeArray, sources: CodeArray, expected: tuple[int, int, int]) -> None:
    shapes_differ = percent.shape != expected[1:] or sources.shape != expected
    if shapes_differ or percent.dtype != np.uint8 or sources.dtype != np.uint8:
        raise GridMismatch(
            f"a band holds probability {percent.shape} {percent.dtype} and scene numbers "
            f"{sources.shape} {sources.dtype}; the polygons and the bands before it ask for "
            f"{expected[1:]} and {expected}, both uint8"
        )


def _check_extent(axis: str, reached: int, available: int) -> None:
    if reached > available:
        raise GridMismatch(
            f"polygons reach {axis} {reached}, and the rasters of their statistics end at {axis} "
            f"{available}; both must be of one grid"
        )


def _scene_numbers(flags: CodeArray) -> tuple[tuple[Numbers, ...], ...]:
    """Return the set bits; polygons with the same scenes share the same sets."""
    polygons, inputs, size = flags.shape
    kinds, kind_of = np.unique(flags.reshape(-1, size), axis=0, return_inverse=True)
    bits = np.unpackbits(kinds, axis=1, bitorder="little")
    bits[:, 0] = 0  # number 0 is no scene
    sets = [frozenset(np.flatnonzero(row).tolist()) for row in bits]
    return tuple(
        tuple(sets[kind] for kind in kinds_of_polygon)
        for kinds_of_polygon in kind_of.reshape(polygons, inputs).tolist()
    )
