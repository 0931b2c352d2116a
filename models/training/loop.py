"""The loop of a training: loss, learning rate, epochs, checkpoint and validation."""

import json
import math
import time
from collections import defaultdict
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
from models.training.dataset import Layout, Tile, TileSet, prefetch

IGNORED = -1.0
"""In a target: the pixel is not trained on."""
LARGEST_WEIGHT = 10.0
"""Of the rarer answer in a batch; one pixel of it must not decide a step."""


class Loss(torch.nn.Module):
    """Binary cross entropy with smoothed labels and Dice, where there is a label.

    A grade is the class "so bad or worse": a rare one is trained on its neighbours (Frank and Hall
    2001, doi:10.1007/3-540-44795-4_13; Cao et al. 2020, arXiv:1901.07884).
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
        """Return the loss of (n, findings, rows, cols) each; target and known are bool."""
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
            else self._mean_cross_entropy(logits, target, known)
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
            total = total + weight * self._mean_cross_entropy(logits, target, side)
        return total

    def _mean_cross_entropy(
        self, logits: torch.Tensor, target: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        # The mean runs over all pixels, those that are not counted being 0.
        share = counted.float().mean().clamp(min=1e-6)
        loss: torch.Tensor = self._cross_entropy(
            logits, torch.where(counted, target.float(), IGNORED)
        )
        return loss / share


def learning_rate(step: int, *, steps: int, plan: Optimiser) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine to 0."""
    warm_up = int(steps * plan.warm_up)
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return plan.learning_rate * (1 + math.cos(math.pi * share)) / 2


NAME = "checkpoint.safetensors"
_HEADER = "training"


