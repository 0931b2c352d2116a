"""The loop: epochs of steps, and what the network says of the tiles that were left out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.reliability import LogitTally
from models.symmetries import averaged
from models.training.augment import Example, only
from models.training.config import InputSubset, TrainingConfig
from models.training.objective import learning_rate
from models.training.stock import TileSet, ahead
from models.training.tiles import Layout, Tile

Tick = Callable[[int], None]
"""Told after every step how many tiles are done."""


@dataclass(frozen=True)
class Learner:
    """A network, the average of its weights, and what moves them."""

    network: torch.nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    device: torch.device
    config: TrainingConfig

    @classmethod
    def of(
        cls, network: torch.nn.Module, *, config: TrainingConfig, device: torch.device
    ) -> "Learner":
        """Return a learner that has learned nothing yet."""
        network = network.to(device).to(memory_format=torch.channels_last)
        decay = config.optimiser.average
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        optimiser = torch.optim.AdamW(
            network.parameters(), weight_decay=config.optimiser.weight_decay
        )
        return cls(network, average, optimiser, device, config)


def train_epoch(
    learner: Learner,
    tiles: TileSet,
    draw: Callable[[Tile], Example],
    objective: torch.nn.Module,
    *,
    epoch: int,
    tick: Tick,
) -> dict[str, float]:
    """Go over the tiles, in an order and with changes that seed and epoch decide.

    Once or, where they are fewer than the examples of an epoch, as often as makes so many.

    Args:
        learner: what learns.
        tiles: what it learns from.
        draw: makes an example of a tile; all its chance comes from torch.
        objective: loss of logits, target and known.
        epoch: from 0.
        tick: told the examples that are done.

    Returns:
        The row of the log: mean loss, last learning rate, seconds.
    """
    config, began = learner.config, time.monotonic()
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(len(tiles) * rounds(tiles, examples=config.optimiser.examples))
    batches = (order % len(tiles)).split(config.optimiser.batch)
    steps = config.optimiser.epochs * len(batches)
    read = ahead(tiles, torch.cat(batches).tolist())
    learner.network.train()
    total, rate = 0.0, 0.0
    for number, batch in enumerate(batches):
        rate = learning_rate(epoch * len(batches) + number, steps=steps, plan=config.optimiser)
        examples = [draw(tile) for tile in islice(read, len(batch))]
        total += _step(learner, examples, objective, rate=rate)
        tick(len(batch))
    return {
        "epoch": epoch + 1,
        "loss": total / len(batches),
        "learning_rate": rate,
        "seconds": time.monotonic() - began,
    }


def rounds(tiles: TileSet, *, examples: int) -> int:
    """Return how often an epoch goes over the tiles to make so many examples."""
    return max(1, -(-examples // len(tiles)))


def _step(
    learner: Learner, examples: Sequence[Example], objective: torch.nn.Module, *, rate: float
) -> float:
    for group in learner.optimiser.param_groups:
        group["lr"] = rate
    channels, target, known = (torch.stack(parts) for parts in zip(*examples, strict=True))
    logits = _logits(learner, learner.network, channels)
    loss = objective(logits, target.to(learner.device), known.to(learner.device))
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(learner.network.parameters(), learner.config.optimiser.clip)
    learner.optimiser.step()
    learner.average.update_parameters(learner.network)
    return float(loss.detach())


def tally(
    learner: Learner, tiles: TileSet, layout: Layout, subsets: Sequence[InputSubset]
) -> list[list[LogitTally]]:
    """Return, by subset of the slots and by finding, what the averaged network says of tiles."""
    learner.average.eval()
    findings = learner.config.card.findings
    counted = [[LogitTally.empty() for _ in findings] for _ in subsets]
    for tile in ahead(tiles, range(len(tiles))):
        seen = [only(tile, subset.slots, layout) for subset in subsets]
        channels = _padded(torch.stack([channels for channels, _, _ in seen]), learner)
        with torch.inference_mode():
            logits = averaged(
                lambda pixels: _logits(learner, learner.average, pixels),
                channels,
                symmetries=learner.config.card.architecture.symmetries,
            )
        logits = logits.float().cpu()
        rows, cols = tile.target.shape[1:]
        for index, (_, target, known) in enumerate(seen):
            for number in range(len(findings)):
                there = known[number]
                answer = logits[index, number, :rows, :cols][there].numpy()
                counted[index][number] += LogitTally.of(answer, target[number][there].numpy())
    return counted


def _padded(channels: torch.Tensor, learner: Learner) -> torch.Tensor:
    """Return tiles mirrored up to multiples of the stride, as `models.network` does."""
    rows, cols = channels.shape[2:]
    stride = learner.config.card.stride_px
    edges = (0, -cols % stride, 0, -rows % stride)
    return torch.nn.functional.pad(channels, edges, mode="reflect")


def _logits(learner: Learner, network: torch.nn.Module, channels: torch.Tensor) -> torch.Tensor:
    channels = channels.to(learner.device, memory_format=torch.channels_last)
    half = learner.config.precision == "bfloat16"
    with torch.autocast(learner.device.type, torch.bfloat16, enabled=half):
        logits: torch.Tensor = network(channels)
    return logits
