"""A random sample of graded buildings to check visually: its draw, and the interval of a count.

Half of a stratified sample is shared equally among the grades, half in proportion to their
buildings: the first serves the accuracy of each grade, the second the total (Olofsson et al.,
Remote Sensing of Environment 148, 2014, 42-57, doi:10.1016/j.rse.2014.02.015, 5.1.1).

The interval of one stratum is the exact one of the hypergeometric distribution, 2.5 % on each
side. Its ends are quantiles of two (beta-binomial) confidence distributions:

    lower:  counted + BetaBinomial(buildings - drawn, counted, drawn - counted + 1)
    upper:  counted + BetaBinomial(buildings - drawn, counted + 1, drawn - counted)

Those of the strata, which are independent, are added (Fay, Proschan and Brittain, Biometrics 71,
2015, 146-156, doi:10.1111/biom.12231). The textbook interval (Cochran 1977, 5.4 and 5.15) fails
where all or none of a stratum are damaged. `python -m tests.benchmarks coverage` measures how
often the interval contains the true number.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import betaln, gammaln

from geo.types import Float64Array
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
    """Return the grade that a word stands for, in any case; None where the images do not tell.

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
    SIMPLE = "simple"


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
    """In random order: whoever stops early has still looked at a random sample."""


def digest_of(graded: Mapping[str, str]) -> str:
    """Return the sha256 of grades by building id, in whatever order they come."""
    lines = (f"{name}\t{grade}\n" for name, grade in sorted(graded.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def draw(graded: Mapping[str, str], *, total: int, design: Design, seed: int) -> Draw:
    """Draw `total` buildings, or all, of grades by id; a seed always gives the same draw.

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
    """Return how many to draw of each stratum, in all `total` (at least two a stratum) or all."""
    size = np.array(sizes)
    missing = total * (0.5 / len(size) + 0.5 * size / size.sum())
    drawn = np.zeros_like(size)
    for _ in range(min(total, int(size.sum()))):
        neediest = int(np.argmax(np.where(drawn < size, missing, -np.inf)))
        drawn[neediest] += 1
        missing[neediest] -= 1
    return [int(number) for number in drawn]


def _members(graded: Mapping[str, str], design: Design) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for name, grade in sorted(graded.items()):
        members.setdefault(grade if design is Design.STRATIFIED else ALL, []).append(name)
    return dict(sorted(members.items()))


Spectrum: TypeAlias = npt.NDArray[np.complex128]

TAIL = 0.025
"""Probability outside the interval, at most on each side."""
MAX_STEPS = 4096
"""Distributions over more buildings than this are rounded outwards to as many steps, which
widens the interval by at most a step a stratum and side."""


@dataclass(frozen=True)
class StratumCount:
    """What a random sample of one stratum showed."""

    buildings: int
    drawn: int
    """Drawn without replacement, and answered."""
    counted: int
    """Of those, how many are what is counted."""

    @property
    def not_drawn(self) -> int:
        """Buildings outside of the sample."""
        return self.buildings - self.drawn

    @property
    def complement(self) -> "StratumCount":
        """The same sample, counting those that are not what was counted."""
        return StratumCount(self.buildings, self.drawn, self.drawn - self.counted)


def count_interval(strata: Sequence[StratumCount]) -> tuple[int, int]:
    """Return the 95 % interval of how many there are in all strata together."""
    if not strata:
        return 0, 0
    buildings = sum(stratum.buildings for stratum in strata)
    return _lower_end(strata), buildings - _lower_end([s.complement for s in strata])


def _lower_end(strata: Sequence[StratumCount]) -> int:
    """Return the lower end: every smaller total is rejected by the sample."""
    step = -(-sum(stratum.not_drawn for stratum in strata) // MAX_STEPS) or 1
    cells = next_fast_len(1 + sum(stratum.not_drawn // step for stratum in strata), real=True)
    total = irfft(np.prod([_spectrum(stratum, step, cells) for stratum in strata], axis=0), cells)
    above = np.flatnonzero(np.cumsum(total) > TAIL)
    return sum(stratum.counted for stratum in strata) + step * int(above[0])


@lru_cache(maxsize=1024)
def _spectrum(stratum: StratumCount, step: int, cells: int) -> Spectrum:
    """Return the Fourier transform of `_lower`: sums of independent numbers are its products."""
    spectrum: Spectrum = rfft(_lower(stratum, step), cells)
    return spectrum


def _lower(stratum: StratumCount, step: int) -> Float64Array:
    """(not_drawn // step + 1,), lower confidence distribution of those not drawn, by step."""
    n, a, b = stratum.not_drawn, stratum.counted, stratum.drawn - stratum.counted + 1
    if n == 0 or a == 0:
        return np.ones(1)
    k = np.arange(n + 1.0)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    exact: Float64Array = np.exp(choose + betaln(k + a, n - k + b) - betaln(a, b))
    return np.add.reduceat(exact, np.arange(0, n + 1, step))
