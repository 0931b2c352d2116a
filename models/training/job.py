"""What a training works on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.card import ModelCard
from models.data.blocks import fold_in_blocks
from models.data.kinds import open_set
from models.data.sample import LabelledSet
from models.data.splits import data_digest, fold
from models.mapping import Progress
from models.training.config import DataPlan, TrainingConfig
from models.training.outcome import draft_card
from models.training.stock import Mixture, Stock, TileSet
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
    tiles: int
    """Learned from; each counted once."""


def open_job(config: TrainingConfig, progress: Progress) -> Job:
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


def _keep(stocks: Sequence[Stock], *, kept_gb: float | None, progress: Progress) -> None:
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
        parts = fold(whole, folds=plan.folds, number=plan.fold)
        return parts.learned_from, parts.left_out
    return fold_in_blocks(whole, block_px=plan.block_px, folds=plan.folds, number=plan.fold)
