"""A regression on buildings: fitted to the features of graded tiles, calibrated and scored."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from geo.raster.classify import Finding
from geo.store.atomic_io import make_folder, replace_file, writing
from geo.types import BoolArray, CodeArray, Float64Array, IntArray
from models.cards.architecture import FeatureScale, Logit, RegressionArchitecture
from models.cards.card import (
    CARD_NAME,
    Calibration,
    CardClass,
    ModelCard,
    Score,
    TemperatureParameters,
    Training,
    card_bytes,
)
from models.cards.inputs import UNCLASSIFIED, CardInput, InputPhase, Physical, Task
from models.damage.features import FeatureTable, QuantityPair, measure
from models.damage.grader import DAMAGED_FROM
from models.damage.regression import (
    balanced,
    fit_logistic,
    grades_of,
    log_loss,
    logits,
    regression_of,
    standardised,
)
from models.datasets.base import band_statistics, data_digest
from models.datasets.xbd import BANDS, DamageTile, DamageTiles, building_pixels, open_xbd
from models.errors import DataInvalid, TrainingInvalid
from models.evaluation.metrics import BuildingPredictions, Reliability
from models.inference.windows import ProgressReceiver
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


def measure_tile(tile: DamageTile, config: RegressionConfig) -> GradedTile:
    """Return the features of the buildings of a tile."""
    pair = QuantityPair.of(*tile.images, tile.buildings, count=len(tile.polygons))
    return GradedTile(tile.name, measure(pair, config.features), tile.grades)


_METRICS = {
    "auc_damaged": "AUC of major damage or destroyed against the rest",
    "macro_f1_two": "Macro F1 of the same two",
    "macro_f1_four": "Macro F1 of the four grades",
    "accuracy_buildings": "Accuracy of the four grades",
    "ece": "Expected calibration error of major damage or destroyed",
}


def train_regression(
    config: RegressionConfig, *, out: Path, progress: ProgressReceiver
) -> ModelCard:
    """Fit a regression to all tiles of a config, score it tile by tile, and write its card.

    Raises:
        DataInvalid: where the data cannot be read, or no building can be fitted to.
        TrainingInvalid: where there are too few buildings of a grade.
        StoreError: where `out` cannot be written.
    """
    started = time.monotonic()
    labelled = open_xbd(config.root, config.split)
    tiles = []
    progress.start("labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            tiles.append(measure_tile(labelled[index], config))
            progress.advance(1)
    finally:
        progress.finish()
    draft = fit_card(config, tiles)
    statistics = band_statistics(draft.inputs, building_pixels(labelled), model=draft.name)
    several = len(tiles) > 1
    fields = {
        "inputs": tuple(
            entry.model_copy(update={"training_statistics": statistics[entry.name]})
            for entry in draft.inputs
        ),
        "tested_on": "each tile in turn, with a regression on the others" if several else "nothing",
        "scores": cross_validated(config, tiles) if several else (),
        "training": _training(config, labelled, started),
    }
    card = ModelCard.model_validate(dict(draft) | fields)
    with writing(out):
        make_folder(out.absolute())
        replace_file(out / CARD_NAME, card_bytes(card))
    return card


def cross_validated(config: RegressionConfig, tiles: Sequence[GradedTile]) -> tuple[Score, ...]:
    """Return the scores on each tile of a regression that was fitted to the others."""
    scores = []
    for tile in tiles:
        others = [other for other in tiles if other is not tile]
        predictions = predict_tile(fit_card(config, others), tile)
        values = {**predictions.scores, "ece": predictions.ece}
        scores += [
            _score(tile, others, name, value) for name, value in values.items() if value is not None
        ]
    return tuple(scores)


def predict_tile(card: ModelCard, tile: GradedTile) -> BuildingPredictions:
    """Return the predictions of a regression for the graded buildings of a tile."""
    architecture = regression_of(card)
    design = standardised(architecture, tile.measured)
    probabilities = grades_of(logits(card, architecture, design)).astype(np.float64)
    known = tile.grades != UNCLASSIFIED
    return BuildingPredictions(tile.grades[known], probabilities[known])


def _score(tile: GradedTile, others: Sequence[GradedTile], measure: str, value: float) -> Score:
    rounded = round(value, 4)
    names = ", ".join(other.name for other in others)
    return Score(
        dataset="xBD",
        split=tile.name,
        metric=f"{_METRICS[measure]}, per building in the labels' footprints, trained on {names} "
        "alone",
        value=rounded,
        n=1,
        measure=measure,
        trainings=(rounded,),
        trainings_differ_in="fold",
    )


def _training(config: RegressionConfig, labelled: DamageTiles, started: float) -> Training:
    return Training(
        config_sha256=config.digest,
        data_sha256=data_digest(labelled),
        seed=0,
        epochs=1,
        tiles=len(labelled),
        libraries=tuple(f"{name} {version(name)}" for name in ("numpy", "scipy")),
        device="cpu",
        wall_s=round(time.monotonic() - started, 1),
    )


def fit_card(config: RegressionConfig, tiles: Sequence[GradedTile]) -> ModelCard:
    """Return the card of a regression on tiles, without scores."""
    blank = _without_logits(config, tiles)
    buildings = training_buildings(config, blank, tiles)
    temperature, ece = _calibrate(config, buildings)
    rows = fit_logits(buildings.design, buildings.grades, config.strength).round(6).tolist()
    fitted = [Logit(intercept=row[0], coefficients=tuple(row[1:])) for row in rows]
    named = dict(zip(("damaged", "minor", "destroyed"), fitted, strict=True))
    where = f"xBD, blocks of {config.block_px} px left out of {', '.join(t.name for t in tiles)}"
    return ModelCard(
        **config.card.model_dump(exclude={"sensors"}),
        task=Task.DAMAGE,
        architecture=RegressionArchitecture.model_validate(dict(blank) | named),
        inputs=tuple(
            CardInput(
                name=phase.value,
                phase=phase,
                sensors=config.card.sensors,
                bands=BANDS,
                units=Physical.BRIGHTNESS,
            )
            for phase in (InputPhase.BEFORE, InputPhase.AFTER)
        ),
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
    """Return the buildings of tiles that have features and a grade."""
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


def fit_logits(design: Float64Array, grades: CodeArray, strength: float) -> Float64Array:
    """Return intercept and coefficients of damaged, minor and destroyed, (3, 1 + features)."""
    answers = logit_answers(grades)
    return np.stack([_fit_logit(design[rows], yes, strength) for rows, yes in answers])


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


def _without_logits(
    config: RegressionConfig, tiles: Sequence[GradedTile]
) -> RegressionArchitecture:
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
            fitted = fit_logits(buildings.design[~out], buildings.grades[~out], config.strength)
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
