"""Validation: buildings drawn at random, seen by eye, and what that says of all of them."""

from models.validation.design import Design, Draw, Stratum, allocate, digest_of, draw
from models.validation.estimate import (
    Agreement,
    Amount,
    Counts,
    Estimate,
    GradeScore,
    Share,
    estimate,
)
from models.validation.grades import seen_grade
from models.validation.interval import Counted, interval_of
from models.validation.table import Table, tabulate

__all__ = [
    "Agreement",
    "Amount",
    "Counted",
    "Counts",
    "Design",
    "Draw",
    "Estimate",
    "GradeScore",
    "Share",
    "Stratum",
    "Table",
    "allocate",
    "digest_of",
    "draw",
    "estimate",
    "interval_of",
    "seen_grade",
    "tabulate",
]
