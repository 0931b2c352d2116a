"""Compiled kernels: rows of classes to linked vertices, those to rings, and rings to polygons.

A corner is a point where up to four pixels meet; corner (x, y) is the upper left one of
pixel (row y, col x). Rings are walked with the polygon on the right hand, so that in pixel
coordinates (y down) an exterior runs rightwards along its top.

    top left  | top right
    ----------+-----------
    down left | down right

Around a corner, every run of equal kept pixels (neighbours by an edge) is one wedge of one
polygon and gives it one vertex: convex where the run is one pixel, concave where it is
three. Where it is two the edge runs straight on and the vertex is a node: it is made only
where the other side holds two different values, so that polygons which share an edge share
its vertices too, and the coverage is edge-matched.

Two opposite pixels of one class are two wedges: edges connect a polygon, corners do not.
"""

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numba import njit

from geo.types import CodeArray, Int32Array, IntArray

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled at its first call, free of the interpreter's lock."""
    try:
        kernel: Callable[P, R] = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder for the machine code can be written to
        kernel = njit(nogil=True)(function)
    return kernel


X, Y, NEXT, START = range(4)
"""Columns of the store of vertices, (vertices, 4) int32, in raster order of the corners. X and Y
are the corner, NEXT is the vertex that follows on the ring. START is read where a ring has its
first vertex: -1 - class for an exterior; for a hole, any vertex of the polygon around it."""
NONE = -1
"""No vertex, or none yet."""
PER_CORNER = 4
"""Most vertices that one corner gives; it gives half as many touches."""


class Scan(NamedTuple):
    """What the scan knows of the rows above; updated in place."""

    kept: CodeArray
    """(256,), the value itself where it makes polygons, 0 where not."""
    above: CodeArray
    """(cols + 2,), kept values of the row above, 0 at both ends."""
    down_from: Int32Array
    """(cols + 1,), of each open vertical edge the vertex at its top left, walked downwards."""
    up_to: Int32Array
    """(cols + 1,), the same on the right, walked upwards."""


class VertexStore(NamedTuple):
    """What the scan has found; appended to in place."""

    vertices: Int32Array
    """(room, 4), see START."""
    touches: Int32Array
    """(room, 2), two vertices at a corner where a class meets itself."""
    used: IntArray
    """(2,), vertices and touches in use."""


class Corner(NamedTuple):
    """One item for each pixel around a corner: its class, or its vertex."""

    top_left: int
    top_right: int
    down_left: int
    down_right: int


@compiled
def scan_band(band: CodeArray, row: int, scan: Scan, store: VertexStore) -> int:
    """Scan a band that starts at `row` until it ends or the store is full; return the rows."""
    rows: int
    rows, cols = band.shape
    room = PER_CORNER * (cols + 1)
    below = np.zeros(cols + 2, np.uint8)
    for i in range(rows):
        if store.used[0] + room > len(store.vertices):
            return i
        if store.used[1] + room // 2 > len(store.touches):
            return i
        for col in range(cols):
            below[col + 1] = scan.kept[band[i, col]]
        _scan_corners(row + i, below, scan, store)
        for col in range(cols):  # a slice would cost two seconds of compiling
            scan.above[col + 1] = below[col + 1]
    return rows


@compiled
def _scan_corners(row: int, below: CodeArray, scan: Scan, store: VertexStore) -> None:
    """Append the vertices of one row of corners, linked to those above and to the left."""
    left_to = NONE  # left end of the edge to the left, on its upper side, walked leftwards
    right_from = NONE  # the same on its lower side, walked rightwards
    run_start = NONE  # at the left end of the run of equal pixels that ends down left
    top_left, down_left = scan.above[0], below[0]
    for x in range(len(scan.up_to)):
        top_right, down_right = scan.above[x + 1], below[x + 1]
        level = top_left == top_right and down_left == down_right
        upright = top_left == down_left and top_right == down_right
        if not level and not upright:
            pixel = Corner(top_left, top_right, down_left, down_right)
            at = _append(pixel, x, row, store)
            _mark_starts(pixel, at, run_start, store.vertices)
            _mark_touches(pixel, at, store)
            above = (scan.down_from[x], scan.up_to[x])
            _end_edges(pixel, at, above, (left_to, right_from), store.vertices)
            if top_right != down_right:  # an edge to the right begins here
                left_to, right_from = at.top_right, at.down_right
            if down_left != down_right:  # an edge below begins here
                scan.down_from[x], scan.up_to[x] = at.down_left, at.down_right
        if down_left != down_right:
            run_start = scan.up_to[x]
        top_left, down_left = top_right, down_right


@compiled
def _append(pixel: Corner, x: int, row: int, store: VertexStore) -> Corner:
    """Append a vertex for each wedge, and return that of each pixel, NONE for background."""
    first = store.used[0]
    at = _wedges(pixel, first)
    last = max(at.top_left, at.top_right, at.down_left, at.down_right)
    for v in range(first, last + 1):
        store.vertices[v, X] = x
        store.vertices[v, Y] = row
        store.vertices[v, NEXT] = NONE
        store.vertices[v, START] = NONE
    store.used[0] = last + 1
    return at


