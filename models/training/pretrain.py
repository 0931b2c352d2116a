"""Pretraining of an encoder on images without labels: it fills in squares that are hidden.

Pathak et al. 2016, arXiv:1604.07379; Xie et al. 2022, SimMIM, arXiv:2111.09886.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from geo.store.atomic_io import make_folder, replace_file, writing
from models.inference.windows import ProgressReceiver
from models.networks.network import build, device_named, encoder_of
from models.training.augment import Augmenter, Example
from models.training.config import TrainingConfig
from models.training.dataset import Tile
from models.training.loop import Learner, TrainingState
from models.training.train import (
    EnergyMeter,
    TrainingTask,
    open_data,
    run_epochs,
)

ENCODER_NAME = "encoder.safetensors"
HIDDEN_SHARE = 0.5
"""Of the squares of an image, as in SimMIM's middle range."""
SQUARE_PX = 16
"""Side of a hidden square: too wide to be filled from its edges."""


@dataclass(frozen=True)
class HideSquares:
    """Turns a tile into an example with hidden squares."""

    augment: Augmenter
    bands: int
    """The first so many channels are images, the others flags."""

    def __call__(self, tile: Tile) -> Example:
        """Return channels with squares of 0, the bands whole, and where hidden (1, rows, cols)."""
        channels, _, _ = self.augment(tile)
        whole = channels[: self.bands].clone()
        rows, cols = channels.shape[1:]
        squares = torch.rand(-(-rows // SQUARE_PX), -(-cols // SQUARE_PX)) < HIDDEN_SHARE
        large = squares.repeat_interleave(SQUARE_PX, 0).repeat_interleave(SQUARE_PX, 1)
        hidden = large[None, :rows, :cols]
        # Not observed is 0 in every band: there is nothing to predict there.
        scored = hidden & whole.any(dim=0, keepdim=True)
        return channels * ~hidden, whole, scored


class HiddenError(torch.nn.Module):
    """Mean absolute error of hidden pixels: sharper than the square, and robust to clouds."""

    def forward(
        self, prediction: torch.Tensor, whole: torch.Tensor, scored: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of (n, bands, rows, cols) each; scored is (n, 1, rows, cols), bool."""
        error = (prediction.float() - whole).abs().mean(dim=1, keepdim=True)
        return (error * scored).sum() / scored.sum().clamp(min=1)


def pretrain(
    config: TrainingConfig,
    *,
    out: Path,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter = lambda: None,
) -> Path:
    """Pretrain the encoder of a config; return its file in `out`, a folder of its own.

    The fold that the config holds out is held out; resumes and raises as `models.training.train`.
    """
    with writing(out):
        make_folder(out.absolute())
    data = open_data(config, progress)
    bands = sum(len(entry.bands) for entry in config.card.inputs)
    torch.manual_seed(config.seed)
    architecture = config.card.architecture.model_copy(update={"classes": bands})
    network = build(architecture, name=config.card.name)
    learner = Learner.of(network, config=config, device=device_named(config.device))
    fresh = TrainingState(f"pretraining {config.digest}", data.data_sha256)
    hide = HideSquares(data.augmenter, bands)
    task = TrainingTask(data.training, augment=hide, loss=HiddenError(), validate=lambda _: {})
    run_epochs(learner, task, fresh, out=out, progress=progress, energy_wh=energy_wh)
    encoder, path = encoder_of(learner.average.module), out / ENCODER_NAME
    tensors = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
    with writing(path):
        replace_file(path, save(tensors))
    return path
