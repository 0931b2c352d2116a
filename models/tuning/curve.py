"""What a few labels of a new place are worth to a network.

`python -m models.tuning.curve MODEL KIND ROOT SPLIT DRAWS [all]`: labels of each picture are drawn
by chance and learned, and the rest of it is scored, by the parent and by what learned. Of xbd the
labels are buildings; of other kinds squares in the left half of a picture, and its right half is
scored. With "all" all weights are tried, too, as `adapt_network` does: minutes a draw.
"""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from geo.raster import BoolArray, FloatArray
from models.card import ModelCard
from models.damage_metrics import BuildingGrades
from models.data.kinds import Kind, open_set
from models.data.sample import fill_slots
from models.data.xbd import UNCLASSIFIED, DamageTile, IntArray, Xbd
from models.grading.network import within
from models.grading.zones import Values
from models.metrics import count
from models.registry import find
from models.training.tiles import Tile, tile_of
from models.tuning.adapt import loaded, probabilities, temperature_of
from models.tuning.head import lesson_of
from models.tuning.labelled import LabelledTile, Labels
from models.tuning.opened import Opened, at_spots
from models.tuning.trial import Outcome, Stage, Trial

LABELS = (5, 20, 50)
STAGES: tuple[Stage, ...] = ("none", "head", "all")
SQUARE_PX = 32
"""Edge of the labels of pictures without buildings."""

Scores: TypeAlias = Mapping[str, float | None]
Numbers: TypeAlias = npt.NDArray[np.integer]


class Quiet:
    """A `models.mapping.Progress` that nobody watches."""

    def start(self, label: str, total: int) -> None:
        """Say nothing."""

    def advance(self, n: int = 1, /) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


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


@dataclass(frozen=True)
class Point:
    """What the labels of one draw made of a network."""

    place: str
    labels: int
    stage: Stage
    before: Scores
    """Of the parent."""
    after: Scores


def learning_curve(
    opened: Opened, card: ModelCard, place: Place, *, draws: int, every_weight: bool
) -> Iterator[Point]:
    """Yield what each draw of `LABELS` labels is worth."""
    features = opened.features(place.tile)
    temperature = temperature_of(card)

    def seen_by(network: Opened) -> FloatArray:
        head = torch.from_numpy(network.head).float()
        logits = torch.einsum("cf,fyx->cyx", head[:, 1:], features) + head[:, :1, None]
        return probabilities(card, logits.numpy() / temperature[:, None, None])

    before = seen_by(opened)
    for labels in LABELS:
        chance = np.random.default_rng(labels)
        for _ in range(draws):
            drawn = place.draw(labels, chance)
            if drawn is None:
                break
            outcome = _learned(opened, card, place, drawn, features, every_weight=every_weight)
            after = (
                probabilities(
                    card,
                    outcome.network.logits(place.tile).numpy() / temperature[:, None, None],
                )
                if outcome.stage == "all"
                else seen_by(outcome.network)
            )
            scores = (place.score(said, drawn) for said in (before, after))
            yield Point(place.name, labels, outcome.stage, *scores)


def _learned(
    opened: Opened,
    card: ModelCard,
    place: Place,
    drawn: Numbers,
    features: torch.Tensor,
    *,
    every_weight: bool,
) -> Outcome:
    """Return what becomes of a network that learns some polygons."""
    number = np.zeros(place.polygons.max() + 1, np.int32)
    number[drawn] = np.arange(1, len(drawn) + 1)
    tiles = [LabelledTile(place.tile, number[place.polygons])]
    labels = Labels.of(card, tiles, seed=0)
    asked = np.ones(len(drawn), bool)
    lesson = lesson_of(at_spots(lambda _: features, tiles, labels, asked=asked), labels)
    trial = Trial(opened, temperature_of(card), tiles, labels, lesson, Quiet())
    return trial.outcome() if every_weight else trial.of_head()


def town(tile: Tile, place: DamageTile) -> Place:
    """Return a tile of xBD, whose graded buildings give labels."""
    graded = place.grades != UNCLASSIFIED
    number = np.concatenate([[0], np.where(graded, np.cumsum(graded), 0)]).astype(np.int32)
    buildings, truth = number[place.buildings], place.grades[graded]

    def draw(labels: int, chance: np.random.Generator) -> Numbers:
        return 1 + chance.permutation(len(truth))[:labels]

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


def halves(card: ModelCard, tile: Tile, name: str) -> Place:
    """Return a picture whose left half gives labels, squares of one answer, and whose right is
    scored."""
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
        answer = said[0, :, middle:] >= card.classes[0].threshold
        found = count(answer[there], target[:, middle:][there])
        negative = found.true_negative + found.false_positive
        specific = found.true_negative / negative if negative else None
        both = found.recall is not None and specific is not None
        return {
            "iou": found.iou,
            "balanced_accuracy": (found.recall + specific) / 2 if both else None,
        }

    return Place(name, tile, polygons, draw, score)


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


def _places(card: ModelCard, kind: Kind, root: Path, split: str) -> Iterator[Place]:
    labelled = open_set(kind, root, split=split)
    filled = fill_slots(card.inputs, labelled.kinds, model=card.name)
    for index in range(len(labelled)):
        sample = labelled[index]
        tile = tile_of(card, sample, filled=filled, doubt=None)
        if kind is Kind.XBD:
            yield town(tile, Xbd.open(root, split)[index])
        else:
            yield halves(card, tile, sample.name)


def main(name: str, kind: str, *where: str) -> None:
    """Write the curve as CSV to stdout: by labels, means over pictures and draws."""
    root, split, draws, *stage = where
    ref = find(name)
    opened = Opened.of(loaded(ref, "auto"))
    points = [
        point
        for place in _places(ref.card, Kind(kind), Path(root), split)
        for point in learning_curve(
            opened, ref.card, place, draws=int(draws), every_weight=stage == ["all"]
        )
    ]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("labels", "draws", *STAGES, "measure", "before", "after", "gain", "deviation"))
    for labels in sorted({point.labels for point in points}):
        writer.writerows(_rows(labels, [point for point in points if point.labels == labels]))


def _rows(labels: int, points: Sequence[Point]) -> Iterator[tuple[str | int, ...]]:
    stages = [sum(point.stage == stage for point in points) for stage in STAGES]
    for measure in points[0].before:
        pairs = [(point.before[measure], point.after[measure]) for point in points]
        known = np.array([pair for pair in pairs if None not in pair], np.float64)
        gains = known[:, 1] - known[:, 0]
        numbers = (*known.mean(axis=0), gains.mean(), gains.std())
        yield (labels, len(points), *stages, measure, *(f"{number:.3f}" for number in numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
