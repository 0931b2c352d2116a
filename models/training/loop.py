"""The loop: epochs of steps, and what the network says of the tiles that were left out.

What is minimised, and how fast.

Where a training stands, in one file: tensors as safetensors, the rest as JSON in its header.

The file is replaced as a whole: a killed training leaves the old one or the new one.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from geo.store.atomic_io import replace_file, writing
from models.errors import TrainingInvalid
from models.evaluation.metrics import LogitTally
from models.networks.network import averaged
from models.training.augment import Example, only
from models.training.config import InputSubset, LossPlan, Optimiser, TrainingConfig
from models.training.dataset import Layout, Tile, TileSet, ahead

IGNORED = -1.0
"""In a target: nothing is learned there."""
LARGEST_WEIGHT = 10.0
"""Of an answer that is rare in a batch; one pixel of it must not decide a step."""


class Objective(torch.nn.Module):
    """Binary cross entropy with smoothed labels and Dice, where there is a label.

    Grades are learned as "so bad or worse", one binary question each (Frank and Hall 2001,
    doi:10.1007/3-540-44795-4_13; Cao et al. 2020, arXiv:1901.07884): a rare grade learns from
    its neighbours, and major damage called destroyed is half as wrong as called undamaged.
    """

    def __init__(self, plan: LossPlan) -> None:
        super().__init__()
        self._plan = plan
        self._cross_entropy = smp.losses.SoftBCEWithLogitsLoss(
            ignore_index=IGNORED, smooth_factor=plan.smoothing or None
        )
        self._dice = smp.losses.DiceLoss("binary", from_logits=True, ignore_index=IGNORED)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            logits: (n, findings, rows, cols).
            target: (n, findings, rows, cols), bool.
            known: (n, findings, rows, cols), bool.
        """
        weights = [1.0] + [self._plan.grades] * (logits.shape[1] - 1)
        total = torch.zeros((), device=logits.device)
        for number, weight in enumerate(weights):
            one = slice(number, number + 1)
            balanced = self._plan.balanced and number > 0
            parts = logits[:, one].float(), target[:, one], known[:, one]
            total = total + weight * self._of_one(*parts, balanced=balanced)
        return total / sum(weights)

    def _of_one(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor, *, balanced: bool
    ) -> torch.Tensor:
        """Return the loss of one finding, all of (n, 1, rows, cols)."""
        cross_entropy = (
            self._balanced(logits, target, known)
            if balanced
            else self._mean_surprise(logits, target, known)
        )
        dice: torch.Tensor = self._dice(logits, torch.where(known, target.float(), IGNORED))
        return self._plan.cross_entropy * cross_entropy + self._plan.dice * dice

    def _balanced(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Return the cross entropy of both answers at equal weight, as far as both are there."""
        total = torch.zeros((), device=logits.device)
        for side in (known & target, known & ~target):
            share = side.float().sum() / known.float().sum().clamp(min=1)
            weight = (LARGEST_WEIGHT * share).clamp(max=0.5)
            total = total + weight * self._mean_surprise(logits, target, side)
        return total

    def _mean_surprise(
        self, logits: torch.Tensor, target: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean cross entropy over the pixels that are counted."""
        # The mean runs over all pixels, those that are not counted being 0.
        share = counted.float().mean().clamp(min=1e-6)
        surprise: torch.Tensor = self._cross_entropy(
            logits, torch.where(counted, target.float(), IGNORED)
        )
        return surprise / share


def learning_rate(step: int, *, steps: int, plan: Optimiser) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine to 0, in cycles.

    Later cycles begin at the full rate (Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983).
    """
    cycle = steps // plan.cycles
    warm_up = int(cycle * plan.warm_up)
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    number = min(step // cycle, plan.cycles - 1) if cycle else 0
    begins = number * cycle + (0 if number else warm_up)
    ends = steps if number == plan.cycles - 1 else (number + 1) * cycle
    share = (step - begins) / max(1, ends - begins)
    return plan.learning_rate * (1 + math.cos(math.pi * share)) / 2


NAME = "checkpoint.safetensors"
_HEADER = "training"


@dataclass
class Standing:
    """How far a training is."""

    config_sha256: str
    data_sha256: str
    encoder_sha256: str | None = None
    """Of the weights that the encoder began with; None: random ones."""
    epoch: int = 0
    """Epochs that are done."""
    wall_s: float = 0.0
    """Spent on them, over all runs."""
    energy_wh: float | None = None
    """Spent on them; None where nothing meters it."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """The log: one row an epoch."""


def write_checkpoint(
    folder: Path,
    standing: Standing,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write where the training stands.

    Raises:
        StoreError: where it cannot be written.
    """
    tensors = {
        **{f"network.{name}": tensor for name, tensor in network.state_dict().items()},
        **{f"average.{name}": tensor for name, tensor in average.state_dict().items()},
        **{
            f"optimiser.{index}.{name}": value
            for index, state in optimiser.state_dict()["state"].items()
            for name, value in state.items()
        },
    }
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={_HEADER: json.dumps(asdict(standing))},
    )
    path = folder / NAME
    with writing(path):
        replace_file(path, content)


def read_checkpoint(
    folder: Path,
    fresh: Standing,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
) -> Standing:
    """Fill network, average and optimiser, and return how far they are; `fresh` without a file.

    Raises:
        TrainingInvalid: where the file is damaged, or of another config or other data.
    """
    path = folder / NAME
    if not path.is_file():
        return fresh
    try:
        with safe_open(path, framework="pt") as file:
            standing = Standing(**json.loads(file.metadata()[_HEADER]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingInvalid(
            f"the checkpoint {path} cannot be read ({error}); remove it to begin anew"
        ) from error
    _check_same(path, standing, fresh)
    network.load_state_dict(_part(tensors, "network."))
    average.load_state_dict(_part(tensors, "average."))
    optimiser.load_state_dict(
        {**optimiser.state_dict(), "state": _optimiser_state(_part(tensors, "optimiser."))}
    )
    return standing


def _check_same(path: Path, there: Standing, wanted: Standing) -> None:
    for what, one, other in (
        ("config", there.config_sha256, wanted.config_sha256),
        ("data", there.data_sha256, wanted.data_sha256),
        ("file of encoder weights", there.encoder_sha256, wanted.encoder_sha256),
    ):
        if one != other:
            raise TrainingInvalid(
                f"{path} is of a training whose {what} has the sha256 {_short(one)}, this one's is "
                f"{_short(other)}; give another --out, or remove it to begin anew"
            )


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "of none"


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _optimiser_state(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    return state


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
        seen = [only(tile, subset.inputs, layout) for subset in subsets]
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
    """Return tiles mirrored up to multiples of the stride, as `models.networks.network` does."""
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
