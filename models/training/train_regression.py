"""A regression on buildings from its plan to the card on the disk, with its scores."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from geo.store.atomic_io import make_folder, replace_file, writing
from geo.types import Float64Array, FloatArray
from models.cards.card import CARD_NAME, ModelCard, Score, card_bytes
from models.cards.inputs import UNCLASSIFIED, BandStatistics
from models.cards.training_record import Training
from models.damage.regression import grades_of, logits, regression_of, standardised
from models.datasets.base import data_digest
from models.datasets.xbd import DamageTiles, open_xbd
from models.evaluation.damage_metrics import BuildingPredictions
from models.inference.windows import ProgressReceiver
from models.training.fit_regression import GradedTile, GradingPlan, fit_card, measure_tile

_LIBRARIES = ("numpy", "scipy")
_METRICS = {
    "auc_damaged": "AUC of major damage or destroyed against the rest",
    "macro_f1_two": "Macro F1 of the same two",
    "macro_f1_four": "Macro F1 of the four grades",
    "accuracy_buildings": "Accuracy of the four grades",
    "ece": "Expected calibration error of major damage or destroyed",
}


def train_grader(plan: GradingPlan, *, out: Path, progress: ProgressReceiver) -> ModelCard:
    """Fit a regression to all tiles of a plan, score it tile by tile, and write its card.

    Raises:
        DataInvalid: where the data cannot be read, or no building can be learned from.
        TrainingInvalid: where there are too few buildings of a grade.
        StoreError: where `out` cannot be written.
    """
    started = time.monotonic()
    labelled = open_xbd(plan.root, plan.split)
    tiles, seen = _read(plan, labelled, progress)
    draft = fit_card(plan, tiles)
    several = len(tiles) > 1
    fields = {
        "inputs": tuple(
            entry.model_copy(
                update={"training_statistics": _bands([images[number] for images in seen])}
            )
            for number, entry in enumerate(draft.inputs)
        ),
        "tested_on": "each tile in turn, with a regression on the others" if several else "nothing",
        "scores": crossed_scores(plan, tiles) if several else (),
        "training": _training(plan, labelled, started),
    }
    card = ModelCard.model_validate(dict(draft) | fields)
    with writing(out):
        make_folder(out.absolute())
        replace_file(out / CARD_NAME, card_bytes(card))
    return card


def crossed_scores(plan: GradingPlan, tiles: Sequence[GradedTile]) -> tuple[Score, ...]:
    """Return the scores on each tile of a regression that learned from the others.

    Raises:
        DataInvalid, TrainingInvalid: see `fit_card`.
    """
    scores = []
    for tile in tiles:
        others = [other for other in tiles if other is not tile]
        found = graded(fit_card(plan, others), tile)
        values = {**found.scores, "ece": found.ece}
        scores += [_score(tile, others, name, value) for name, value in values.items()]
    return tuple(score for score in scores if score is not None)


def graded(card: ModelCard, tile: GradedTile) -> BuildingPredictions:
    """Return what a regression says of the graded buildings of a tile."""
    architecture = regression_of(card)
    probabilities = grades_of(
        logits(card, architecture, standardised(architecture, tile.measured))
    ).astype(np.float64)
    known = tile.grades != UNCLASSIFIED
    return BuildingPredictions(tile.grades[known], probabilities[known])


def _read(
    plan: GradingPlan, labelled: DamageTiles, progress: ProgressReceiver
) -> tuple[list[GradedTile], list[tuple[Float64Array, ...]]]:
    """Return the features of all tiles, and statistics of their images before and after."""
    tiles, seen = [], []
    progress.start("labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            tile = labelled[index]
            tiles.append(measure_tile(tile, plan))
            seen.append(tuple(_statistics(image) for image in tile.images))
            progress.advance(1)
    finally:
        progress.finish()
    return tiles, seen


def _score(
    tile: GradedTile, others: Sequence[GradedTile], measure: str, value: float | None
) -> Score | None:
    if value is None:
        return None
    rounded = round(value, 4)
    return Score.model_validate(
        {
            "dataset": "xBD",
            "split": tile.name,
            "metric": f"{_METRICS[measure]}, per building in the labels' footprints, learned from "
            f"{', '.join(other.name for other in others)} alone",
            "value": rounded,
            "n": 1,
            "measure": measure,
            "trainings": (rounded,),
            "trainings_differ_in": "fold",
        }
    )


def _statistics(image: FloatArray) -> Float64Array:
    """Return mean, mean square and percentiles of the bands of an image, (3, 5)."""
    values = image[:, np.isfinite(image).all(axis=0)].astype(np.float64)
    spread = np.percentile(values, (1, 50, 99), axis=1)
    return np.stack([values.mean(axis=1), (values**2).mean(axis=1), *spread], axis=1)


def _bands(tiles: Sequence[Float64Array]) -> tuple[BandStatistics, ...]:
    """Return the statistics of the bands, the mean over tiles."""
    return tuple(
        BandStatistics(
            mean=round(mean, 3),
            std=round(float(np.sqrt(max(square - mean**2, 1e-6))), 3),
            percentiles=(round(low, 1), round(middle, 1), round(high, 1)),
        )
        for mean, square, low, middle, high in np.mean(tiles, axis=0).tolist()
    )


def _training(plan: GradingPlan, labelled: DamageTiles, started: float) -> Training:
    return Training(
        config_sha256=plan.digest,
        data_sha256=data_digest(labelled),
        seed=0,
        epochs=1,
        tiles=len(labelled),
        libraries=tuple(f"{name} {version(name)}" for name in _LIBRARIES),
        device="cpu",
        wall_s=round(time.monotonic() - started, 1),
    )
