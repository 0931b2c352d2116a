"""The shift of the images after and of the footprints, measured by block before any grading."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
"""Longest shift that is looked for: orthophotos without ground control are 5 to 10 m off."""
TOLERANCE_M = 2.0
"""Blocks that differ by more from their neighbours contradict them: less than half a small house.
The terrain and the height of the buildings move them by 1 to 2 m in joplin_xbd."""
MAX_BLOCKS = 64
"""Blocks that are compared, spread over those that hold buildings: each costs half a second."""
_MIN_BUILDINGS = 3
"""Buildings of a block whose outlines are compared with the image."""
_MIN_OBSERVED = 0.5


@dataclass(frozen=True)
class Placement:
    """How far the image after and the footprints lie from the image before."""

    after: ShiftField
    footprints: ShiftField
    resolution_m: float
    given: bool = True
    """Whether the footprints were given, and not found in the image before."""

    @property
    def moves_footprints(self) -> bool:
        """Whether the shift of the footprints is known well enough to move them by it."""
        return self.footprints.is_translation

    def notes(self) -> tuple[str, ...]:
        """Return as sentences what was found and what was done about it."""
        if not self.after.blocks:
            what = "building lies" if self.given else "block of the area lies"
            return (f"no {what} where both images were observed, so none could be compared",)
        matched = _matched(self.after)
        after = (
            f"the image after lies {self._distance(self.after)} from the image before ({matched}); "
            "the buildings were compared where they lie in each"
            if self.after.is_translation
            else f"whether the image after lies on the image before could not be measured "
            f"({matched}); they were compared as they lie, as requested"
        )
        if not self.given:
            return (after,)
        matched = _matched(self.footprints)
        return after, (
            f"the footprints lie {self._distance(self.footprints)} from the image before "
            f"({matched}); they were graded where the buildings are, and are published as they "
            "were given"
            if self.moves_footprints
            else f"how far the footprints lie from the image could not be measured ({matched}); "
            "they were graded where they lie"
        )

    def _distance(self, field: ShiftField) -> str:
        down, right = field.median
        pixels = np.hypot(down, right)
        return f"{pixels * self.resolution_m:.1f} m ({pixels:.1f} px) {_compass(down, right)}"

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
        geobox: at the resolution that the grader wants.
        buildings: None where none were given: then blocks of the whole grid are compared.
        checked: False compares images as they lie where nothing can be measured.

    Raises:
        NotAligned: where the blocks contradict each other, or too few can be measured.
    """
    resolution_m = abs(geobox.resolution.x)
    reach_px = max(1, round(REACH_M / resolution_m))
    windows = _block_windows(pair, geobox, buildings)
    progress.start("aligning", len(windows))
    after: list[BlockShift] = []
    footprints: list[BlockShift] = []
    for window in windows:
        middle = tuple((part.start + part.stop) / 2 for part in window.slices)
        compare = partial(block_shift, reach_px=reach_px, middle=(middle[0], middle[1]))
        before = edges(pair.before.read(geobox[window.slices]).pixels)
        if _observed(before):
            image = edges(pair.after.read(geobox[window.slices]).pixels)
            if _observed(image):
                after.append(compare(before, image))
            numbers = None if buildings is None else buildings.drawn(window.slices)
            if numbers is not None and len(np.unique(numbers)) > _MIN_BUILDINGS:
                footprints.append(compare(before, outlines(numbers)))
        progress.advance()
    tolerance_px = TOLERANCE_M / resolution_m
    first, second = (ShiftField(tuple(each), tolerance_px) for each in (after, footprints))
    placement = Placement(first, second, resolution_m, given=buildings is not None)
    _require_comparable(placement.after, checked=checked)
    return placement


def _observed(image: FloatArray) -> bool:
    return bool(np.isfinite(image).mean() >= _MIN_OBSERVED)


