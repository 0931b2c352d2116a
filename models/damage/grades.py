"""Grades of buildings: codes in labels and masks, and the file that passes them between steps."""

import numpy as np

from geo.types import CodeArray, FloatArray
from geo.vector.schema import DAMAGE_XBD
from models.cards.card import ModelCard

GRADES = DAMAGE_XBD[3::-1]
"""The Joint Damage Scale of xBD, mildest first: 1 to 4 in masks and labels."""
DAMAGED_FROM = 3
"""Code from which a building counts as damaged: major damage and destroyed."""


def graded_mask(card: ModelCard, probabilities: FloatArray) -> CodeArray:
    """Return a mask as those of xBD, (rows, cols): 0 no building, or not observed; 1 to 4 a grade.

    The grade of a pixel is the worst that it more likely reaches than not.

    Args:
        card: of a model that finds buildings.
        probabilities: of its classes, (classes, rows, cols).
    """
    thresholds = [entry.threshold for entry in card.classes]
    steps = zip(probabilities[1:], thresholds[1:], strict=True)
    grades = 1 + np.sum([part >= threshold for part, threshold in steps], axis=0)
    return np.where(probabilities[0] >= thresholds[0], grades, 0).astype(np.uint8)
