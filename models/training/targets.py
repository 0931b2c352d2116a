"""What a network should answer of a sample: a yes or no for every class of its card."""

from collections.abc import Sequence

import numpy as np

from geo.classify import Finding
from geo.raster import BoolArray
from models.data.sample import Sample
from models.data.xbd import UNCLASSIFIED
from models.errors import InputsMismatch
from models.terms import DAMAGE_STEPS


def targets(sample: Sample, findings: Sequence[Finding]) -> tuple[BoolArray, BoolArray]:
    """Return where each finding is, and where that is known; (findings, rows, cols) both.

    A grade means so bad or worse, and is known where there is a graded building. The first
    finding is what the sample was labelled for.

    Raises:
        InputsMismatch: where grades are asked for and the sample has none, or the other way round
            buildings are labelled and something else is to be learned.
    """
    if sample.grades is not None and findings[0] is not Finding.BUILDING:
        raise InputsMismatch(
            f"the labels of {sample.name} are buildings, and {findings[0]} is to be learned; give "
            f"labels of {findings[0]}"
        )
    found, known = [sample.target], [sample.known]
    for finding in findings[1:]:
        if sample.grades is None or finding not in DAMAGE_STEPS:
            raise InputsMismatch(
                f"the labels of {sample.name} do not say {finding}; they have "
                f"{'building and grades' if sample.grades is not None else 'no grades'}"
            )
        graded = sample.known & (sample.grades > 0) & (sample.grades != UNCLASSIFIED)
        found.append(graded & (sample.grades > 1 + DAMAGE_STEPS.index(finding)))
        known.append(graded)
    return np.stack(found), np.stack(known)
