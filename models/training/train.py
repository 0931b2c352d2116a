"""A training of a network, from its config to its card; a killed one is resumed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import ConcatDataset

from geo.store.atomic_io import make_folder, writing
from models.cards.card import ModelCard
from models.datasets.base import band_statistics, data_digest, split_blocks, split_fold
from models.datasets.catalog import open_set
from models.evaluation.metrics import LogitTally
from models.inference.windows import ProgressReceiver
from models.networks.network import build, device_named
from models.training.artifacts import (
    choose,
    draft_card,
    load_encoder,
    write_log,
    write_outcome,
)
from models.training.augment import Augmenter, Example
from models.training.config import TrainingConfig
from models.training.dataset import Layout, Tile, TileDataset, TileSet
from models.training.loop import (
    Learner,
    Loss,
    TrainingState,
    read_checkpoint,
    repeats,
    train_epoch,
    validate,
    write_checkpoint,
)


@dataclass(frozen=True)
class TrainingData:
    """The tiles of a training, and what is known of the card before it."""

    config: TrainingConfig
    card: ModelCard
    layout: Layout
    training: TileSet
    validation: TileSet
    data_sha256: str
    tiles: int
    """For training; each counted once."""

    @property
    def augmenter(self) -> Augmenter:
        """Makes examples of the tiles."""
        config = self.config
        inputs, subsets = self.card.inputs, config.input_subsets
        return Augmenter(inputs, self.layout, config.augmentation, subsets, config.tile_px)


def open_data(config: TrainingConfig, progress: ProgressReceiver) -> TrainingData:
    """Open the data of a training, and cache as much of it as the config allows."""
    plan = config.data
    whole = open_set(plan.kind, plan.root, split=plan.split, options=plan.options)
    additional = [
        open_set(more.kind, more.root, split=more.split, options=more.options)
        for more in plan.additional
    ]
    titles = dict.fromkeys(more.title for more in plan.additional)
    fold = {"folds": plan.folds, "number": plan.fold}
    parts = (
        split_fold(whole, **fold)
        if plan.block_px is None
        else split_blocks(whole, block_px=plan.block_px, **fold)
    )
    card = draft_card(
        config.card,
        band_statistics(config.card.inputs, parts[0], model=config.card.name),
        trained_on=", and ".join([f"{plan.title} without {plan.fold_title}", *titles]),
    )
    first, validation, *more = (
        TileDataset(card, part, label_filter=plan.label_filter) for part in (*parts, *additional)
    )
    datasets, room = [first, validation, *more], (plan.cache_gb or math.inf) * 1e9
    progress.start("labelled tiles", sum(map(len, datasets)))
    try:
        for dataset in datasets:
            room = dataset.cache(room=room, progress=progress)
    finally:
        progress.finish()
    layout = Layout.of(card.inputs, availability=config.card.architecture.availability_channels)
    training: TileSet = first
    if more:
        training = ConcatDataset([first] * plan.repeat + more)
    tiles = sum(map(len, (first, *more)))
    digest = data_digest(whole, *additional)
    return TrainingData(config, card, layout, training, validation, digest, tiles)


EnergyMeter = Callable[[], float | None]
"""Watt hours since some moment; None where they are not measured."""


@dataclass(frozen=True)
class TrainingTask:
    """What a network is trained to do with the tiles."""

    tiles: TileSet
    augment: Callable[[Tile], Example]
    loss: torch.nn.Module
    validate: Callable[[Learner], dict[str, float]]
    """Returns the columns of the log that are measured every `validate_every` epochs."""


def run_epochs(
    learner: Learner,
    task: TrainingTask,
    fresh: TrainingState,
    *,
    out: Path,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter,
) -> TrainingState:
    """Train for the epochs that are left, with a checkpoint after each; `learner` is new."""
    training = read_checkpoint(out, fresh, learner)
    while training.epoch < learner.config.optimiser.epochs:
        _epoch(learner, task, training, progress, energy_wh)
        write_checkpoint(out, training, learner)
        write_log(out, training.rows)
    return training


def _epoch(
    learner: Learner,
    task: TrainingTask,
    training: TrainingState,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter,
) -> None:
    config, began, energy = learner.config, time.monotonic(), energy_wh()
    examples = len(task.tiles) * repeats(task.tiles, examples=config.optimiser.examples)
    progress.start(f"epoch {training.epoch + 1} of {config.optimiser.epochs}", examples)
    try:
        row = train_epoch(
            learner,
            task.tiles,
            task.augment,
            task.loss,
            epoch=training.epoch,
            advance=progress.advance,
        )
    finally:
        progress.finish()
    training.epoch += 1
    if training.epoch % config.validate_every == 0:
        row |= task.validate(learner)
    training.rows.append(row)
    training.wall_s += time.monotonic() - began
    spent = energy_wh()
    if spent is not None and energy is not None:
        training.energy_wh = (training.energy_wh or 0.0) + spent - energy


def train(
    config: TrainingConfig,
    *,
    out: Path,
    progress: ProgressReceiver,
    energy_wh: EnergyMeter = lambda: None,
) -> ModelCard:
    """Train, calibrate and write a network; resume where the last run of the same config ended.

    The weights are those of a run that was not killed, up to kernels of a GPU.

    Raises:
        TrainingInvalid: where the checkpoint in `out` is of another training.
        StoreError: where `out` cannot be written.
        DataInvalid: where the data cannot be read.
        InputsMismatch: where its images do not fill the inputs of the card.
        CardInvalid: where the network cannot be built.
        WeightsMismatch: where the encoder weights are not those of its encoder.
        DeviceMissing: where the device is not there.
    """
    with writing(out):
        make_folder(out.absolute())
    device = device_named(config.device)
    data = open_data(config, progress)
    torch.manual_seed(config.seed)
    network = build(config.card.architecture, name=config.card.name)
    encoder_sha256 = None
    if config.encoder_weights is not None:
        architecture = config.card.architecture
        encoder_sha256 = load_encoder(network, config.encoder_weights, architecture=architecture)
    learner = Learner.of(network, config=config, device=device)
    fresh = TrainingState(config.digest, data.data_sha256, encoder_sha256)
    state = run_epochs(learner, _task(data), fresh, out=out, progress=progress, energy_wh=energy_wh)
    return write_outcome(
        out,
        data.card,
        network=learner.average.module,
        chosen=choose(validate(learner, data.validation, data.layout, config.input_subsets)),
        config=config,
        state=state,
        tiles=(data.tiles, len(data.validation)),
        device=device,
    )


def _task(data: TrainingData) -> TrainingTask:
    config = data.config
    return TrainingTask(
        tiles=data.training,
        augment=data.augmenter,
        loss=Loss(config.loss),
        validate=lambda learner: _iou_row(
            config, validate(learner, data.validation, data.layout, config.input_subsets)
        ),
    )


def _iou_row(config: TrainingConfig, tallies: list[list[LogitTally]]) -> dict[str, float]:
    chosen, *grades = choose(tallies)
    row = {
        f"iou {' + '.join(subset.inputs)}": counts.iou or 0.0
        for subset, counts in zip(config.input_subsets, chosen.by_subset, strict=True)
    } | {"ece": chosen.ece}
    for name, grade in zip(config.card.grades, grades, strict=True):
        row |= {f"iou {name}": grade.by_subset[0].iou or 0.0, f"ece {name}": grade.ece}
    return row
