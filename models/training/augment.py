"""Random changes under which a tile stays the same place; all chance comes from torch.

Calm: a tile of a flood shown as if no flood had come between its images.
"""

import math
from dataclasses import dataclass

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import Image, Mask

from geo.scenes.sensors import WAVELENGTH_UM
from models.cards.inputs import CardInput
from models.training.config import Augmentation, InputSubset, Jitter
from models.training.dataset import Layout, Tile

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


Example = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Channels (channels, rows, cols), target and known (findings, rows, cols)."""


@dataclass(frozen=True)
class Augmenter:
    """Turns a tile into an example, another one each time."""

    inputs: tuple[CardInput, ...]
    layout: Layout
    plan: Augmentation
    subsets: tuple[InputSubset, ...]
    tile_px: int

    def __call__(self, tile: Tile) -> Example:
        """Move, change the values of, and drop images of a tile."""
        channels, seen, target, known = self._moved(tile)
        slots = _draw(self.subsets)
        if self.plan.calm and torch.rand(()) < self.plan.calm:
            channels, seen = calmed(channels, seen, self.layout, slots=slots)
            target = torch.zeros_like(target)
        if self.plan.shift_px:
            channels, seen = shifted(channels, seen, self.layout, most_px=self.plan.shift_px)
        for index, entry in enumerate(self.inputs):
            jitter = self.plan.jitter.get(entry.units, Jitter())
            kept = seen[index] & (entry.name in slots)
            if jitter.holes and torch.rand(()) < jitter.holes:
                kept = kept & ~clouds(kept.shape)
            seen[index] = kept
            bands = self.layout.bands[entry.name]
            if kept.any():
                channels[bands] = changed(channels[bands], jitter) + haze(entry, jitter)
            channels[bands] *= kept
        known = known & self.layout.answered(seen)
        return with_flags(channels, seen, self.layout), target, known

    def _moved(self, tile: Tile) -> tuple[torch.Tensor, ...]:
        """Flip, turn, scale and cut; what comes in at the edges was never seen."""
        changes = bool(torch.rand(()) < self.plan.affine)
        low, high = self.plan.scale if changes else (1.0, 1.0)
        side = round(self.tile_px / (low + float(torch.rand(())) * (high - low)))
        # Cut out before all else: what a large picture has outside costs no time.
        masks = torch.cat([tile.seen, tile.target, tile.known])
        image, mask = self._cut(Image(tile.channels), Mask(masks), side=side)
        move = _geometry(self.plan, side=side, tile_px=self.tile_px, changes=changes)
        image, mask = move(Image(image.float()), Mask(mask.to(torch.uint8)))
        flags = torch.Tensor(mask) > 0
        sizes = [len(tile.seen), len(tile.target), len(tile.known)]
        seen, target, known = flags.split(sizes)
        return torch.Tensor(image).clone(), seen.clone(), target, known

    def _cut(self, image: Image, mask: Mask, *, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut out a square; a share of them holds something of the finding, wherever it lies."""
        found = mask[len(self.inputs)]
        if not self.plan.centred or torch.rand(()) >= self.plan.centred or not found.any():
            cut: tuple[torch.Tensor, torch.Tensor] = v2.RandomCrop(side, pad_if_needed=True)(
                image, mask
            )
            return cut
        pixels = found.nonzero()
        middle = pixels[int(torch.randint(len(pixels), ()))]
        top, left = (
            int(torch.clamp(at - torch.randint(side, ()), 0, max(0, length - side)))
            for at, length in zip(middle, found.shape, strict=True)
        )
        crop = functional.crop
        return crop(image, top, left, side, side), crop(mask, top, left, side, side)


def _geometry(plan: Augmentation, *, side: int, tile_px: int, changes: bool) -> v2.Compose:
    """Return what is done to a square and its masks alike."""
    moves: list[v2.Transform] = [v2.Identity()]  # one at least: an empty list is refused
    if side != tile_px:
        moves.append(v2.Resize((tile_px, tile_px)))
    if plan.flips:
        turns = [v2.RandomRotation((angle, angle)) for angle in (90, 180, 270)]
        moves += [v2.RandomHorizontalFlip(), v2.RandomChoice([v2.Identity(), *turns])]
    if changes:
        moves.append(v2.RandomAffine(45, interpolation=v2.InterpolationMode.BILINEAR))
    return v2.Compose(moves)


