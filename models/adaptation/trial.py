"""Trial: the head and then all weights are tried; what foretells labels left out is kept.

All weights learn: a few small steps, each drawn back to where the weights began.

The last convolution learns: a logistic regression a class on features that stay as they are.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from scipy.special import expit
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from geo.types import BoolArray, Float64Array, IntArray
from models.adaptation.label_tiles import (
    LabelledTile,
    Opened,
    PolygonLabels,
    at_spots,
    mean_by_polygon,
    rank,
)
from models.damage.regression import fit_logistic
from models.inference.map_scenes import ProgressReceiver

STEPS = 40
"""Few: what the parent learned from hundreds of pictures shall not be lost to a few labels."""
CROP_PX = 256
"""Edge of the square that a step looks at, around a pixel of a label polygon."""
_CROPS = 2
"""Of a step."""
_RATE = 1e-4
"""Of the first step; half a cosine to 0. Of 1e-4, 3e-4 and 1e-3 it did best on a tile of Joplin
that scores nothing here."""
_PULL = 0.02
"""Share of their way that the weights go back after each step (decay towards the weights of the
parent, L2-SP: Li et al. 2018, arXiv:1802.01483; beside the gradient as in AdamW)."""


@dataclass(frozen=True, eq=False)
class Exercise:
    """What all weights learn from."""

    tiles: Sequence[LabelledTile]
    labels: PolygonLabels
    learned: BoolArray
    """(classes,), those that the labels teach."""
    before: tuple[torch.Tensor, ...]
    """By tile, (classes, rows, cols): logits of the network before. Classes that no label teaches
    shall stay as they are everywhere (Li and Hoiem 2016, arXiv:1606.09282)."""
    temperature: torch.Tensor
    """(classes, 1, 1), that logits are divided by."""


@dataclass(frozen=True, eq=False)
class _Crop:
    channels: torch.Tensor
    """(1, channels, rows, cols)."""
    before: torch.Tensor
    """(classes, rows, cols)."""
    target: torch.Tensor
    weight: torch.Tensor
    """(classes, rows, cols), 0 where there is nothing to learn; 1 a polygon."""


def learned_on(
    opened: Opened,
    exercise: Exercise,
    *,
    learners: BoolArray,
    seed: int,
    advance: Callable[[int], None],
) -> Opened:
    """Return a network after its exercise; statistics of batch normalisation stay.

    Args:
        opened: where it begins.
        exercise: tiles and labels.
        learners: (polygons,), which of them it learns from.
        seed: of the squares and their mirroring.
        advance: told the steps.
    """
    moved = copy.deepcopy(opened)
    began = [weights.detach().clone() for weights in moved.network.parameters()]
    optimiser = torch.optim.Adam(moved.network.parameters(), lr=_RATE)
    chance = np.random.default_rng(seed)
    taught = np.isfinite(exercise.labels.answers[:, exercise.learned]).any(axis=1)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimiser.zero_grad(set_to_none=True)
        for _ in range(_CROPS):
            crop = _mirrored(_cut(exercise, learners & taught, chance), chance)
            (_loss(moved, exercise, crop) / _CROPS).backward()
        optimiser.step()
        with torch.no_grad():
            for weights, start in zip(moved.network.parameters(), began, strict=True):
                weights.lerp_(start, _PULL)
        advance(1)
    return moved


def _loss(opened: Opened, exercise: Exercise, crop: _Crop) -> torch.Tensor:
    """Return the cross entropy with the labels, and with what the other classes were."""
    rows, cols = crop.target.shape[1:]
    edges = (0, -cols % opened.stride_px, 0, -rows % opened.stride_px)
    pixels = pad(crop.channels, edges, mode="reflect").to(
        opened.device, memory_format=torch.channels_last
    )
    logits = opened.network(pixels)[0, :, :rows, :cols].cpu() / exercise.temperature
    surprise = binary_cross_entropy_with_logits(logits, crop.target, reduction="none")
    loss = (surprise * crop.weight).sum() / crop.weight.sum()
    others = torch.from_numpy(~exercise.learned)
    if not others.any():
        return loss
    likely = torch.sigmoid(crop.before / exercise.temperature)[others]
    return loss + binary_cross_entropy_with_logits(logits[others], likely)


def _cut(exercise: Exercise, learners: BoolArray, chance: np.random.Generator) -> _Crop:
    """Cut a square out that holds a pixel of a polygon; every polygon is as likely."""
    index, spot = _drawn(exercise.labels, learners, chance)
    one, spots = exercise.tiles[index], exercise.labels.spots[index]
    shape = one.polygons.shape
    top, left = (
        int(np.clip(at - chance.integers(CROP_PX), 0, max(0, length - CROP_PX)))
        for at, length in zip((spots.row[spot], spots.col[spot]), shape, strict=True)
    )
    slices = slice(top, top + CROP_PX), slice(left, left + CROP_PX)
    target, weight = _maps(exercise, learners, index)
    return _Crop(
        one.tile.channels[None, :, *slices].float(),
        exercise.before[index][:, *slices].float(),
        target[:, *slices],
        weight[:, *slices],
    )


def _drawn(
    labels: PolygonLabels, learners: BoolArray, chance: np.random.Generator
) -> tuple[int, int]:
    """Return a tile and a spot of it, of a polygon that is learned from."""
    every = [
        (index, int(first))
        for index, spots in enumerate(labels.spots)
        for first in np.flatnonzero((rank(spots.polygon) == 0) & learners[spots.polygon])
    ]
    index, first = every[chance.integers(len(every))]
    polygon = labels.spots[index].polygon
    return index, first + int(chance.integers(np.count_nonzero(polygon == polygon[first])))


def _maps(exercise: Exercise, learners: BoolArray, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is learned at the spots of a tile, and how much it weighs."""
    spots, answers = exercise.labels.spots[index], exercise.labels.answers
    says = answers[spots.polygon].T
    taught = np.isfinite(says) & exercise.learned[:, None] & learners[spots.polygon]
    each = 1 / np.bincount(spots.polygon, minlength=len(answers)).clip(1)[spots.polygon]
    target, weight = (
        torch.zeros(len(says), *exercise.tiles[index].polygons.shape) for _ in range(2)
    )
    target[:, spots.row, spots.col] = torch.from_numpy(np.nan_to_num(says)).float()
    weight[:, spots.row, spots.col] = torch.from_numpy(taught * each).float()
    return target, weight


