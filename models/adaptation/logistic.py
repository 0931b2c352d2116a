"""Logistic regressions moved by a few labels of a new event.

Each logit is the likeliest after the labels when its coefficients were, before them, normally
distributed around the parent's (maximum a posteriori). Each label is predicted by a fit to all
others (leave-one-out); that chooses how strongly the coefficients are drawn to the parent's.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from geo.types import BoolArray, Float64Array, IntArray
from models.damage.regression import fit_logistic
from models.inference.windows import ProgressReceiver

STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
"""Inverse variances of the coefficients around the parent's that are tried, the largest first."""
INTERCEPT_STRENGTH = 4.0
"""The same of the intercepts. It is smaller: how common an answer is changes most from place to
place. Of 1, 4 and 16 it did best from one half of a tile of Joplin to the other."""
_LEAST_LABELS = 3
"""Of a logit, for it to be fitted: with two there is one to fit to and one to predict."""
_LEAST_GAIN = 0.01
"""Of log loss; a smaller one is no reason to leave the parent."""
LEAST_PROBABILITY = 1e-4
"""Smaller ones count as this: one wrong prediction does not decide alone."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What logits are sums over: one row a building, or several pixels of a polygon."""

    design: Float64Array
    """(rows, coefficients); the first column is 1."""
    label: IntArray
    """(rows,), the label that a row belongs to, from 0; each label has at least one."""
    answers: Float64Array
    """(labels, logits): 1 yes, 0 no, NaN without an answer."""

    @cached_property
    def weights(self) -> Float64Array:
        """(rows,): each label weighs 1, however many rows it has."""
        return np.asarray(1 / np.bincount(self.label)[self.label])

    def mean(self, values: Float64Array) -> Float64Array:
        """Return the mean of each column over each label, (labels, columns)."""
        sums = [np.bincount(self.label, self.weights * column) for column in values.T]
        return np.stack(sums, axis=1)


@dataclass(frozen=True, eq=False)
class AdaptedLogits:
    """Logits after the labels."""

    coefficients: Float64Array
    """(logits, coefficients)."""
    strengths: tuple[float | None, ...]
    """That were chosen; None: the parent's coefficients are kept."""
    held_out: Float64Array
    """(rows, logits), each row predicted by a fit on the other labels."""

    @property
    def moved(self) -> bool:
        """Whether any coefficient is not the parent's."""
        return any(strength is not None for strength in self.strengths)


def adapt_logits(
    rows: LabelledRows, parent: Float64Array, progress: ProgressReceiver
) -> AdaptedLogits:
    """Move logits as far as that predicts each label better from the others.

    A logit with one answer in all labels is kept. Labels count as often as they come, so that the
    intercepts learn how common an answer is. The parent's are (logits, coefficients).
    """
    progress.start("fitting to labels", len(parent))
    found = []
    try:
        for logit, start in enumerate(parent):
            found.append(_adapt_logit(rows, logit, start))
            progress.advance()
    finally:
        progress.finish()
    coefficients, strengths, held_out = zip(*found, strict=True)
    return AdaptedLogits(np.stack(coefficients), strengths, np.stack(held_out, axis=1))


def _adapt_logit(
    rows: LabelledRows, logit: int, parent: Float64Array
) -> tuple[Float64Array, float | None, Float64Array]:
    """Take the fit nearest to the parent of those as good as the best, if it beats the parent."""
    kept = rows.design @ parent
    answers = rows.answers[:, logit]
    answers = answers[np.isfinite(answers)]
    if len(answers) < _LEAST_LABELS or len(np.unique(answers)) < 2:
        return parent, None, kept
    fits = [_leave_one_out(rows, logit, parent, strength) for strength in STRENGTHS]
    losses = [label_losses(rows, logit, logits) for _, logits in fits]
    best = min(losses, key=np.mean)
    chosen = next(index for index, loss in enumerate(losses) if not is_lower(best, loss))
    gain = label_losses(rows, logit, kept).mean() - losses[chosen].mean()
    if gain <= _LEAST_GAIN:
        return parent, None, kept
    return fits[chosen][0], STRENGTHS[chosen], fits[chosen][1]


def _leave_one_out(
    rows: LabelledRows, logit: int, parent: Float64Array, strength: float
) -> tuple[Float64Array, Float64Array]:
    everyone = np.ones(len(rows.answers), np.bool_)
    fit = fit_labels(rows, logit, everyone, parent=parent, strength=strength)
    logits = rows.design @ fit
    for label in np.flatnonzero(np.isfinite(rows.answers[:, logit])):
        others, own = everyone.copy(), rows.label == label
        others[label] = False
        one = fit_labels(rows, logit, others, parent=parent, strength=strength, start=fit)
        logits[own] = rows.design[own] @ one
    return fit, logits


def fit_labels(
    rows: LabelledRows,
    logit: int,
    chosen: BoolArray,
    *,
    parent: Float64Array,
    strength: float,
    start: Float64Array | None = None,
) -> Float64Array:
    """Fit to the `chosen` labels; the strength is that of all coefficients but the intercept."""
    answers = rows.answers[:, logit]
    used = (chosen & np.isfinite(answers))[rows.label]
    inverse_variance = np.full(len(parent), strength)
    inverse_variance[0] = INTERCEPT_STRENGTH
    return fit_logistic(
        rows.design[used],
        answers[rows.label[used]] == 1,
        weights=rows.weights[used],
        towards=parent,
        strength=inverse_variance,
        start=start,
    )


def label_losses(rows: LabelledRows, logit: int, logits: Float64Array) -> Float64Array:
    """Return the log loss of each label with an answer, by the mean probability of its rows."""
    answered = np.isfinite(rows.answers[:, logit])
    yes = rows.mean(expit(logits)[:, None])[answered, 0]
    right = np.where(rows.answers[answered, logit] == 1, yes, 1 - yes)
    return np.asarray(-np.log(np.clip(right, LEAST_PROBABILITY, 1)))


def is_lower(one: Float64Array, other: Float64Array) -> bool:
    """Return whether losses of the same labels are lower by more than a standard error.

    That is of their mean difference (Breiman et al. 1984, section 3.4.3).
    """
    gains = other - one
    return bool(gains.mean() > max(_LEAST_GAIN, gains.std(ddof=1) / np.sqrt(len(gains))))
