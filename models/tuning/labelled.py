"""LabelledTile: a tile of a scene in which a few polygons have a label, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from geo.raster import BoolArray
from models.card import ModelCard
from models.data.xbd import IntArray
from models.errors import InputsMismatch
from models.grading.zones import Values
from models.training.tiles import Layout, Tile

MOST_PX = 256
"""Pixels of a polygon that are looked at, drawn by chance where it has more: they are alike."""


@dataclass(frozen=True, eq=False)
class LabelledTile:
    """A tile of which the inside of a few polygons is known."""

    tile: Tile
    """`target` and `known`, (findings, rows, cols), hold the labels; known in polygons only."""
    polygons: IntArray
    """(rows, cols): 0 none, k the k-th label polygon. Numbers run over all tiles from 1 on, and a
    polygon lies whole in one tile."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Pixels of a tile that are looked at; those of a polygon follow each other, by chance."""

    polygon: npt.NDArray[np.int64]
    """(spots,), which polygon it is of, from 0."""
    row: npt.NDArray[np.int64]
    col: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labels:
    """What the polygons of all tiles say."""

    answers: Values
    """(polygons, classes): 1 yes, 0 no, NaN where it does not say."""
    spots: tuple[Spots, ...]
    """By tile."""

    @classmethod
    def of(cls, card: ModelCard, tiles: Sequence[LabelledTile], *, seed: int) -> "Labels":
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


def _read(one: LabelledTile, answers: Values) -> None:
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
    """Return where the model can answer, (rows, cols); see `models.inputs.answered`."""
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


def rank(polygon: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each spot among those of its polygon, from 0.

    Args:
        polygon: (spots,), sorted.
    """
    _, first, count = np.unique(polygon, return_index=True, return_counts=True)
    ranks: npt.NDArray[np.int64] = np.arange(len(polygon)) - np.repeat(first, count)
    return ranks


def mean_by_polygon(values: Values, polygon: npt.NDArray[np.int64], *, count: int) -> Values:
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
