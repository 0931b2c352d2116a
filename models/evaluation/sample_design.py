"""A random sample of graded buildings to check visually, and the words that answers use.

A sample by grade ("stratified") looks at rare grades as well: half of it is shared equally
among the grades that there are, half in proportion to their buildings. Olofsson et al. (Remote
Sensing of Environment 148, 2014, 42-57, doi:10.1016/j.rse.2014.02.015, 5.1.1) advise such a
middle: equal parts serve the accuracy of each grade, proportional ones the total. Within a
grade every building has the same chance, and the estimate weighs by the inverse of that chance.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD
from models.errors import SampleInvalid

NOT_ANALYSED = DAMAGE_GRA[-1]
GRADES = DAMAGE_GRA[:-1]
"""What a building can be, worst first."""
DAMAGED = GRADES[:2]
"""Destroyed or Damaged: what counts as a damaged building; `Possibly damaged` does not."""

_NOT_TOLD = ("", "?", NOT_ANALYSED, DAMAGE_XBD[-1])
"""Words for a building that the images do not tell."""


def parse_grade(text: str) -> str | None:
    """Return the grade that a word stands for, or None where the images do not tell.

    Case, spaces, hyphens and underscores make no difference.

    Raises:
        SampleInvalid: where it is no such word.
    """
    word = _plain(text)
    if word not in _MEANING:
        known = ", ".join((*GRADES, *DAMAGE_XBD[:-1]))
        raise SampleInvalid(f"{text.strip()!r} is no grade; write one of {known}, or ?")
    return _MEANING[word]


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())


_MEANING: dict[str, str | None] = {
    **{_plain(word): grade for word, grade in zip(DAMAGE_XBD, DAMAGE_GRA, strict=True)},
    **{_plain(grade): grade for grade in GRADES},
    **{_plain(word): None for word in _NOT_TOLD},
}


ALL = "all buildings"
"""The only stratum of a simple sample."""


class Design(StrEnum):
    """How buildings are drawn."""

    STRATIFIED = "stratified"
    """So many of each published grade."""
    SIMPLE = "simple"
    """Of all alike."""


@dataclass(frozen=True)
class Stratum:
    """Buildings of which a random sample is drawn."""

    name: str
    """A published grade, or `ALL`."""
    buildings: int
    drawn: int


@dataclass(frozen=True)
class Draw:
    """A random sample of buildings."""

    strata: tuple[Stratum, ...]
    """Those that have a building."""
    ids: tuple[str, ...]
    """In the order in which they are looked at, which is random: whoever stops early has looked
    at a random sample still."""


def digest_of(graded: Mapping[str, str]) -> str:
    """Return the sha256 of buildings and their grades, in whatever order they come.

    Args:
        graded: published grade by building id.
    """
    lines = (f"{name}\t{grade}\n" for name, grade in sorted(graded.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def draw(graded: Mapping[str, str], *, total: int, design: Design, seed: int) -> Draw:
    """Draw buildings without replacement; the same seed and buildings give the same draw.

    Args:
        graded: published grade by building id.
        total: how many; all of them where there are fewer.
        design: by grade, or of all alike.
        seed: another one draws others.

    Raises:
        SampleInvalid: where that is too few to look at every grade.
    """
    members = _members(graded, design)
    sizes = [len(names) for names in members.values()]
    if total < 2 * len(sizes):
        raise SampleInvalid(
            f"{total} buildings cannot be drawn from {len(sizes)} grades ({', '.join(members)}); "
            f"draw at least {2 * len(sizes)}"
        )
    shares = allocate(sizes, total)
    random = np.random.default_rng([seed, int(digest_of(graded), 16)])
    chosen = [
        str(name)
        for names, share in zip(members.values(), shares, strict=True)
        for name in random.choice(names, share, replace=False)
    ]
    strata = zip(members, sizes, shares, strict=True)
    ordered = tuple(chosen[i] for i in random.permutation(len(chosen)))
    return Draw(tuple(Stratum(*stratum) for stratum in strata), ordered)


def allocate(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many are drawn of each stratum, `total` together or all where that is fewer.

    Args:
        sizes: buildings of each stratum, at least one.
        total: at least two a stratum, so that each gets one.
    """
    size = np.array(sizes)
    missing = total * (0.5 / len(size) + 0.5 * size / size.sum())
    drawn = np.zeros_like(size)
    for _ in range(min(total, int(size.sum()))):
        neediest = int(np.argmax(np.where(drawn < size, missing, -np.inf)))
        drawn[neediest] += 1
        missing[neediest] -= 1
    return [int(number) for number in drawn]


def _members(graded: Mapping[str, str], design: Design) -> dict[str, list[str]]:
    """Return the sorted ids of each stratum, by its name."""
    members: dict[str, list[str]] = {}
    for name, grade in sorted(graded.items()):
        members.setdefault(grade if design is Design.STRATIFIED else ALL, []).append(name)
    return dict(sorted(members.items()))
