"""A regression on buildings, fitted to the features of graded tiles, calibrated on blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.raster.classify import Finding
from geo.types import BoolArray, CodeArray, Float64Array, IntArray
from models.cards.architecture import FeatureScale, Logit, RegressionArchitecture
from models.cards.card import Calibration, CardClass, ModelCard, TemperatureParameters
from models.cards.inputs import UNCLASSIFIED, CardInput, InputPhase, Physical, Task
from models.damage.features import FeatureTable, QuantityPair, measure
from models.damage.grades import DAMAGED_FROM
from models.damage.regression import balanced, fit_logistic, log_loss, standardised
from models.datasets.xbd import BANDS, DamageTile
from models.errors import DataInvalid, TrainingInvalid
from models.evaluation.metrics import Reliability
from models.training.config import RegressionConfig

_LEAST_OF_AN_ANSWER = 2
"""Buildings of each answer of a logit, for it to be fitted."""


@dataclass(frozen=True, eq=False)
class GradedTile:
    """The features of the buildings of one tile, and their grades."""

    name: str
    measured: FeatureTable
    grades: CodeArray
    """(buildings,) 1 to 4; 255 un-classified: not fitted to, but a neighbour of others."""


@dataclass(frozen=True, eq=False)
class TrainingBuildings:
    """Buildings with features and a grade, as the logits take them."""

    design: Float64Array
    """(buildings, features)."""
    grades: CodeArray
    blocks: IntArray
    """Which block of which tile each lies in."""

    def part(self, chosen: BoolArray) -> "TrainingBuildings":
        """Return some of the buildings."""
        return TrainingBuildings(self.design[chosen], self.grades[chosen], self.blocks[chosen])


def measure_tile(tile: DamageTile, config: RegressionConfig) -> GradedTile:
    """Return the features of a tile's buildings."""
    pair = QuantityPair.of(*tile.images, tile.buildings, count=len(tile.polygons))
    return GradedTile(tile.name, measure(pair, config.features), tile.grades)


def fit_card(config: RegressionConfig, tiles: Sequence[GradedTile]) -> ModelCard:
    """Return the card of a regression on tiles, without scores.

    Raises:
        DataInvalid: where no building has both features and a grade.
        TrainingInvalid: where there are too few buildings of a grade.
    """
    blank = _without_logits(config, tiles)
    buildings = training_buildings(config, blank, tiles)
    temperature, ece = _calibrate(config, buildings)
    fitted = [_as_logit(row) for row in fit_logits(buildings, config.strength)]
    named = dict(zip(("damaged", "minor", "destroyed"), fitted, strict=True))
    where = f"xBD, blocks of {config.block_px} px left out of {', '.join(t.name for t in tiles)}"
    return ModelCard(
        **config.card.model_dump(exclude={"sensors"}),
        task=Task.DAMAGE,
        architecture=RegressionArchitecture.model_validate(dict(blank) | named),
        inputs=tuple(_input(config, phase) for phase in (InputPhase.BEFORE, InputPhase.AFTER)),
        classes=(CardClass(name=Finding.DAMAGED, threshold=0.5),),
        trained_on=f"xBD, {len(buildings.grades)} graded buildings of "
        f"{', '.join(tile.name for tile in tiles)}",
        tested_on="nothing yet",
        calibration=Calibration(
            method="temperature",
            parameters=TemperatureParameters(temperature=(round(temperature, 4),)),
            fitted_on=where,
            ece=round(ece, 4),
        ),
    )


