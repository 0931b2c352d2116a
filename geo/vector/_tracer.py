"""The scan from row bands to polygons as ragged arrays in pixel coordinates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geo.errors import GridMismatch
from geo.types import BoolArray, CodeArray, Int32Array, IntArray
from geo.vector._kernels import (
    NONE,
    OPEN,
    PER_CORNER,
    START,
    Scan,
    VertexStore,
    X,
    Y,
    assign_rings,
    compact,
    label_rings,
    measure,
    scan_band,
    split_at_touches,
    walk,
)


@dataclass(frozen=True, eq=False)
class Traced:
    """Polygons on the edges of pixels, as ragged arrays, in raster order of `first_pixel`.

    A polygon is connected through pixel edges, never through corners. Its first ring is the
    exterior. Neighbours share all vertices of their common edges.
    """

    coords: Int32Array
    """(vertices, 2), x = column and y = row of the upper left corner of a pixel; the last
    vertex of a ring equals its first."""
    ring_offsets: IntArray
    """(rings + 1,), where each ring begins in `coords`, and the end."""
    polygon_offsets: IntArray
    """(polygons + 1,), where each polygon begins among the rings, and the end."""
    values: CodeArray
    """(polygons,), the class."""
    pixels: IntArray
    """(polygons,), exact area in pixels."""
    first_pixel: IntArray
    """(polygons,), row * width + col of the leftmost of its topmost pixels: an identity that
    depends on the classes alone."""

    def __len__(self) -> int:
        return len(self.values)

    def select(self, which: BoolArray | IntArray) -> "Traced":
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


def offsets(sizes: IntArray) -> IntArray:
    """Return where each of the pieces begins, and the end."""
    result = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=result[1:])
    return result


def _spread(starts: IntArray, order: IntArray) -> tuple[IntArray, IntArray]:
    """Return the items of the wanted pieces, piece after piece, and the new offsets."""
    sizes = np.diff(starts)[order]
    begins = offsets(sizes)
    items = np.arange(begins[-1]) + np.repeat(starts[order] - begins[:-1], sizes)
    return items, begins


_ROOM = 1 << 17
"""Vertices to make room for at first: 2 MB, because rings are walked fastest in the cache."""


class Tracer:
    """Row bands in, polygons out; see `geo.vector.polygonize.trace`.

    Between two bands it holds the row above, the vertices of polygons that are still open
    and, for each column, the open edges.
    """

    def __init__(self, width: int, *, keep: Collection[int], min_pixels: Mapping[int, int]) -> None:
        self._width = width
        self._min_pixels = _lookup(min_pixels)
        self._row = 0
        self._scan = Scan(
            kept=_lookup({value: value for value in keep}).astype(np.uint8),
            above=np.zeros(width + 2, np.uint8),
            down_from=np.full(width + 1, NONE, np.int32),
            up_to=np.full(width + 1, NONE, np.int32),
        )
        # Never less than two rows of noise: the scan stops where one row has no room.
        room = max(_ROOM, 2 * PER_CORNER * (width + 1))
        self._store = VertexStore(
            vertices=np.empty((room, 4), np.int32),
            touches=np.empty((room // 2, 2), np.int32),
            used=np.zeros(2, np.int64),
        )
        self._done: list[Traced] = []

    def feed(self, band: CodeArray) -> None:
        """Scan one band, collecting closed polygons whenever the room is used up.

        Raises:
            GridMismatch: where the band is not uint8 or has another width.
        """
        if band.ndim != 2 or band.shape[1] != self._width or band.dtype != np.uint8:
            raise GridMismatch(
                f"a band of classes is {band.dtype} of shape {band.shape}, and must be uint8 of "
                f"shape (rows, {self._width})"
            )
        band = np.ascontiguousarray(band)  # one layout, so the scan is compiled once
        while len(band):
            rows = scan_band(band, self._row, self._scan, self._store)
            self._row += rows
            band = band[rows:]
            if len(band):
                self._collect()
                self._make_room()

    def finish(self) -> Traced:
        """Close what is open at the lower edge, and return all polygons."""
        self.feed(np.zeros((1, self._width), np.uint8))
        self._collect()
        return concatenate(self._done)

    def _collect(self) -> None:
        """Move the closed polygons from the store to the results."""
        vertices = self._store.vertices
        ring_of = np.empty(self._store.used[0], np.int32)
        starts = label_rings(vertices, ring_of)
        if split_at_touches(vertices, ring_of, self._store.touches[: self._store.used[1]]):
            starts = label_rings(vertices, ring_of)
        polygon_of, polygons = assign_rings(vertices, ring_of, starts)
        sizes, pixels = measure(vertices, ring_of, polygon_of, polygons)
        closed = self._closed(starts, polygon_of=polygon_of, sizes=sizes, pixels=pixels)
        wanted = closed.pixels >= self._min_pixels[closed.values]
        self._done.append(closed if wanted.all() else closed.select(wanted))
        self._forget(ring_of, polygon_of)

    def _closed(
        self, starts: Int32Array, *, polygon_of: Int32Array, sizes: IntArray, pixels: IntArray
    ) -> Traced:
        """Return the closed polygons, from what is known of each ring and of each polygon."""
        rings = np.flatnonzero(polygon_of != OPEN)
        # Stable: the exterior, first in raster order, stays the first ring of its polygon.
        rings = rings[np.argsort(polygon_of[rings], kind="stable")]
        ring_offsets = offsets(sizes[rings] + 1)
        first = self._store.vertices[starts[rings]]
        first = first[first[:, START] < NONE]
        return Traced(
            coords=walk(self._store.vertices, starts[rings], ring_offsets),
            ring_offsets=ring_offsets,
            polygon_offsets=offsets(np.bincount(polygon_of[rings], minlength=len(pixels))),
            values=(-1 - first[:, START]).astype(np.uint8),
            pixels=pixels,
            first_pixel=first[:, Y].astype(np.int64) * self._width + first[:, X],
        )

    def _forget(self, ring_of: Int32Array, polygon_of: Int32Array) -> None:
        """Drop the vertices of closed polygons, and renumber the others where they are named."""
        store, scan = self._store, self._scan
        moved = np.full(len(ring_of) + 1, NONE, np.int32)  # so that moved[NONE] is NONE
        store.used[0] = compact(store.vertices, ring_of, polygon_of, moved)
        scan.down_from[:] = moved[scan.down_from]
        scan.up_to[:] = moved[scan.up_to]
        touches = moved[store.touches[: store.used[1]]]
        touches = touches[(touches != NONE).all(axis=1)]
        store.used[1] = len(touches)
        store.touches[: len(touches)] = touches

    def _make_room(self) -> None:
        """Double a store that is still half full, so that collecting pays for itself."""
        vertices, touches, used = self._store
        if 2 * used[0] > len(vertices):
            vertices = np.concatenate([vertices, np.empty_like(vertices)])
        if 2 * used[1] > len(touches):
            touches = np.concatenate([touches, np.empty_like(touches)])
        self._store = VertexStore(vertices, touches, used)


def _lookup(table: Mapping[int, int]) -> IntArray:
    """Return a table by class as an array of 256, 0 where it says nothing."""
    if not all(1 <= value <= 255 for value in table):
        raise ValueError(f"polygons are made of the values 1 to 255, not of {sorted(table)}")
    result = np.zeros(256, np.int64)
    result[list(table)] = list(table.values())
    return result
