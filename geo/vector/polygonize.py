"""Classes to polygons: traced on pixel edges, simplified as one coverage, brought to lon-lat."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from odc.geo.crs import CRS
from pyproj import Transformer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo.errors import AreaInvalid, GridMismatch
from geo.types import BoolArray, CodeArray, Float64Array, Int32Array, IntArray, ObjectArray
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
from geo.vector.area_files import cut, polygons_only

_log = logging.getLogger(__name__)

_BATCH = 250
"""Polygons to simplify at once: the time of GEOS 3.14 grows faster than their number."""
_LONGEST_EDGE_M = 500.0
"""A straight edge of this length in UTM leaves the straight line in lon-lat by about 1 cm."""
_LONGEST_EDGE_DEG = 0.1
"""A straight edge of this length in lon-lat is one in an equal-area projection, to 1e-6."""


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
    """Row bands in, polygons out; holds the row above, open edges and open polygons' vertices."""

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
        """Scan a band, uint8, (rows, width); GridMismatch where it is not."""
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


def trace(
    bands: Iterable[CodeArray],
    *,
    width: int,
    keep: Collection[int],
    min_pixels: Mapping[int, int] | None = None,
) -> Traced:
    """Trace the polygons of a class raster that comes as row bands from the top.

    Memory holds the polygons returned and those still open, never the raster.

    Args:
        bands: (rows, width) uint8 each, of any number of rows.
        keep: the values that become polygons, within 1 to 255; the others are background.
        min_pixels: by value, polygons of fewer pixels are left out.

    Raises:
        GridMismatch: where a band is not uint8 or has another width.
        ValueError: where `keep` or `min_pixels` names a value outside 1 to 255.
    """
    tracer = Tracer(width, keep=keep, min_pixels=min_pixels or {})
    for band in bands:
        tracer.feed(band)
    return tracer.finish()


def to_shapely(traced: Traced, transform: Affine) -> ObjectArray:
    """Return the polygons in the CRS of a grid, by its transform from (column, row)."""
    col, row = traced.coords.T
    # Term by term: a matrix product may round the same corner in two ways, and part neighbours.
    x = transform.a * col + transform.b * row + transform.c
    y = transform.d * col + transform.e * row + transform.f
    polygons: ObjectArray = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        np.column_stack([x, y]),
        (traced.ring_offsets, traced.polygon_offsets),
    )
    return polygons


def simplify(polygons: ObjectArray, *, tolerance_m: float) -> ObjectArray:
    """Simplify a coverage in metres, as `to_shapely` makes it; neighbours keep a common edge.

    Where the library leaves a polygon invalid or empty, all that it could meet keep their shape.

    Args:
        tolerance_m: corners of less than its square in area go (Visvalingam-Whyatt).
    """
    groups = _groups(polygons)
    simplified = np.empty_like(polygons)
    for batch in _batches(groups):
        simplified[batch] = shapely.coverage_simplify(polygons[batch], tolerance_m)
    broken = shapely.is_empty(simplified) | ~shapely.is_valid(simplified)
    if not broken.any():
        return simplified
    kept = np.isin(groups, groups[broken])
    _log.warning(
        "%d of %d polygons keep their unsimplified edges, because %d could not be simplified",
        kept.sum(), len(polygons), broken.sum(),
    )  # fmt: skip
    return np.where(kept, polygons, simplified)


def _groups(polygons: ObjectArray) -> IntArray:
    """Number groups of polygons whose boxes meet, directly or not; groups never meet."""
    one, other = shapely.STRtree(polygons).query(polygons)
    shape = (len(polygons), len(polygons))
    meet = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=shape)
    return connected_components(meet, directed=False)[1].astype(np.int64)


def _batches(groups: IntArray) -> Iterable[IntArray]:
    """Return the indices of the polygons in batches of whole groups."""
    ends = np.cumsum(np.bincount(groups))
    batch_of = (ends // _BATCH)[groups]
    order = np.argsort(batch_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(batch_of[order])) + 1)