def _mirrored(crop: _Crop, chance: np.random.Generator) -> _Crop:
    axes = [axis for axis in (-2, -1) if chance.integers(2)]
    return _Crop(
        *(part.flip(axes) for part in (crop.channels, crop.before, crop.target, crop.weight))
    )


STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0)
"""How firmly coefficients stay with the parent's, as inverse variances; leave-one-out chooses."""
_OF_INTERCEPT = 1.0
"""The same of the intercepts, which part with the parent's sooner: how common an answer is changes
most from place to place. Of 1, 4 and 16 it did best on a tile of Joplin that scores nothing here
(its parent learned from the other)."""
_LEAST_LABELS = 3
"""Of a class, for it to be learned: with two there is one to learn from and one to ask."""
_LEAST_GAIN = 0.01
"""Of log loss; what is less is no reason to leave the parent."""
_FIT_PX = 64
"""Of the spots of a polygon, so many are fitted to; all are answered."""
_SURE = 1e-4
"""Probabilities below count as this: one polygon that was missed does not decide alone."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a network sees of label polygons, and what they say."""

    features: Float64Array
    """(spots, features)."""
    polygon: IntArray
    """(spots,), from 0."""
    fits: BoolArray
    """(spots,), True where the spot is fitted to; the others are only answered."""
    answers: Float64Array
    """(polygons, classes): 1 yes, 0 no, NaN where it does not say."""

    @cached_property
    def design(self) -> Float64Array:
        """(spots, 1 + features): a column of ones, and the features in deviations."""
        middle, deviation = self._scale
        return np.column_stack([np.ones(len(self.features)), (self.features - middle) / deviation])

    @cached_property
    def weights(self) -> Float64Array:
        """(spots,): each polygon weighs 1 whatever its size."""
        spots = np.bincount(self.polygon[self.fits], minlength=len(self.answers))
        return np.where(self.fits, 1 / np.maximum(spots, 1)[self.polygon], 0.0)

    def asked(self, number: int) -> BoolArray:
        """(polygons,), which were seen and say something of a class."""
        there = np.bincount(self.polygon, minlength=len(self.answers)) > 0
        return np.asarray(there & np.isfinite(self.answers[:, number]))

    def in_deviations(self, head: Float64Array) -> Float64Array:
        """Return a head on features as one on the design; (classes, 1 + features) both."""
        middle, deviation = self._scale
        return np.column_stack([head[:, 0] + head[:, 1:] @ middle, head[:, 1:] * deviation])

    def of_features(self, head: Float64Array) -> Float64Array:
        """Undo `in_deviations`."""
        middle, deviation = self._scale
        plain = head[:, 1:] / deviation
        return np.column_stack([head[:, 0] - plain @ middle, plain])

    @cached_property
    def _scale(self) -> tuple[Float64Array, Float64Array]:
        deviation = self.features.std(axis=0)
        return self.features.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def lesson_of(features: Float64Array, labels: PolygonLabels) -> Lesson:
    """Return the lesson of what a network sees at the spots of labels, (spots, features)."""
    polygon = np.concatenate([spots.polygon for spots in labels.spots])
    ranks = np.concatenate([rank(spots.polygon) for spots in labels.spots])
    return Lesson(features, polygon, ranks < _FIT_PX, labels.answers)


