"""Traced: polygons as ragged arrays in pixel coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.raster import BoolArray, CodeArray

IndexArray: TypeAlias = npt.NDArray[np.int64]
PolygonArray: TypeAlias = npt.NDArray[np.object_]
"""Shapely Polygons; MultiPolygons only where a docstring says so."""


@dataclass(frozen=True, eq=False)
class Traced:
    """Polygons on the edges of pixels, as ragged arrays, in raster order of `first_pixel`.

    A polygon is connected through pixel edges, never through corners. Its first ring is the
    exterior. Neighbours share all vertices of their common edges.
    """

    coords: npt.NDArray[np.int32]
    """(vertices, 2), x = column and y = row of the upper left corner of a pixel; the last
    vertex of a ring equals its first."""
    ring_offsets: IndexArray
    """(rings + 1,), where each ring begins in `coords`, and the end."""
    polygon_offsets: IndexArray
    """(polygons + 1,), where each polygon begins among the rings, and the end."""
    values: CodeArray
    """(polygons,), the class."""
    pixels: IndexArray
    """(polygons,), exact area in pixels."""
    first_pixel: IndexArray
    """(polygons,), row * width + col of the leftmost of its topmost pixels: an identity that
    depends on the classes alone."""

    def __len__(self) -> int:
        return len(self.values)

    def select(self, which: BoolArray | IndexArray) -> "Traced":
        """Return the polygons of a mask (polygons,), or of indices in the order given."""
        order = np.arange(len(self), dtype=np.int64)[which]
        rings, polygon_offsets = _spread(self.polygon_offsets, order)
        vertices, ring_offsets = _spread(self.ring_offsets, rings)
        return Traced(
            coords=self.coords[vertices],
            ring_offsets=ring_offsets,
            polygon_offsets=polygon_offsets,
            values=self.values[order],
            pixels=self.pixels[order],
            first_pixel=self.first_pixel[order],
        )


def concatenate(parts: Sequence[Traced]) -> Traced:
    """Return the polygons of all parts, in raster order of their first pixels."""
    if len(parts) == 1:
        return parts[0]
    joined = Traced(
        coords=np.concatenate([part.coords for part in parts]),
        ring_offsets=offsets(np.concatenate([np.diff(part.ring_offsets) for part in parts])),
        polygon_offsets=offsets(np.concatenate([np.diff(part.polygon_offsets) for part in parts])),
        values=np.concatenate([part.values for part in parts]),
        pixels=np.concatenate([part.pixels for part in parts]),
        first_pixel=np.concatenate([part.first_pixel for part in parts]),
    )
    return joined.select(np.argsort(joined.first_pixel))


def offsets(sizes: IndexArray) -> IndexArray:
    """Return where each of the pieces begins, and the end."""
    result = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=result[1:])
    return result


def _spread(starts: IndexArray, order: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Return the items of the wanted pieces, piece after piece, and the new offsets."""
    sizes = np.diff(starts)[order]
    begins = offsets(sizes)
    items = np.arange(begins[-1]) + np.repeat(starts[order] - begins[:-1], sizes)
    return items, begins
