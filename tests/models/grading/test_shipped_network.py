"""The scores on the card of damage-vhr, measured again on the tile that it did not learn from."""

import numpy as np
import pytest
import torch

from flows.progress import QuietProgress
from models.damage_evaluation import evaluate_damage
from models.data.xbd import Xbd
from models.grading.grader import load_grader
from models.registry import find

torch.set_num_threads(1)
CLOSE = 0.005
NAME, OTHER_TILE = "damage-vhr", "00000002"


@pytest.mark.data
def test_the_network_is_worth_what_its_card_says(data_dir):
    ref = find(NAME)
    scores = [score for score in ref.card.scores if score.trainings_differ_in is None]
    assert {score.split for score in scores} == {OTHER_TILE}
    labelled = Xbd.open(data_dir / "joplin_xbd", OTHER_TILE)
    grader = load_grader(ref, device="cpu")
    done = evaluate_damage(grader, labelled, progress=QuietProgress()).as_json()
    for score in scores:
        assert done[score.measure] == pytest.approx(score.value, abs=CLOSE), score.metric
        assert done["n"] == score.n


def test_it_answers_where_both_dates_were_seen_and_only_there():
    grader = load_grader(find(NAME), device="cpu")
    before, after = np.random.default_rng(1).uniform(0, 255, (2, 3, 70, 130)).astype(np.float32)
    after[1, :5] = np.nan
    answer = grader.probabilities(before, after)
    assert np.isnan(answer[:, :5]).all()
    assert ((answer[:, 5:] >= 0) & (answer[:, 5:] <= 1)).all()
    # So bad or worse: none of them is likelier than the one before.
    assert (np.diff(answer[1:, 5:], axis=0) <= 0).all()


def test_its_card_says_that_it_learned_from_one_tornado():
    assert "one tornado" in find(NAME).card.limits[0]
