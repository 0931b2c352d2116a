"""How many labels of a new place a regression on buildings needs.

`python -m tests.benchmarks.learning_curve ROOT` takes for each tile of xBD under ROOT a regression
trained on the others, adapts it to so many labels of the tile, drawn by chance, and scores it on
the buildings of the tile that gave no label.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.adaptation.adapt import adapt_regression
from models.cards.card import ModelCard
from models.damage.regression import grades_of, logits, regression_of
from models.datasets.xbd import open_xbd
from models.errors import DataInvalid
from models.evaluation.metrics import BuildingPredictions
from models.inference.windows import NoProgress
from models.training.config import RegressionConfig, read_regression_config
from models.training.train_regression import (
    GradedTile,
    TrainingBuildings,
    fit_card,
    measure_tile,
    training_buildings,
)

LABELS = (0, 5, 20, 50, 100)
DRAWS = 10
LEAST_SCORED = 30
"""Buildings that must be left to score on."""
PLAN = Path(__file__).parents[2] / "models" / "training" / "damage-features.toml"


@dataclass(frozen=True)
class Point:
    """What so many labels of a tile are worth."""

    tile: str
    labels: int
    scored: int
    """Buildings that gave no label."""
    auc_damaged: tuple[float, ...]
    """By draw."""
    macro_f1_two: tuple[float, ...]
    macro_f1_four: tuple[float, ...]


def learning_curve(
    plan: RegressionConfig, tiles: Sequence[GradedTile], *, draws: int = DRAWS, seed: int = 0
) -> Iterator[Point]:
    """Yield the points of every tile, for those of `LABELS` that leave enough to score on.

    Raises:
        DataInvalid: where there is one tile only.
        TrainingInvalid: where the others have too few buildings of a grade.
    """
    if len(tiles) < 2:
        raise DataInvalid("a curve needs two tiles, one to learn from and one that is new")
    for tile in tiles:
        parent = fit_card(plan, [other for other in tiles if other is not tile])
        buildings = training_buildings(plan, regression_of(parent), [tile])
        chance = np.random.default_rng(seed)
        for labels in (n for n in LABELS if len(buildings.grades) - n >= LEAST_SCORED):
            orders = [
                chance.permutation(len(buildings.grades)) for _ in range(draws if labels else 1)
            ]
            found = [_scored(parent, buildings, order, labels) for order in orders]
            yield Point(
                tile=tile.name,
                labels=labels,
                scored=len(buildings.grades) - labels,
                auc_damaged=_known(found, "auc_damaged"),
                macro_f1_two=_known(found, "macro_f1_two"),
                macro_f1_four=_known(found, "macro_f1_four"),
            )


def _known(found: Sequence[BuildingPredictions], name: str) -> tuple[float, ...]:
    return tuple(score for each in found if (score := each.scores[name]) is not None)


def _scored(
    parent: ModelCard, buildings: TrainingBuildings, order: npt.NDArray[np.integer], labels: int
) -> BuildingPredictions:
    """Return what a regression says of the buildings that gave no label."""
    known, rest = order[:labels], order[labels:]
    card = parent
    if labels:
        card, _ = adapt_regression(
            parent, buildings.design[known], buildings.grades[known], NoProgress()
        )
    three = logits(card, regression_of(card), buildings.design[rest])
    return BuildingPredictions(buildings.grades[rest], grades_of(three).astype(np.float64))


def main(root: str) -> None:
    """Write the curve as CSV to stdout: mean and standard deviation over the draws."""
    plan = read_regression_config(PLAN, root=Path(root))
    labelled = open_xbd(plan.root, plan.split)
    tiles = [measure_tile(labelled[index], plan) for index in range(len(labelled))]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    measures = ("auc_damaged", "macro_f1_two", "macro_f1_four")
    heads = (f"{name}{of}" for name in measures for of in ("", "_deviation"))
    writer.writerow(("tile", "labels", "scored", "draws", *heads))
    for point in learning_curve(plan, tiles):
        each = [getattr(point, name) for name in measures]
        numbers = [f"{of(values):.3f}" for values in each for of in (np.mean, np.std)]
        writer.writerow((point.tile, point.labels, point.scored, len(each[0]), *numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
