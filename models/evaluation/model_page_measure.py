"""A model held against the sets of its page: scores, places, calibration, worst tiles.

PagePlan: which data a model is shown on, and the words that no measurement gives.

The scores of a card, as its page measured them.

Markdown, and figures as people read them.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from geo.types import BoolArray, FloatArray, Raster
from models.cards.architecture import Part
from models.cards.card import ModelCard, Score
from models.cards.registry import CardRef, find
from models.datasets.base import LabelledSet
from models.datasets.catalog import ALL, PICTURES, Kind, SetOptions, open_set
from models.errors import PageInvalid
from models.evaluation.evaluate import LEFT_OUT, Evaluation, answer, evaluate, images_for, split_for
from models.evaluation.metrics import Agreement, TileCounts
from models.inference.map_scenes import ProgressReceiver
from models.inference.model import Model, load_model

PLAN_NAME = "page.toml"


class Subset(Part):
    """Some images of the data."""

    name: str = Field(description="Such as: radar, after only.")
    drop: tuple[str, ...] = Field(default=(), description="Images that the model is not given.")


class SetPlan(Part):
    """One set of labelled images, and what a reader must know of it."""

    name: str = Field(description="As its authors call it.")
    kind: Kind
    folder: str = Field(description="In the folder that holds all data.")
    split: str = Field(
        default=ALL, description="See `models.data.open_set`; left-out: what the card says."
    )
    options: SetOptions = Field(
        default=PICTURES, description="Of pairs; a file of groups lies relative to the plan."
    )
    about: str = Field(description="What it is: sentences.")
    groups: str = Field(description="What a group of tiles is here, such as: a flood event.")
    origin: str
    licence: str = Field(description="As stated there.")
    thumbnails: bool = Field(
        default=False,
        description="Whether the licence allows to show its worst images, much reduced; without, "
        "only label and answer are drawn.",
    )
    subsets: tuple[Subset, ...] = Field(
        default=(Subset(name="all images"),),
        min_length=1,
        description="Groups, calibration and worst tiles are shown of the first.",
    )


class PagePlan(Part):
    """The page of a model."""

    about: str = Field(description="What led to it: Markdown.")
    not_for: tuple[str, ...] = Field(min_length=1, description="Sentences.")
    sets: tuple[SetPlan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        keys = [(entry.name, entry.split) for entry in self.sets]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{' '.join(twice[0])} is there more than once")
        return self


def read_plan(path: Path) -> PagePlan:
    """Read a plan; its files of groups are taken from its folder.

    Raises:
        PageInvalid: where it cannot be read, or a field is wrong.
    """
    try:
        plan = PagePlan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise PageInvalid(f"{path}: {place}: {said}" if place else f"{path}: {said}") from error
    except (OSError, ValueError) as error:
        raise PageInvalid(
            f"the plan of the page {path} cannot be read as TOML: {error}; write one, "
            "see models.page.plan"
        ) from error
    return plan.model_copy(update={"sets": tuple(_at(path.parent, s) for s in plan.sets)})


def _at(folder: Path, entry: SetPlan) -> SetPlan:
    """Return a set with its file of groups, if any, taken from a folder."""
    if entry.options.groups is None:
        return entry
    there = entry.options.model_copy(update={"groups": folder / entry.options.groups})
    return entry.model_copy(update={"options": there})


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def parts(*texts: str) -> str:
    """Return paragraphs, without the empty ones."""
    return "\n\n".join(text for text in texts if text)


def bullets(sentences: Sequence[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {entry}" for entry in sentences)


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def plain(value: object) -> str:
    """Return a figure with three decimals."""
    return f"{value:.3f}" if isinstance(value, float) else "none"


def percent(value: object) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.0f} %" if isinstance(value, float) else "none"


def images(n: int) -> str:
    """Return how many images there are."""
    return "1 image" if n == 1 else f"{n} images"


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
            ModelError: see `models.inference.model.load_model`.
        """
        for other in (find(folder).card for folder in seeds):
            _check_alike(ref.card, other)
        _check_folds([find(folder).card for folder in folds])
        return cls(
            load_model(ref, device=device),
            *(
                tuple(load_model(find(folder), device=device) for folder in folders)
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


def measure(
    trainings: Trainings, plan: PagePlan, *, root: Path, progress: ProgressReceiver
) -> Measured:
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
    trainings: Trainings,
    plan: SetPlan,
    labelled: LabelledSet,
    root: Path,
    progress: ProgressReceiver,
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


def _on_its_fold(model: Model, plan: SetPlan, root: Path, progress: ProgressReceiver) -> Evaluation:
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


_SAME = 0.0005
"""A figure that was measured again is the one on the card, within the rounding of both."""


def scored(card: ModelCard, measured: Measured) -> ModelCard:
    """Return a card with what was measured as its scores, and with nothing else.

    Figures of other seeds and other folds stay where they were not measured anew and the
    model's own figure is still the same: whoever has the shipped weights alone can repeat the
    page.
    """
    rows = [score for part in measured.sets for score in _set_scores(card, part)]
    fields = {
        "scores": tuple(_remembered(score, card.scores) for score in rows)
        + (() if any(part.folds for part in measured.sets) else _folds_on(card)),
        "tested_on": "; ".join(_tested_on(part) for part in measured.sets),
    }
    return ModelCard.model_validate({**dict(card), **fields})


def _set_scores(card: ModelCard, part: SetMeasured) -> list[Score]:
    scores = [score for row in part.rows for score in _row_scores(part, row)]
    if part.folds:
        scores.append(_fold_score(card, part))
    return scores


def _row_scores(part: SetMeasured, row: Row) -> list[Score]:
    """Return the IoU of a choice of images, and of the first also the calibration error."""
    finding = row.evaluation.card.classes[0].name
    images = " + ".join(row.evaluation.filled)
    each = [row.evaluation, *row.seeds]
    kinds = [("iou", f"IoU of {finding}, pooled pixels, from {images}", _ious(each))]
    if row is part.rows[0]:
        eces = [e.agreement.ece for e in each]
        kinds.append(("ece", f"Expected calibration error of {finding}, from {images}", eces))
    return [
        Score(
            dataset=part.plan.name,
            split=part.split,
            metric=metric,
            value=_rounded(values)[0],
            n=len(row.agreement.tiles),
            measure=measure,
            drop=row.subset.drop,
            trainings=_rounded(values) if row.seeds else (),
            trainings_differ_in="seed" if row.seeds else None,
        )
        for measure, metric, values in kinds
        if values[0] is not None
    ]


def _fold_score(card: ModelCard, part: SetMeasured) -> Score:
    agreement = sum((fold.agreement for fold in part.folds), Agreement.empty())
    return Score(
        dataset=part.plan.name,
        split=f"{len(part.folds)} folds, each scored by a training that left it out",
        metric=f"IoU of {card.classes[0].name}, pixels of all folds pooled",
        value=_rounded([agreement.pooled.iou])[0],
        n=len(agreement.tiles),
        drop=part.rows[0].subset.drop,
        trainings=_rounded(_ious(part.folds)),
        trainings_differ_in="fold",
    )


def _remembered(score: Score, before: Sequence[Score]) -> Score:
    """Return a score with the figures of other seeds that the card has of it."""
    if score.trainings:
        return score
    for old in before:
        if _key(old) == _key(score) and abs(old.value - score.value) <= _SAME:
            kept = {"trainings": old.trainings, "trainings_differ_in": old.trainings_differ_in}
            return score.model_copy(update=kept)
    return score


def _key(score: Score) -> tuple[object, ...]:
    return (score.dataset, score.split, score.measure, frozenset(score.drop))


def _folds_on(card: ModelCard) -> tuple[Score, ...]:
    return tuple(score for score in card.scores if score.trainings_differ_in == "fold")


def _tested_on(part: SetMeasured) -> str:
    n = len(part.rows[0].agreement.tiles)
    return f"{part.plan.name}, {part.split} ({images(n)})"


def _ious(each: Sequence[Evaluation]) -> list[float | None]:
    return [evaluation.agreement.pooled.iou for evaluation in each]


def _rounded(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values if value is not None)