@dataclass(frozen=True, eq=False)
class Learned:
    """What became of one class."""

    strength: float | None
    """None: the parent's answer is kept."""
    head: Float64Array
    """(1 + features,) on the design of the lesson."""
    left_out: Float64Array
    """(spots,) logits by heads that did not learn from the polygon of the spot."""


def learn_class(lesson: Lesson, number: int, *, parent: Float64Array) -> Learned:
    """Teach one class, as far as that foretells each polygon from the others.

    Where all polygons say the same, nothing tells its answers apart: it stays as it is.

    Args:
        lesson: of all polygons.
        number: of the class.
        parent: (1 + features,) on the design of the lesson.
    """
    kept = lesson.design @ parent
    said = lesson.answers[lesson.asked(number), number]
    if len(said) < _LEAST_LABELS or len(np.unique(said)) < 2:
        return Learned(None, parent, kept)
    tried = [_left_out(lesson, number, parent=parent, strength=each) for each in STRENGTHS]
    logits = [kept, *tried]
    losses = [surprise(lesson, number, each) for each in logits]
    best = min(losses, key=np.mean)
    firmest = next(index for index, loss in enumerate(losses) if not beats(best, loss))
    if not firmest:
        return Learned(None, parent, kept)
    strength = STRENGTHS[firmest - 1]
    everyone = np.ones(len(lesson.answers), bool)
    head = fitted(lesson, number, parent=parent, strength=strength, learners=everyone)
    return Learned(strength, head, logits[firmest])


def fitted(
    lesson: Lesson,
    number: int,
    *,
    parent: Float64Array,
    strength: float,
    learners: BoolArray,
    start: Float64Array | None = None,
) -> Float64Array:
    """Return the head of a class that some polygons make likeliest.

    Args:
        lesson: of all polygons.
        number: of the class.
        parent: (1 + features,) on the design of the lesson.
        strength: of the belief in the coefficients of the parent.
        learners: (polygons,), which of them are learned from.
        start: where the search begins.
    """
    says = lesson.answers[:, number]
    used = lesson.fits & (learners & np.isfinite(says))[lesson.polygon]
    firm = np.full(len(parent), strength)
    firm[0] = _OF_INTERCEPT
    return fit_logistic(
        lesson.design[used],
        says[lesson.polygon[used]] == 1,
        weights=lesson.weights[used],
        towards=parent,
        strength=firm,
        start=start,
    )


