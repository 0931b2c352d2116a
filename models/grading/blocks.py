"""Blocks of buildings as a pair of images shows them: what every grader is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from geo.grid import crs_of
from geo.raster import Raster
from models.card import ModelCard
from models.data.xbd import IntArray
from models.grading.buildings import Buildings, Reals
from models.grading.pair import Pair
from models.grading.place import Placement

Indexes: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

LARGEST_PX = 2048
"""Longer sides are no building: they would be read whole."""


@dataclass(frozen=True, eq=False)
class Block:
    """Buildings that are graded together, and the window that holds them."""

    own: Indexes
    slices: tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class View:
    """A block in both images; its neighbours are drawn, so that no ring meets them."""

    own: Indexes
    beside: Indexes
    """All buildings of the window, ascending; the k-th has the number k."""
    numbers: IntArray
    """(rows, cols), 0 none."""
    before: Raster
    after: Raster


@dataclass(frozen=True, eq=False)
class Placed:
    """Buildings where a placement says that they are."""

    there: Buildings
    """In the image before."""
    lying: Reals
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
    def too_large(self) -> Flags:
        """(buildings,)."""
        return np.asarray(self.there.sides > LARGEST_PX)

    @property
    def adrift(self) -> Flags:
        """(buildings,); True where nobody knows where the image after shows it."""
        return np.asarray(~np.isfinite(self.lying).all(axis=1))

    def blocks(self, card: ModelCard, wanted: Flags) -> Iterator[Block]:
        """Yield the wanted buildings of each square, with a window that holds all of each.

        Squares are of the card's window less its overlap, and half the overlap lies around
        their buildings. So memory follows the window, not the city.
        """
        core_px, around_px = card.window_px - card.overlap_px, -(-card.overlap_px // 2)
        which = np.flatnonzero(wanted)
        squares = (self.there.middles[which] // core_px).astype(np.int64)
        _, square = np.unique(squares, axis=0, return_inverse=True)
        order = np.argsort(square.ravel(), kind="stable")
        cuts = np.flatnonzero(np.diff(square.ravel()[order])) + 1
        bounds = self.there.bounds
        for own in np.split(which[order], cuts) if len(which) else ():
            left, top = np.floor(bounds[own, :2].min(axis=0)).astype(int) - around_px
            right, bottom = np.ceil(bounds[own, 2:].max(axis=0)).astype(int) + around_px
            yield Block(own, (slice(top, bottom), slice(left, right)))

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
