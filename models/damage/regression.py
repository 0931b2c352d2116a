"""The regression on buildings: features, three logits, four probabilities; and how it is fitted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit

from geo.types import BoolArray, Float64Array, FloatArray, Int32Array
from models.cards.architecture import RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.damage.features import FEATURES, FeatureTable, QuantityPair, measure
from models.errors import InputsMismatch

LOGITS = ("damaged", "minor", "destroyed")
MIN_OBSERVED = 0.5
"""Share of a footprint that must be observed before and after."""
REACH = 3.0
"""Neighbours further away than so many deviations do not count."""
_FEW_NEIGHBOURS = 0.1
"""Sum of the neighbours' weights at which their share is halved: one far neighbour says little."""


@dataclass(frozen=True)
class FeatureContribution:
    """What one feature adds to the grade of one building."""

    feature: str
    meaning: str
    """Of a large value."""
    before: float | None
    """Value in the image before; None where the feature compares both images."""
    after: float
    """Value in the image after, or of both; NaN where not known: it counts as the mean."""
    mean: float
    """Of the training, in the same unit."""
    standardised: float
    """Deviations from the mean, cut at the card's limit, mixed with the neighbours': the factor."""
    coefficients: Mapping[str, float]
    """By logit, calibrated."""
    contributions: Mapping[str, float]
    """By logit, log odds; positive: towards damage."""


@dataclass(frozen=True)
class GradeContributions:
    """The logits of one building as sums: intercept and contributions of the features."""

    logits: Mapping[str, float]
    intercepts: Mapping[str, float]
    features: tuple[FeatureContribution, ...]
    """The largest contribution to the probability of damage first."""


