"""Opened: a network of which the last convolution is taken apart from what comes before.

LabelledTile: a tile of a scene in which a few polygons have a label, and what they say.

Scenes and labelled polygons to the tiles that a network learns on from.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from odc.geo.geobox import GeoBox
from torch.nn.functional import pad, unfold

from geo.raster.windows import lattice
from geo.scenes.scene import Phase
from geo.types import BoolArray, Float64Array, Int32Array, IntArray
from models.adaptation.adapt import Town
from models.adaptation.labels import NONE, Labels
from models.cards.card import ModelCard
from models.damage.alignment import window_of
from models.damage.buildings import Buildings
from models.errors import InputsMismatch
from models.inference.map_scenes import ProgressReceiver, spread
from models.inference.scene_inputs import Reader, Seen, read
from models.networks.network import NetworkModel, averaged
from models.networks.tensors import NO_STATISTICS, Inputs, SceneStatistics, stack, usable_pixels
from models.training.dataset import Layout, Tile

MOST_PX = 256
"""Pixels of a polygon that are looked at, drawn by chance where it has more: they are alike."""


@dataclass(frozen=True, eq=False)
class LabelledTile:
    """A tile of which the inside of a few polygons is known."""

    tile: Tile
    """`target` and `known`, (findings, rows, cols), hold the labels; known in polygons only."""
    polygons: Int32Array
    """(rows, cols): 0 none, k the k-th label polygon. Numbers run over all tiles from 1 on, and a
    polygon lies whole in one tile."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Pixels of a tile that are looked at; those of a polygon follow each other, by chance."""

    polygon: IntArray
    """(spots,), which polygon it is of, from 0."""
    row: IntArray
    col: IntArray


@dataclass(frozen=True, eq=False)
class PolygonLabels:
    """What the polygons of all tiles say."""

    answers: Float64Array
    """(polygons, classes): 1 yes, 0 no, NaN where it does not say."""
    spots: tuple[Spots, ...]
    """By tile."""

    @classmethod
    def of(cls, card: ModelCard, tiles: Sequence[LabelledTile], *, seed: int) -> "PolygonLabels":
        """Read the labels.

        Raises:
            InputsMismatch: where a polygon is missing, lies in two tiles, or is both yes and no.
        """
        count = max((int(one.polygons.max(initial=0)) for one in tiles), default=0)
        answers = np.full((count, len(card.classes)), np.nan)
        times = np.zeros(count, np.int64)
        for one in tiles:
            times[np.unique(one.polygons[one.polygons > 0]) - 1] += 1
            _read(one, answers)
        if not count or (times != 1).any():
            raise InputsMismatch(
                f"label polygons are numbered from 1 on and lie whole in one tile each; of {count} "
                f"{int((times == 0).sum())} lie in none and {int((times > 1).sum())} in several"
            )
        chance = np.random.default_rng(seed)
        return cls(answers, tuple(_spots(one, _seen(card, one.tile), chance) for one in tiles))

    @property
    def seen(self) -> BoolArray:
        """(polygons,), whether any pixel was seen."""
        there = np.zeros(len(self.answers), bool)
        for spots in self.spots:
            there[spots.polygon] = True
        return there

    @property
    def both(self) -> BoolArray:
        """(classes,), whether polygons that were seen say yes and others no."""
        said = self.answers[self.seen]
        return np.asarray((said == 1).any(axis=0) & (said == 0).any(axis=0))


def _read(one: LabelledTile, answers: Float64Array) -> None:
    """Write down what the polygons of a tile say."""
    target, known = one.tile.target.numpy(), one.tile.known.numpy()
    for number in range(answers.shape[1]):
        inside = known[number] & (one.polygons > 0)
        polygon, value = one.polygons[inside] - 1, target[number][inside]
        answers[polygon, number] = value
        if (answers[polygon, number] != value).any():
            raise InputsMismatch(
                "a label polygon is of a class in some of its pixels and not in others; give a "
                "polygon one label"
            )


def _seen(card: ModelCard, tile: Tile) -> BoolArray:
    """Return where the model can answer, (rows, cols); see `usable_pixels`."""
    layout = Layout.of(card.inputs, availability=False)
    required = [index for index, entry in enumerate(card.inputs) if entry.required]
    seen: torch.Tensor = layout.answered(tile.seen) & tile.seen[required].all(dim=0)
    return np.asarray(seen.numpy())


