"""The transparent grader: features of a building, three logits, four probabilities.

Logistic regression drawn towards given coefficients: learning anew, and learning on.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit

from geo.types import BoolArray, Float64Array, FloatArray, Int32Array
from models.cards.architecture import Logit, RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.damage.features import Measured, Pair, measure
from models.errors import InputsMismatch

Names: TypeAlias = tuple[str, ...]

LEAST_SEEN = 0.5
"""Share of a footprint that must be seen before and after."""
REACH = 3.0
"""Neighbours further away than so many deviations do not count."""
_LONELY = 0.1
"""Sum of the neighbours' weights at which their share is halved: one far neighbour says little."""


@dataclass(frozen=True)
class Contribution:
    """What one feature adds to one logit of a building."""

    feature: str
    logit: str
    """damaged, minor or destroyed; see `RegressionArchitecture`."""
    value: float
    """Log odds; positive: towards damage."""


@dataclass(frozen=True, eq=False)
class RegressionGrader:
    """A `models.damage.grader.Grader` whose every number is on its card."""

    card: ModelCard
    architecture: RegressionArchitecture

    @classmethod
    def load(cls, ref: CardRef, *, device: str = "cpu") -> "RegressionGrader":
        """Return the grader of a card; it runs on the CPU whatever the device.

        Raises:
            InputsMismatch: where the card is of another kind of model.
        """
        del device
        return cls(ref.card, regression_of(ref.card))

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return the probabilities of the grades; see `models.damage.grader.Grader`.

        Brightness is relative to the median of the images: give a whole scene, or blocks of a
        town, never a cut-out around each building.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        return self.grade_and_compare(before, after, buildings, count=count)[0]

    def grade_and_compare(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> tuple[FloatArray, Float64Array]:
        """Return what `grade` does, and what `deviations` says of the same buildings.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        measured = self._measured(before, after, buildings, count=count)
        design = standardised(self.architecture, measured)
        grades = grades_of(logits(self.card, self.architecture, design))
        return grades, deviations(self.architecture, measured)

    def design(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> Float64Array:
        """Return what the logits are sums over, (count, features); NaN where there is no answer.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        measured = self._measured(before, after, buildings, count=count)
        return standardised(self.architecture, measured)

    def _measured(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> Measured:
        shapes = {before.shape, after.shape, (3, *buildings.shape)}
        if len(shapes) > 1:
            raise InputsMismatch(
                f"{self.card.name} takes red, green and blue before and after and the buildings "
                f"on one grid; there is {before.shape}, {after.shape} and {buildings.shape}"
            )
        names = tuple(feature.name for feature in self.architecture.features)
        return measure(Pair.of(before, after, buildings, count=count), names)


def deviations(architecture: RegressionArchitecture, measured: Measured) -> Float64Array:
    """Return how far features lie from those learned from, (count, features).

    In deviations of the training, cut at the card's limit. NaN where a feature is not known, and
    where the building is too small or was not seen.
    """
    fit = _is_fit(architecture, measured)
    return np.where(fit[:, None], _cut(architecture, measured), np.nan)


def standardised(architecture: RegressionArchitecture, measured: Measured) -> Float64Array:
    """Return features as the logits take them, (count, features).

    Each is standardised by the card's constants, cut at its limit, and mixed with the mean of its
    neighbours, near ones counting more. A feature that is not known counts as the mean in
    training. NaN where the building is too small or was not seen.
    """
    own = np.nan_to_num(_cut(architecture, measured))
    fit = _is_fit(architecture, measured)
    design = np.full(own.shape, np.nan)
    design[fit] = _with_neighbours(architecture, own[fit], measured.centres[fit])
    return design


def _cut(architecture: RegressionArchitecture, measured: Measured) -> Float64Array:
    means = np.array([feature.mean for feature in architecture.features])
    spread = np.array([feature.std for feature in architecture.features])
    limit = architecture.limit
    return np.asarray(np.clip((measured.values - means) / spread, -limit, limit))


def _is_fit(architecture: RegressionArchitecture, measured: Measured) -> BoolArray:
    """Return which buildings are large enough and were seen."""
    large = measured.pixels >= max(architecture.least_px, 1)
    return np.asarray(large & (measured.share_seen >= LEAST_SEEN))


def logits(
    card: ModelCard, architecture: RegressionArchitecture, design: Float64Array
) -> Float64Array:
    """Return the logits damaged, minor and destroyed, (count, 3), calibrated."""
    coefficients = np.array([logit.coefficients for logit in architecture.logits])
    intercepts = np.array([logit.intercept for logit in architecture.logits])
    return np.asarray((design @ coefficients.T + intercepts) / temperature(card))


def regression_of(card: ModelCard) -> RegressionArchitecture:
    """Return the architecture of a card of a regression on buildings.

    Raises:
        InputsMismatch: where the card is of another kind.
    """
    if not isinstance(card.architecture, RegressionArchitecture):
        raise InputsMismatch(
            f"{card.name} is a {card.architecture.kind} and no regression on buildings; name one "
            "such as damage-features"
        )
    return card.architecture


def temperature(card: ModelCard) -> float:
    """Return what logits are divided by; 1 where the card has no calibration."""
    return 1.0 if card.calibration is None else card.calibration.parameters.temperature[0]


def grades_of(three: Float64Array) -> FloatArray:
    """Return the probabilities of the four grades from the three logits, (count, 4)."""
    damaged, minor, destroyed = expit(three).T
    each = [(1 - damaged) * (1 - minor), (1 - damaged) * minor]
    each += [damaged * (1 - destroyed), damaged * destroyed]
    return np.stack(each, axis=1).astype(np.float32)


def contributions(
    card: ModelCard, architecture: RegressionArchitecture, design: Float64Array
) -> tuple[Contribution, ...]:
    """Return what each feature adds to each logit of one building, the intercept named so.

    Those of one logit sum to it.

    Args:
        design: (features,), a row of what `RegressionGrader.design` returns.
    """
    named = zip(("damaged", "minor", "destroyed"), architecture.logits, strict=True)
    return tuple(
        Contribution(feature, name, value / temperature(card))
        for name, logit in named
        for feature, value in _terms(architecture, logit, design)
    )


def _terms(
    architecture: RegressionArchitecture, logit: Logit, design: Float64Array
) -> list[tuple[str, float]]:
    names = [feature.name for feature in architecture.features]
    values = [float(value) for value in np.array(logit.coefficients) * design]
    return [("intercept", logit.intercept), *zip(names, values, strict=True)]


def _with_neighbours(
    architecture: RegressionArchitecture, own: Float64Array, centres: Float64Array
) -> Float64Array:
    """Return features mixed with the weighted mean of the neighbours', (n, features)."""
    width, share = architecture.neighbours_px, architecture.neighbours_share
    if not share or len(own) < 2:
        return own
    tree = cKDTree(centres)
    apart = tree.sparse_distance_matrix(tree, REACH * width, output_type="coo_matrix")
    other = apart.row != apart.col
    rows, cols = apart.row[other], apart.col[other]
    weights = np.exp(-0.5 * (apart.data[other] / width) ** 2)
    total = np.bincount(rows, weights, len(own))
    sums = np.stack(
        [np.bincount(rows, weights * column[cols], len(own)) for column in own.T], axis=1
    )
    mean = sums / np.maximum(total, 1e-12)[:, None]
    part = (share * total / (total + _LONELY))[:, None]
    return np.asarray((1 - part) * own + part * mean)


_ITERATIONS = 50
_TOLERANCE = 1e-8
_LEAST_CURVATURE = 1e-9


def fit_logistic(
    design: Float64Array,
    positive: BoolArray,
    *,
    weights: Float64Array,
    towards: Float64Array,
    strength: Float64Array,
    start: Float64Array | None = None,
) -> Float64Array:
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

    def loss_of(at: Float64Array) -> float:
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


def balanced(positive: BoolArray) -> Float64Array:
    """Return weights that make both classes count alike, 1 on average."""
    share = positive.mean()
    weights: Float64Array = np.where(positive, 0.5 / max(share, 1e-12), 0.5 / max(1 - share, 1e-12))
    return weights


def log_loss(logits: Float64Array, positive: BoolArray, weights: Float64Array) -> float:
    """Return the weighted mean of minus the log probability of what was."""
    return float(np.average(np.logaddexp(0, np.where(positive, -logits, logits)), weights=weights))