@dataclass(frozen=True, eq=False)
class RegressionGrader:
    """A `models.damage.grader.Grader` whose every number is on its card."""

    card: ModelCard
    architecture: RegressionArchitecture

    @classmethod
    def load(cls, ref: CardRef, *, device: str = "cpu") -> "RegressionGrader":
        """Return the grader of a card; it runs on the CPU whatever the device."""
        del device
        return cls(ref.card, regression_of(ref.card))

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return the probabilities of `Grader.grade`.

        Brightness is relative to the images' median: give scenes or blocks of a town, no cut-outs.
        """
        return self.grade_and_compare(before, after, buildings, count=count)[0]

    def grade_and_compare(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> tuple[FloatArray, Float64Array]:
        """Return what `grade` does, and the `deviations` of the same buildings."""
        table = self._measure(self._pair(before, after, buildings, count=count))
        design = standardised(self.architecture, table)
        grades = grades_of(logits(self.card, self.architecture, design))
        return grades, deviations(self.architecture, table)

    def design(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> Float64Array:
        """Return the design matrix, (count, features); NaN where a building has no grade."""
        pair = self._pair(before, after, buildings, count=count)
        return standardised(self.architecture, self._measure(pair))

    def explain(
        self,
        before: FloatArray,
        after: FloatArray,
        buildings: Int32Array,
        *,
        count: int,
        index: int,
    ) -> GradeContributions:
        """Return what each feature adds to the logits of the building of an index from 0."""
        pair = self._pair(before, after, buildings, count=count)
        table = self._measure(pair)
        row = standardised(self.architecture, table)[index]
        scale = temperature(self.card)
        named = dict(zip(LOGITS, self.architecture.logits, strict=True))
        features = []
        for k, feature in enumerate(self.architecture.features):
            number = FEATURES[feature.name].before(pair)
            coefficients = {name: logit.coefficients[k] / scale for name, logit in named.items()}
            features.append(
                FeatureContribution(
                    feature=feature.name,
                    meaning=FEATURES[feature.name].meaning,
                    before=None if number is None else float(number[index]),
                    after=float(table.values[index, k]),
                    mean=feature.mean,
                    standardised=float(row[k]),
                    coefficients=coefficients,
                    contributions={n: c * float(row[k]) for n, c in coefficients.items()},
                )
            )
        three = logits(self.card, self.architecture, row[None])[0]
        return GradeContributions(
            logits=dict(zip(LOGITS, three.tolist(), strict=True)),
            intercepts={name: logit.intercept / scale for name, logit in named.items()},
            features=tuple(sorted(features, key=lambda f: -abs(f.contributions["damaged"]))),
        )

    def _pair(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> QuantityPair:
        check_shapes(self.card, before, after, buildings.shape)
        return QuantityPair.of(before, after, buildings, count=count)

    def _measure(self, pair: QuantityPair) -> FeatureTable:
        return measure(pair, tuple(feature.name for feature in self.architecture.features))


def check_shapes(
    card: ModelCard, before: FloatArray, after: FloatArray, shape: tuple[int, ...]
) -> None:
    """Raise InputsMismatch unless both images and the buildings are on one grid."""
    if len({before.shape, after.shape, (3, *shape)}) > 1:
        raise InputsMismatch(
            f"{card.name} takes red, green and blue before and after and the buildings on one "
            f"grid; there is {before.shape}, {after.shape} and {shape}"
        )


def deviations(architecture: RegressionArchitecture, table: FeatureTable) -> Float64Array:
    """Return how far features lie from the training, (count, features), in its deviations.

    They are cut at the card's limit. NaN where a feature is not known, and where the building is
    too small (fewer than the card's `least_px`) or less than half of it was observed.
    """
    means = np.array([feature.mean for feature in architecture.features])
    spread = np.array([feature.std for feature in architecture.features])
    limit = architecture.limit
    cut = np.clip((table.values - means) / spread, -limit, limit)
    return np.where(_has_grade(architecture, table)[:, None], cut, np.nan)


def standardised(architecture: RegressionArchitecture, table: FeatureTable) -> Float64Array:
    """Return features as the logits take them, (count, features).

    They are `deviations`, 0 where not known, mixed with the mean of the neighbours', near ones
    counting more. NaN where the building is too small or was not observed.
    """
    own, graded = deviations(architecture, table), _has_grade(architecture, table)
    design = np.full(own.shape, np.nan)
    known = np.nan_to_num(own[graded])
    design[graded] = _with_neighbours(architecture, known, table.centres[graded])
    return design


def _has_grade(architecture: RegressionArchitecture, table: FeatureTable) -> BoolArray:
    large = table.pixels >= max(architecture.least_px, 1)
    return np.asarray(large & (table.share_observed >= MIN_OBSERVED))


def logits(
    card: ModelCard, architecture: RegressionArchitecture, design: Float64Array
) -> Float64Array:
    """Return the logits damaged, minor and destroyed, (count, 3), calibrated."""
    coefficients = np.array([logit.coefficients for logit in architecture.logits])
    intercepts = np.array([logit.intercept for logit in architecture.logits])
    return np.asarray((design @ coefficients.T + intercepts) / temperature(card))


def regression_of(card: ModelCard) -> RegressionArchitecture:
    """Return the architecture of a card of a regression on buildings, else raise InputsMismatch."""
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


def _with_neighbours(
    architecture: RegressionArchitecture, own: Float64Array, centres: Float64Array
) -> Float64Array:
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
    part = (share * total / (total + _FEW_NEIGHBOURS))[:, None]
    return np.asarray((1 - part) * own + part * mean)


_ITERATIONS = 50
_TOLERANCE = 1e-8
_MIN_CURVATURE = 1e-9


def fit_logistic(
    design: Float64Array,
    positive: BoolArray,
    *,
    weights: Float64Array,
    towards: Float64Array,
    strength: Float64Array,
    start: Float64Array | None = None,
) -> Float64Array:
    """Return the coefficients of maximum posterior probability, given labels and a prior mean.

    Least of the weighted logistic loss plus strength / 2 times the squared distance from
    `towards`, found by Newton's method with halved steps; one minimum, as the loss is convex.

    Args:
        design: (n, coefficients), one of ones for an intercept; `positive`, `weights`: (n,).
        towards: (coefficients,), where they stay without labels.
        strength: (coefficients,) inverse variance around it; 0: free.
    """

    def loss_of(at: Float64Array) -> float:
        logits = design @ at
        losses = np.logaddexp(0, np.where(positive, -logits, logits))
        return float(weights @ losses + 0.5 * (strength @ (at - towards) ** 2))

    at = (towards if start is None else start).astype(np.float64)
    loss = loss_of(at)
    for _ in range(_ITERATIONS):
        likely = expit(design @ at)
        slope = design.T @ (weights * (likely - positive)) + strength * (at - towards)
        curvature = (design.T * (weights * likely * (1 - likely))) @ design
        curvature[np.diag_indices_from(curvature)] += strength + _MIN_CURVATURE
        step = np.linalg.solve(curvature, slope)
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
    """Return the weighted mean of minus the log probability of the labels."""
    return float(np.average(np.logaddexp(0, np.where(positive, -logits, logits)), weights=weights))