def _spots(one: LabelledTile, seen: BoolArray, chance: np.random.Generator) -> Spots:
    row, col = chance.permutation(np.argwhere(seen & (one.polygons > 0))).T
    order = np.argsort(one.polygons[row, col], kind="stable")
    row, col = row[order], col[order]
    polygon = one.polygons[row, col].astype(np.int64) - 1
    kept = rank(polygon) < MOST_PX
    return Spots(polygon[kept], row[kept], col[kept])


def rank(polygon: IntArray) -> IntArray:
    """Return the place of each spot among those of its polygon, from 0.

    Args:
        polygon: (spots,), sorted.
    """
    _, first, count = np.unique(polygon, return_index=True, return_counts=True)
    ranks: IntArray = np.arange(len(polygon)) - np.repeat(first, count)
    return ranks


def mean_by_polygon(values: Float64Array, polygon: IntArray, *, count: int) -> Float64Array:
    """Return the mean of each column over each polygon, (polygons, columns); NaN without a spot.

    Args:
        values: (spots, columns).
        polygon: (spots,), from 0.
        count: of polygons.
    """
    spots = np.bincount(polygon, minlength=count)
    sums = [np.bincount(polygon, weights=column, minlength=count) for column in values.T]
    means = np.stack(sums, axis=1) / np.maximum(spots, 1)[:, None]
    return np.where(spots[:, None] > 0, means, np.nan)


@dataclass(frozen=True)
class Opened:
    """A network whose last convolution can be read and set: a logistic regression a class."""

    network: torch.nn.Module
    """Gives logits of windows whose sides are multiples of the stride."""
    last: torch.nn.Conv2d
    """Its last convolution; only what treats all channels alike comes after it."""
    bias: torch.Tensor
    """Of the last convolution."""
    device: torch.device
    stride_px: int
    symmetries: int

    @classmethod
    def of(cls, model: NetworkModel) -> "Opened":
        """Open the network of a model.

        Raises:
            InputsMismatch: where it does not end in a convolution that gives its classes.
        """
        last = [part for part in model.network.modules() if isinstance(part, torch.nn.Conv2d)][-1]
        classes = len(model.card.classes)
        if last.bias is None or last.out_channels != classes:
            raise InputsMismatch(
                f"the last convolution of {model.card.name} gives {last.out_channels} channels "
                f"for {classes} classes; only a network that ends in a convolution for "
                "its classes can learn on"
            )
        where = model.device, model.card.stride_px, model.symmetries
        return cls(model.network, last, last.bias, *where)

    @property
    def head(self) -> Float64Array:
        """(classes, 1 + features): intercept and coefficients of the last convolution."""
        parts = self.bias[:, None], self.last.weight.flatten(1)
        return torch.cat(parts, dim=1).detach().cpu().numpy().astype(np.float64)

    def set_head(self, head: Float64Array) -> None:
        """Set intercepts and coefficients; see `head`."""
        values = torch.from_numpy(head.astype(np.float32)).to(self.device)
        with torch.no_grad():
            self.bias.copy_(values[:, 0])
            self.last.weight.copy_(values[:, 1:].view_as(self.last.weight))

    def features(self, tile: Tile) -> torch.Tensor:
        """Return what the last convolution sees, (features, rows, cols), the mean of the views.

        The mean of the logits over views of a window is the last convolution of the mean of its
        features, and what comes after it, an enlargement, is linear, too: hence features are
        enlarged in the place of logits.
        """
        hook = self.last.register_forward_hook(lambda module, given, _: _patches(given[0], module))
        try:
            return self._averaged(tile)
        finally:
            hook.remove()

    def logits(self, tile: Tile) -> torch.Tensor:
        """Return its logits, (classes, rows, cols)."""
        return self._averaged(tile)

    def _averaged(self, tile: Tile) -> torch.Tensor:
        rows, cols = tile.target.shape[1:]
        edges = (0, -cols % self.stride_px, 0, -rows % self.stride_px)
        pixels = pad(tile.channels[None].float(), edges, mode="reflect").to(
            self.device, memory_format=torch.channels_last
        )
        with torch.no_grad():
            answer = averaged(self.network, pixels, symmetries=self.symmetries)
        return answer[0, :, :rows, :cols].float().cpu()


