"""Whether two graders together are better than each.

`python -m tests.benchmarks.blended_graders ROOT MODEL TRAINED NEW` takes tiles of xBD under ROOT,
one that MODEL, a network, was trained on and a new one, and scores the network, a regression
trained on the same tile, and blends of their probabilities.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from geo.types import Float64Array
from models.cards.inputs import UNCLASSIFIED
from models.cards.registry import find
from models.damage.grader import Grader
from models.datasets.xbd import DamageTile, open_xbd
from models.evaluation.metrics import BuildingPredictions
from models.inference.model import load_model
from models.training.config import RegressionConfig, read_regression_config
from models.training.train_regression import fit_card, measure_tile, predict_tile
from tests.benchmarks.learning_curve import PLAN

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the network; 0 is the regression by itself."""
_EVEN = 0.25
"""A grade of four that is not known."""


def blends(
    plan: RegressionConfig, network: Grader, *, trained_on: DamageTile, new: DamageTile
) -> Iterator[tuple[float, BuildingPredictions]]:
    """Yield the grades of a new tile for each of `SHARES`.

    Probabilities are averaged; a building that one of them has no answer for is even in that.

    Args:
        plan: of the regression.
        network: trained on the same tile.
        trained_on: of both.
        new: to both.

    Raises:
        TrainingInvalid: where the tile has too few buildings of a grade.
    """
    parent = fit_card(plan, [measure_tile(trained_on, plan)])
    regression = predict_tile(parent, measure_tile(new, plan))
    answers = network.grade(*new.images, new.buildings, count=len(new.polygons))
    theirs = _even(answers[new.grades != UNCLASSIFIED].astype(np.float64))
    for share in SHARES:
        mixed = share * theirs + (1 - share) * _even(regression.probabilities)
        yield share, BuildingPredictions(regression.labels, mixed)


def _even(probabilities: Float64Array) -> Float64Array:
    return np.nan_to_num(probabilities, nan=_EVEN)


def main(root: str, model: str, trained: str, new: str) -> None:
    """Write the scores as CSV to stdout.

    Args:
        root: folder of xBD.
        model: name or folder of the network.
        trained: tile that it was trained on.
        new: tile that it did not.
    """
    network = load_model(find(model, extra=None), "grades", device="cpu")
    tiles = [open_xbd(Path(root), name)[0] for name in (trained, new)]
    plan = read_regression_config(PLAN, root=Path(root))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("share_of_network", "auc_damaged", "macro_f1_two", "macro_f1_four", "ece"))
    for share, found in blends(plan, network, trained_on=tiles[0], new=tiles[1]):
        scores = (*list(found.scores.values())[:3], found.ece)
        writer.writerow((share, *(f"{score:.3f}" for score in scores)))


if __name__ == "__main__":
    main(*sys.argv[1:])
