"""Validation: buildings drawn at random, seen by eye, and what that says of all of them."""

from models.validation.design import allocate
from models.validation.interval import Counted, interval_of

__all__ = ["Counted", "allocate", "interval_of"]
