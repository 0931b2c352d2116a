"""What a few labels of a new place are worth to a network.

`python -m models.tuning.curve MODEL KIND ROOT SPLIT DRAWS [all]`: labels of each picture are drawn
by chance and learned, and the rest of it is scored, by the parent and by what learned. Of xbd the
labels are buildings; of other kinds squares in the left half of a picture, and its right half is
scored. With "all" all weights are tried, too, as `adapt_network` does: minutes a draw.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geo.raster import FloatArray
from models.card import ModelCard
from models.data.kinds import Kind
from models.mapping import Unwatched
from models.registry import find
from models.tuning.adapt import loaded, probabilities, temperature_of
from models.tuning.head import lesson_of
from models.tuning.labelled import LabelledTile, Labels
from models.tuning.opened import Opened, at_spots
from models.tuning.places import Numbers, Place, Scores, places
from models.tuning.trial import Outcome, Stage, Trial

LABELS = (5, 20, 50)
STAGES: tuple[Stage, ...] = ("none", "head", "all")


@dataclass(frozen=True)
class Point:
    """What the labels of one draw made of a network."""

    place: str
    labels: int
    stage: Stage
    before: Scores
    """Of the parent."""
    after: Scores


@dataclass(frozen=True, eq=False)
class Pupil:
    """A network in front of a place."""

    opened: Opened
    card: ModelCard
    place: Place
    features: torch.Tensor
    """(features, rows, cols), that the last convolution of the parent sees."""

    @classmethod
    def at(cls, opened: Opened, card: ModelCard, place: Place) -> "Pupil":
        """Show a network a place."""
        return cls(opened, card, place, opened.features(place.tile))

    def points(self, *, draws: int, every_weight: bool) -> Iterator[Point]:
        """Yield what each draw of `LABELS` labels is worth."""
        before = self._says(self._by_head(self.opened))
        for labels in LABELS:
            chance = np.random.default_rng(labels)
            for _ in range(draws):
                drawn = self.place.draw(labels, chance)
                if drawn is None:
                    break
                trial = self._trial(drawn)
                outcome = trial.outcome() if every_weight else trial.of_head()
                scores = (self.place.score(s, drawn) for s in (before, self._after(outcome)))
                yield Point(self.place.name, labels, outcome.stage, *scores)

    def _trial(self, drawn: Numbers) -> Trial:
        """Return what becomes of the network by the labels of some polygons."""
        number = np.zeros(self.place.polygons.max() + 1, np.int32)
        number[drawn] = np.arange(1, len(drawn) + 1)
        tiles = [LabelledTile(self.place.tile, number[self.place.polygons])]
        labels = Labels.of(self.card, tiles, seed=0)
        everyone = np.ones(len(drawn), bool)
        seen = at_spots(lambda _: self.features, tiles, labels, asked=everyone)
        lesson = lesson_of(seen, labels)
        return Trial(self.opened, temperature_of(self.card), tiles, labels, lesson, Unwatched())

    def _after(self, outcome: Outcome) -> FloatArray:
        if outcome.stage == "all":
            return self._says(outcome.network.logits(self.place.tile))
        return self._says(self._by_head(outcome.network))

    def _by_head(self, network: Opened) -> torch.Tensor:
        """Return the logits of a network whose features are the parent's."""
        head = torch.from_numpy(network.head).float()
        return torch.einsum("cf,fyx->cyx", head[:, 1:], self.features) + head[:, :1, None]

    def _says(self, logits: torch.Tensor) -> FloatArray:
        calibrated = logits.numpy() / temperature_of(self.card)[:, None, None]
        return probabilities(self.card, calibrated).astype(np.float32)


def main(name: str, kind: str, *where: str) -> None:
    """Write the curve as CSV to stdout: by labels, means over pictures and draws."""
    root, split, draws, *stage = where
    ref = find(name)
    opened = Opened.of(loaded(ref, "auto"))
    points = [
        point
        for place in places(ref.card, Kind(kind), Path(root), split)
        for point in Pupil.at(opened, ref.card, place).points(
            draws=int(draws), every_weight=stage == ["all"]
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
