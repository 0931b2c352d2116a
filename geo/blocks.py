"""Blocks: a window cut into parts of about one size."""

import numpy as np
import numpy.typing as npt


def block_numbers(shape: tuple[int, int], *, side: int) -> npt.NDArray[np.int64]:
    """Return the number of the block that each pixel lies in, (rows, cols), from 0.

    As many blocks of at least `side` pixels as fit, equal to a pixel; one where none does.
    """
    rows, cols = (np.arange(n) * max(1, n // side) // n for n in shape)
    return np.asarray(rows[:, None] * (cols[-1] + 1) + cols[None, :], np.int64)
