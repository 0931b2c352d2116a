from dataclasses import dataclass

import numpy as np
import pytest

from models.cards.card import ModelCard
from models.cards.inputs import UNCLASSIFIED
from models.datasets.xbd import open_xbd
from models.training.train_regression import fit_card, measure_tile, predict_tile
from tests.benchmarks.blended_graders import SHARES, blends
from tests.models.damage.made import plan, town, write_xbd

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@dataclass(frozen=True, eq=False)
class Oracle:
    """A network that knows every grade, but not that of the last building."""

    card: ModelCard
    answers: np.ndarray

    def grade(self, before, after, buildings, *, count):
        assert count == buildings.max() == len(self.answers)
        return self.answers


def test_a_blend_goes_from_the_regression_to_the_network(tmp_path):
    for seed in (1, 2):
        write_xbd(tmp_path, f"made-storm_0000000{seed}", town(seed, chance=1.0))
    settings, labelled = plan(tmp_path), open_xbd(tmp_path)
    learned, new = labelled[0], labelled[1]
    truth = np.where(new.grades == UNCLASSIFIED, 1, new.grades)
    answers = np.eye(4, dtype=np.float32)[truth - 1]
    answers[-1] = np.nan
    card = fit_card(settings, [measure_tile(learned, settings)])
    found = dict(blends(settings, Oracle(card, answers), trained_on=learned, new=new))
    assert tuple(found) == SHARES
    alone = predict_tile(card, measure_tile(new, settings))
    assert found[0.0].scores["auc_damaged"] == alone.scores["auc_damaged"] < 1
    assert found[0.0].scores == alone.scores
    np.testing.assert_allclose(found[1.0].probabilities[:-1].max(axis=1), 1)
    np.testing.assert_allclose(found[1.0].probabilities[-1], 0.25)
    halves = (found[0.0].probabilities + found[1.0].probabilities) / 2
    np.testing.assert_allclose(found[0.5].probabilities, halves)
