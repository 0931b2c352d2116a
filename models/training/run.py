"""A training from its config to its card, taken up again where it was killed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from geo.durable import make_folder, writing
from models.card import ModelCard
from models.data.kinds import open_set
from models.data.sample import LabelledSet
from models.data.splits import data_digest, fold
from models.mapping import Progress
from models.network import build, device_named
from models.reliability import LogitTally
from models.training.augment import Augmenter
from models.training.checkpoint import Standing, read_checkpoint, write_checkpoint
from models.training.config import TrainingConfig
from models.training.loop import Learner, tally, train_epoch
from models.training.outcome import (
    Chosen,
    draft_card,
    subset_name,
    write_log,
    write_outcome,
)
from models.training.tiles import Layout, Tile, statistics, tiles

EnergyMeter = Callable[[], float | None]
"""Watt hours since some moment; None where nothing meters them."""


def unmetered() -> None:
    """Return nothing: the energy is not measured."""


@dataclass(frozen=True)
class Job:
    """What a training works on, read once."""

    config: TrainingConfig
    card: ModelCard
    layout: Layout
    learned_from: tuple[Tile, ...]
    left_out: tuple[Tile, ...]
    data_sha256: str


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
        DeviceMissing: where the device is not there.
        StoreError: where `out` cannot be written.
    """
    with writing(out):
        make_folder(out.absolute())
    device = device_named(config.device)
    job = _job(config, progress)
    torch.manual_seed(config.seed)
    network = build(config.card.architecture, name=config.card.name)
    learner = Learner.of(network, config=config, device=device)
    state = {"network": learner.network, "average": learner.average}
    standing = read_checkpoint(
        out, Standing(config.digest, job.data_sha256), **state, optimiser=learner.optimiser
    )
    while standing.epoch < config.optimiser.epochs:
        _epoch(learner, job, standing, progress, energy_wh)
        write_checkpoint(out, standing, **state, optimiser=learner.optimiser)
        write_log(out, standing.rows)
    return write_outcome(
        out,
        job.card,
        network=learner.average.module,
        chosen=Chosen.by(tally(learner, job.left_out, job.layout, config.seen_with)),
        config=config,
        standing=standing,
        tiles=(len(job.learned_from), len(job.left_out)),
        device=device,
    )


def _job(config: TrainingConfig, progress: Progress) -> Job:
    """Read the data, all of it: tiles are kept in memory at half precision."""
    plan = config.data
    whole = open_set(plan.kind, plan.root, split=plan.split, options=plan.options)
    parts = fold(whole, folds=plan.folds, number=plan.fold)
    card = draft_card(
        config.card,
        statistics(config.card, parts.learned_from),
        trained_on=f"{plan.kind} {plan.split} without fold {plan.fold} of {plan.folds}",
    )
    availability = config.card.architecture.availability_channels
    progress.start("labelled tiles", len(whole))
    try:
        learned_from = _read(card, parts.learned_from, progress)
        left_out = _read(card, parts.left_out, progress)
    finally:
        progress.finish()
    layout = Layout.of(card.inputs, availability=availability)
    return Job(config, card, layout, learned_from, left_out, data_digest(whole))


def _read(card: ModelCard, part: LabelledSet, progress: Progress) -> tuple[Tile, ...]:
    read = []
    for tile in tiles(card, part):
        read.append(tile)
        progress.advance(1)
    return tuple(read)


def _epoch(
    learner: Learner,
    job: Job,
    standing: Standing,
    progress: Progress,
    energy_wh: EnergyMeter,
) -> None:
    """Do one epoch, and write into `standing` what it showed and took."""
    config, began, energy = job.config, time.monotonic(), energy_wh()
    augment = Augmenter(
        job.card.inputs, job.layout, config.augmentation, config.seen_with, config.tile_px
    )
    title = f"epoch {standing.epoch + 1} of {config.optimiser.epochs}"
    progress.start(title, len(job.learned_from))
    try:
        row = train_epoch(
            learner, job.learned_from, augment, epoch=standing.epoch, tick=progress.advance
        )
    finally:
        progress.finish()
    standing.epoch += 1
    if standing.epoch % config.validate_every == 0:
        tallies = tally(learner, job.left_out, job.layout, config.seen_with)
        row |= _iou_row(config, tallies)
    standing.rows.append(row)
    standing.wall_s += time.monotonic() - began
    spent = energy_wh()
    if spent is not None and energy is not None:
        standing.energy_wh = (standing.energy_wh or 0.0) + spent - energy


def _iou_row(config: TrainingConfig, tallies: list[LogitTally]) -> dict[str, float]:
    """Return the IoU of each subset on the left-out tiles, by the common threshold."""
    chosen = Chosen.by(tallies)
    return {
        f"iou {subset_name(subset)}": counts.iou or 0.0
        for subset, counts in zip(config.seen_with, chosen.by_subset, strict=True)
    } | {"ece": chosen.ece}
