"""Blocks: a fold that is squares of every sample, for a set of one or two large ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geo.raster import BoolArray
from models.data.sample import ImageKind, LabelledSet, Sample
from models.errors import DataInvalid


@dataclass(frozen=True)
class Blocks:
    """The samples of a set, with labels on some of their squares only.

    The images stay whole: what surrounds a square is seen, and its labels are not.
    """

    whole: LabelledSet
    block_px: int
    folds: int
    number: int
    left_out: bool
    """Whether the labels are those of the fold, or all others."""

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """As in the whole."""
        return self.whole.kinds

    @property
    def groups(self) -> tuple[str, ...]:
        """Those of the whole."""
        return self.whole.groups

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the whole."""
        return self.whole.files

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.whole)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a sample; see `LabelledSet`."""
        sample = self.whole[index]
        inside = in_fold(sample.known.shape, self.block_px, folds=self.folds, number=self.number)
        return replace(sample, known=sample.known & (inside == self.left_out))


def in_fold(shape: tuple[int, int], block_px: int, *, folds: int, number: int) -> BoolArray:
    """Return which pixels belong to a fold, (rows, cols).

    The squares of a fold lie on diagonals: some in every row and in every column.

    Raises:
        DataInvalid: where a fold would hold no square, or there is no such fold.
    """
    if not 0 <= number < folds or folds < 2:
        raise DataInvalid(f"there is no fold {number} of {folds}; name one from 0, of two or more")
    rows, cols = (np.arange(side) // block_px for side in shape)
    if rows[-1] + cols[-1] + 1 < folds:
        raise DataInvalid(
            f"a tile of {shape[0]} by {shape[1]} px has too few squares of {block_px} px for "
            f"{folds} folds; make them smaller"
        )
    chosen: BoolArray = (rows[:, None] + cols) % folds == number
    return chosen


def fold_in_blocks(
    whole: LabelledSet, *, block_px: int, folds: int, number: int
) -> tuple[Blocks, Blocks]:
    """Return what is learned from and what is left out, each with the labels of its squares."""
    return (
        Blocks(whole, block_px, folds, number, left_out=False),
        Blocks(whole, block_px, folds, number, left_out=True),
    )