@dataclass
class TrainingState:
    """How far a training is."""

    config_sha256: str
    data_sha256: str
    encoder_sha256: str | None = None
    """Of the weights that the encoder started with; None: random ones."""
    epoch: int = 0
    wall_s: float = 0.0
    """Spent on the finished epochs, over all runs."""
    energy_wh: float | None = None
    """Spent on them; None where it is not measured."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """The log: one row an epoch."""


def write_checkpoint(folder: Path, state: TrainingState, learner: "Learner") -> None:
    """Write how far the training is: one safetensors file, replaced as a whole."""
    optimiser = {
        f"{index}.{name}": value
        for index, values in learner.optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }
    parts = {
        "network": learner.network.state_dict(),
        "average": learner.average.state_dict(),
        "optimiser": optimiser,
    }
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, values in parts.items()
        for name, tensor in values.items()
    }
    content = save(tensors, metadata={_HEADER: json.dumps(asdict(state))})
    with writing(folder / NAME):
        replace_file(folder / NAME, content)


def read_checkpoint(folder: Path, fresh: TrainingState, learner: "Learner") -> TrainingState:
    """Fill a learner, and return how far it is; `fresh` without a file."""
    path = folder / NAME
    if not path.is_file():
        return fresh
    try:
        with safe_open(path, framework="pt") as file:
            state = TrainingState(**json.loads(file.metadata()[_HEADER]))
            parts: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
            for name in file.keys():  # noqa: SIM118 - no dict
                part, _, rest = name.partition(".")
                parts[part][rest] = file.get_tensor(name)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingInvalid(
            f"the checkpoint {path} cannot be read ({error}); remove it to start again"
        ) from error
    _check_same(path, state, fresh)
    learner.network.load_state_dict(parts["network"])
    learner.average.load_state_dict(parts["average"])
    values: dict[int, dict[str, Any]] = defaultdict(dict)
    for name, tensor in parts["optimiser"].items():
        index, _, key = name.partition(".")
        values[int(index)][key] = tensor
    learner.optimiser.load_state_dict({**learner.optimiser.state_dict(), "state": dict(values)})
    return state


def _check_same(path: Path, found: TrainingState, wanted: TrainingState) -> None:
    names = {"config": "config", "data": "data", "encoder": "file of encoder weights"}
    for name, what in names.items():
        one, other = (getattr(state, f"{name}_sha256") for state in (found, wanted))
        if one != other:
            raise TrainingInvalid(
                f"{path} is of a training whose {what} has the sha256 {one and one[:12]}, this "
                f"one's is {other and other[:12]}; give another --out, or remove it to start again"
            )


@dataclass(frozen=True)
class Learner:
    """A network, the running average of its weights, and its optimiser."""

    network: torch.nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    device: torch.device
    config: TrainingConfig

    @classmethod
    def of(
        cls, network: torch.nn.Module, *, config: TrainingConfig, device: torch.device
    ) -> "Learner":
        """Return a learner at the start of a training."""
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
    augment: Callable[[Tile], Example],
    loss: torch.nn.Module,
    *,
    epoch: int,
    advance: Callable[[int], None],
) -> dict[str, float]:
    """Train on the tiles, with changes that seed and epoch decide; return the row of the log."""
    config, began = learner.config, time.monotonic()
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(len(tiles) * repeats(tiles, examples=config.optimiser.examples))
    batches = (order % len(tiles)).split(config.optimiser.batch)
    steps = config.optimiser.epochs * len(batches)
    read = prefetch(tiles, torch.cat(batches).tolist())
    learner.network.train()
    total, rate = 0.0, 0.0
    for number, batch in enumerate(batches):
        rate = learning_rate(epoch * len(batches) + number, steps=steps, plan=config.optimiser)
        examples = [augment(tile) for tile in islice(read, len(batch))]
        total += _step(learner, examples, loss, rate=rate)
        advance(len(batch))
    return {
        "epoch": epoch + 1,
        "loss": total / len(batches),
        "learning_rate": rate,
        "seconds": time.monotonic() - began,
    }


def repeats(tiles: TileSet, *, examples: int) -> int:
    """Return how often an epoch repeats the tiles to have so many examples."""
    return max(1, -(-examples // len(tiles)))


def _step(
    learner: Learner, examples: Sequence[Example], loss: torch.nn.Module, *, rate: float
) -> float:
    for group in learner.optimiser.param_groups:
        group["lr"] = rate
    channels, target, known = (torch.stack(parts) for parts in zip(*examples, strict=True))
    logits = _logits(learner, learner.network, channels)
    value = loss(logits, target.to(learner.device), known.to(learner.device))
    learner.optimiser.zero_grad(set_to_none=True)
    value.backward()
    torch.nn.utils.clip_grad_norm_(learner.network.parameters(), learner.config.optimiser.clip)
    learner.optimiser.step()
    learner.average.update_parameters(learner.network)
    return float(value.detach())


def validate(
    learner: Learner, tiles: TileSet, layout: Layout, subsets: Sequence[InputSubset]
) -> list[list[LogitTally]]:
    """Return the logits of the averaged network on tiles, by input subset and by finding."""
    learner.average.eval()
    findings, stride = learner.config.card.findings, learner.config.card.stride_px
    tallies = [[LogitTally.empty() for _ in findings] for _ in subsets]
    for tile in prefetch(tiles, range(len(tiles))):
        shown = [only(tile, subset.inputs, layout) for subset in subsets]
        rows, cols = tile.target.shape[1:]
        # Mirrored up to multiples of the stride, as `models.networks.network` does.
        edges = (0, -cols % stride, 0, -rows % stride)
        channels = torch.stack([channels for channels, _, _ in shown])
        channels = torch.nn.functional.pad(channels, edges, mode="reflect")
        with torch.inference_mode():
            logits = averaged(
                lambda pixels: _logits(learner, learner.average, pixels),
                channels,
                symmetries=learner.config.card.architecture.symmetries,
            )
        logits = logits.float().cpu()
        for index, (_, target, known) in enumerate(shown):
            for number in range(len(findings)):
                labelled = known[number]
                answer = logits[index, number, :rows, :cols][labelled].numpy()
                tallies[index][number] += LogitTally.of(answer, target[number][labelled].numpy())
    return tallies


def _logits(learner: Learner, network: torch.nn.Module, channels: torch.Tensor) -> torch.Tensor:
    channels = channels.to(learner.device, memory_format=torch.channels_last)
    half = learner.config.precision == "bfloat16"
    with torch.autocast(learner.device.type, torch.bfloat16, enabled=half):
        logits: torch.Tensor = network(channels)
    return logits
