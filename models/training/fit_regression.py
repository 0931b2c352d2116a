"""A regression on buildings from the features of tiles to its card.

GradingPlan: everything that a regression on buildings depends on, read from a file.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.raster.classify import Finding
from geo.types import BoolArray, CodeArray, Float64Array, IntArray
from models.cards.architecture import FeatureScale, Logit, Part, RegressionArchitecture
from models.cards.card import CardClass, ModelCard
from models.cards.inputs import UNCLASSIFIED, CardInput, InputPhase, Physical, Task
from models.cards.registry import read_fields, read_part
from models.cards.training_record import Calibration, TemperatureParameters
from models.damage.features import FEATURES, FeatureTable, QuantityPair, measure
from models.damage.grades import DAMAGED_FROM
from models.damage.regression import balanced, fit_logistic, log_loss, standardised
from models.datasets.xbd import ALL, BANDS, DamageTile
from models.errors import DataInvalid, TrainingInvalid
from models.evaluation.metrics import Reliability

KIND = "building-regression"


class GradingCard(Part):
    """What the card will say; the rest is measured."""

    name: str
    version: str
    summary: str
    sensors: tuple[str, ...] = Field(min_length=1)
    resolution_m: PositiveFloat
    window_px: PositiveInt
    overlap_px: NonNegativeInt
    licence: str
    limits: tuple[str, ...] = Field(min_length=1)
    references: tuple[str, ...] = ()


class GradingPlan(Part):
    """A regression that can be fitted again."""

    kind: Literal["building-regression"]
    root: Path = Field(description="Of xBD, relative to the folder of the file.")
    split: str = ALL
    card: GradingCard
    features: tuple[str, ...] = Field(default=tuple(FEATURES), min_length=1)
    limit: PositiveFloat = Field(description="See `RegressionArchitecture`, as the next three.")
    neighbours_px: PositiveFloat
    neighbours_share: float = Field(ge=0, lt=1)
    least_px: PositiveInt
    strength: PositiveFloat = Field(
        description="Of the ridge, a building: half of it times the squared coefficients is added "
        "to the mean loss."
    )
    block_px: PositiveInt = Field(
        description="Edge of the blocks that are learned from or left out as a whole."
    )
    folds: int = Field(ge=2, description="The temperature is chosen with one of so many left out.")

    @property
    def digest(self) -> str:
        """sha256 of its canonical JSON, without what changes no number: words and places."""
        plain = self.model_dump(mode="json", exclude={"root": True, "card": True})
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def is_grading_plan(path: Path) -> bool:
    """Whether a file is the plan of a regression on buildings, and not that of a network."""
    return path.is_file() and read_fields(path).get("kind") == KIND


def read_grading_plan(path: Path, *, root: Path | None = None) -> GradingPlan:
    """Read a plan.

    Args:
        root: folder of the data instead of the plan's.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    plan = read_part(path, GradingPlan)
    unknown = sorted(set(plan.features) - FEATURES.keys())
    if unknown:
        raise TrainingInvalid(
            f"{path}: no feature {', '.join(unknown)}; the features are {', '.join(FEATURES)}"
        )
    return plan.model_copy(update={"root": root or path.parent / plan.root})


_LEAST_OF_A_SIDE = 2
"""Buildings on each side of a question, below which it cannot be learned."""


@dataclass(frozen=True, eq=False)
class GradedTile:
    """The features of the buildings of one tile, and their grades."""

    name: str
    measured: FeatureTable
    grades: CodeArray
    """(buildings,) 1 to 4, 255 un-classified: a neighbour, and nothing to learn from."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Buildings with an answer and a grade, as the logits take them."""

    design: Float64Array
    """(buildings, features)."""
    grades: CodeArray
    blocks: IntArray
    """Which block of which tile each lies in."""

    def part(self, chosen: BoolArray) -> "Lesson":
        """Return some of the buildings."""
        return Lesson(self.design[chosen], self.grades[chosen], self.blocks[chosen])


def measure_tile(tile: DamageTile, plan: GradingPlan) -> GradedTile:
    """Return the features of a tile's buildings."""
    pair = QuantityPair.of(*tile.images, tile.buildings, count=len(tile.polygons))
    return GradedTile(tile.name, measure(pair, plan.features), tile.grades)


def fit_card(plan: GradingPlan, tiles: Sequence[GradedTile]) -> ModelCard:
    """Return the card of a regression on tiles, without scores.

    Raises:
        DataInvalid: where no building has both an answer and a grade.
        TrainingInvalid: where there are too few buildings of a grade.
    """
    blank = _blank(plan, tiles)
    lesson = lesson_of(plan, blank, tiles)
    warmth, ece = _calibrate(plan, lesson)
    fitted = [_as_logit(row) for row in fit_logits(lesson, plan.strength)]
    named = dict(zip(("damaged", "minor", "destroyed"), fitted, strict=True))
    where = f"xBD, blocks of {plan.block_px} px left out of {', '.join(t.name for t in tiles)}"
    return ModelCard(
        **plan.card.model_dump(exclude={"sensors"}),
        task=Task.DAMAGE,
        architecture=RegressionArchitecture.model_validate(dict(blank) | named),
        inputs=tuple(_slot(plan, phase) for phase in (InputPhase.BEFORE, InputPhase.AFTER)),
        classes=(CardClass(name=Finding.DAMAGED, threshold=0.5),),
        trained_on=f"xBD, {len(lesson.grades)} graded buildings of "
        f"{', '.join(tile.name for tile in tiles)}",
        tested_on="nothing yet",
        calibration=Calibration(
            method="temperature",
            parameters=TemperatureParameters(temperature=(round(warmth, 4),)),
            fitted_on=where,
            ece=round(ece, 4),
        ),
    )


