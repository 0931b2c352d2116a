"""A regression that learns on from a few labels of a new place."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from geo.types import BoolArray, CodeArray, Float64Array
from models.cards.architecture import Logit, RegressionArchitecture
from models.cards.card import ModelCard
from models.damage.regression import fit_logistic, log_loss, regression_of, temperature
from models.errors import InputsMismatch
from models.training.fit_regression import questions, with_ones

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""How firmly coefficients stay with the parent's, as inverse variances; leave-one-out chooses."""
_OF_INTERCEPT = 4.0
"""The same of the intercepts, which part with the parent's sooner: how common damage is changes
most from place to place. Of 1, 4 and 16 it did best from one half of a tile of Joplin to the
other."""
_LEAST_TO_CHOOSE = 5
"""Labels below which leave-one-out tells nothing; the firmest strength is taken."""


@dataclass(frozen=True)
class Adapted:
    """What became of a card."""

    card: ModelCard
    """The parent's in all but the three logits."""
    labels: int
    strengths: tuple[float | None, float | None, float | None]
    """Chosen for damaged, minor and destroyed; None where the parent's logit is kept."""
    left_out_loss: tuple[float | None, float | None, float | None]
    """Log loss of each label by a fit on the others, to first order; by logit, None where nobody
    was asked."""
    parent_loss: tuple[float | None, float | None, float | None]
    """The same of the parent on the labels."""


def adapt_regression(card: ModelCard, features: Float64Array, grades: CodeArray) -> Adapted:
    """Move the logits of a regression as far as labels of a new place ask for it.

    The features stay as they are. Each logit is the likeliest after the labels when it was, before
    them, normally distributed around the parent's; of the strengths of that belief the one is
    taken that foretells each label best from the others, and where none foretells them better than
    the parent's logit does, that stays. Labels count as often as they come, so that the intercepts
    learn how common damage is there.

    Args:
        card: of the parent.
        features: (labels, features), rows of `RegressionGrader.design`.
        grades: (labels,) 1 to 4.

    Raises:
        InputsMismatch: where the card is no regression on buildings, or labels and features
            do not fit.
    """
    architecture = regression_of(card)
    _check(architecture, features, grades)
    warmth = temperature(card)
    moved = [
        _moved(logit, features[asked] / warmth, positive, warmth)
        for logit, (asked, positive) in zip(architecture.logits, questions(grades), strict=True)
    ]
    names = ("damaged", "minor", "destroyed")
    changed = architecture.model_copy(
        update={name: one.logit for name, one in zip(names, moved, strict=True)}
    )
    first, second, third = moved
    return Adapted(
        card=card.model_copy(update={"architecture": changed}),
        labels=len(grades),
        strengths=(first.strength, second.strength, third.strength),
        left_out_loss=(first.loss, second.loss, third.loss),
        parent_loss=(first.parent_loss, second.parent_loss, third.parent_loss),
    )


@dataclass(frozen=True)
class _Moved:
    """One logit after the labels."""

    logit: Logit
    strength: float | None
    loss: float | None
    parent_loss: float | None


def _moved(logit: Logit, design: Float64Array, positive: BoolArray, warmth: float) -> _Moved:
    """Return a logit moved by labels; the design is divided by the temperature."""
    if not len(positive):
        return _Moved(logit, None, None, None)
    parent = np.array([logit.intercept, *logit.coefficients])
    ones = with_ones(design)
    ones[:, 0] /= warmth
    losses = np.stack(
        [_left_out_losses(ones, positive, parent, strength) for strength in STRENGTHS]
    )
    best = _firmest(losses) if len(positive) >= _LEAST_TO_CHOOSE else len(STRENGTHS) - 1
    loss = float(losses[best].mean())
    parent_loss = log_loss(ones @ parent, positive, np.ones(len(positive)))
    if loss >= parent_loss:
        return _Moved(logit, None, loss, parent_loss)
    new = _fit(ones, positive, parent, STRENGTHS[best])
    rounded = [round(float(value), 6) for value in new]
    moved = Logit(intercept=rounded[0], coefficients=tuple(rounded[1:]))
    return _Moved(moved, STRENGTHS[best], loss, parent_loss)


def _firmest(losses: Float64Array) -> int:
    """Return the firmest strength that is as good as the best, as far as labels can tell.

    That is by the rule of one standard error (Breiman et al. 1984, section 3.4.3): few labels
    foretell each other well with coefficients that hold nowhere else.

    Args:
        losses: (strengths, labels).
    """
    best = int(np.argmin(losses.mean(axis=1)))
    worse = losses - losses[best]
    error = worse.std(axis=1) / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(worse.mean(axis=1) <= error).max())


def _left_out_losses(
    design: Float64Array, positive: BoolArray, parent: Float64Array, strength: float
) -> Float64Array:
    """Return the log loss of each label by a fit on the others, (labels,).

    The others' fit is one step of Newton's method from the fit on all (Pregibon 1981,
    doi:10.1214/aos/1176345513): so a fit on all is enough, and 200 labels take a second.
    """
    at = _fit(design, positive, parent, strength)
    logits = design @ at
    likely = expit(logits)
    bend = likely * (1 - likely)
    curve = (design.T * bend) @ design
    curve[np.diag_indices_from(curve)] += _firm(parent, strength)
    reach = np.einsum("ij,ij->i", design, np.linalg.solve(curve, design.T).T)
    without = logits + (likely - positive) * reach / (1 - bend * reach)
    return np.asarray(np.logaddexp(0, np.where(positive, -without, without)))


def _fit(
    design: Float64Array, positive: BoolArray, parent: Float64Array, strength: float
) -> Float64Array:
    firm = _firm(parent, strength)
    return fit_logistic(
        design, positive, weights=np.ones(len(positive)), towards=parent, strength=firm
    )


def _firm(parent: Float64Array, strength: float) -> Float64Array:
    """Return the inverse variances around the parent's coefficients."""
    firm = np.full(parent.shape, strength)
    firm[0] = _OF_INTERCEPT
    return firm


def _check(architecture: RegressionArchitecture, features: Float64Array, grades: CodeArray) -> None:
    wanted = (len(grades), len(architecture.features))
    if features.shape != wanted or not np.isfinite(features).all():
        raise InputsMismatch(
            f"{len(grades)} labels need known features of the shape {wanted}, there is "
            f"{features.shape}; leave out buildings without an answer"
        )
    if not len(grades) or not set(np.unique(grades).tolist()) <= {1, 2, 3, 4}:
        raise InputsMismatch(
            "labels are grades from 1 to 4, at least one; there is "
            f"{', '.join(map(str, np.unique(grades))) or 'none'}"
        )
