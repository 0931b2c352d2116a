"""Parts of a set: what is learned from, and what is left out to choose by."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.data.sample import ImageKind, LabelledSet, Sample
from models.errors import DataInvalid


class OnDisk(Protocol):
    """A set of any kind that knows its files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it reads, in order."""
        ...


@dataclass(frozen=True)
class Part:
    """Some samples of a set."""

    whole: LabelledSet
    indices: tuple[int, ...]

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """As in the whole."""
        return self.whole.kinds

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each sample."""
        groups = self.whole.groups
        return tuple(groups[index] for index in self.indices)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the whole."""
        return self.whole.files

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a sample; see `LabelledSet`."""
        return self.whole[self.indices[index]]


@dataclass(frozen=True)
class Fold:
    """A set cut in two, no group in both."""

    learned_from: Part
    left_out: Part


def left_out(groups: Sequence[str], *, folds: int, number: int) -> tuple[int, ...]:
    """Return the indices of a fold: every k-th group, beginning with the given one.

    Taking groups at a distance leaves out some of every region of a set that is in order,
    and each group as a whole.

    Args:
        groups: of each sample.
        folds: how many there are.
        number: of the fold, from 0.

    Raises:
        DataInvalid: where there are fewer groups than folds, or no such fold.
    """
    names = sorted(set(groups))
    if not 0 <= number < folds or folds < 2:
        raise DataInvalid(f"there is no fold {number} of {folds}; name one from 0, of two or more")
    if len(names) < folds:
        raise DataInvalid(
            f"{len(names)} groups of neighbours do not make {folds} folds; ask for fewer"
        )
    chosen = set(names[number::folds])
    return tuple(index for index, group in enumerate(groups) if group in chosen)


def fold(whole: LabelledSet, *, folds: int, number: int) -> Fold:
    """Cut a set in two; see `left_out`."""
    out = left_out(whole.groups, folds=folds, number=number)
    rest = tuple(sorted(set(range(len(whole))) - set(out)))
    return Fold(Part(whole, rest), Part(whole, out))


def data_digest(*sets: OnDisk) -> str:
    """Return the sha256 of the names and bytes of the files of one or several sets, in order."""
    digest = hashlib.sha256()
    for path in (path for one in sets for path in one.files):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
