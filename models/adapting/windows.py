"""Scenes and labelled polygons to the tiles that a network learns on from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from odc.geo.geobox import GeoBox

from geo.raster import BoolArray
from geo.scene import Phase
from geo.windows import lattice
from models.adapting.buildings import Town
from models.adapting.labels import NONE, Labels
from models.adapting.outcome import Indexes
from models.card import ModelCard
from models.data.xbd import IntArray
from models.grading.blocks import window_of
from models.grading.buildings import Buildings
from models.inputs import Inputs, answered, stack
from models.mapping import Progress, spread
from models.reader import Reader, Seen, read
from models.survey import NOTHING_LEARNED, Survey
from models.training.tiles import Tile
from models.tuning import LabelledTile


@dataclass(frozen=True, eq=False)
class Lessons:
    """Tiles with labels, and which polygons these are of."""

    tiles: tuple[LabelledTile, ...]
    used: Indexes
    """(labels,): the polygon of the k-th label, from 0, that some pixel was seen of."""


class _Gathered:
    """Numbers polygons as they are seen, from 1 on and without a gap."""

    def __init__(self) -> None:
        self._tiles: list[LabelledTile] = []
        self._used: list[int] = []

    def add(self, tile: Tile, which: Indexes, numbers: IntArray) -> None:
        """Add a tile; `numbers` says where the k-th of `which` is known, and was seen."""
        there = np.unique(numbers[numbers > 0])
        if not len(there):
            return
        new = np.zeros(len(which) + 1, np.int32)
        new[there] = len(self._used) + 1 + np.arange(len(there))
        self._tiles.append(LabelledTile(tile, new[numbers]))
        self._used += which[there - 1].tolist()

    def lessons(self) -> Lessons:
        return Lessons(tuple(self._tiles), np.array(self._used, np.int64))


def flood_lessons(
    card: ModelCard, reader: Reader, geobox: GeoBox, labels: Labels, progress: Progress
) -> Lessons:
    """Return the windows around labelled polygons, read and normalised as for a map.

    A polygon lies in one window, that of the square of the grid that holds a point inside it; of
    one that is larger, a part is seen. Where polygons that say different things overlap, nothing
    is known.

    Args:
        card: of the network.
        reader: of the scenes, for this network.
        geobox: the grid of the map.
        labels: of floods or water.
        progress: told the windows.
    """
    polygons = Buildings.on(geobox, labels.outlines)
    rows, cols = geobox.shape
    grid = lattice((rows, cols), size=reader.window_px, overlap=reader.overlap_px)
    surveys = reader.survey(spread(grid, geobox, reader.window_px))
    name = Phase.AFTER.value if card.single_date else "all"
    gathered = _Gathered()
    squares = list(_squares(card, polygons, labels.labelled))
    progress.start("reading labels", len(squares))
    for slices, which in squares:
        seen = reader.trusted(read(reader, window_of(geobox, slices, (0.0, 0.0))), surveys)
        inputs = _inputs(card, seen)
        usable = answered(card, inputs)
        said = labels.codes[which] == 1
        numbers = np.where(usable, _drawn(card, polygons, slices, which, said), 0)
        wet = np.concatenate([[False], said])[numbers]
        tile = _tile(card, inputs, surveys[name], wet[None], (numbers > 0)[None])
        gathered.add(tile, which, numbers.astype(np.int32))
        progress.advance()
    return gathered.lessons()


def damage_lessons(card: ModelCard, town: Town, progress: Progress) -> Lessons:
    """Return the blocks of a map that hold labelled buildings, as a network of grades sees them.

    Where there is no building nothing is known: the labels do not say that there is none.
    """
    gathered = _Gathered()
    for view in town.views(card, progress):
        own, numbers = town.labelled(view)
        inputs = {
            entry.slot: view.before if entry.phase.takes(Phase.BEFORE) else
            # Read where it shows these buildings, hence on a grid of its own.
            replace(view.after, geobox=view.before.geobox)
            for entry in card.inputs
        }  # fmt: skip
        which = np.zeros(len(view.beside) + 1, np.int32)
        which[numbers + 1] = 1 + np.arange(len(own))
        seen = view.before.valid & view.after.valid
        labelled = np.where(seen, which[view.numbers], 0).astype(np.int32)
        grades = np.concatenate([[NONE], town.labels.codes[own]])[labelled]
        known = labelled > 0
        steps = [known, *(known & (grades >= step) for step in (1, 2, 3))]
        tile = _tile(card, inputs, NOTHING_LEARNED, np.stack(steps), np.stack([known] * 4))
        gathered.add(tile, own, labelled)
    return gathered.lessons()


def _squares(
    card: ModelCard, polygons: Buildings, which: Indexes
) -> Iterator[tuple[tuple[slice, slice], Indexes]]:
    """Yield windows of the card, and the polygons that a point of lies in their middle square."""
    core_px, around_px = card.window_px - card.overlap_px, card.overlap_px // 2
    points = polygons.inner[which]
    squares, held = np.unique((points // core_px).astype(np.int64), axis=0, return_inverse=True)
    for number, (row, col) in enumerate(squares.tolist()):
        top, left = row * core_px - around_px, col * core_px - around_px
        slices = slice(top, top + card.window_px), slice(left, left + card.window_px)
        yield slices, which[held.ravel() == number]


def _drawn(
    card: ModelCard,
    polygons: Buildings,
    slices: tuple[slice, slice],
    which: Indexes,
    said: BoolArray,
) -> IntArray:
    """Return where the k-th polygon is known in a window, 0 where none is.

    Neither where others say something else, nor at the edge, where the network sees too little.
    """
    numbers = polygons.drawn(slices, which)
    yes, no = (polygons.drawn(slices, which[said == value]) > 0 for value in (True, False))
    inner = np.zeros(numbers.shape, bool)
    edge = card.architecture.margin_px
    inner[edge : numbers.shape[0] - edge, edge : numbers.shape[1] - edge] = True
    return np.where(inner & ~(yes & no), numbers, 0).astype(np.int32)


def _inputs(card: ModelCard, seen: Seen) -> Inputs:
    """Return what fills the slots: of a model of one date, the image after the event."""
    return {card.inputs[0].slot: seen[Phase.AFTER.value]} if card.single_date else seen


def _tile(
    card: ModelCard, inputs: Inputs, survey: Survey, target: BoolArray, known: BoolArray
) -> Tile:
    nothing = np.zeros(target.shape[1:], bool)
    rasters = (inputs.get(entry.slot) for entry in card.inputs)
    seen = np.stack([nothing if raster is None else raster.valid for raster in rasters])
    return Tile(
        channels=torch.from_numpy(stack(card, [inputs], survey)[0]).half(),
        seen=torch.from_numpy(seen),
        target=torch.from_numpy(target & known),
        known=torch.from_numpy(known),
    )