def lesson_of(
    plan: GradingPlan, architecture: RegressionArchitecture, tiles: Sequence[GradedTile]
) -> Lesson:
    """Return the buildings of tiles that have an answer and a grade.

    Raises:
        DataInvalid: where there is none.
    """
    parts = []
    for number, tile in enumerate(tiles):
        design = standardised(architecture, tile.measured)
        fit = np.isfinite(design).all(axis=1) & (tile.grades != UNCLASSIFIED)
        rows, cols = (tile.measured.centres[fit] // plan.block_px).astype(np.int64).T
        parts.append(Lesson(design[fit], tile.grades[fit], (number * 1000 + rows) * 1000 + cols))
    if not sum(len(part.grades) for part in parts):
        raise DataInvalid(
            f"no building of the tiles has a grade and at least {architecture.least_px} pixels "
            "that were seen before and after; give other tiles"
        )
    columns = zip(*((part.design, part.grades, part.blocks) for part in parts), strict=True)
    return Lesson(*(np.concatenate(column) for column in columns))


def fit_logits(lesson: Lesson, strength: float) -> Float64Array:
    """Return intercept and coefficients of damaged, minor and destroyed, (3, 1 + features).

    In each question both answers count alike, however few gave one.

    Raises:
        TrainingInvalid: where there are too few buildings on a side of a question.
    """
    return np.stack([_fit_one(lesson.design[a], b, strength) for a, b in questions(lesson.grades)])


def questions(
    grades: CodeArray,
) -> tuple[tuple[BoolArray, BoolArray], ...]:
    """Return, for damaged, minor and destroyed, which buildings are asked, and who says yes."""
    damaged = grades >= DAMAGED_FROM
    every = np.ones_like(damaged)
    return (
        (every, damaged),
        (~damaged, grades[~damaged] == DAMAGED_FROM - 1),
        (damaged, grades[damaged] == DAMAGED_FROM + 1),
    )


def with_ones(design: Float64Array) -> Float64Array:
    """Return a design with a first column of ones."""
    return np.column_stack([np.ones(len(design)), design])


def _fit_one(design: Float64Array, positive: BoolArray, strength: float) -> Float64Array:
    yes = int(positive.sum())
    if min(yes, len(positive) - yes) < _LEAST_OF_A_SIDE:
        raise TrainingInvalid(
            f"{yes} of {len(positive)} buildings are on one side of a question that parts two "
            f"grades; give tiles with at least {_LEAST_OF_A_SIDE} of each grade"
        )
    towards = np.zeros(design.shape[1] + 1)
    ridge = np.full(towards.shape, strength * len(positive))
    ridge[0] = 0.0
    return fit_logistic(
        with_ones(design), positive, weights=balanced(positive), towards=towards, strength=ridge
    )


def _as_logit(row: Float64Array) -> Logit:
    rounded = [round(float(value), 6) for value in row]
    return Logit(intercept=rounded[0], coefficients=tuple(rounded[1:]))


def _blank(plan: GradingPlan, tiles: Sequence[GradedTile]) -> RegressionArchitecture:
    """Return the architecture with the scales of the features and empty logits."""
    empty = Logit(intercept=0.0, coefficients=(0.0,) * len(plan.features))
    graded = [tile.measured.values[tile.grades != UNCLASSIFIED] for tile in tiles]
    known = [tile.measured.pixels[tile.grades != UNCLASSIFIED] >= plan.least_px for tile in tiles]
    values = np.concatenate([rows[fit] for rows, fit in zip(graded, known, strict=True)])
    if len(values) < len(plan.features):
        raise DataInvalid(
            f"{len(values)} buildings have a grade and {plan.least_px} pixels, for "
            f"{len(plan.features)} features; give more tiles"
        )
    return RegressionArchitecture(
        kind="building-regression",
        features=tuple(
            FeatureScale(
                name=name,
                mean=round(float(np.nanmean(column)), 6),
                std=round(max(float(np.nanstd(column)), 1e-6), 6),
            )
            for name, column in zip(plan.features, values.T, strict=True)
        ),
        limit=plan.limit,
        neighbours_px=plan.neighbours_px,
        neighbours_share=plan.neighbours_share,
        least_px=plan.least_px,
        damaged=empty,
        minor=empty,
        destroyed=empty,
    )


def held_out(plan: GradingPlan, lesson: Lesson) -> Float64Array:
    """Return the logits of each building by regressions that left out its block, (n, 3)."""
    _, block = np.unique(lesson.blocks, return_inverse=True)
    found = np.zeros((len(lesson.grades), 3))
    for number in range(plan.folds):
        out = block % plan.folds == number
        if out.any():
            fitted = fit_logits(lesson.part(~out), plan.strength)
            found[out] = with_ones(lesson.design[out]) @ fitted.T
    return found


def _calibrate(plan: GradingPlan, lesson: Lesson) -> tuple[float, float]:
    """Return the temperature, and the calibration error of damaged with it, on left out blocks."""
    logits = held_out(plan, lesson)[:, 0]
    damaged = lesson.grades >= DAMAGED_FROM
    weights = balanced(damaged)
    found = minimize_scalar(
        lambda power: log_loss(logits / np.exp(power), damaged, weights),
        bounds=(-3.0, 3.0),
        method="bounded",
    )
    warmth = float(np.exp(found.x))
    return warmth, Reliability.of(expit(logits / warmth), damaged).ece


def _slot(plan: GradingPlan, phase: InputPhase) -> CardInput:
    return CardInput(
        name=phase.value,
        phase=phase,
        sensors=plan.card.sensors,
        bands=BANDS,
        units=Physical.BRIGHTNESS,
    )
