"""What an encoder can learn from images without labels: to guess what was hidden from it.

Squares of every image are hidden, and the network says what lay there from what lies around
(Pathak et al. 2016, arXiv:1604.07379; Xie et al. 2022, SimMIM, arXiv:2111.09886). Its encoder is
then the beginning of a training with labels (`TrainingConfig.encoder_weights`).
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
from models.training.loop import Learner, Standing
from models.training.train import EnergyMeter, Job, Lesson, open_job, study, unmetered

ENCODER_NAME = "encoder.safetensors"
HIDDEN_SHARE = 0.5
"""Of the squares of an image, as in SimMIM's middle range."""
SQUARE_PX = 16
"""Side of a hidden square: too wide to be filled from its edges."""


@dataclass(frozen=True)
class Hider:
    """Turns a tile into a picture with holes, and what lay in them."""

    augment: Augmenter
    bands: int
    """The first so many channels are images, the others say what was seen."""

    def __call__(self, tile: Tile) -> Example:
        """Hide squares of all images of a tile alike.

        Returns:
            Channels (channels, rows, cols) with holes of 0; what the bands were (bands, rows,
            cols); where that is asked (1, rows, cols).
        """
        channels, _, _ = self.augment(tile)
        whole = channels[: self.bands].clone()
        rows, cols = channels.shape[1:]
        squares = torch.rand(-(-rows // SQUARE_PX), -(-cols // SQUARE_PX)) < HIDDEN_SHARE
        large = squares.repeat_interleave(SQUARE_PX, 0).repeat_interleave(SQUARE_PX, 1)
        hidden = large[None, :rows, :cols]
        # Not seen is 0 in every band: there is nothing to guess there.
        asked = hidden & whole.any(dim=0, keepdim=True)
        return channels * ~hidden, whole, asked


class HiddenError(torch.nn.Module):
    """Mean absolute error of what was hidden: sharper than the square, and calm about clouds."""

    def forward(
        self, guess: torch.Tensor, whole: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            guess: (n, bands, rows, cols).
            whole: (n, bands, rows, cols).
            asked: (n, 1, rows, cols), bool.
        """
        error = (guess.float() - whole).abs().mean(dim=1, keepdim=True)
        return (error * asked).sum() / asked.sum().clamp(min=1)


def pretrain(
    config: TrainingConfig,
    *,
    out: Path,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter = unmetered,
) -> Path:
    """Teach the encoder of a config on its images, labels unseen; return the file of its weights.

    The tiles that the config leaves out are left out here, too: a score on them stays one on
    places that were never seen. A run that was killed goes on where it was, see
    `models.training.train`, which raises the same.

    Args:
        config: of the training that will begin with the encoder.
        out: folder of the encoder, the log and the checkpoint; another one than the training's.
        progress: told the steps.
        energy_wh: read at the beginning and at the end of every epoch.
    """
    with writing(out):
        make_folder(out.absolute())
    job = open_job(config, progress)
    bands = sum(len(entry.bands) for entry in config.card.inputs)
    torch.manual_seed(config.seed)
    architecture = config.card.architecture.model_copy(update={"classes": bands})
    network = build(architecture, name=config.card.name)
    learner = Learner.of(network, config=config, device=device_named(config.device))
    fresh = Standing(f"pretraining {config.digest}", job.data_sha256)
    lesson = _lesson(job, bands=bands)
    study(learner, lesson, fresh, out=out, progress=progress, energy_wh=energy_wh)
    return _write_encoder(learner, out / ENCODER_NAME)


def _lesson(job: Job, *, bands: int) -> Lesson:
    config = job.config
    augment = Augmenter(
        job.card.inputs, job.layout, config.augmentation, config.seen_with, config.tile_px
    )
    return Lesson(
        tiles=job.learned_from,
        draw=Hider(augment, bands),
        objective=HiddenError(),
        examine=lambda _: {},
    )


def _write_encoder(learner: Learner, path: Path) -> Path:
    encoder = encoder_of(learner.average.module)
    tensors = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
    with writing(path):
        replace_file(path, save(tensors))
    return path