def to_lonlat(polygons: ObjectArray, crs: CRS | str, *, decimals: int = 7) -> ObjectArray:
    """Return polygons of a CRS in metres in lon-lat WGS 84, ready for GeoJSON (RFC 7946).

    Exteriors run counter-clockwise; a polygon across the antimeridian is cut there. Rounded
    coordinates (7 decimals: 1 cm) are valid; a polygon too small for that keeps its own.

    Raises:
        AreaInvalid: where a polygon holds a pole.
    """
    dense = _densified(polygons, _LONGEST_EDGE_M)
    lonlat = _cut(_project(dense, crs, to="EPSG:4326"))
    oriented: ObjectArray = shapely.orient_polygons(_rounded(lonlat, decimals))
    return oriented


def area_ha(polygons: ObjectArray) -> Float64Array:
    """Return the areas of lon-lat WGS 84 polygons on the ellipsoid, hectares.

    By the equal-area projection EPSG:6933 (Snyder, USGS Professional Paper 1395, section 10).
    """
    dense = _densified(polygons, _LONGEST_EDGE_DEG)
    area_m2: Float64Array = shapely.area(_project(dense, "EPSG:4326", to="EPSG:6933"))
    return area_m2 / 1e4


def _densified(polygons: ObjectArray, longest: float) -> ObjectArray:
    """Return the polygons with no edge longer than that; most have none and are not touched."""
    parts, of_part = shapely.get_parts(polygons, return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    coords, of_vertex = shapely.get_coordinates(rings, return_index=True)
    length = np.hypot(*np.diff(coords, axis=0).T)
    ends = of_vertex[1:][(length >= longest) & (of_vertex[1:] == of_vertex[:-1])]
    long = np.unique(of_part[of_ring[ends]])
    dense = polygons.copy()
    dense[long] = shapely.segmentize(polygons[long], longest)
    return dense


def _project(polygons: ObjectArray, crs: CRS | str, *, to: str) -> ObjectArray:
    """Return the polygons in another CRS; x is east or longitude in both."""
    transformer = Transformer.from_crs(crs, to, always_xy=True)

    def project(coords: Float64Array) -> Float64Array:
        x, y = coords.T
        return np.column_stack(transformer.transform(x, y, errcheck=True))

    projected: ObjectArray = shapely.transform(polygons, project)
    return projected


def _cut(lonlat: ObjectArray) -> ObjectArray:
    """Cut at the antimeridian what is on both sides of it; from 0 to 360 it is in one piece."""
    west, _, east, _ = shapely.bounds(lonlat).T
    result = lonlat.copy()
    for i in np.flatnonzero(east - west > 180):
        eastward = shapely.transform(lonlat[i], lambda c: np.column_stack([c[:, 0] % 360, c[:, 1]]))
        if eastward.bounds[2] - eastward.bounds[0] > 180:
            raise AreaInvalid(
                "a polygon spans more than 180 degrees of longitude both ways, so it holds a "
                "pole; maps are made up to the poles and not across: make the area smaller"
            )
        result[i] = cut(eastward)
    return result


def _rounded(lonlat: ObjectArray, decimals: int) -> ObjectArray:
    def to_grid(degrees: Float64Array) -> Float64Array:
        return np.asarray(np.round(degrees, decimals) + 0.0)  # which makes 0.0 of -0.0

    rounded: ObjectArray = shapely.transform(lonlat, to_grid)
    invalid = np.flatnonzero(~shapely.is_valid(rounded))
    for i in invalid:
        repaired = shapely.make_valid(lonlat[i], method="structure", keep_collapsed=False)
        snapped = polygons_only(shapely.set_precision(repaired, 10.0**-decimals))
        # Back to the floating precision, which all others have.
        rounded[i] = lonlat[i] if snapped.is_empty else shapely.set_precision(snapped, 0)
    return rounded
