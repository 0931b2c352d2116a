"""Places that give labels and are scored: a town with graded buildings, a picture in two halves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.raster import BoolArray, FloatArray
from models.card import ModelCard
from models.damage_metrics import BuildingGrades
from models.data.kinds import Kind, open_set
from models.data.sample import fill_slots
from models.data.xbd import UNCLASSIFIED, DamageTile, IntArray, Xbd
from models.grading.network import within
from models.grading.zones import Values
from models.metrics import Counts, count
from models.training.tiles import Tile, tile_of

SQUARE_PX = 8
"""Edge of the labels of pictures without buildings: the widest of which a river at 10 m holds
dozens."""

Scores: TypeAlias = Mapping[str, float | None]
Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Place:
    """A picture with all polygons that can give a label."""

    name: str
    tile: Tile
    polygons: IntArray
    """(rows, cols): 0 none, k the k-th."""
    draw: Callable[[int, np.random.Generator], Numbers | None]
    """Draws so many polygons, from 1; None where there are too few."""
    score: Callable[[FloatArray, Numbers], Scores]
    """Of probabilities, (classes, rows, cols), where the polygons drawn gave labels."""


def places(card: ModelCard, kind: Kind, root: Path, split: str) -> Iterator[Place]:
    """Yield the tiles of xBD as towns, and the pictures of other kinds as halves.

    Raises:
        DataInvalid: where the data cannot be read.
        InputsMismatch: where it is not what the card wants.
    """
    labelled = open_set(kind, root, split=split)
    filled = fill_slots(card.inputs, labelled.kinds, model=card.name)
    for index in range(len(labelled)):
        sample = labelled[index]
        tile = tile_of(card, sample, filled=filled, doubt=None)
        if kind is Kind.XBD:
            yield town(tile, Xbd.open(root, split)[index])
        else:
            yield halves(tile, sample.name, threshold=card.classes[0].threshold)


def town(tile: Tile, place: DamageTile) -> Place:
    """Return a tile of xBD, whose graded buildings give labels."""
    graded = place.grades != UNCLASSIFIED
    number = np.concatenate([[0], np.where(graded, np.cumsum(graded), 0)]).astype(np.int32)
    buildings, truth = number[place.buildings], place.grades[graded]

    def draw(labels: int, chance: np.random.Generator) -> Numbers:
        return chance.permutation(len(truth))[:labels] + 1

    def score(said: FloatArray, drawn: Numbers) -> Scores:
        rest = ~np.isin(np.arange(1, len(truth) + 1), drawn)
        grades = within(said[1:], buildings, count=len(truth)).astype(np.float64)
        found = BuildingGrades(truth[rest], grades[rest])
        return {
            "auc_damaged": found.auc_damaged,
            "macro_f1_two": found.macro_f1_two,
            "macro_f1_four": found.macro_f1_four,
        }

    return Place(place.name, tile, buildings, draw, score)


def halves(tile: Tile, name: str, *, threshold: float) -> Place:
    """Return a picture whose left half gives labels, and whose right half is scored.

    The labels are squares of one answer, half of them yes.
    """
    target, known = tile.target[0].numpy(), tile.known[0].numpy()
    middle = target.shape[1] // 2
    squares, says = _squares(target[:, :middle], known[:, :middle])
    polygons = np.zeros(target.shape, np.int32)
    polygons[: squares.shape[0], : squares.shape[1]] = squares

    def draw(labels: int, chance: np.random.Generator) -> Numbers | None:
        yes, no = (chance.permutation(np.flatnonzero(says == value) + 1) for value in (True, False))
        half = labels // 2
        if len(yes) < half or len(no) < labels - half:
            return None
        return np.concatenate([yes[:half], no[: labels - half]])

    def score(said: FloatArray, drawn: Numbers) -> Scores:
        there = known[:, middle:]
        answer = said[0, :, middle:][there] >= threshold
        found = count(answer, target[:, middle:][there])
        return {"iou": found.iou, "balanced_accuracy": _balanced(found)}

    return Place(name, tile, polygons, draw, score)


def _balanced(found: Counts) -> float | None:
    """Return the mean share found of either answer; None where one of them is not there."""
    yes = found.true_positive + found.false_negative
    no = found.true_negative + found.false_positive
    if not yes or not no:
        return None
    return (found.true_positive / yes + found.true_negative / no) / 2


def _squares(target: BoolArray, known: BoolArray) -> tuple[IntArray, BoolArray]:
    """Return squares that are known and of one answer throughout, numbered, and their answers."""
    rows, cols = (length // SQUARE_PX for length in target.shape)
    shape = rows, SQUARE_PX, cols, SQUARE_PX

    def share(mask: BoolArray) -> Values:
        whole = mask[: rows * SQUARE_PX, : cols * SQUARE_PX].reshape(shape)
        return np.asarray(whole.mean(axis=(1, 3)))

    yes = share(target & known)
    pure = (share(known) == 1) & ((yes == 0) | (yes == 1))
    number = np.where(pure, np.cumsum(pure).reshape(pure.shape), 0).astype(np.int32)
    return np.kron(number, np.ones((SQUARE_PX, SQUARE_PX), np.int32)), yes[pure] == 1
