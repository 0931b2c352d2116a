"""models/README.md: its commands run, and its scores are those of the cards."""

from pathlib import Path

import pytest

from models.cards.registry import find
from tests.pages import read, run_commands

PAGE = "models/README.md"


@pytest.mark.flow
@pytest.mark.data
def test_every_command_runs_and_prints_what_is_shown(data_dir: Path, tmp_path: Path) -> None:
    run_commands(PAGE, folder=tmp_path, data=data_dir)


def test_the_scores_of_the_networks_are_those_of_their_cards() -> None:
    """`aftermap models NAME` prints the cards, and `test_shipped_scores` measures them."""
    flood = find("flood-s1s2").card
    assert flood.training is not None
    columns: dict[str | None, dict[str, float]] = {"test": {}, flood.training.left_out: {}}
    for score in flood.scores:
        if score.split in columns and score.measure == "iou":
            columns[score.split][score.metric.rpartition(" from ")[2]] = score.value
    test, left_out = columns.values()
    rows = [f"| {images} | {iou:.3f} | {left_out[images]:.3f} |" for images, iou in test.items()]
    assert len(rows) == 7
    assert "\n".join(rows) in read(PAGE)
    for name in ("water-multispectral", "flood-rgb"):
        assert f"an IoU of {headline(name):.3f}" in read(PAGE).replace("\n", " ")


def headline(name: str) -> float:
    """Return the IoU over all folds or, where there was one training, over what it left out."""
    scores = [score for score in find(name).card.scores if score.measure == "iou"]
    folds = [score.value for score in scores if score.trainings_differ_in == "fold"]
    return [*folds, scores[0].value][0]
