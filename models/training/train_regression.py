"""A regression on buildings, from its config to its card with scores, which is written."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from geo.store.atomic_io import make_folder, replace_file, writing
from models.cards.card import CARD_NAME, ModelCard, Score, Training, card_bytes
from models.cards.inputs import UNCLASSIFIED
from models.damage.regression import grades_of, logits, regression_of, standardised
from models.datasets.base import data_digest
from models.datasets.statistics import band_statistics
from models.datasets.xbd import DamageTiles, building_pixels, open_xbd
from models.evaluation.damage_metrics import BuildingPredictions
from models.inference.windows import ProgressReceiver
from models.training.config import RegressionConfig
from models.training.fit_regression import GradedTile, fit_card, measure_tile

_LIBRARIES = ("numpy", "scipy")
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
    tiles = _measured(config, labelled, progress)
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
    """Return the scores on each tile of a regression that was fitted to the others.

    Raises:
        DataInvalid, TrainingInvalid: see `fit_card`.
    """
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


def _measured(
    config: RegressionConfig, labelled: DamageTiles, progress: ProgressReceiver
) -> list[GradedTile]:
    """Return the features of all tiles."""
    tiles = []
    progress.start("labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            tiles.append(measure_tile(labelled[index], config))
            progress.advance(1)
    finally:
        progress.finish()
    return tiles


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
        libraries=tuple(f"{name} {version(name)}" for name in _LIBRARIES),
        device="cpu",
        wall_s=round(time.monotonic() - started, 1),
    )
