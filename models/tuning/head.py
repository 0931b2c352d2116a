"""The last convolution learns: a logistic regression a class on features that stay as they are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from geo.raster import BoolArray
from models.grading.logistic import fit_logistic
from models.grading.zones import Values
from models.tuning.labelled import Labels, mean_by_polygon, rank

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

    features: Values
    """(spots, features)."""
    polygon: npt.NDArray[np.int64]
    """(spots,), from 0."""
    fits: BoolArray
    """(spots,), True where the spot is fitted to; the others are only answered."""
    answers: Values
    """(polygons, classes): 1 yes, 0 no, NaN where it does not say."""

    @cached_property
    def design(self) -> Values:
        """(spots, 1 + features): a column of ones, and the features in deviations."""
        middle, deviation = self._scale
        return np.column_stack([np.ones(len(self.features)), (self.features - middle) / deviation])

    @cached_property
    def weights(self) -> Values:
        """(spots,): each polygon weighs 1 whatever its size."""
        spots = np.bincount(self.polygon[self.fits], minlength=len(self.answers))
        return np.where(self.fits, 1 / np.maximum(spots, 1)[self.polygon], 0.0)

    def asked(self, number: int) -> BoolArray:
        """(polygons,), which were seen and say something of a class."""
        there = np.bincount(self.polygon, minlength=len(self.answers)) > 0
        return np.asarray(there & np.isfinite(self.answers[:, number]))

    def in_deviations(self, head: Values) -> Values:
        """Return a head on features as one on the design; (classes, 1 + features) both."""
        middle, deviation = self._scale
        return np.column_stack([head[:, 0] + head[:, 1:] @ middle, head[:, 1:] * deviation])

    def of_features(self, head: Values) -> Values:
        """Undo `in_deviations`."""
        middle, deviation = self._scale
        plain = head[:, 1:] / deviation
        return np.column_stack([head[:, 0] - plain @ middle, plain])

    @cached_property
    def _scale(self) -> tuple[Values, Values]:
        deviation = self.features.std(axis=0)
        return self.features.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def lesson_of(features: Values, labels: Labels) -> Lesson:
    """Return the lesson of what a network sees at the spots of labels, (spots, features)."""
    polygon = np.concatenate([spots.polygon for spots in labels.spots])
    ranks = np.concatenate([rank(spots.polygon) for spots in labels.spots])
    return Lesson(features, polygon, ranks < _FIT_PX, labels.answers)


@dataclass(frozen=True, eq=False)
class Learned:
    """What became of one class."""

    strength: float | None
    """None: the parent's answer is kept."""
    head: Values
    """(1 + features,) on the design of the lesson."""
    left_out: Values
    """(spots,) logits by heads that did not learn from the polygon of the spot."""


def learn_class(lesson: Lesson, number: int, *, parent: Values) -> Learned:
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
    parent: Values,
    strength: float,
    learners: BoolArray,
    start: Values | None = None,
) -> Values:
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


def surprise(lesson: Lesson, number: int, logits: Values) -> Values:
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


def beats(one: Values, other: Values) -> bool:
    """Return whether losses of the same polygons are lower, and not by the chance of the draw.

    By more than a standard error of the mean difference (the one-standard-error rule of Breiman et
    al. 1984): of two that are as good as each other the one closer to the parent is taken.
    """
    gains = other - one
    return bool(gains.mean() > max(_LEAST_GAIN, gains.std(ddof=1) / np.sqrt(len(gains))))


def _left_out(lesson: Lesson, number: int, *, parent: Values, strength: float) -> Values:
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