def _block_windows(pair: Pair, geobox: GeoBox, buildings: Buildings | None) -> Sequence[Window]:
    grid = lattice((geobox.shape[0], geobox.shape[1]), size=BLOCK_PX, overlap=0)
    across = len(grid.cols)
    if buildings is None:
        there = _in_both(grid, pair, geobox)
    else:
        shape = np.array([len(grid.rows), across])
        block = np.clip(buildings.middles // BLOCK_PX, 0, shape - 1).astype(np.int64)
        there = np.unique(block[:, 0] * across + block[:, 1])
    last = len(there) - 1
    picked = np.unique(np.linspace(0, last, min(last + 1, MAX_BLOCKS)).round().astype(int))
    return [Window(grid.rows[n // across], grid.cols[n % across]) for n in there[picked]]


def _in_both(grid: Lattice, pair: Pair, geobox: GeoBox) -> IntArray:
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


def _require_comparable(field: ShiftField, *, checked: bool) -> None:
    # Where no block is observed in both, each building says itself what is missing.
    if not field.blocks or field.is_translation or (not field.is_sure and not checked):
        return
    cure = "give images of one angle of view, or orthorectified ones"
    if field.is_sure:
        raise NotAligned(
            f"the images before and after are not co-registered: of {len(field.trusted)} blocks "
            f"that could be matched only {int(field.agreeing.sum())} agree with their neighbours "
            f"to {TOLERANCE_M:g} m, which no shift can mend; {cure}"
        )
    raise NotAligned(
        f"whether the images before and after are co-registered cannot be measured: "
        f"{_matched(field)} within {REACH_M:g} m; {cure}, or --no-domain-check to compare them "
        "as they lie"
    )


def _matched(field: ShiftField) -> str:
    return f"{len(field.trusted)} of {len(field.blocks)} blocks could be matched"


def _compass(down: float, right: float) -> str:
    names = ("north", "north-east", "east", "south-east", "south", "south-west", "west",
             "north-west")  # fmt: skip
    return names[round(np.degrees(np.arctan2(right, -down)) / 45) % 8]


LARGEST_PX = 2048
"""Longer sides are no building: they would be read whole."""


@dataclass(frozen=True, eq=False)
class BlockView:
    """Buildings that are graded together, in both images."""

    own: IntArray
    drawn: IntArray
    """All buildings of the window, ascending, so that no ring meets them; the k-th has number k."""
    numbers: Int32Array
    """(rows, cols), 0 none."""
    before: Raster
    after: Raster


@dataclass(frozen=True, eq=False)
class PlacedBuildings:
    """Buildings where a placement locates them."""

    buildings: Buildings
    """In the image before."""
    shifts: Float64Array
    """(buildings, 2): (down, right) in the image after, pixels; NaN where its blocks contradict."""

    @classmethod
    def of(cls, buildings: Buildings, placement: Placement) -> "PlacedBuildings":
        """Return the buildings where they are; those of contradicting footprints stay."""
        if placement.moves_footprints:
            off = placement.footprints.at(*buildings.middles.T)
            buildings = buildings.moved(-np.nan_to_num(off))
        if not placement.after.is_translation:
            return cls(buildings, np.zeros((len(buildings), 2)))
        return cls(buildings, placement.after.at(*buildings.middles.T))

    @property
    def too_large(self) -> BoolArray:
        """(buildings,)."""
        return np.asarray(self.buildings.sides > LARGEST_PX)

    @property
    def not_aligned(self) -> BoolArray:
        """(buildings,); True where the shift in the image after is not known."""
        return np.asarray(~np.isfinite(self.shifts).all(axis=1))

    def blocks(self, card: ModelCard) -> list[IntArray]:
        """Return readable buildings by square: memory follows the card's window, not the city."""
        which = np.flatnonzero(~self.too_large & ~self.not_aligned)
        core_px = card.window_px - card.overlap_px
        squares = (self.buildings.middles[which] // core_px).astype(np.int64)
        _, square = np.unique(squares, axis=0, return_inverse=True)
        order = np.argsort(square.ravel(), kind="stable")
        cuts = np.flatnonzero(np.diff(square.ravel()[order])) + 1
        return list(np.split(which[order], cuts)) if len(which) else []

    def view(self, own: IntArray, card: ModelCard, pair: Pair, geobox: GeoBox) -> BlockView:
        """Read a block with half the card's overlap around it, in each image where that has it."""
        around_px, bounds = -(-card.overlap_px // 2), self.buildings.bounds[own]
        left, top = np.floor(bounds[:, :2].min(axis=0)).astype(int) - around_px
        right, bottom = np.ceil(bounds[:, 2:].max(axis=0)).astype(int) + around_px
        slices = slice(top, bottom), slice(left, right)
        drawn = self.buildings.within(slices)
        down, right_px = np.median(self.shifts[own], axis=0)
        return BlockView(
            own=own,
            drawn=drawn,
            numbers=self.buildings.drawn(slices, drawn),
            before=pair.before.read(window_of(geobox, slices, (0.0, 0.0))),
            after=pair.after.read(window_of(geobox, slices, (down, right_px))),
        )


def window_of(geobox: GeoBox, slices: tuple[slice, slice], off: tuple[float, float]) -> GeoBox:
    """Return a window of a grid, moved by (down, right) pixels; it may reach beyond the grid."""
    rows, cols = slices
    shape = rows.stop - rows.start, cols.stop - cols.start
    corner = Affine.translation(cols.start + off[1], rows.start + off[0])
    return GeoBox(shape, geobox.affine @ corner, crs_of(geobox))
