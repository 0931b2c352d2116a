"""What a training works on, read once."""

from dataclasses import dataclass

from models.card import ModelCard
from models.data.kinds import open_set
from models.data.sample import LabelledSet
from models.data.splits import data_digest, fold
from models.mapping import Progress
from models.training.config import Doubt, TrainingConfig
from models.training.outcome import draft_card
from models.training.tiles import Layout, Tile, statistics, tiles


@dataclass(frozen=True)
class Job:
    """What a training works on, read once."""

    config: TrainingConfig
    card: ModelCard
    layout: Layout
    learned_from: tuple[Tile, ...]
    left_out: tuple[Tile, ...]
    data_sha256: str


def open_job(config: TrainingConfig, progress: Progress) -> Job:
    """Read the data, all of it: tiles are kept in memory at half precision.

    Raises:
        DataInvalid: where the data cannot be read.
        InputsMismatch: where the data is not what the card wants.
    """
    plan = config.data
    whole = open_set(plan.kind, plan.root, split=plan.split, options=plan.options)
    parts = fold(whole, folds=plan.folds, number=plan.fold)
    card = draft_card(
        config.card,
        statistics(config.card, parts.learned_from),
        trained_on=f"{plan.title} without fold {plan.fold} of {plan.folds}",
    )
    availability = config.card.architecture.availability_channels
    progress.start("labelled tiles", len(whole))
    try:
        learned_from = _read(card, parts.learned_from, plan.doubt, progress)
        left_out = _read(card, parts.left_out, plan.doubt, progress)
    finally:
        progress.finish()
    layout = Layout.of(card.inputs, availability=availability)
    return Job(config, card, layout, learned_from, left_out, data_digest(whole))


def _read(
    card: ModelCard, part: LabelledSet, doubt: Doubt | None, progress: Progress
) -> tuple[Tile, ...]:
    read = []
    for tile in tiles(card, part, doubt=doubt):
        read.append(tile)
        progress.advance(1)
    return tuple(read)