def at_spots(
    look: Callable[[Tile], torch.Tensor],
    tiles: Sequence[LabelledTile],
    labels: PolygonLabels,
    *,
    asked: BoolArray,
    advance: Callable[[int], None] = lambda _: None,
) -> Float64Array:
    """Return what a network says at the spots of some polygons, (spots, channels).

    Args:
        look: `Opened.features` or `Opened.logits`.
        tiles: of all polygons.
        labels: of them.
        asked: (polygons,), which of them; tiles without one are not looked at.
        advance: told the tiles.
    """
    parts = []
    for one, spots in zip(tiles, labels.spots, strict=True):
        wanted = asked[spots.polygon]
        if wanted.any():
            seen = look(one.tile)[:, spots.row[wanted], spots.col[wanted]]
            parts.append(seen.numpy().T.astype(np.float64))
        advance(1)
    return np.concatenate(parts)


def _patches(seen: torch.Tensor, last: torch.nn.Conv2d) -> torch.Tensor:
    """Return what a convolution weighs at each pixel, (n, features, rows, cols)."""
    if last.kernel_size == (1, 1):
        return seen
    sizes = zip(last.kernel_size, last.dilation, strict=True)
    edges = tuple(apart * (size - 1) // 2 for size, apart in sizes)
    columns = unfold(seen, last.kernel_size, dilation=last.dilation, padding=edges)
    return columns.view(len(seen), -1, *seen.shape[2:])


@dataclass(frozen=True, eq=False)
class Lessons:
    """Tiles with labels, and which polygons these are of."""

    tiles: tuple[LabelledTile, ...]
    used: IntArray
    """(labels,): the polygon of the k-th label, from 0, that some pixel was seen of."""


class _Gathered:
    """Numbers polygons as they are seen, from 1 on and without a gap."""

    def __init__(self) -> None:
        self._tiles: list[LabelledTile] = []
        self._used: list[int] = []

    def add(self, tile: Tile, which: IntArray, numbers: Int32Array) -> None:
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
    card: ModelCard, reader: Reader, geobox: GeoBox, labels: Labels, progress: ProgressReceiver
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
    statistics = reader.scene_statistics(spread(grid, geobox, reader.window_px))
    name = Phase.AFTER.value if card.single_date else "all"
    gathered = _Gathered()
    squares = list(_squares(card, polygons, labels.labelled))
    progress.start("reading labels", len(squares))
    for slices, which in squares:
        seen = reader.in_domain(read(reader, window_of(geobox, slices, (0.0, 0.0))), statistics)
        inputs = _inputs(card, seen)
        usable = usable_pixels(card, inputs)
        said = labels.codes[which] == 1
        numbers = np.where(usable, _drawn(card, polygons, slices, which, said), 0)
        wet = np.concatenate([[False], said])[numbers]
        tile = _tile(card, inputs, statistics[name], wet[None], (numbers > 0)[None])
        gathered.add(tile, which, numbers.astype(np.int32))
        progress.advance()
    return gathered.lessons()


def damage_lessons(card: ModelCard, town: Town, progress: ProgressReceiver) -> Lessons:
    """Return the blocks of a map that hold labelled buildings, as a network of grades sees them.

    Where there is no building nothing is known: the labels do not say that there is none.
    """
    gathered = _Gathered()
    for view in town.views(card, progress):
        own, numbers = town.labelled(view)
        inputs = {
            entry.name: view.before if entry.phase.takes(Phase.BEFORE) else
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
        tile = _tile(card, inputs, NO_STATISTICS, np.stack(steps), np.stack([known] * 4))
        gathered.add(tile, own, labelled)
    return gathered.lessons()


def _squares(
    card: ModelCard, polygons: Buildings, which: IntArray
) -> Iterator[tuple[tuple[slice, slice], IntArray]]:
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
    which: IntArray,
    said: BoolArray,
) -> Int32Array:
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
    return {card.inputs[0].name: seen[Phase.AFTER.value]} if card.single_date else seen


def _tile(
    card: ModelCard,
    inputs: Inputs,
    statistics: SceneStatistics,
    target: BoolArray,
    known: BoolArray,
) -> Tile:
    nothing = np.zeros(target.shape[1:], bool)
    rasters = (inputs.get(entry.name) for entry in card.inputs)
    seen = np.stack([nothing if raster is None else raster.valid for raster in rasters])
    return Tile(
        channels=torch.from_numpy(stack(card, [inputs], statistics)[0]).half(),
        seen=torch.from_numpy(seen),
        target=torch.from_numpy(target & known),
        known=torch.from_numpy(known),
    )
