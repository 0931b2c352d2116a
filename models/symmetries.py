"""Symmetries: the same ground mirrored and turned, and the mean of what a network says of it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

_ROWS, _COLS = 2, 3
"""Axes of (n, channels, rows, cols)."""


@dataclass(frozen=True)
class _View:
    """One of the eight ways to lay a square on itself."""

    mirrored: tuple[int, ...]
    """Axes that run backwards."""
    turned: bool = False
    """Whether rows then become columns."""

    def of(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels as this view shows them."""
        seen = pixels.flip(self.mirrored)
        return seen.transpose(_ROWS, _COLS) if self.turned else seen

    def undone(self, seen: torch.Tensor) -> torch.Tensor:
        """Return what this view shows as it lies on the ground."""
        straight = seen.transpose(_ROWS, _COLS) if self.turned else seen
        return straight.flip(self.mirrored)


_MIRRORED = ((), (_COLS,), (_ROWS,), (_ROWS, _COLS))
_VIEWS = tuple(_View(axes, turned) for turned in (False, True) for axes in _MIRRORED)
"""The first 1, 2, 4 and 8 of them are groups: whatever of them is done to the ground, the same
views are seen, and so the mean turns with it."""


def averaged(
    network: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, *, symmetries: int
) -> torch.Tensor:
    """Return the mean logits of a network over views of the same pixels.

    Args:
        network: from (n, channels, rows, cols) to (n, classes, rows, cols).
        pixels: (n, channels, rows, cols).
        symmetries: 1, 2, 4 or 8, see `models.architecture.NetworkArchitecture`.

    Returns:
        (n, classes, rows, cols), float32 where there are several views.
    """
    if symmetries == 1:
        return network(pixels)
    views = _VIEWS[:symmetries]
    total = sum(view.undone(network(view.of(pixels)).float()) for view in views)
    return torch.as_tensor(total) / len(views)
