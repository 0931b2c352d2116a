"""Damaged ground held against labels: ground near damaged buildings, and near sound ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geo.classify import Finding
from geo.raster import BoolArray, CodeArray, FloatArray
from models.card import ModelCard
from models.damage_metrics import auc
from models.data.xbd import PIXEL_M
from models.grading.ground import damaged_ground, labelled_ground
from models.grading.zones import Values

STEP_PX = 8
"""Every eighth pixel of every eighth row is scored: what lies between is smoothed of them."""


@dataclass(frozen=True, eq=False)
class GroundScore:
    """Probabilities of ground that the labels know."""

    probability: Values
    """(places,); 0 where the ground was not judged: no damage is published there."""
    damaged: BoolArray
    """(places,), what the labels say."""
    least: float
    """Probability from which ground is called damaged."""

    @classmethod
    def of(cls, card: ModelCard, answer: FloatArray, mask: CodeArray) -> "GroundScore":
        """Score a tile.

        Args:
            card: of a model that finds buildings.
            answer: its probabilities, (classes, rows, cols).
            mask: as those of xBD.
        """
        damage = answer[card.class_names.index(Finding.DAMAGED)]
        ground = damaged_ground(answer[0], damage, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        truth = labelled_ground(mask, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        known = (truth <= 1) & np.isfinite(damage[::STEP_PX, ::STEP_PX])
        probability = np.nan_to_num(ground[known]).astype(np.float64)
        return cls(probability, truth[known] == 1, card.threshold(Finding.DAMAGED))

    @classmethod
    def together(cls, parts: Sequence["GroundScore"]) -> "GroundScore":
        """Return the ground of several tiles."""
        return cls(
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.damaged for part in parts]),
            parts[0].least,
        )

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve; None for one class."""
        return auc(self.probability, self.damaged)

    @property
    def iou(self) -> float | None:
        """Intersection over union of damaged ground; None where there is none."""
        called = self.probability >= self.least
        union = int((called | self.damaged).sum())
        return int((called & self.damaged).sum()) / union if union else None
