"""A training from its config to its card, taken up again where it was killed.

What a training works on.

Epoch after epoch, each kept as it ends: a killed run loses at most the one it was in.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from geo.store.atomic_io import make_folder, writing
from models.cards.card import ModelCard
from models.datasets.base import LabelledSet, data_digest, split_blocks, split_fold
from models.datasets.catalog import open_set
from models.evaluation.metrics import LogitTally
from models.inference.windows import ProgressReceiver
from models.networks.network import build, device_named
from models.training.artifacts import (
    begin_encoder,
    choose,
    draft_card,
    subset_name,
    write_log,
    write_outcome,
)
from models.training.augment import Augmenter, Example
from models.training.config import DataPlan, TrainingConfig
from models.training.dataset import Layout, Mixture, Stock, Tile, TileSet, statistics
from models.training.loop import (
    Learner,
    Objective,
    Standing,
    read_checkpoint,
    rounds,
    tally,
    train_epoch,
    write_checkpoint,
)


@dataclass(frozen=True)
class Job:
    """What a training works on."""

    config: TrainingConfig
    card: ModelCard
    layout: Layout
    learned_from: TileSet
    left_out: TileSet
    data_sha256: str
    tiles: int
    """Learned from; each counted once."""


def open_job(config: TrainingConfig, progress: ProgressReceiver) -> Job:
    """Read the data, as much of it as is kept in memory.

    Raises:
        DataInvalid: where the data cannot be read.
        InputsMismatch: where the data is not what the card wants.
    """
    plan = config.data
    whole = open_set(plan.kind, plan.root, split=plan.split, options=plan.options)
    also = [open_set(m.kind, m.root, split=m.split, options=m.options) for m in plan.also]
    parts = _parts(whole, plan)
    card = draft_card(
        config.card,
        statistics(config.card, parts[0]),
        trained_on=f"{plan.title} without {plan.left}{_also(plan)}",
    )
    learned_from, left_out = (Stock(card, part, doubt=plan.doubt) for part in parts)
    more = [Stock(card, part, doubt=plan.doubt) for part in also]
    _keep([learned_from, left_out, *more], kept_gb=plan.kept_gb, progress=progress)
    layout = Layout.of(card.inputs, availability=config.card.architecture.availability_channels)
    mixture = Mixture((learned_from,) * plan.repeat + tuple(more)) if more else learned_from
    tiles = sum(map(len, (learned_from, *more)))
    return Job(config, card, layout, mixture, left_out, data_digest(whole, *also), tiles)


def _also(plan: DataPlan) -> str:
    """Return what else is learned from, in words."""
    return "".join(f", and {title}" for title in dict.fromkeys(more.title for more in plan.also))


def _keep(stocks: Sequence[Stock], *, kept_gb: float | None, progress: ProgressReceiver) -> None:
    """Read the tiles that are kept in memory."""
    room = kept_gb * 1e9 if kept_gb else math.inf
    progress.start("labelled tiles", sum(map(len, stocks)))
    try:
        for stock in stocks:
            room = stock.keep(room=room, progress=progress)
    finally:
        progress.finish()


def _parts(whole: LabelledSet, plan: DataPlan) -> tuple[LabelledSet, LabelledSet]:
    """Return what is learned from, and what is left out."""
    if plan.block_px is None:
        return split_fold(whole, folds=plan.folds, number=plan.fold)
    return split_blocks(whole, block_px=plan.block_px, folds=plan.folds, number=plan.fold)


EnergyMeter = Callable[[], float | None]
"""Watt hours since some moment; None where nothing meters them."""


def unmetered() -> None:
    """Return nothing: the energy is not measured."""


@dataclass(frozen=True)
class Lesson:
    """What is learned from the tiles."""

    tiles: TileSet
    draw: Callable[[Tile], Example]
    """Makes an example of a tile, another one each time."""
    objective: torch.nn.Module
    """Loss of logits, target and known."""
    examine: Callable[[Learner], dict[str, float]]
    """Returns the columns of the log that are measured every `validate_every` epochs."""


def study(
    learner: Learner,
    lesson: Lesson,
    fresh: Standing,
    *,
    out: Path,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter,
) -> Standing:
    """Go through the epochs that are left, and return where that ended.

    Args:
        learner: new; filled from the checkpoint where there is one.
        lesson: what is learned.
        fresh: where a training of this config and data begins.
        out: folder of the checkpoint and the log; exists.
        progress: told the steps.
        energy_wh: read at the beginning and at the end of every epoch.

    Raises:
        TrainingInvalid: where the checkpoint in `out` is of another training.
        StoreError: where `out` cannot be written.
    """
    state = {"network": learner.network, "average": learner.average}
    standing = read_checkpoint(out, fresh, **state, optimiser=learner.optimiser)
    while standing.epoch < learner.config.optimiser.epochs:
        _epoch(learner, lesson, standing, progress, energy_wh)
        write_checkpoint(out, standing, **state, optimiser=learner.optimiser)
        write_log(out, standing.rows)
    return standing


def _epoch(
    learner: Learner,
    lesson: Lesson,
    standing: Standing,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter,
) -> None:
    """Do one epoch, and write into `standing` what it showed and took."""
    config, began, energy = learner.config, time.monotonic(), energy_wh()
    examples = len(lesson.tiles) * rounds(lesson.tiles, examples=config.optimiser.examples)
    progress.start(f"epoch {standing.epoch + 1} of {config.optimiser.epochs}", examples)
    try:
        row = train_epoch(
            learner,
            lesson.tiles,
            lesson.draw,
            lesson.objective,
            epoch=standing.epoch,
            tick=progress.advance,
        )
    finally:
        progress.finish()
    standing.epoch += 1
    if standing.epoch % config.validate_every == 0:
        row |= lesson.examine(learner)
    standing.rows.append(row)
    standing.wall_s += time.monotonic() - began
    spent = energy_wh()
    if spent is not None and energy is not None:
        standing.energy_wh = (standing.energy_wh or 0.0) + spent - energy


def train(
    config: TrainingConfig,
    *,
    out: Path,
    progress: ProgressReceiver,
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
