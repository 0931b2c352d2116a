"""Calm: a tile of a flood shown as if no flood had come between its images."""

import torch

from models.training.tiles import Layout

_WAYS = ("before", "after", "turned")
"""Both dates are the image before, both are the one after, or they change places: water that
went is no flood, and all else that two dates tell apart, seasons say, is shown as well."""


def calmed(
    channels: torch.Tensor, seen: torch.Tensor, layout: Layout, *, slots: tuple[str, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a tile with nothing to find, in one of three ways by chance.

    A tile that is shown without any image before takes the image before as its only one: its
    flood would be there to see, and nothing to tell it from water that is always there.

    Args:
        channels: (channels, rows, cols).
        seen: (slots, rows, cols).
        layout: of the channels; its pairs are the dates of one sensor.
        slots: that the tile will be shown with.

    Returns:
        Channels and seen, like those given.
    """
    order = list(layout.bands)
    dated = any(order[before] in slots for before, _ in layout.pairs)
    way = _WAYS[int(torch.randint(len(_WAYS), ()))] if dated else "before"
    shown, there = channels.clone(), seen.clone()
    for before, after in layout.pairs:
        first, second = layout.bands[order[before]], layout.bands[order[after]]
        if way != "after":
            shown[second], there[after] = channels[first], seen[before]
        if way != "before":
            shown[first], there[before] = channels[second], seen[after]
    return shown, there
