"""Table: what the product says of the buildings that were seen, against what the eye says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.schema import DAMAGE_GRA
from models.validation.design import Design
from models.validation.grades import GRADES
from models.validation.interval import Counted

Numbers: TypeAlias = npt.NDArray[np.int64]
Reals: TypeAlias = npt.NDArray[np.float64]
Cells: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """Answers by published and by seen grade, and the buildings that they stand for."""

    counts: Numbers
    """(published grades, seen grades), answers; in the order of `DAMAGE_GRA` and `GRADES`."""
    buildings: Numbers
    """(published grades,), of the whole product."""
    design: Design

    @property
    def graded(self) -> "Table":
        """The same of the buildings that the product grades."""
        return Table(self.counts[: len(GRADES)], self.buildings[: len(GRADES)], self.design)

    @property
    def answered(self) -> int:
        """How many answers."""
        return int(self.counts.sum())

    @property
    def complete(self) -> bool:
        """Whether every stratum has an answer, so that all buildings are spoken for."""
        return all(stratum.drawn for stratum in self.strata(self.cells()))

    def cells(self, *, published: Iterable[str] = DAMAGE_GRA, seen: Iterable[str] = ()) -> Cells:
        """Return where answers count, (published grades, seen grades)."""
        rows = np.isin(DAMAGE_GRA[: len(self.buildings)], list(published))
        return rows[:, None] & np.isin(GRADES, list(seen))

    def strata(self, cells: Cells) -> list[Counted]:
        """Return what the sample of each stratum showed, counting the answers of some cells.

        A simple sample has one stratum. So it has where only a part of the buildings is asked
        for: those that were drawn of a part are a simple random sample of that part.
        """
        counted = np.where(cells, self.counts, 0).sum(axis=1)
        rows = np.stack([self.buildings, self.counts.sum(axis=1), counted])
        if self.design is Design.SIMPLE:
            rows = rows.sum(axis=1, keepdims=True)
        return [Counted(*map(int, row)) for row in rows.T if row[0]]

    @property
    def weights(self) -> Reals:
        """(published grades,), buildings that an answer stands for; NaN without an answer.

        The inverse of the chance to be drawn (Horvitz and Thompson 1952), as Olofsson et al.
        (2014, equation 4) weigh a confusion matrix by the size of the classes of a map.
        """
        drawn = self.counts.sum(axis=1)
        if self.design is Design.SIMPLE:
            drawn = np.full_like(drawn, drawn.sum())
            return _ratio(np.full_like(drawn, self.buildings.sum()), drawn)
        return _ratio(self.buildings, drawn)

    @property
    def estimated(self) -> Reals:
        """(published grades, seen grades), of all buildings; NaN where nothing was answered."""
        stratified = self.counts * self.weights[:, None]
        return np.where((self.buildings == 0)[:, None], 0.0, stratified)


def tabulate(
    published: Mapping[str, str],
    seen: Mapping[str, str],
    *,
    sizes: Mapping[str, int],
    design: Design,
) -> Table:
    """Return the table of some answers.

    Args:
        published: grade by building id, of the buildings that were drawn.
        seen: grade by building id, of those that the eye could tell.
        sizes: buildings of the whole product by published grade.
        design: how they were drawn.
    """  # fmt: skip
    counts = np.zeros((len(DAMAGE_GRA), len(GRADES)), np.int64)
    for name, grade in seen.items():
        counts[DAMAGE_GRA.index(published[name]), GRADES.index(grade)] += 1
    buildings = np.array([sizes.get(grade, 0) for grade in DAMAGE_GRA], np.int64)
    return Table(counts, buildings, design)


def _ratio(above: Numbers, below: Numbers) -> Reals:
    ratio: Reals = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return ratio
