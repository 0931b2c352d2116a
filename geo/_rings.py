"""Compiled kernels that turn linked vertices into rings, and rings into polygons."""

import numpy as np
import numpy.typing as npt

from geo._compile import compiled
from geo._trace import NEXT, NONE, START, IntArray, X, Y

OPEN = -1
"""In place of a ring or a polygon: it runs on below the rows seen so far."""
_UNSEEN = -2


@compiled
def label_rings(vertices: IntArray, ring_of: IntArray) -> IntArray:
    """Number the closed rings in raster order of their first vertices.

    Args:
        ring_of: (vertices in use,) is filled with the ring of each vertex, or OPEN.

    Returns:
        (rings,) the first vertex of each.
    """
    count = len(ring_of)
    ring_of[:] = _UNSEEN
    starts = np.empty(count // 4 + 1, np.int32)  # no ring has fewer than four vertices
    rings = 0
    for start in range(count):
        if ring_of[start] != _UNSEEN:
            continue
        v = start
        while v != NONE and ring_of[v] == _UNSEEN:
            ring_of[v] = rings
            v = vertices[v, NEXT]
        if v == start:
            starts[rings] = start
            rings += 1
            continue
        v = start
        while v != NONE and ring_of[v] == rings:
            ring_of[v] = OPEN
            v = vertices[v, NEXT]
    return starts[:rings].copy()


@compiled
def split_at_touches(vertices: IntArray, ring_of: IntArray, touches: IntArray) -> int:
    """Cut closed rings in two wherever they touch themselves at a corner.

    A ring that comes back to a corner encloses a hole there, which must be a ring of its
    own (OGC 06-103r4, section 6.1.11: rings are simple). The touches of one ring do not
    interleave, because all of them lie on the side away from the polygon; so each exchange
    splits, in any order.

    Returns:
        Number of cuts; where there are any, the rings must be numbered again.
    """
    cuts = 0
    for touch in range(len(touches)):
        first, second = touches[touch]
        if ring_of[first] != OPEN and ring_of[first] == ring_of[second]:
            after = vertices[first, NEXT]
            vertices[first, NEXT] = vertices[second, NEXT]
            vertices[second, NEXT] = after
            cuts += 1
    return cuts


@compiled
def assign_rings(vertices: IntArray, ring_of: IntArray, starts: IntArray) -> tuple[IntArray, int]:
    """Find the polygon of each ring.

    A polygon has all its rings once its exterior is closed, because the others lie inside.

    Returns:
        (rings,) the polygon, numbered in raster order of the first pixels, or OPEN where
        the exterior is; and the number of polygons.
    """
    polygon_of = np.empty(len(starts), np.int32)
    polygons = 0
    for ring in range(len(starts)):
        start = vertices[starts[ring], START]
        if start < NONE:
            polygon_of[ring] = polygons
            polygons += 1
        elif ring_of[start] == OPEN:
            polygon_of[ring] = OPEN
        else:
            polygon_of[ring] = polygon_of[ring_of[start]]
    return polygon_of, polygons


@compiled
def measure(
    vertices: IntArray, ring_of: IntArray, polygon_of: IntArray, polygons: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the vertices of each ring, and the pixels of each closed polygon, exact.

    Holes run the other way round, so the signed areas of the rings add up (shoelace).
    """
    sizes = np.zeros(len(polygon_of), np.int64)
    pixels = np.zeros(polygons, np.int64)
    for v in range(len(ring_of)):
        ring = ring_of[v]
        if ring == OPEN or polygon_of[ring] == OPEN:
            continue
        sizes[ring] += 1
        rightwards = np.int64(vertices[vertices[v, NEXT], X]) - vertices[v, X]
        pixels[polygon_of[ring]] -= rightwards * vertices[v, Y]
    return sizes, pixels


@compiled
def walk(vertices: IntArray, starts: IntArray, ring_offsets: npt.NDArray[np.int64]) -> IntArray:
    """Return the closed rings that begin at `starts`, one after the other.

    Args:
        ring_offsets: (rings + 1,) where each ring begins in the result.

    Returns:
        (vertices, 2) x and y.
    """
    coords = np.empty((ring_offsets[-1], 2), np.int32)
    for ring in range(len(starts)):
        v = starts[ring]
        for i in range(ring_offsets[ring], ring_offsets[ring + 1]):
            coords[i, 0] = vertices[v, X]
            coords[i, 1] = vertices[v, Y]
            v = vertices[v, NEXT]
    return coords


@compiled
def compact(vertices: IntArray, ring_of: IntArray, polygon_of: IntArray, moved: IntArray) -> int:
    """Keep only the vertices of polygons that are still open, in the same order.

    Args:
        moved: (vertices in use + 1,) is filled with the new place of each vertex, NONE where
            it is gone.

    Returns:
        Number of vertices left.
    """
    count = 0
    for v in range(len(ring_of)):
        ring = ring_of[v]
        is_open = ring == OPEN or polygon_of[ring] == OPEN
        moved[v] = count if is_open else NONE
        count += is_open
    for v in range(len(ring_of)):
        to = moved[v]
        if to == NONE:
            continue
        after, start = vertices[v, NEXT], vertices[v, START]
        vertices[to, X] = vertices[v, X]
        vertices[to, Y] = vertices[v, Y]
        vertices[to, NEXT] = moved[after] if after != NONE else NONE
        # Where the vertex named here is gone it was of another polygon: no hole starts here.
        vertices[to, START] = moved[start] if start >= 0 else start
    return count
