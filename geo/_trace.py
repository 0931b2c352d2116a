"""Compiled kernels that turn rows of classes into linked vertices of polygon edges.

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

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from geo._compile import compiled
from geo.raster import CodeArray

IntArray: TypeAlias = npt.NDArray[np.int32]

X, Y, NEXT, START = range(4)
"""Columns of the store of vertices, (vertices, 4) int32, in raster order of the corners.

X and Y are the corner, NEXT is the vertex that follows on the ring. START is read where a
ring has its first vertex: -1 - class for an exterior; for a hole, any vertex of the polygon
around it.
"""
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
    down_from: IntArray
    """(cols + 1,), for each open vertical edge, the vertex at its top on the left side, which
    is walked downwards."""
    up_to: IntArray
    """(cols + 1,), the same on the right side, which is walked upwards."""


class Store(NamedTuple):
    """What the scan has found; appended to in place."""

    vertices: IntArray
    """(room, 4), see START."""
    touches: IntArray
    """(room, 2), two vertices at a corner where a class meets itself."""
    used: npt.NDArray[np.int64]
    """(2,), vertices and touches in use."""


class Corner(NamedTuple):
    """One item for each pixel around a corner: its class, or its vertex."""

    top_left: int
    top_right: int
    down_left: int
    down_right: int


@compiled
def scan_band(band: CodeArray, row: int, scan: Scan, store: Store) -> int:
    """Scan rows of corners until the band ends or the store has no room for another row.

    Args:
        band: (rows, cols) classes.
        row: row of the raster at which the band starts.

    Returns:
        Number of rows scanned.
    """
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
def _scan_corners(row: int, below: CodeArray, scan: Scan, store: Store) -> None:
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
def _append(pixel: Corner, x: int, row: int, store: Store) -> Corner:
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
def _mark_starts(pixel: Corner, at: Corner, run_start: int, vertices: IntArray) -> None:
    """Mark where a ring may have its first vertex.

    An exterior has it where one pixel down right stands alone, a hole where its polygon is
    both to the left of it and above; `run_start` is of the polygon to the left.
    """
    same_above = pixel.down_right == pixel.top_right
    same_left = pixel.down_right == pixel.down_left
    if pixel.down_right != 0 and not same_above and not same_left:
        vertices[at.down_right, START] = -1 - pixel.down_right
    if pixel.down_left != 0 and pixel.down_left == pixel.top_right and not same_left:
        vertices[at.top_right, START] = run_start


@compiled
def _mark_touches(pixel: Corner, at: Corner, store: Store) -> None:
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
    pixel: Corner, at: Corner, above: tuple[int, int], left: tuple[int, int], vertices: IntArray
) -> None:
    """Link the vertices of a corner to the other ends of the edges above and to the left.

    Args:
        above: where the edge above is walked down from on its left side, and up to on its
            right.
        left: where the edge to the left is walked to on its upper side, and from on its
            lower.
    """
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