def training_buildings(
    config: RegressionConfig, architecture: RegressionArchitecture, tiles: Sequence[GradedTile]
) -> TrainingBuildings:
    """Return the buildings of tiles that have features and a grade.

    Raises:
        DataInvalid: where there is none.
    """
    parts = []
    for number, tile in enumerate(tiles):
        design = standardised(architecture, tile.measured)
        fit = np.isfinite(design).all(axis=1) & (tile.grades != UNCLASSIFIED)
        rows, cols = (tile.measured.centres[fit] // config.block_px).astype(np.int64).T
        parts.append(
            TrainingBuildings(design[fit], tile.grades[fit], (number * 1000 + rows) * 1000 + cols)
        )
    if not sum(len(part.grades) for part in parts):
        raise DataInvalid(
            f"no building of the tiles has a grade and at least {architecture.least_px} pixels "
            "that were observed before and after; give other tiles"
        )
    columns = zip(*((part.design, part.grades, part.blocks) for part in parts), strict=True)
    return TrainingBuildings(*(np.concatenate(column) for column in columns))


def fit_logits(buildings: TrainingBuildings, strength: float) -> Float64Array:
    """Return intercept and coefficients of damaged, minor and destroyed, (3, 1 + features).

    Both answers of a logit count alike, whatever their number.

    Raises:
        TrainingInvalid: where too few buildings are of one answer.
    """
    return np.stack(
        [
            _fit_logit(buildings.design[rows], yes, strength)
            for rows, yes in logit_answers(buildings.grades)
        ]
    )


def logit_answers(grades: CodeArray) -> tuple[tuple[BoolArray, BoolArray], ...]:
    """Return, for damaged, minor and destroyed, its buildings and which of these are positive."""
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


def _fit_logit(design: Float64Array, positive: BoolArray, strength: float) -> Float64Array:
    yes = int(positive.sum())
    if min(yes, len(positive) - yes) < _LEAST_OF_AN_ANSWER:
        raise TrainingInvalid(
            f"{yes} of {len(positive)} buildings have the worse of two grades that a logit tells "
            f"apart; give tiles with at least {_LEAST_OF_AN_ANSWER} of each grade"
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


def _without_logits(
    config: RegressionConfig, tiles: Sequence[GradedTile]
) -> RegressionArchitecture:
    """Return the architecture with the scales of the features and empty logits."""
    empty = Logit(intercept=0.0, coefficients=(0.0,) * len(config.features))
    graded = [tile.measured.values[tile.grades != UNCLASSIFIED] for tile in tiles]
    known = [tile.measured.pixels[tile.grades != UNCLASSIFIED] >= config.least_px for tile in tiles]
    values = np.concatenate([rows[fit] for rows, fit in zip(graded, known, strict=True)])
    if len(values) < len(config.features):
        raise DataInvalid(
            f"{len(values)} buildings have a grade and {config.least_px} pixels, for "
            f"{len(config.features)} features; give more tiles"
        )
    return RegressionArchitecture(
        kind="building-regression",
        features=tuple(
            FeatureScale(
                name=name,
                mean=round(float(np.nanmean(column)), 6),
                std=round(max(float(np.nanstd(column)), 1e-6), 6),
            )
            for name, column in zip(config.features, values.T, strict=True)
        ),
        limit=config.limit,
        neighbours_px=config.neighbours_px,
        neighbours_share=config.neighbours_share,
        least_px=config.least_px,
        damaged=empty,
        minor=empty,
        destroyed=empty,
    )


def held_out_logits(config: RegressionConfig, buildings: TrainingBuildings) -> Float64Array:
    """Return the logits of each building by fits without its block, (n, 3)."""
    _, block = np.unique(buildings.blocks, return_inverse=True)
    found = np.zeros((len(buildings.grades), 3))
    for number in range(config.folds):
        out = block % config.folds == number
        if out.any():
            fitted = fit_logits(buildings.part(~out), config.strength)
            found[out] = with_ones(buildings.design[out]) @ fitted.T
    return found


def _calibrate(config: RegressionConfig, buildings: TrainingBuildings) -> tuple[float, float]:
    """Return the temperature, and the calibration error of damaged with it, on held-out blocks."""
    logits = held_out_logits(config, buildings)[:, 0]
    damaged = buildings.grades >= DAMAGED_FROM
    weights = balanced(damaged)
    found = minimize_scalar(
        lambda power: log_loss(logits / np.exp(power), damaged, weights),
        bounds=(-3.0, 3.0),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    return temperature, Reliability.of(expit(logits / temperature), damaged).ece


def _input(config: RegressionConfig, phase: InputPhase) -> CardInput:
    return CardInput(
        name=phase.value,
        phase=phase,
        sensors=config.card.sensors,
        bands=BANDS,
        units=Physical.BRIGHTNESS,
    )
