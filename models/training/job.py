"""What a training works on."""

import math
from dataclasses import dataclass

from models.card import ModelCard
from models.data.blocks import fold_in_blocks
from models.data.kinds import open_set
from models.data.sample import LabelledSet
from models.data.splits import data_digest, fold
from models.mapping import Progress
from models.training.config import DataPlan, TrainingConfig
from models.training.outcome import draft_card
from models.training.stock import Stock, TileSet
from models.training.tiles import Layout, statistics


@dataclass(frozen=True)
class Job:
    """What a training works on."""

    config: TrainingConfig
    card: ModelCard
    layout: Layout
    learned_from: TileSet
    left_out: TileSet
    data_sha256: str


def open_job(config: TrainingConfig, progress: Progress) -> Job:
    """Read the data, as much of it as is kept in memory.

    Raises:
        DataInvalid: where the data cannot be read.
        InputsMismatch: where the data is not what the card wants.
    """
    plan = config.data
    whole = open_set(plan.kind, plan.root, split=plan.split, options=plan.options)
    parts = _parts(whole, plan)
    card = draft_card(
        config.card,
        statistics(config.card, parts[0]),
        trained_on=f"{plan.title} without {plan.left}",
    )
    learned_from, left_out = (Stock(card, part, doubt=plan.doubt) for part in parts)
    room = plan.kept_gb * 1e9 if plan.kept_gb else math.inf
    progress.start("labelled tiles", len(learned_from) + len(left_out))
    try:
        left_out.keep(room=learned_from.keep(room=room, progress=progress), progress=progress)
    finally:
        progress.finish()
    layout = Layout.of(card.inputs, availability=config.card.architecture.availability_channels)
    return Job(config, card, layout, learned_from, left_out, data_digest(whole))


def _parts(whole: LabelledSet, plan: DataPlan) -> tuple[LabelledSet, LabelledSet]:
    """Return what is learned from, and what is left out."""
    if plan.block_px is None:
        parts = fold(whole, folds=plan.folds, number=plan.fold)
        return parts.learned_from, parts.left_out
    return fold_in_blocks(whole, block_px=plan.block_px, folds=plan.folds, number=plan.fold)
