"""Grades of buildings: probabilities and the reasons of those without a grade, as columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.raster import FloatArray
from geo.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES, NO_GRADER

GRADES = DAMAGE_XBD[3::-1]
"""From no-damage to destroyed, the order of the probabilities."""
_GRA = DAMAGE_GRA[3::-1]
"""The same in the words of Copernicus EMS."""


@dataclass(frozen=True, eq=False)
class BuildingGrades:
    """What a grader says of buildings, all in their order."""

    probabilities: FloatArray
    """(buildings, 4), of `GRADES`; NaN where the grader has no answer."""
    reasons: tuple[str | None, ...]
    """Why a building has no grade, one of `geo.schema.NOT_GRADED`; None where it has one."""
    scenes: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    """Ids of the scenes before and after that each was seen in."""

    def columns(self) -> Mapping[str, list[str | float | int | None]]:
        """Return the columns of `built_up` that say how each building fared.

        The probabilities of a building that the grader answered for stay beside "Not Analysed",
        so that whoever reads the layer sees how unsure it was.
        """
        graded = np.array([reason is None for reason in self.reasons], np.bool_)
        best = np.argmax(np.where(graded[:, None], self.probabilities, 0), axis=1)
        top = np.max(np.where(graded[:, None], self.probabilities, 0), axis=1)
        percent = np.round(100.0 * self.probabilities.astype(np.float64), 1)
        return {
            "damage_gra": _words(_GRA, best, graded, otherwise=DAMAGE_GRA[-1]),
            "damage_xbd": _words(GRADES, best, graded, otherwise=DAMAGE_XBD[-1]),
            "confidence": [
                int(np.rint(100 * p)) if g else None for p, g in zip(top, graded, strict=True)
            ],
            "reason": list(self.reasons),
            **{
                name: [None if np.isnan(value) else float(value) for value in column]
                for name, column in zip(GRADE_PROBABILITIES, percent.T, strict=True)
            },
        }


def ungraded(count: int) -> BuildingGrades:
    """Return the grades of buildings that no grader was asked about."""
    nobody: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    return BuildingGrades(
        np.full((count, len(GRADES)), np.nan, np.float32), (NO_GRADER,) * count, (nobody,) * count
    )


def _words(
    names: tuple[str, ...],
    best: npt.NDArray[np.int64],
    graded: npt.NDArray[np.bool_],
    *,
    otherwise: str,
) -> list[str | float | int | None]:
    return [names[k] if g else otherwise for k, g in zip(best, graded, strict=True)]
