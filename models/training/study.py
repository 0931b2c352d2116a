"""Epoch after epoch, each kept as it ends: a killed run loses at most the one it was in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from models.mapping import Progress
from models.training.augment import Example
from models.training.checkpoint import Standing, read_checkpoint, write_checkpoint
from models.training.loop import Learner, rounds, train_epoch
from models.training.outcome import write_log
from models.training.stock import TileSet
from models.training.tiles import Tile

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
    progress: Progress,
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
    progress: Progress,
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
