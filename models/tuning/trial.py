"""Trial: the head and then all weights are tried; what foretells labels left out is kept."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from geo.raster import BoolArray
from models.grading.zones import Values
from models.mapping import Progress
from models.tuning.head import Learned, Lesson, beats, fitted, learn_class, surprise
from models.tuning.labelled import LabelledTile, Labels
from models.tuning.learn import STEPS, Exercise, learned_on
from models.tuning.opened import Opened, at_spots

Stage: TypeAlias = Literal["none", "head", "all"]

LEAST_FOR_ALL = 20
"""Polygons that say something of a class, for all weights to learn it."""
LEAST_EACH = 5
"""Of them, such that say yes, and such that say no."""
GROUPS = 5
"""Neighbouring polygons are left out together to see what all weights learned: so many groups."""
_SEED = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was kept."""

    stage: Stage
    network: Opened
    logits: Values
    """(spots, classes), calibrated, by networks that did not learn from the polygon."""
    groups: int
    """Into how many the polygons were cut to be left out in turn."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A network, and labels that it may learn from."""

    parent: Opened
    temperature: Values
    """(classes,), that its logits are divided by."""
    tiles: Sequence[LabelledTile]
    labels: Labels
    lesson: Lesson
    progress: Progress

    @property
    def heads(self) -> Values:
        """(classes, 1 + features) of the parent, on the design of the lesson, calibrated."""
        return self.lesson.in_deviations(self.parent.head / self.temperature[:, None])

    def outcome(self) -> Outcome:
        """Try the last convolution, then all weights where there are labels enough."""
        learned = self._learned()
        head = self._of(learned)
        enough = self._enough
        if not enough.any():
            return head
        exercise = self._exercise(head.network, enough)
        left_out = self._left_out(learned, exercise)
        if not beats(self._losses(left_out, enough), self._losses(head.logits, enough)):
            return head
        moved = self._moved(head.network, exercise, self._everyone)
        return Outcome("all", moved, left_out, GROUPS)

    def of_head(self) -> Outcome:
        """Try the last convolution only."""
        return self._of(self._learned())

    def _of(self, learned: Sequence[Learned]) -> Outcome:
        kept = all(one.strength is None for one in learned)
        return Outcome(
            "none" if kept else "head",
            self._begun(learned, self._everyone),
            np.stack([one.left_out for one in learned], axis=1),
            len(self.labels.answers),
        )

    @property
    def _everyone(self) -> BoolArray:
        return np.ones(len(self.labels.answers), bool)

    @property
    def _enough(self) -> BoolArray:
        """(classes,), which of them all weights may learn."""
        said = self.labels.answers[self.labels.seen]
        yes, no = ((said == value).sum(axis=0) for value in (1, 0))
        return np.asarray((yes + no >= LEAST_FOR_ALL) & (np.minimum(yes, no) >= LEAST_EACH))

    def _learned(self) -> list[Learned]:
        """Teach the head each class."""
        self.progress.start("the last layer from labels", len(self.heads))
        found = []
        try:
            for number, parent in enumerate(self.heads):
                found.append(learn_class(self.lesson, number, parent=parent))
                self.progress.advance(1)
        finally:
            self.progress.finish()
        return found

    def _begun(self, learned: Sequence[Learned], learners: BoolArray) -> Opened:
        """Return the parent with the head that some polygons teach."""
        heads = np.stack(
            [
                parent
                if one.strength is None
                else fitted(
                    self.lesson, number, parent=parent, strength=one.strength, learners=learners
                )
                for number, (one, parent) in enumerate(zip(learned, self.heads, strict=True))
            ]
        )
        begun = copy.deepcopy(self.parent)
        if any(one.strength is not None for one in learned):
            begun.set_head(self.lesson.of_features(heads) * self.temperature[:, None])
        return begun

    def _exercise(self, network: Opened, learned: BoolArray) -> Exercise:
        """Return what all weights learn; classes that have few labels stay as the head has them."""
        if learned.all():
            before = [torch.zeros(one.tile.target.shape) for one in self.tiles]
        else:
            before = [network.logits(one.tile).half() for one in self.tiles]
        warmth = torch.from_numpy(self.temperature).float()[:, None, None]
        return Exercise(self.tiles, self.labels, learned, tuple(before), warmth)

    def _left_out(self, learned: Sequence[Learned], exercise: Exercise) -> Values:
        """Return what networks say of each group of polygons that learned from the others."""
        logits = np.full((len(self.lesson.polygon), len(learned)), np.nan)
        for left in self._groups(exercise.learned):
            moved = self._moved(self._begun(learned, ~left), exercise, ~left)
            spots = left[self.lesson.polygon]
            logits[spots] = at_spots(moved.logits, self.tiles, self.labels, asked=left)
        return logits / self.temperature

    def _groups(self, learned: BoolArray) -> list[BoolArray]:
        """Return groups of polygons, (polygons,) each, with as many labels in each."""
        teaches = np.isfinite(self.labels.answers[:, learned]).any(axis=1) & self.labels.seen
        # Polygons that teach nothing, of which every network could be asked, are in the first.
        number = np.zeros(len(teaches), np.int64)
        number[teaches] = np.arange(teaches.sum()) * GROUPS // teaches.sum()
        return [number == group for group in range(GROUPS)]

    def _moved(self, network: Opened, exercise: Exercise, learners: BoolArray) -> Opened:
        self.progress.start("all weights from labels", STEPS)
        try:
            return learned_on(
                network, exercise, learners=learners, seed=_SEED, advance=self.progress.advance
            )
        finally:
            self.progress.finish()

    def _losses(self, logits: Values, classes: BoolArray) -> Values:
        """Return the log loss of every polygon and class."""
        numbers = np.flatnonzero(classes).tolist()
        return np.concatenate([surprise(self.lesson, n, logits[:, n]) for n in numbers])
