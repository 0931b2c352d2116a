"""A training from its config to its card, taken up again where it was killed."""

from pathlib import Path

import torch

from geo.durable import make_folder, writing
from models.card import ModelCard
from models.mapping import Progress
from models.network import build, device_named
from models.reliability import LogitTally
from models.training.augment import Augmenter
from models.training.checkpoint import Standing
from models.training.config import TrainingConfig
from models.training.encoder import begin_encoder
from models.training.job import Job, open_job
from models.training.loop import Learner, tally
from models.training.objective import Objective
from models.training.outcome import choose, subset_name, write_outcome
from models.training.study import EnergyMeter, Lesson, study, unmetered


def train(
    config: TrainingConfig,
    *,
    out: Path,
    progress: Progress,
    energy_wh: EnergyMeter = unmetered,
) -> ModelCard:
    """Train, calibrate and write a network; begin where the last run of the same config ended.

    A run that was killed loses at most the epoch that it was in, and the weights are those of
    a run that was not: chance is drawn from the seed and the epoch alone. (On a GPU, up to
    what its kernels leave undetermined.)

    Args:
        config: what to do.
        out: folder of the card, the weights, the log and the checkpoint.
        progress: told the steps.
        energy_wh: read at the beginning and at the end of every epoch.

    Raises:
        TrainingInvalid: where the checkpoint in `out` is of another training.
        DataInvalid: where the data cannot be read.
        InputsMismatch: where the data is not what the card wants.
        CardInvalid: where the network cannot be built.
        WeightsMismatch: where the encoder weights are not those of its encoder.
        DeviceMissing: where the device is not there.
        StoreError: where `out` cannot be written.
    """
    with writing(out):
        make_folder(out.absolute())
    device = device_named(config.device)
    job = open_job(config, progress)
    torch.manual_seed(config.seed)
    network = build(config.card.architecture, name=config.card.name)
    encoder_sha256 = _begin_encoder(network, config)
    learner = Learner.of(network, config=config, device=device)
    fresh = Standing(config.digest, job.data_sha256, encoder_sha256)
    standing = study(learner, _lesson(job), fresh, out=out, progress=progress, energy_wh=energy_wh)
    return write_outcome(
        out,
        job.card,
        network=learner.average.module,
        chosen=choose(tally(learner, job.left_out, job.layout, config.seen_with)),
        config=config,
        standing=standing,
        tiles=(job.tiles, len(job.left_out)),
        device=device,
    )


def _begin_encoder(network: torch.nn.Module, config: TrainingConfig) -> str | None:
    if config.encoder_weights is None:
        return None
    return begin_encoder(network, config.encoder_weights, architecture=config.card.architecture)


def _lesson(job: Job) -> Lesson:
    config = job.config
    return Lesson(
        tiles=job.learned_from,
        draw=Augmenter(
            job.card.inputs, job.layout, config.augmentation, config.seen_with, config.tile_px
        ),
        objective=Objective(config.loss),
        examine=lambda learner: _iou_row(
            config, tally(learner, job.left_out, job.layout, config.seen_with)
        ),
    )


def _iou_row(config: TrainingConfig, tallies: list[list[LogitTally]]) -> dict[str, float]:
    """Return the IoU of each subset and grade on the left-out tiles, by the common threshold."""
    chosen, *grades = choose(tallies)
    row = {
        f"iou {subset_name(subset)}": counts.iou or 0.0
        for subset, counts in zip(config.seen_with, chosen.by_subset, strict=True)
    } | {"ece": chosen.ece}
    for name, grade in zip(config.card.grades, grades, strict=True):
        row |= {f"iou {name}": grade.by_subset[0].iou or 0.0, f"ece {name}": grade.ece}
    return row
