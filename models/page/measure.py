"""A model held against the sets of its page: scores, places, calibration, worst tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo.raster import BoolArray, FloatArray, Raster
from models.agreement import Agreement, TileCounts
from models.card import ModelCard
from models.data.kinds import open_set
from models.data.sample import LabelledSet
from models.errors import PageInvalid
from models.evaluation import (
    LEFT_OUT,
    Evaluation,
    answer,
    evaluate,
    images_for,
    split_for,
)
from models.mapping import Progress
from models.page.plan import PagePlan, SetPlan, Subset
from models.predict import Model, load
from models.registry import CardRef, find

WORST = 6
"""Tiles that are shown."""


@dataclass(frozen=True)
class Trainings:
    """A model, and others that show how much of its scores is chance."""

    model: Model
    seeds: tuple[Model, ...] = ()
    """The same training with other seeds."""
    folds: tuple[Model, ...] = ()
    """The same training with each fold left out once."""

    @classmethod
    def load(
        cls, ref: CardRef, *, seeds: Sequence[Path], folds: Sequence[Path], device: str
    ) -> "Trainings":
        """Load them all.

        Raises:
            PageInvalid: where they differ in more than the seed or the fold.
            ModelError: see `models.predict.load`.
        """
        for other in (find(folder).card for folder in seeds):
            _check_alike(ref.card, other)
        _check_folds([find(folder).card for folder in folds])
        return cls(
            load(ref, device=device),
            *(
                tuple(load(find(folder), device=device) for folder in folders)
                for folders in (seeds, folds)
            ),
        )


@dataclass(frozen=True)
class Row:
    """One choice of the images of a set."""

    subset: Subset
    evaluation: Evaluation
    seeds: tuple[Evaluation, ...]
    """Of the trainings with other seeds."""

    @property
    def agreement(self) -> Agreement:
        """Of the model itself."""
        return self.evaluation.agreement


@dataclass(frozen=True, eq=False)
class Shown:
    """A tile as it is drawn."""

    tile: TileCounts
    images: dict[str, Raster]
    """By the name of the image."""
    target: BoolArray
    """(rows, cols)."""
    known: BoolArray
    """(rows, cols)."""
    probability: FloatArray
    """(rows, cols); NaN where there is no answer."""


@dataclass(frozen=True)
class SetMeasured:
    """What a page shows of one set."""

    plan: SetPlan
    split: str
    rows: tuple[Row, ...]
    worst: tuple[Shown, ...]
    """The tiles with the least IoU, the worst first."""
    folds: tuple[Evaluation, ...]
    """One a training, on the fold that it left out; none where the set has other splits."""


@dataclass(frozen=True)
class Measured:
    """Everything that a page shows beside its card."""

    plan: PagePlan
    sets: tuple[SetMeasured, ...]


def measure(trainings: Trainings, plan: PagePlan, *, root: Path, progress: Progress) -> Measured:
    """Hold a model against every set of its plan.

    Args:
        trainings: the model, and others to compare it with.
        plan: of the page.
        root: folder that holds the folders of the data.
        progress: told the tiles.

    Raises:
        ModelError: where data is missing, or is not what the model wants.
    """
    # Every set is opened first: hours of scoring shall not end on a folder that is not there.
    opened = [_opened(trainings.model.card, entry, root) for entry in plan.sets]
    return Measured(
        plan,
        tuple(
            _measure_set(trainings, entry, labelled, root, progress)
            for entry, labelled in zip(plan.sets, opened, strict=True)
        ),
    )


def _measure_set(
    trainings: Trainings, plan: SetPlan, labelled: LabelledSet, root: Path, progress: Progress
) -> SetMeasured:
    split = split_for(trainings.model.card, plan.split)

    def held(model: Model, subset: Subset) -> Evaluation:
        return evaluate(model, labelled, split=split, drop=subset.drop, progress=progress)

    rows = tuple(
        Row(subset, held(trainings.model, subset), tuple(held(m, subset) for m in trainings.seeds))
        for subset in plan.subsets
    )
    folds = trainings.folds if plan.split == LEFT_OUT else ()
    return SetMeasured(
        plan,
        split,
        rows,
        _worst(trainings.model, labelled, rows[0]),
        tuple(_on_its_fold(model, plan, root, progress) for model in folds),
    )


def _on_its_fold(model: Model, plan: SetPlan, root: Path, progress: Progress) -> Evaluation:
    labelled = _opened(model.card, plan, root)
    split, drop = split_for(model.card, plan.split), plan.subsets[0].drop
    return evaluate(model, labelled, split=split, drop=drop, progress=progress)


def _opened(card: ModelCard, plan: SetPlan, root: Path) -> LabelledSet:
    split = split_for(card, plan.split)
    return open_set(plan.kind, root / plan.folder, split=split, options=plan.options)


def _worst(model: Model, labelled: LabelledSet, row: Row) -> tuple[Shown, ...]:
    """Return the tiles with the least IoU; of equal ones, that with most wrong pixels first."""
    tiles = row.agreement.tiles
    scored = [index for index, tile in enumerate(tiles) if tile.counts.iou is not None]
    order = sorted(scored, key=lambda index: (tiles[index].counts.iou, -wrong(tiles[index])))
    filled = images_for(model.card, labelled, row.subset.drop)
    return tuple(_shown(model, labelled, index, filled, tiles[index]) for index in order[:WORST])


def wrong(tile: TileCounts) -> int:
    """Return how many pixels of a tile were answered wrongly."""
    return tile.counts.false_positive + tile.counts.false_negative


def _shown(
    model: Model, labelled: LabelledSet, index: int, filled: dict[str, str], tile: TileCounts
) -> Shown:
    sample = labelled[index]
    probability = np.where(sample.known, answer(model, sample, filled), np.float32(np.nan))
    images = {name: sample.images[name] for name in dict.fromkeys(filled.values())}
    return Shown(tile, images, sample.target, sample.known, probability)


def _check_alike(card: ModelCard, other: ModelCard) -> None:
    """Check that another seed of a training left out the same tiles, and is another training."""
    for what, one, two in (
        ("is named", card.name, other.name),
        ("left out", *(c.training and c.training.left_out for c in (card, other))),
    ):
        if one != two:
            raise PageInvalid(
                f"{card.name} {what} {one}, the training with another seed {what} {two}; give "
                "trainings that differ in the seed alone"
            )
    if card.weights_sha256 == other.weights_sha256:
        raise PageInvalid(
            f"the training with another seed has the very weights of {card.name}; give others"
        )


def _check_folds(cards: Sequence[ModelCard]) -> None:
    """Check that no two trainings left out the same tiles."""
    left_out = [split_for(card, LEFT_OUT) for card in cards]
    twice = sorted({split for split in left_out if left_out.count(split) > 1})
    if twice:
        raise PageInvalid(f"two trainings left out {twice[0]}; give one training for each fold")