def shifted(
    channels: torch.Tensor, seen: torch.Tensor, layout: Layout, *, most_px: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a tile whose images after the event lie somewhere else, each by its own shift.

    Args:
        channels: (channels, rows, cols).
        seen: (slots, rows, cols); what comes in at the edges was never seen.
        layout: of the channels.
        most_px: of a shift, in rows and in columns.
    """
    moved, there = channels.clone(), seen.clone()
    for index, bands in enumerate(layout.bands.values()):
        if index in layout.after:
            down, right = (int(torch.randint(-most_px, most_px + 1, ())) for _ in range(2))
            moved[bands] = _shifted(channels[bands], down, right)
            there[index] = _shifted(seen[index], down, right)
    return moved, there


def _shifted(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Return pixels (..., rows, cols) moved, 0 at the edges that come in."""
    rows, cols = pixels.shape[-2:]
    moved = torch.zeros_like(pixels)
    moved[..., max(0, down) : rows + min(0, down), max(0, right) : cols + min(0, right)] = pixels[
        ..., max(0, -down) : rows - max(0, down), max(0, -right) : cols - max(0, right)
    ]
    return moved


def changed(bands: torch.Tensor, jitter: Jitter) -> torch.Tensor:
    """Return the bands of a slot with another gain, offset, noise or sharpness.

    Args:
        bands: (bands, rows, cols), normalised.
        jitter: how much.
    """
    if jitter.blur and torch.rand(()) < jitter.blur:
        bands = functional.gaussian_blur(bands, [5, 5], [float(0.5 + torch.rand(()))])
    if jitter.noise:
        # Even noise of that deviation: a third of the time of a Gaussian's, and speckle is neither.
        noise = (torch.rand_like(bands) - 0.5) * math.sqrt(12)
        bands = bands + noise * torch.rand(()) * jitter.noise
    gain = torch.exp(torch.randn(()) * jitter.gain)
    offset = torch.randn(len(bands), 1, 1) * jitter.offset
    return bands * gain + offset


def haze(entry: CardInput, jitter: Jitter) -> torch.Tensor:
    """Return what the light of the air adds to the bands of a slot, (bands, 1, 1), normalised.

    It falls with the square of the wavelength: between clean air (the 4th power, Rayleigh) and
    dust (about the 1st, Angstrom). What was corrected for the air and what was not look alike
    to who learned with it.
    """
    if not jitter.haze or entry.std is None:
        return torch.zeros(len(entry.bands), 1, 1)
    waves = torch.tensor([WAVELENGTH_UM[band] for band in entry.bands])
    added = jitter.haze * torch.rand(()) * (WAVELENGTH_UM["blue"] / waves) ** 2
    return (added / torch.tensor(entry.std))[:, None, None]


def clouds(shape: tuple[int, ...]) -> torch.Tensor:
    """Return shapes like those of clouds, bool (rows, cols): smooth noise above a height.

    Between a twentieth and two thirds of the tile is covered, in pieces of about an eighth to a
    half of its side.
    """
    knots = int(torch.randint(3, 10, ()))
    coarse = torch.randn(1, knots, knots)
    height: torch.Tensor = functional.resize(coarse, list(shape), antialias=False)[0]
    covered = 0.05 + 0.6 * float(torch.rand(()))
    return height > torch.quantile(height.flatten()[::7], 1 - covered)


def with_flags(channels: torch.Tensor, seen: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the channels with what was seen of each slot in its flag, if it has one."""
    for channel, flag in zip(layout.flags.values(), seen, strict=False):
        channels[channel] = flag
    return channels


def only(tile: Tile, slots: tuple[str, ...], layout: Layout) -> Example:
    """Return a tile as it is, without the slots that are not named."""
    channels, seen = tile.channels.float().clone(), tile.seen.clone()
    for index, (slot, bands) in enumerate(layout.bands.items()):
        if slot not in slots:
            seen[index] = False
            channels[bands] = 0
    known = tile.known & layout.answered(seen)
    return with_flags(channels, seen, layout), tile.target, known


def _draw(subsets: tuple[InputSubset, ...]) -> tuple[str, ...]:
    weights = torch.tensor([subset.weight for subset in subsets])
    return subsets[int(torch.multinomial(weights, 1))].inputs
