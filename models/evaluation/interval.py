"""How many of a finite population: a 95 % interval from a stratified random sample.

In one stratum the interval is the exact one of the hypergeometric distribution: the numbers of
damaged buildings that the sample does not reject, 2.5 % on each side. Its ends are quantiles of
two confidence distributions. Put the buildings in random order with the damaged ones first: of
the `drawn` places of the sample, at least `counted` lie among the damaged ones where the
`counted`-th place does, and the buildings before a place that were not drawn follow the
beta-binomial (negative hypergeometric) distribution. So

    lower:  counted + BetaBinomial(buildings - drawn, counted, drawn - counted + 1)
    upper:  counted + BetaBinomial(buildings - drawn, counted + 1, drawn - counted)

Strata are independent, and their distributions are added ("melded": Fay, Proschan and Brittain,
Biometrics 71, 2015, 146-156, doi:10.1111/biom.12231, who do it for two samples). The finite
population correction is inside: a stratum that was drawn whole adds no uncertainty. Nothing is
estimated from a variance, which is 0 where all or none of a stratum are damaged, and where the
textbook interval (Cochran, Sampling Techniques, 1977, 5.4 and 5.15) fails.
`tests/models/evaluation/test_interval.py` and `python -m tests.benchmarks coverage` measure
how often it contains the true number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import betaln, gammaln

from geo.types import Float64Array

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
    """In the stratum."""
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
    """Return the 95 % interval of how many there are in all strata together.

    A stratum without a sample may hold none or all of its buildings; without a stratum there
    is nothing to count.
    """
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
    """Return the lower confidence distribution of one stratum, in steps, rounded down.

    Returns:
        (not_drawn // step + 1,), probabilities of how many there are among those not drawn.
    """
    n, a, b = stratum.not_drawn, stratum.counted, stratum.drawn - stratum.counted + 1
    if n == 0 or a == 0:
        return np.ones(1)
    k = np.arange(n + 1.0)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    exact: Float64Array = np.exp(choose + betaln(k + a, n - k + b) - betaln(a, b))
    return np.add.reduceat(exact, np.arange(0, n + 1, step))