@compiled
def _wedges(pixel: Corner, first: int) -> Corner:
    """Number the wedges of a corner from `first` on; background is NONE."""
    top_left = top_right = down_left = down_right = NONE
    free = first
    if pixel.top_left != 0:
        top_left = free
        free += 1
    if pixel.top_right == pixel.top_left:
        top_right = top_left
    elif pixel.top_right != 0:
        top_right = free
        free += 1
    if pixel.down_left == pixel.top_left:
        down_left = top_left
    elif pixel.down_left == pixel.down_right and pixel.down_right == pixel.top_right:
        down_left = top_right
    elif pixel.down_left != 0:
        down_left = free
        free += 1
    if pixel.down_right == pixel.top_right:
        down_right = top_right
    elif pixel.down_right == pixel.down_left:
        down_right = down_left
    elif pixel.down_right != 0:
        down_right = free
    return Corner(top_left, top_right, down_left, down_right)


@compiled
def _mark_starts(pixel: Corner, at: Corner, run_start: int, vertices: Int32Array) -> None:
    """Mark first vertices: an exterior's where one pixel down right stands alone, a hole's where
    its polygon is both to the left of it (`run_start`) and above."""
    same_above = pixel.down_right == pixel.top_right
    same_left = pixel.down_right == pixel.down_left
    if pixel.down_right != 0 and not same_above and not same_left:
        vertices[at.down_right, START] = -1 - pixel.down_right
    if pixel.down_left != 0 and pixel.down_left == pixel.top_right and not same_left:
        vertices[at.top_right, START] = run_start


@compiled
def _mark_touches(pixel: Corner, at: Corner, store: VertexStore) -> None:
    """Record where opposite pixels are of one class and of two wedges."""
    if pixel.top_left == pixel.down_right and at.top_left != at.down_right:
        store.touches[store.used[1], 0] = at.top_left
        store.touches[store.used[1], 1] = at.down_right
        store.used[1] += 1
    if pixel.top_right == pixel.down_left and at.top_right != at.down_left:
        store.touches[store.used[1], 0] = at.top_right
        store.touches[store.used[1], 1] = at.down_left
        store.used[1] += 1


@compiled
def _end_edges(
    pixel: Corner, at: Corner, above: tuple[int, int], left: tuple[int, int], vertices: Int32Array
) -> None:
    """Link a corner to the other ends of its edges; `above` is walked (down from, up to), `left` is
    walked (to, on its upper side; from, on its lower side)."""
    down_from, up_to = above
    left_to, right_from = left
    if pixel.top_left != pixel.top_right:
        if pixel.top_left != 0:
            vertices[down_from, NEXT] = at.top_left
        if pixel.top_right != 0:
            vertices[at.top_right, NEXT] = up_to
    if pixel.top_left != pixel.down_left:
        if pixel.top_left != 0:
            vertices[at.top_left, NEXT] = left_to
        if pixel.down_left != 0:
            vertices[right_from, NEXT] = at.down_left


OPEN = -1
"""In place of a ring or a polygon: it runs on below the rows seen so far."""
_UNSEEN = -2


@compiled
def label_rings(vertices: Int32Array, ring_of: Int32Array) -> Int32Array:
    """Number closed rings in raster order in `ring_of`, else OPEN; return their first vertices."""
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
def split_at_touches(vertices: Int32Array, ring_of: Int32Array, touches: Int32Array) -> int:
    """Cut closed rings in two where they touch themselves at a corner; return how often.

    A hole is a ring of its own (OGC 06-103r4, section 6.1.11). The touches of a ring do not
    interleave, so each exchange splits, in any order. Then the rings are numbered again.
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
def assign_rings(
    vertices: Int32Array, ring_of: Int32Array, starts: Int32Array
) -> tuple[Int32Array, int]:
    """Return the polygon of each ring, (rings,) in raster order, or OPEN; and how many there are.

    A polygon has all its rings once its exterior is closed, because the others lie inside.
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
    vertices: Int32Array, ring_of: Int32Array, polygon_of: Int32Array, polygons: int
) -> tuple[IntArray, IntArray]:
    """Return the vertices of each ring, and the exact pixels of each closed polygon (shoelace)."""
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
def walk(vertices: Int32Array, starts: Int32Array, ring_offsets: IntArray) -> Int32Array:
    """Return the closed rings from `starts`, (vertices, 2) x and y, each at its offset."""
    coords = np.empty((ring_offsets[-1], 2), np.int32)
    for ring in range(len(starts)):
        v = starts[ring]
        for i in range(ring_offsets[ring], ring_offsets[ring + 1]):
            coords[i, 0] = vertices[v, X]
            coords[i, 1] = vertices[v, Y]
            v = vertices[v, NEXT]
    return coords


@compiled
def compact(
    vertices: Int32Array, ring_of: Int32Array, polygon_of: Int32Array, moved: Int32Array
) -> int:
    """Keep and count the vertices of open polygons; `moved` gets their new places, or NONE."""
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
