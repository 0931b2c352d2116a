"""Compile loops over pixels and vertices with numba."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled at its first call, free of the interpreter's lock.

    The machine code is kept in `__pycache__`, or in the user's cache folder where the
    package cannot be written to. Where neither can (a container with a read-only root),
    numba refuses to decorate at all; the code is then compiled once a process.
    """
    try:
        kernel: Callable[P, R] = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        kernel = njit(nogil=True)(function)
    return kernel
