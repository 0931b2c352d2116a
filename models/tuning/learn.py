"""All weights learn: a few small steps, each drawn back to where the weights began."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from geo.raster import BoolArray
from models.tuning.labelled import LabelledTile, Labels, rank
from models.tuning.opened import Opened

STEPS = 40
"""Few: what the parent learned from hundreds of pictures shall not be lost to a few labels."""
CROP_PX = 256
"""Edge of the square that a step looks at, around a pixel of a label polygon."""
_CROPS = 2
"""Of a step."""
_RATE = 1e-4
"""Of the first step; half a cosine to 0. Of 1e-4, 3e-4 and 1e-3 it did best on a tile of Joplin
that scores nothing here."""
_PULL = 0.02
"""Share of their way that the weights go back after each step (decay towards the weights of the
parent, L2-SP: Li et al. 2018, arXiv:1802.01483; beside the gradient as in AdamW)."""


@dataclass(frozen=True, eq=False)
class Exercise:
    """What all weights learn from."""

    tiles: Sequence[LabelledTile]
    labels: Labels
    learned: BoolArray
    """(classes,), those that the labels teach."""
    before: tuple[torch.Tensor, ...]
    """By tile, (classes, rows, cols): logits of the network before. Classes that no label teaches
    shall stay as they are everywhere (Li and Hoiem 2016, arXiv:1606.09282)."""
    temperature: torch.Tensor
    """(classes, 1, 1), that logits are divided by."""


@dataclass(frozen=True, eq=False)
class _Crop:
    channels: torch.Tensor
    """(1, channels, rows, cols)."""
    before: torch.Tensor
    """(classes, rows, cols)."""
    target: torch.Tensor
    weight: torch.Tensor
    """(classes, rows, cols), 0 where there is nothing to learn; 1 a polygon."""


def learned_on(
    opened: Opened,
    exercise: Exercise,
    *,
    learners: BoolArray,
    seed: int,
    advance: Callable[[int], None],
) -> Opened:
    """Return a network after its exercise; statistics of batch normalisation stay.

    Args:
        opened: where it begins.
        exercise: tiles and labels.
        learners: (polygons,), which of them it learns from.
        seed: of the squares and their mirroring.
        advance: told the steps.
    """
    moved = copy.deepcopy(opened)
    began = [weights.detach().clone() for weights in moved.network.parameters()]
    optimiser = torch.optim.Adam(moved.network.parameters(), lr=_RATE)
    chance = np.random.default_rng(seed)
    taught = np.isfinite(exercise.labels.answers[:, exercise.learned]).any(axis=1)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimiser.zero_grad(set_to_none=True)
        for _ in range(_CROPS):
            crop = _mirrored(_cut(exercise, learners & taught, chance), chance)
            (_loss(moved, exercise, crop) / _CROPS).backward()
        optimiser.step()
        with torch.no_grad():
            for weights, start in zip(moved.network.parameters(), began, strict=True):
                weights.lerp_(start, _PULL)
        advance(1)
    return moved


def _loss(opened: Opened, exercise: Exercise, crop: _Crop) -> torch.Tensor:
    """Return the cross entropy with the labels, and with what the other classes were."""
    rows, cols = crop.target.shape[1:]
    edges = (0, -cols % opened.stride_px, 0, -rows % opened.stride_px)
    pixels = pad(crop.channels, edges, mode="reflect").to(
        opened.device, memory_format=torch.channels_last
    )
    logits = opened.network(pixels)[0, :, :rows, :cols].cpu() / exercise.temperature
    surprise = binary_cross_entropy_with_logits(logits, crop.target, reduction="none")
    loss = (surprise * crop.weight).sum() / crop.weight.sum()
    others = torch.from_numpy(~exercise.learned)
    if not others.any():
        return loss
    likely = torch.sigmoid(crop.before / exercise.temperature)[others]
    return loss + binary_cross_entropy_with_logits(logits[others], likely)


def _cut(exercise: Exercise, learners: BoolArray, chance: np.random.Generator) -> _Crop:
    """Cut a square out that holds a pixel of a polygon; every polygon is as likely."""
    index, spot = _drawn(exercise.labels, learners, chance)
    one, spots = exercise.tiles[index], exercise.labels.spots[index]
    shape = one.polygons.shape
    top, left = (
        int(np.clip(at - chance.integers(CROP_PX), 0, max(0, length - CROP_PX)))
        for at, length in zip((spots.row[spot], spots.col[spot]), shape, strict=True)
    )
    slices = slice(top, top + CROP_PX), slice(left, left + CROP_PX)
    target, weight = _maps(exercise, learners, index)
    return _Crop(
        one.tile.channels[None, :, *slices].float(),
        exercise.before[index][:, *slices].float(),
        target[:, *slices],
        weight[:, *slices],
    )


def _drawn(labels: Labels, learners: BoolArray, chance: np.random.Generator) -> tuple[int, int]:
    """Return a tile and a spot of it, of a polygon that is learned from."""
    every = [
        (index, int(first))
        for index, spots in enumerate(labels.spots)
        for first in np.flatnonzero((rank(spots.polygon) == 0) & learners[spots.polygon])
    ]
    index, first = every[chance.integers(len(every))]
    polygon = labels.spots[index].polygon
    return index, first + int(chance.integers(np.count_nonzero(polygon == polygon[first])))


def _maps(exercise: Exercise, learners: BoolArray, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is learned at the spots of a tile, and how much it weighs."""
    spots, answers = exercise.labels.spots[index], exercise.labels.answers
    says = answers[spots.polygon].T
    taught = np.isfinite(says) & exercise.learned[:, None] & learners[spots.polygon]
    each = 1 / np.bincount(spots.polygon, minlength=len(answers)).clip(1)[spots.polygon]
    target, weight = (
        torch.zeros(len(says), *exercise.tiles[index].polygons.shape) for _ in range(2)
    )
    target[:, spots.row, spots.col] = torch.from_numpy(np.nan_to_num(says)).float()
    weight[:, spots.row, spots.col] = torch.from_numpy(taught * each).float()
    return target, weight


def _mirrored(crop: _Crop, chance: np.random.Generator) -> _Crop:
    axes = [axis for axis in (-2, -1) if chance.integers(2)]
    return _Crop(
        *(part.flip(axes) for part in (crop.channels, crop.before, crop.target, crop.weight))
    )
