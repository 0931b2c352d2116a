"""The scores on the cards, measured again on the labelled imagery that their pages name."""

from dataclasses import dataclass

import pytest

from flows.reports.progress import QuietProgress
from models.cards.card import Score
from models.cards.registry import CardRef, all_cards
from models.datasets.catalog import open_set
from models.evaluation.evaluate import evaluate, split_for
from models.evaluation.model_page import PLAN_NAME, SetPlan, read_plan
from models.inference.model import load_model
from tests.models.network_fixtures import shipped

CLOSE = 0.005


@dataclass(frozen=True)
class Said:
    """What a card says of one choice of the images of a set."""

    ref: CardRef
    part: SetPlan
    split: str
    drop: tuple[str, ...]
    scores: tuple[Score, ...]

    def __str__(self):
        images = f" without {', '.join(self.drop)}" if self.drop else ""
        return f"{self.ref.card.name} on {self.part.name} {self.split}{images}"


def said(ref):
    """Yield what a card says, but for what was measured with the weights of other folds."""
    plan = read_plan(ref.folder / PLAN_NAME)
    parts = {(part.name, split_for(ref.card, part.split)): part for part in plan.sets}
    scores = [score for score in ref.card.scores if score.trainings_differ_in != "fold"]
    for key in dict.fromkeys((s.dataset, s.split, s.drop) for s in scores):
        alike = tuple(s for s in scores if (s.dataset, s.split, s.drop) == key)
        yield Said(ref, parts[key[:2]], key[1], key[2], alike)


PAGES = [ref for ref in all_cards() if (ref.folder / PLAN_NAME).is_file()]


@pytest.mark.data
@pytest.mark.parametrize("row", [row for ref in PAGES for row in said(ref)], ids=str)
def test_a_shipped_model_is_worth_what_its_card_says(data_dir, row):
    root = data_dir / row.part.folder
    labelled = open_set(row.part.kind, root, split=row.split, options=row.part.options)
    model = load_model(row.ref, device="cpu")
    done = evaluate(model, labelled, drop=row.drop, progress=QuietProgress()).as_json()
    for score in row.scores:
        assert done[score.measure] == pytest.approx(score.value, abs=CLOSE), score.metric
        assert done["n"] == score.n


def test_every_shipped_network_has_scores_and_a_page_that_names_its_card():
    for ref in shipped():
        assert ref in PAGES, f"{ref.card.name} has no {PLAN_NAME}; see aftermap page --help"
        assert ref.card.scores


@pytest.mark.parametrize("ref", PAGES, ids=lambda ref: ref.card.name)
def test_a_page_is_that_of_the_card_beside_it_and_its_pictures_are_small(ref):
    text = (ref.folder / "README.md").read_text()
    again = f"run aftermap page --model {ref.card.name} again"
    assert (ref.card.weights_sha256 or "none") in text, again
    for score in ref.card.scores:
        # The card has four digits of what the page has three of.
        near = {f" {score.value + rest:.3f}" for rest in (-5e-5, 0, 5e-5)}
        assert any(value in text for value in near), again
    pictures = [path for path in ref.folder.iterdir() if path.suffix in {".png", ".jpg"}]
    assert pictures
    for path in pictures:
        assert f"]({path.name})" in text, f"{path.name} is on no page"
        assert path.stat().st_size < 200_000
