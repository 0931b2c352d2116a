"""How often the interval of `models.validation` holds the truth, on simulated events.

A population is published grades and how many buildings of each are damaged. Samples of it are
drawn as `aftermap validate` draws them. Beside our interval stands the textbook one (Cochran,
Sampling Techniques, 1977, 5.4: estimate +- 1.96 standard errors with the finite population
correction), for comparison.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from models.evaluation.sampling import StratumCount, allocate, count_interval
from tests.benchmarks.table import table

Numbers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

SHARES = (0.08, 0.07, 0.10, 0.70, 0.05)
"""Of a made event: Destroyed, Damaged, Possibly damaged, No visible damage, Not Analysed."""
PURITY = {
    "good": (0.95, 0.80, 0.25, 0.02, 0.20),
    "fair": (0.75, 0.55, 0.30, 0.08, 0.20),
    "useless": (0.20, 0.20, 0.20, 0.20, 0.20),
}
"""Share of each published grade that is damaged."""
SAMPLES = 400
"""Of each event."""
HEAD = (
    "buildings", "drawn", "by", "events", "least coverage", "mean coverage", "mean width",
    "textbook: least coverage", "mean width",
)  # fmt: skip
PREVALENCE = (0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Event:
    """A made population and how many of it are drawn."""

    name: str
    sizes: tuple[int, ...]
    """Buildings of each published grade."""
    damaged: tuple[int, ...]
    """Of those."""
    drawn: int
    by_grade: bool = True

    @property
    def strata(self) -> tuple[Numbers, Numbers, Numbers]:
        """Buildings, damaged and drawn of each stratum."""
        sizes, damaged = np.array(self.sizes), np.array(self.damaged)
        damaged, sizes = damaged[sizes > 0], sizes[sizes > 0]
        if not self.by_grade:
            sizes, damaged = sizes.sum(keepdims=True), damaged.sum(keepdims=True)
        return sizes, damaged, np.array(allocate(sizes.tolist(), self.drawn))


@dataclass(frozen=True)
class Coverage:
    """What became of the intervals of many samples of one event."""

    event: Event
    share: float
    """Of the intervals that hold the truth."""
    below: float
    """Of the intervals that lie below it."""
    above: float
    width: float
    """Mean, as a share of all buildings."""
    textbook_share: float
    textbook_width: float


def benchmark() -> str:
    """Return coverage and mean width, by size of the population and of the sample."""
    rows = []
    for whole, drawn, by_grade in product(
        (50, 300, 2823, 50_000), (20, 50, 100, 300), (True, False)
    ):
        cases = [e for e in events((whole,), (drawn,)) if e.by_grade is by_grade]
        if cases:
            found = [simulate(event, samples=SAMPLES, seed=1) for event in cases]
            rows.append(_row(f"{whole:,}", drawn, "grade" if by_grade else "all alike", found))
    return table(HEAD, rows)


def _row(whole: str, drawn: int, how: str, found: list["Coverage"]) -> tuple[str, ...]:
    shares, textbook = [c.share for c in found], [c.textbook_share for c in found]
    widths, widths_textbook = [c.width for c in found], [c.textbook_width for c in found]
    return (
        whole, str(drawn), how, str(len(found)), f"{min(shares):.3f}", f"{np.mean(shares):.3f}",
        f"{np.mean(widths):.3f}", f"{min(textbook):.3f}", f"{np.mean(widths_textbook):.3f}",
    )  # fmt: skip


def simulate(event: Event, *, samples: int, seed: int) -> Coverage:
    """Draw samples of an event and count how often the interval holds the truth."""
    sizes, damaged, drawn = event.strata
    random = np.random.default_rng(seed)
    counted = random.hypergeometric(damaged, sizes - damaged, drawn, (samples, len(sizes)))
    unique, which = np.unique(counted, axis=0, return_inverse=True)
    ends = np.array([count_interval(_strata(sizes, drawn, row)) for row in unique])[which.ravel()]
    textbook = _textbook(sizes, drawn, counted)
    truth, whole = damaged.sum(), sizes.sum()
    return Coverage(
        event,
        share=float(_holds(ends, truth).mean()),
        below=float((ends[:, 1] < truth).mean()),
        above=float((ends[:, 0] > truth).mean()),
        width=float(np.diff(ends).mean() / whole),
        textbook_share=float(_holds(textbook, truth).mean()),
        textbook_width=float(np.diff(textbook).mean() / whole),
    )


def events(populations: tuple[int, ...], draws: tuple[int, ...]) -> Iterator[Event]:
    """Yield events of several sizes, prevalences and qualities of the published grades."""
    for whole, drawn in product(populations, draws):
        if drawn > whole:
            continue
        sizes = np.maximum(1, np.round(whole * np.array(SHARES))).astype(int)
        for by_grade in (True, False):
            for quality, purity in PURITY.items():
                damaged = np.round(sizes * purity).astype(int)
                yield _event(f"{quality} grades", sizes, damaged, drawn, by_grade=by_grade)
            for prevalence in PREVALENCE:
                damaged = np.round(sizes * prevalence).astype(int)
                yield _event(f"{prevalence:.1%} in all", sizes, damaged, drawn, by_grade=by_grade)
        yield _event("10 missed, else perfect", sizes, _missed(sizes), drawn, by_grade=True)
        even = np.full(5, whole // 5)
        for prevalence in PREVALENCE:
            damaged = np.round(even * prevalence).astype(int)
            yield _event(f"even, {prevalence:.1%} in all", even, damaged, drawn, by_grade=True)


def _missed(sizes: Numbers) -> Numbers:
    """Return perfect grades but for ten damaged buildings among those called undamaged."""
    return np.where([True, True, False, False, False], sizes, [0, 0, 0, min(10, sizes[3]), 0])


def _event(name: str, sizes: Numbers, damaged: Numbers, drawn: int, *, by_grade: bool) -> Event:
    return Event(name, tuple(sizes.tolist()), tuple(damaged.tolist()), drawn, by_grade)


def _strata(sizes: Numbers, drawn: Numbers, counted: Numbers) -> list[StratumCount]:
    return [StratumCount(*map(int, one)) for one in zip(sizes, drawn, counted, strict=True)]


def _holds(ends: npt.NDArray[np.generic], truth: int) -> npt.NDArray[np.bool_]:
    return (ends[:, 0] <= truth) & (truth <= ends[:, 1])


def _textbook(sizes: Numbers, drawn: Numbers, counted: Numbers) -> Reals:
    """Return estimate +- 1.96 standard errors, (samples, 2)."""
    share = counted / drawn
    spread = share * (1 - share) / np.maximum(drawn - 1, 1) * (1 - drawn / sizes)
    half = 1.96 * np.sqrt((sizes**2 * spread).sum(axis=1))
    middle = (sizes * share).sum(axis=1)
    # A sample of all has no width, and its estimate is whole but for rounding.
    return np.round(np.stack([middle - half, middle + half], axis=1), 6)
