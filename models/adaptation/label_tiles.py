"""Label tiles: windows of the scenes around labelled polygons, as a network is given them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from odc.geo.geobox import GeoBox

from geo.raster.windows import lattice
from geo.scenes.scene import Phase
from geo.types import Int32Array, IntArray
from models.adaptation.labels import LabelledBuildings, Labels
from models.cards.card import ModelCard
from models.damage.alignment import window_of
from models.damage.buildings import Buildings
from models.inference.map_scenes import spread
from models.inference.scene_inputs import Reader, read
from models.inference.windows import ProgressReceiver
from models.networks.tensors import stack, usable_pixels

MOST_PX = 64
"""Pixels of a polygon that are sampled, drawn by chance where it has more: they are alike."""


@dataclass(frozen=True, eq=False)
class LabelTile:
    """A window in which the inside of a few polygons is known."""

    channels: torch.Tensor
    """(channels, rows, cols), float16, normalised by the card."""
    numbers: Int32Array
    """(rows, cols): 0 none, k inside the k-th label of `LabelTiles.used`, where it was observed."""


@dataclass(frozen=True, eq=False)
class LabelTiles:
    """Windows around labels; each label is in one of them."""

    tiles: tuple[LabelTile, ...]
    used: IntArray
    """(labels,), which polygons of the file they are, from 0; some pixel of each was observed."""

    @classmethod
    def of(cls, windows: Iterable[tuple[torch.Tensor, IntArray, Int32Array]]) -> "LabelTiles":
        """Number the labels of windows: channels, polygons, and where the k-th is known."""
        tiles, used = [], np.zeros(0, np.int64)
        for channels, polygons, known in windows:
            there = np.unique(known[known > 0])
            if len(there):
                number = np.zeros(len(polygons) + 1, np.int32)
                number[there] = len(used) + 1 + np.arange(len(there))
                tiles.append(LabelTile(channels, number[known]))
                used = np.concatenate([used, polygons[there - 1]])
        return cls(tuple(tiles), used)


def sample_pixels(
    numbers: Int32Array, chance: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Return label, from 0, row and column of pixels of labels."""
    row, col = chance.permutation(np.argwhere(numbers > 0)).T
    order = np.argsort(numbers[row, col], kind="stable")
    row, col = row[order], col[order]
    label = numbers[row, col].astype(np.int64) - 1
    _, first, count = np.unique(label, return_index=True, return_counts=True)
    kept = np.arange(len(label)) - np.repeat(first, count) < MOST_PX
    return label[kept], row[kept], col[kept]


def flood_tiles(
    card: ModelCard, reader: Reader, geobox: GeoBox, labels: Labels, progress: ProgressReceiver
) -> LabelTiles:
    """Return the windows around labelled polygons, read and normalised as for a map.

    A polygon is in the window whose middle square holds a point inside it; of a larger one, a
    part is used. Unknown are overlaps of different classes, and the margins of windows.
    """
    polygons = Buildings.on(geobox, labels.outlines)
    grid = lattice((geobox.height, geobox.width), size=reader.window_px, overlap=reader.overlap_px)
    statistics = reader.scene_statistics(spread(grid, geobox, reader.window_px))
    scene = statistics[Phase.AFTER.value if card.single_date else "all"]
    squares = list(_squares(card, polygons, labels.labelled))

    def windows() -> Iterator[tuple[torch.Tensor, IntArray, Int32Array]]:
        progress.start("reading labels", len(squares))
        for slices, which in squares:
            inputs = reader.in_domain(
                read(reader, window_of(geobox, slices, (0.0, 0.0))), statistics
            )
            if card.single_date:
                inputs = {card.inputs[0].name: inputs[Phase.AFTER.value]}
            known = usable_pixels(card, inputs)
            inner = np.zeros_like(known)
            edge = card.architecture.margin_px
            inner[edge : known.shape[0] - edge, edge : known.shape[1] - edge] = True
            yes = labels.codes[which] == 1
            both = [polygons.drawn(slices, which[yes == value]) > 0 for value in (True, False)]
            known &= inner & ~(both[0] & both[1])
            numbers = np.where(known, polygons.drawn(slices, which), 0).astype(np.int32)
            yield torch.from_numpy(stack(card, [inputs], scene)[0]).half(), which, numbers
            progress.advance()

    return LabelTiles.of(windows())


def damage_tiles(
    card: ModelCard, buildings: LabelledBuildings, progress: ProgressReceiver
) -> LabelTiles:
    """Return the blocks of a map that hold labelled buildings, for a network of grades."""

    def windows() -> Iterator[tuple[torch.Tensor, IntArray, Int32Array]]:
        for view in buildings.views(card, progress):
            own, numbers = buildings.labelled(view)
            # Read where it shows these buildings, hence on a grid of its own.
            after = replace(view.after, geobox=view.before.geobox)
            inputs = {
                entry.name: view.before if entry.phase.takes(Phase.BEFORE) else after
                for entry in card.inputs
            }
            which = np.zeros(len(view.drawn) + 1, np.int32)
            which[numbers + 1] = 1 + np.arange(len(own))
            observed = view.before.valid & view.after.valid
            known = np.where(observed, which[view.numbers], 0).astype(np.int32)
            yield torch.from_numpy(stack(card, [inputs])[0]).half(), own, known

    return LabelTiles.of(windows())


def _squares(
    card: ModelCard, polygons: Buildings, which: IntArray
) -> Iterator[tuple[tuple[slice, slice], IntArray]]:
    """Yield windows of the card, and the polygons that have a point in their middle square."""
    core_px, around_px = card.window_px - card.overlap_px, card.overlap_px // 2
    points = polygons.inner[which]
    squares, square = np.unique((points // core_px).astype(np.int64), axis=0, return_inverse=True)
    for number, (row, col) in enumerate(squares.tolist()):
        top, left = row * core_px - around_px, col * core_px - around_px
        slices = slice(top, top + card.window_px), slice(left, left + card.window_px)
        yield slices, which[square.ravel() == number]
