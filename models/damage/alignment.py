"""Where a pair of images and the footprints lie: measured block by block before any grading.

Blocks of buildings as a pair of images shows them: what every grader is given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geo.errors import NotAligned
from geo.raster.coregistration import BlockShift, ShiftField, block_shift, edges, outlines
from geo.raster.grid import crs_of
from geo.raster.windows import Lattice, Window, lattice
from geo.types import BoolArray, Float64Array, FloatArray, Int32Array, IntArray, Raster
from models.cards.card import ModelCard
from models.damage.buildings import Buildings, Pair
from models.inference.windows import ProgressReceiver

BLOCK_PX = 256
REACH_M = 20.0
"""Longest shift that is looked for: orthophotos without ground control lie 5 to 10 m off."""
TOLERANCE_M = 2.0
"""Blocks that differ by more from their neighbours contradict them: less than half a small house.
The terrain and the height of the buildings move them by 1 to 2 m in joplin_xbd."""
MOST_BLOCKS = 64
"""Blocks that are compared, spread over those that hold buildings: shifts change over hundreds of
metres, and a block costs half a second."""
_LEAST_BUILDINGS = 3
"""Buildings of a block whose outlines are held against the image."""
_LEAST_SEEN = 0.5


@dataclass(frozen=True)
class Placement:
    """How far the image after and the footprints lie from the image before."""

    after: ShiftField
    footprints: ShiftField
    resolution_m: float
    given: bool = True
    """Whether the footprints were given, and not found in the image before."""

    @property
    def footprints_follow(self) -> bool:
        """Whether the footprints are moved: what was measured is believed."""
        return self.footprints.is_translation

    def notes(self) -> tuple[str, ...]:
        """Return as sentences what was found and what was done about it."""
        if not self.after.blocks:
            what = "building lies" if self.given else "block of the area lies"
            return (f"no {what} where both images were seen, so none could be compared",)
        said = (
            f"the image after lies {self._said(self.after)} from the image before "
            f"({_counted(self.after)}); the buildings were compared where they lie in each"
            if self.after.is_translation
            else f"whether the image after lies on the image before could not be measured "
            f"({_counted(self.after)}); they were compared as they lie, as asked"
        )
        return (said, self._footprints_note()) if self.given else (said,)

    def _footprints_note(self) -> str:
        if self.footprints_follow:
            return (
                f"the footprints lie {self._said(self.footprints)} from the image before "
                f"({_counted(self.footprints)}); they were graded where the buildings are, and "
                "are published as they were given"
            )
        return (
            f"how far the footprints lie from the image could not be measured "
            f"({_counted(self.footprints)}); they were graded where they lie"
        )

    def _said(self, field: ShiftField) -> str:
        down, right = (self.resolution_m * shift for shift in field.median)
        far = np.hypot(down, right)
        pixels = far / self.resolution_m
        return f"{far:.1f} m ({pixels:.1f} px) {_compass(down, right)}"

    def as_json(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            name: {
                "blocks": len(field.blocks),
                "trusted": len(field.trusted),
                "agreeing": int(field.agreeing.sum()),
                "east_m": round(field.median[1] * self.resolution_m, 3),
                "south_m": round(field.median[0] * self.resolution_m, 3),
                "spread_m": round(field.spread * self.resolution_m, 3),
                "used": field.is_translation,
            }
            for name, field in (("after", self.after), ("footprints", self.footprints))
        }


def place(
    pair: Pair,
    geobox: GeoBox,
    buildings: Buildings | None,
    *,
    checked: bool,
    progress: ProgressReceiver,
) -> Placement:
    """Return where a pair and the footprints lie, from blocks that hold buildings.

    Args:
        geobox: the grid, at the resolution that the grader wants.
        buildings: None where none were given: then blocks of the whole grid are compared, and
            what is found in the images lies where they do.
        checked: False compares images as they lie where nothing can be measured.

    Raises:
        NotAligned: where the blocks contradict each other, or too few can be measured.
    """
    resolution_m = abs(geobox.resolution.x)
    windows = _blocks(pair, geobox, buildings)
    progress.start("aligning", len(windows))
    after: list[BlockShift] = []
    drawn: list[BlockShift] = []
    for window in windows:
        _compare(pair, geobox, window, buildings, after=after, drawn=drawn)
        progress.advance()
    tolerance_px = TOLERANCE_M / resolution_m
    placement = Placement(
        ShiftField(tuple(after), tolerance_px),
        ShiftField(tuple(drawn), tolerance_px),
        resolution_m,
        given=buildings is not None,
    )
    _require_pair(placement.after, checked=checked)
    return placement


def _compare(
    pair: Pair,
    geobox: GeoBox,
    window: Window,
    buildings: Buildings | None,
    *,
    after: list[BlockShift],
    drawn: list[BlockShift],
) -> None:
    """Add the shifts of one block, where enough of it was seen and drawn."""
    rows, cols = window.slices
    middle = (rows.start + rows.stop) / 2, (cols.start + cols.stop) / 2
    box = geobox[rows, cols]
    reach_px = max(1, round(REACH_M / abs(geobox.resolution.x)))
    first = edges(pair.before.read(box).pixels)
    if not _seen(first):
        return
    second = edges(pair.after.read(box).pixels)
    if _seen(second):
        after.append(block_shift(first, second, reach_px=reach_px, middle=middle))
    if buildings is None:
        return
    numbers = buildings.drawn(window.slices)
    if len(np.unique(numbers)) > _LEAST_BUILDINGS:
        shape = outlines(numbers)
        drawn.append(block_shift(first, shape, reach_px=reach_px, middle=middle))


def _seen(image: FloatArray) -> bool:
    return bool(np.isfinite(image).mean() >= _LEAST_SEEN)


def _blocks(pair: Pair, geobox: GeoBox, buildings: Buildings | None) -> Sequence[Window]:
    """Return the blocks with buildings, or else of both images, spread evenly over many."""
    height, width = geobox.shape
    grid = lattice((height, width), size=BLOCK_PX, overlap=0)
    across = len(grid.cols)
    held = _shared(grid, pair, geobox) if buildings is None else _held(grid, buildings)
    spread: IntArray = held[
        np.unique(np.linspace(0, len(held) - 1, min(len(held), MOST_BLOCKS)).round().astype(int))
    ]
    return [Window(grid.rows[n // across], grid.cols[n % across]) for n in spread]


def _shared(grid: Lattice, pair: Pair, geobox: GeoBox) -> IntArray:
    """Return the numbers of the blocks whose middles lie in images before and after."""
    rows, cols = (
        np.array([(span.start + span.stop) / 2 for span in spans])
        for spans in (grid.rows, grid.cols)
    )
    col, row = np.meshgrid(cols, rows)
    to_lonlat = Transformer.from_crs(crs_of(geobox), "EPSG:4326", always_xy=True).transform
    lon, lat = to_lonlat(*(geobox.affine @ (col.ravel(), row.ravel())))
    both = np.ones(len(lon), np.bool_)
    for mosaic in (pair.before, pair.after):
        footprint = shapely.union_all([scene.footprint for scene in mosaic.scenes])
        both &= shapely.contains_xy(footprint, lon, lat)
    return np.flatnonzero(both)


def _held(grid: Lattice, buildings: Buildings) -> IntArray:
    """Return the numbers of the blocks that hold buildings."""
    rows, cols = (
        np.minimum(np.maximum(at // BLOCK_PX, 0).astype(np.int64), len(spans) - 1)
        for at, spans in zip(buildings.middles.T, (grid.rows, grid.cols), strict=True)
    )
    return np.unique(rows * len(grid.cols) + cols)


def _require_pair(field: ShiftField, *, checked: bool) -> None:
    # Where no block was seen twice, each building says itself what is missing.
    if not field.blocks or field.is_translation or (not field.is_sure and not checked):
        return
    cure = "give images of one angle of view, or orthorectified ones"
    if field.is_sure:
        raise NotAligned(
            f"the images before and after lie on each other nowhere near the same way: of "
            f"{len(field.trusted)} blocks that could be matched only {int(field.agreeing.sum())} "
            f"agree with their neighbours to {TOLERANCE_M:g} m, which no shift can mend; {cure}"
        )
    raise NotAligned(
        f"whether the images before and after lie on each other cannot be told: "
        f"{_counted(field)} within {REACH_M:g} m; {cure}, or --no-domain-check to compare them "
        "as they lie"
    )


def _counted(field: ShiftField) -> str:
    return f"{len(field.trusted)} of {len(field.blocks)} blocks could be matched"


def _compass(down: float, right: float) -> str:
    """Return a direction, "south-east"."""
    names = ("north", "north-east", "east", "south-east", "south", "south-west", "west",
             "north-west")  # fmt: skip
    return names[round(np.degrees(np.arctan2(right, -down)) / 45) % 8]


LARGEST_PX = 2048
"""Longer sides are no building: they would be read whole."""


@dataclass(frozen=True, eq=False)
class Block:
    """Buildings that are graded together, and the window that holds them."""

    own: IntArray
    slices: tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class View:
    """A block in both images; its neighbours are drawn, so that no ring meets them."""

    own: IntArray
    beside: IntArray
    """All buildings of the window, ascending; the k-th has the number k."""
    numbers: Int32Array
    """(rows, cols), 0 none."""
    before: Raster
    after: Raster


@dataclass(frozen=True, eq=False)
class Placed:
    """Buildings where a placement says that they are."""

    there: Buildings
    """In the image before."""
    lying: Float64Array
    """(buildings, 2): how far (down, right) each lies off in the image after, pixels; NaN where
    the blocks of the images contradict each other."""

    @classmethod
    def of(cls, buildings: Buildings, placement: Placement) -> "Placed":
        """Return the buildings where they are.

        A building where the footprints' blocks contradict each other stays where it lies.
        """
        there = buildings
        if placement.footprints_follow:
            off = placement.footprints.at(*buildings.middles.T)
            there = buildings.moved(-np.nan_to_num(off))
        if not placement.after.is_translation:
            return cls(there, np.zeros((len(buildings), 2)))
        return cls(there, placement.after.at(*there.middles.T))

    @property
    def too_large(self) -> BoolArray:
        """(buildings,)."""
        return np.asarray(self.there.sides > LARGEST_PX)

    @property
    def adrift(self) -> BoolArray:
        """(buildings,); True where nobody knows where the image after shows it."""
        return np.asarray(~np.isfinite(self.lying).all(axis=1))

    @property
    def comparable(self) -> BoolArray:
        """(buildings,); True where a building can be read in both images."""
        return np.asarray(~self.too_large & ~self.adrift)

    def blocks(self, card: ModelCard) -> Iterator[Block]:
        """Yield the comparable buildings of each square, with a window that holds all of each.

        Squares are of the card's window less its overlap, and half the overlap lies around
        their buildings. So memory follows the window, not the city.
        """
        core_px, around_px = card.window_px - card.overlap_px, -(-card.overlap_px // 2)
        which = np.flatnonzero(self.comparable)
        squares = (self.there.middles[which] // core_px).astype(np.int64)
        _, square = np.unique(squares, axis=0, return_inverse=True)
        order = np.argsort(square.ravel(), kind="stable")
        cuts = np.flatnonzero(np.diff(square.ravel()[order])) + 1
        bounds = self.there.bounds
        for own in np.split(which[order], cuts) if len(which) else ():
            left, top = np.floor(bounds[own, :2].min(axis=0)).astype(int) - around_px
            right, bottom = np.ceil(bounds[own, 2:].max(axis=0)).astype(int) + around_px
            yield Block(own, (slice(top, bottom), slice(left, right)))

    def view_around(self, index: int, card: ModelCard, pair: Pair, geobox: GeoBox) -> View | None:
        """Read the block of a building; None where it cannot be compared."""
        blocks = (block for block in self.blocks(card) if index in block.own)
        block = next(blocks, None)
        return None if block is None else self.view(block, pair, geobox)

    def view(self, block: Block, pair: Pair, geobox: GeoBox) -> View:
        """Read a block in both images, the one after where it shows these buildings."""
        beside = self.there.within(block.slices)
        off = np.median(self.lying[block.own], axis=0)
        return View(
            own=block.own,
            beside=beside,
            numbers=self.there.drawn(block.slices, beside),
            before=pair.before.read(window_of(geobox, block.slices, (0.0, 0.0))),
            after=pair.after.read(window_of(geobox, block.slices, (off[0], off[1]))),
        )


def window_of(geobox: GeoBox, slices: tuple[slice, slice], off: tuple[float, float]) -> GeoBox:
    """Return a window of a grid, moved by (down, right) pixels; it may reach beyond the grid."""
    rows, cols = slices
    shape = rows.stop - rows.start, cols.stop - cols.start
    corner = Affine.translation(cols.start + off[1], rows.start + off[0])
    return GeoBox(shape, geobox.affine @ corner, crs_of(geobox))