def surprise(lesson: Lesson, number: int, logits: Float64Array) -> Float64Array:
    """Return the log loss of each polygon that was seen and says something of a class.

    Args:
        lesson: of all polygons.
        number: of the class.
        logits: (spots,); the answer of a polygon is the mean probability of its spots.
    """
    asked = lesson.asked(number)
    likely = mean_by_polygon(expit(logits)[:, None], lesson.polygon, count=len(asked))[asked, 0]
    right = np.where(lesson.answers[asked, number] == 1, likely, 1 - likely)
    return np.asarray(-np.log(np.clip(right, _SURE, 1)))


def beats(one: Float64Array, other: Float64Array) -> bool:
    """Return whether losses of the same polygons are lower, and not by the chance of the draw.

    By more than a standard error of the mean difference (the one-standard-error rule of Breiman et
    al. 1984): of two that are as good as each other the one closer to the parent is taken.
    """
    gains = other - one
    return bool(gains.mean() > max(_LEAST_GAIN, gains.std(ddof=1) / np.sqrt(len(gains))))


def _left_out(
    lesson: Lesson, number: int, *, parent: Float64Array, strength: float
) -> Float64Array:
    """Return the logits of each polygon by a head that learned from all others."""
    everyone = np.ones(len(lesson.answers), bool)
    whole = fitted(lesson, number, parent=parent, strength=strength, learners=everyone)
    logits = lesson.design @ whole
    for polygon in np.flatnonzero(lesson.asked(number)):
        learners = everyone.copy()
        learners[polygon] = False
        head = fitted(
            lesson, number, parent=parent, strength=strength, learners=learners, start=whole
        )
        there = lesson.polygon == polygon
        logits[there] = lesson.design[there] @ head
    return logits


Stage: TypeAlias = Literal["none", "head", "all"]

LEAST_FOR_ALL = 20
"""Polygons that say something of a class, for all weights to learn it."""
LEAST_EACH = 5
"""Of them, such that say yes, and such that say no."""
GROUPS = 5
"""Neighbouring polygons are left out together to see what all weights learned: so many groups."""
_SEED = 0


@dataclass(frozen=True, eq=False)
class TrialOutcome:
    """What was kept."""

    stage: Stage
    network: Opened
    logits: Float64Array
    """(spots, classes), calibrated, by networks that did not learn from the polygon."""
    groups: int
    """Into how many the polygons were cut to be left out in turn."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A network, and labels that it may learn from."""

    parent: Opened
    temperature: Float64Array
    """(classes,), that its logits are divided by."""
    tiles: Sequence[LabelledTile]
    labels: PolygonLabels
    lesson: Lesson
    progress: ProgressReceiver

    @property
    def heads(self) -> Float64Array:
        """(classes, 1 + features) of the parent, on the design of the lesson, calibrated."""
        return self.lesson.in_deviations(self.parent.head / self.temperature[:, None])

    def outcome(self) -> TrialOutcome:
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
        return TrialOutcome("all", moved, left_out, GROUPS)

    def of_head(self) -> TrialOutcome:
        """Try the last convolution only."""
        return self._of(self._learned())

    def _of(self, learned: Sequence[Learned]) -> TrialOutcome:
        kept = all(one.strength is None for one in learned)
        return TrialOutcome(
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

    def _left_out(self, learned: Sequence[Learned], exercise: Exercise) -> Float64Array:
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

    def _losses(self, logits: Float64Array, classes: BoolArray) -> Float64Array:
        """Return the log loss of every polygon and class."""
        numbers = np.flatnonzero(classes).tolist()
        return np.concatenate([surprise(self.lesson, n, logits[:, n]) for n in numbers])
