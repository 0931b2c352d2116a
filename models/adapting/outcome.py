"""What became of a model that was shown labels, and whether that is better than it was."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from geo.raster import CodeArray
from models.adaptation import LeftOut
from models.card import ModelCard
from models.damage_metrics import BuildingGrades, auc
from models.terms import Task

Reals: TypeAlias = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.int64]
Stage: TypeAlias = Literal["none", "regression", "head", "all"]

_SURE = 1e-4
"""Probabilities below count as this: one label that was missed does not decide alone."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A model after the labels, and what it and its parent say of labels left out."""

    card: ModelCard
    """The parent's in all but what was learned."""
    content: bytes | None
    """Safetensors; None where every number is on the card."""
    stage: Stage
    used: Indexes
    """Which polygons of the labels were learned from."""
    truth: CodeArray
    """(labels,), a number of the vocabulary's names."""
    parent: Reals
    """(labels, names): how likely the parent holds what a label can say."""
    adapted: Reals
    """The same by models that did not learn from the label."""
    groups: int
    """Parts that the labels were cut into, to be left out in turn."""

    @property
    def helped(self) -> bool:
        """Whether labels left out were foretold better, by their log loss, than by the parent."""
        return self.stage != "none" and _log_loss(self.truth, self.adapted) < _log_loss(
            self.truth, self.parent
        )

    def scores(self) -> tuple[LeftOut, ...]:
        """Return the figures of both, side by side.

        The area under the curve of labels left out is a little too low: whoever leaves out one of
        few damaged houses learns that all houses are likelier sound, that one among them (Parker
        et al. 2007, doi:10.1186/1471-2105-8-326).
        """
        parent, adapted = (self._figures(values) for values in (self.parent, self.adapted))
        return tuple(
            LeftOut(measure=name, parent=_rounded(parent[name]), adapted=_rounded(adapted[name]))
            for name in parent
        )

    def _figures(self, values: Reals) -> dict[str, float | None]:
        if self.card.task is Task.DAMAGE:
            return _of_grades(self.truth, values)
        return _of_answers(self.truth, values, threshold=self.card.classes[0].threshold)


def grades_reached(reached: Reals) -> Reals:
    """Return the probabilities of four grades, (labels, 4).

    Args:
        reached: (labels, 3), of each grade above no damage or a worse one.
    """
    steps = np.minimum.accumulate(reached, axis=1)
    edges = np.column_stack([np.ones(len(steps)), steps, np.zeros(len(steps))])
    return -np.diff(edges, axis=1)


def _of_grades(truth: CodeArray, values: Reals) -> dict[str, float | None]:
    found = BuildingGrades((truth + 1).astype(np.uint8), values)
    return {
        "accuracy": found.accuracy,
        "macro_f1_two": found.macro_f1_two,
        "macro_f1_four": found.macro_f1_four,
        "auc_damaged": found.auc_damaged,
        "log_loss": _log_loss(truth, values),
    }


def _of_answers(truth: CodeArray, values: Reals, *, threshold: float) -> dict[str, float | None]:
    yes, said = truth == 1, values[:, 1] >= threshold
    return {
        "accuracy": float((yes == said).mean()),
        "balanced_accuracy": float((said[yes].mean() + (~said[~yes]).mean()) / 2),
        "auc": auc(values[:, 1], yes),
        "log_loss": _log_loss(truth, values),
    }


def _log_loss(truth: CodeArray, values: Reals) -> float:
    """Return the mean of minus the log probability of what each label says."""
    right = values[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(right, _SURE, 1)).mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
