"""Logistic regression drawn towards given coefficients: learning anew, and learning on."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Values: TypeAlias = npt.NDArray[np.float64]

_ITERATIONS = 50
_TOLERANCE = 1e-8
_LEAST_CURVATURE = 1e-9


def fit_logistic(
    design: Values,
    positive: npt.NDArray[np.bool_],
    *,
    weights: Values,
    towards: Values,
    strength: Values,
    start: Values | None = None,
) -> Values:
    """Return the coefficients that are likeliest after the labels (maximum a posteriori).

    Least of the weighted logistic loss plus strength / 2 times the squared distance from
    `towards`, found by Newton's method with halved steps; one minimum, as the loss is convex.

    Args:
        design: (n, coefficients); a column of ones where there is an intercept.
        positive: (n,).
        weights: (n,) of each label.
        towards: (coefficients,), where they stay without labels.
        strength: (coefficients,) inverse variance around it; 0: free.
        start: where the search begins, None: at `towards`; near the minimum it is shorter.
    """

    def loss_of(at: Values) -> float:
        logits = design @ at
        surprise = np.logaddexp(0, np.where(positive, -logits, logits))
        return float(weights @ surprise + 0.5 * (strength @ (at - towards) ** 2))

    at = (towards if start is None else start).astype(np.float64)
    loss = loss_of(at)
    for _ in range(_ITERATIONS):
        likely = expit(design @ at)
        slope = design.T @ (weights * (likely - positive)) + strength * (at - towards)
        bend = (design.T * (weights * likely * (1 - likely))) @ design
        bend[np.diag_indices_from(bend)] += strength + _LEAST_CURVATURE
        step = np.linalg.solve(bend, slope)
        # Close to the minimum rounding can make the loss rise by its last digit.
        while loss_of(at - step) > loss + _TOLERANCE:
            step = step / 2
        at, loss = at - step, loss_of(at - step)
        if np.abs(step).max() < _TOLERANCE:
            break
    return at


def balanced(positive: npt.NDArray[np.bool_]) -> Values:
    """Return weights that make both classes count alike, 1 on average."""
    share = positive.mean()
    weights: Values = np.where(positive, 0.5 / max(share, 1e-12), 0.5 / max(1 - share, 1e-12))
    return weights


def log_loss(logits: Values, positive: npt.NDArray[np.bool_], weights: Values) -> float:
    """Return the weighted mean of minus the log probability of what was."""
    return float(np.average(np.logaddexp(0, np.where(positive, -logits, logits)), weights=weights))
