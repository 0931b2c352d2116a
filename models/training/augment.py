"""Random changes of a tile that keep its label; all randomness comes from torch."""

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
        channels, observed, target, known = self._moved(tile)
        weights = torch.tensor([subset.weight for subset in self.subsets])
        names = self.subsets[int(torch.multinomial(weights, 1))].inputs
        if self.plan.without_event and torch.rand(()) < self.plan.without_event:
            channels, observed = remove_event(channels, observed, self.layout, names=names)
            target = torch.zeros_like(target)
        if self.plan.shift_px:
            channels, observed = shifted(
                channels, observed, self.layout, most_px=self.plan.shift_px
            )
        for index, entry in enumerate(self.inputs):
            jitter = self.plan.jitter.get(entry.units, Jitter())
            kept = observed[index] & (entry.name in names)
            if jitter.holes and torch.rand(()) < jitter.holes:
                kept = kept & ~clouds(kept.shape)
            observed[index] = kept
            bands = self.layout.bands[entry.name]
            if kept.any():
                channels[bands] = changed(channels[bands], jitter) + haze(entry, jitter)
            channels[bands] *= kept
        known = known & self.layout.usable(observed)
        return with_flags(channels, observed, self.layout), target, known

    def _moved(self, tile: Tile) -> tuple[torch.Tensor, ...]:
        """Flip, turn, scale and cut; pixels that come in at the edges are not observed."""
        changes = bool(torch.rand(()) < self.plan.affine)
        low, high = self.plan.scale if changes else (1.0, 1.0)
        side = round(self.tile_px / (low + float(torch.rand(())) * (high - low)))
        # Cut first: the rest of a large image costs no time.
        masks = torch.cat([tile.observed, tile.target, tile.known])
        image, mask = self._cut(Image(tile.channels), Mask(masks), side=side)
        move = _geometry(self.plan, side=side, tile_px=self.tile_px, changes=changes)
        image, mask = move(Image(image.float()), Mask(mask.to(torch.uint8)))
        flags = torch.Tensor(mask) > 0
        sizes = [len(tile.observed), len(tile.target), len(tile.known)]
        observed, target, known = flags.split(sizes)
        return torch.Tensor(image).clone(), observed.clone(), target, known

    def _cut(self, image: Image, mask: Mask, *, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut out a square; a share of them is drawn to hold a pixel of the finding."""
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
    moves: list[v2.Transform] = [v2.Identity()]  # one at least: an empty list is refused
    if side != tile_px:
        moves.append(v2.Resize((tile_px, tile_px)))
    if plan.flips:
        turns = [v2.RandomRotation((angle, angle)) for angle in (90, 180, 270)]
        moves += [v2.RandomHorizontalFlip(), v2.RandomChoice([v2.Identity(), *turns])]
    if changes:
        moves.append(v2.RandomAffine(45, interpolation=v2.InterpolationMode.BILINEAR))
    return v2.Compose(moves)


_WAYS = ("before", "after", "swapped")
"""Both dates are the image before, both are the one after, or they change places: water that
receded is no flood, and what else two dates differ in, such as the season, is shown as well."""


def remove_event(
    channels: torch.Tensor, observed: torch.Tensor, layout: Layout, *, names: tuple[str, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return channels and observed of a tile with nothing to find, in one of three ways."""
    # One date: the image before, as that after shows its flood, like permanent water.
    order = list(layout.bands)
    both_dates = any(order[before] in names for before, _ in layout.pairs)
    way = _WAYS[int(torch.randint(len(_WAYS), ()))] if both_dates else "before"
    changed, shown = channels.clone(), observed.clone()
    for before, after in layout.pairs:
        first, second = layout.bands[order[before]], layout.bands[order[after]]
        if way != "after":
            changed[second], shown[after] = channels[first], observed[before]
        if way != "before":
            changed[first], shown[before] = channels[second], observed[after]
    return changed, shown


def shifted(
    channels: torch.Tensor, observed: torch.Tensor, layout: Layout, *, most_px: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a tile whose images after the event are moved, not observed where edges come in."""
    moved, shown = channels.clone(), observed.clone()
    for index, bands in enumerate(layout.bands.values()):
        if index in layout.after:
            down, right = (int(torch.randint(-most_px, most_px + 1, ())) for _ in range(2))
            moved[bands] = _shifted(channels[bands], down, right)
            shown[index] = _shifted(observed[index], down, right)
    return moved, shown


def _shifted(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Return pixels (..., rows, cols) moved, 0 at the edges that come in."""
    rows, cols = pixels.shape[-2:]
    moved = torch.zeros_like(pixels)
    moved[..., max(0, down) : rows + min(0, down), max(0, right) : cols + min(0, right)] = pixels[
        ..., max(0, -down) : rows - max(0, down), max(0, -right) : cols - max(0, right)
    ]
    return moved


def changed(bands: torch.Tensor, jitter: Jitter) -> torch.Tensor:
    """Return normalised bands, (bands, rows, cols), with another gain, offset, noise or blur."""
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
    """Return the path radiance of the bands of an input, (bands, 1, 1), normalised."""
    # Square of the wavelength: between clean air (4th power, Rayleigh) and dust (1st, Angstrom).
    if not jitter.haze or entry.std is None:
        return torch.zeros(len(entry.bands), 1, 1)
    waves = torch.tensor([WAVELENGTH_UM[band] for band in entry.bands])
    added = jitter.haze * torch.rand(()) * (WAVELENGTH_UM["blue"] / waves) ** 2
    return (added / torch.tensor(entry.std))[:, None, None]


def clouds(shape: tuple[int, ...]) -> torch.Tensor:
    """Return shapes like those of clouds, bool (rows, cols): smooth noise above a height."""
    knots = int(torch.randint(3, 10, ()))
    coarse = torch.randn(1, knots, knots)
    height: torch.Tensor = functional.resize(coarse, list(shape), antialias=False)[0]
    covered = 0.05 + 0.6 * float(torch.rand(()))
    return height > torch.quantile(height.flatten()[::7], 1 - covered)


def with_flags(channels: torch.Tensor, observed: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the channels with where each input was observed in its flag, if it has one."""
    for channel, flag in zip(layout.flags.values(), observed, strict=False):
        channels[channel] = flag
    return channels


def only(tile: Tile, names: tuple[str, ...], layout: Layout) -> Example:
    """Return a tile as it is, without the inputs that are not named."""
    channels, observed = tile.channels.float().clone(), tile.observed.clone()
    for index, (name, bands) in enumerate(layout.bands.items()):
        if name not in names:
            observed[index] = False
            channels[bands] = 0
    known = tile.known & layout.usable(observed)
    return with_flags(channels, observed, layout), tile.target, known
