"""Opened: a network of which the last convolution is taken apart from what comes before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad, unfold

from geo.raster import BoolArray
from models.errors import InputsMismatch
from models.grading.zones import Values
from models.network import NetworkModel
from models.symmetries import averaged
from models.training.tiles import Tile
from models.tuning.labelled import LabelledTile, Labels


@dataclass(frozen=True)
class Opened:
    """A network whose last convolution can be read and set: a logistic regression a class."""

    network: torch.nn.Module
    """Gives logits of windows whose sides are multiples of the stride."""
    last: torch.nn.Conv2d
    """Its last convolution; only what treats all channels alike comes after it."""
    bias: torch.Tensor
    """Of the last convolution."""
    device: torch.device
    stride_px: int
    symmetries: int

    @classmethod
    def of(cls, model: NetworkModel) -> "Opened":
        """Open the network of a model.

        Raises:
            InputsMismatch: where it does not end in a convolution that gives its classes.
        """
        last = [part for part in model.network.modules() if isinstance(part, torch.nn.Conv2d)][-1]
        classes = len(model.card.classes)
        if last.bias is None or last.out_channels != classes:
            raise InputsMismatch(
                f"the last convolution of {model.card.name} gives {last.out_channels} channels "
                f"for {classes} classes; only a network that ends in a convolution for "
                "its classes can learn on"
            )
        where = model.device, model.card.stride_px, model.symmetries
        return cls(model.network, last, last.bias, *where)

    @property
    def head(self) -> Values:
        """(classes, 1 + features): intercept and coefficients of the last convolution."""
        parts = self.bias[:, None], self.last.weight.flatten(1)
        return torch.cat(parts, dim=1).detach().cpu().numpy().astype(np.float64)

    def set_head(self, head: Values) -> None:
        """Set intercepts and coefficients; see `head`."""
        values = torch.from_numpy(head.astype(np.float32)).to(self.device)
        with torch.no_grad():
            self.bias.copy_(values[:, 0])
            self.last.weight.copy_(values[:, 1:].view_as(self.last.weight))

    def features(self, tile: Tile) -> torch.Tensor:
        """Return what the last convolution sees, (features, rows, cols), the mean of the views.

        The mean of the logits over views of a window is the last convolution of the mean of its
        features, and what comes after it, an enlargement, is linear, too: hence features are
        enlarged in the place of logits.
        """
        hook = self.last.register_forward_hook(lambda module, given, _: _patches(given[0], module))
        try:
            return self._averaged(tile)
        finally:
            hook.remove()

    def logits(self, tile: Tile) -> torch.Tensor:
        """Return its logits, (classes, rows, cols)."""
        return self._averaged(tile)

    def _averaged(self, tile: Tile) -> torch.Tensor:
        rows, cols = tile.target.shape[1:]
        edges = (0, -cols % self.stride_px, 0, -rows % self.stride_px)
        pixels = pad(tile.channels[None].float(), edges, mode="reflect").to(
            self.device, memory_format=torch.channels_last
        )
        with torch.no_grad():
            answer = averaged(self.network, pixels, symmetries=self.symmetries)
        return answer[0, :, :rows, :cols].float().cpu()


def at_spots(
    look: Callable[[Tile], torch.Tensor],
    tiles: Sequence[LabelledTile],
    labels: Labels,
    *,
    asked: BoolArray,
    advance: Callable[[int], None] = lambda _: None,
) -> Values:
    """Return what a network says at the spots of some polygons, (spots, channels).

    Args:
        look: `Opened.features` or `Opened.logits`.
        tiles: of all polygons.
        labels: of them.
        asked: (polygons,), which of them; tiles without one are not looked at.
        advance: told the tiles.
    """
    parts = []
    for one, spots in zip(tiles, labels.spots, strict=True):
        wanted = asked[spots.polygon]
        if wanted.any():
            seen = look(one.tile)[:, spots.row[wanted], spots.col[wanted]]
            parts.append(seen.numpy().T.astype(np.float64))
        advance(1)
    return np.concatenate(parts)


def _patches(seen: torch.Tensor, last: torch.nn.Conv2d) -> torch.Tensor:
    """Return what a convolution weighs at each pixel, (n, features, rows, cols)."""
    if last.kernel_size == (1, 1):
        return seen
    sizes = zip(last.kernel_size, last.dilation, strict=True)
    edges = tuple(apart * (size - 1) // 2 for size, apart in sizes)
    columns = unfold(seen, last.kernel_size, dilation=last.dilation, padding=edges)
    return columns.view(len(seen), -1, *seen.shape[2:])
