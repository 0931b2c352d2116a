import numpy as np
import pytest

from flows.reports.progress import QuietProgress
from models.cards.card import read_card
from models.cards.registry import CardRef, find
from models.damage.regression import regression_of
from models.datasets.xbd import open_xbd
from models.errors import DataInvalid, TrainingInvalid
from models.evaluation.evaluate import evaluate_damage
from models.inference.model import load_model
from models.training.config import is_regression_config, read_regression_config
from models.training.train_regression import (
    cross_validated,
    fit_card,
    fit_logits,
    held_out_logits,
    measure_tile,
    predict_tile,
    train_regression,
    training_buildings,
)
from tests.benchmarks.learning_curve import PLAN
from tests.models.damage.made import plan, town, write_xbd

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("xbd")
    for seed in (1, 2):
        write_xbd(root, f"made-storm_0000000{seed}", town(seed))
    return root


@pytest.fixture(scope="module")
def settings(root):
    return plan(root)


@pytest.fixture(scope="module")
def tiles(root, settings):
    labelled = open_xbd(root)
    return [measure_tile(labelled[index], settings) for index in range(2)]


def test_a_card_is_written_with_cross_validated_scores(root, tmp_path):
    card = train_regression(plan(root), out=tmp_path / "new", progress=QuietProgress())
    assert read_card(tmp_path / "new" / "card.json") == card
    assert card.trained_on == "xBD, 96 graded buildings of made-storm_00000001, made-storm_00000002"
    assert {score.split for score in card.scores} == {"made-storm_00000001", "made-storm_00000002"}
    assert all(score.trainings_differ_in == "fold" for score in card.scores)
    aucs = [score.value for score in card.scores if score.measure == "auc_damaged"]
    assert min(aucs) > 0.95
    for entry, image in zip(card.inputs, open_xbd(root)[0].images, strict=True):
        assert [band.mean for band in entry.training_statistics] == pytest.approx(
            image.mean(axis=(1, 2)).tolist(), rel=0.05
        )


def test_the_same_plan_gives_the_same_numbers(settings, tiles):
    assert fit_card(settings, tiles) == fit_card(settings, tiles)


def test_an_unclassified_building_is_a_neighbour_and_not_fitted_to(settings, tiles):
    card = fit_card(settings, tiles)
    buildings = training_buildings(settings, regression_of(card), tiles)
    assert len(buildings.grades) == sum((tile.grades < 255).sum() for tile in tiles) == 96


def test_a_held_out_block_is_not_fitted_to(settings, tiles):
    buildings = training_buildings(settings, regression_of(fit_card(settings, tiles)), tiles)
    changed = buildings.grades.copy()
    _, block = np.unique(buildings.blocks, return_inverse=True)
    out = block % settings.folds == 1
    # Damaged stays damaged, so that every question still has both answers elsewhere.
    changed[out] = np.where(changed[out] < 3, 4, 1)
    other = type(buildings)(buildings.design, changed, buildings.blocks)
    one, two = (held_out_logits(settings, each) for each in (buildings, other))
    np.testing.assert_allclose(one[out], two[out])
    assert not np.allclose(one[~out], two[~out])


def test_the_scores_are_those_of_evaluate(root, settings, tiles, tmp_path):
    card = fit_card(settings, tiles[:1])
    grader = load_model(CardRef(card, tmp_path), "grades")
    labelled = open_xbd(root, "00000002")
    done = evaluate_damage(grader, labelled, split="00000002", progress=QuietProgress())
    found = predict_tile(card, tiles[1])
    np.testing.assert_allclose(done.buildings.probabilities, found.probabilities, atol=1e-6)
    scores = {s.measure: s.value for s in cross_validated(settings, tiles) if s.split.endswith("2")}
    assert done.as_json()["auc_damaged"] == pytest.approx(scores["auc_damaged"], abs=1e-4)
    assert done.as_json()["ece"] == pytest.approx(scores["ece"], abs=1e-3)


def test_too_few_of_a_grade_is_one_sentence(settings, tiles):
    tile = tiles[0]
    grades = np.where(tile.grades == 4, 3, tile.grades).astype(np.uint8)
    buildings = training_buildings(settings, regression_of(fit_card(settings, tiles)), tiles[:1])
    one_grade = type(buildings)(
        buildings.design, np.where(buildings.grades == 4, 3, buildings.grades), buildings.blocks
    )
    with pytest.raises(TrainingInvalid, match=r"0 of \d+ buildings have the worse of two grades"):
        fit_logits(one_grade.design, one_grade.grades, settings.strength)
    nothing = type(tile)(tile.name, tile.measured, np.full_like(grades, 255))
    with pytest.raises(
        DataInvalid, match="0 buildings have a grade and 30 pixels, for 24 features"
    ):
        fit_card(settings, [nothing])


def test_a_plan_says_which_field_is_wrong(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('kind = "building-regression"\nroot = "x"\nfeatures = ["colour"]\n')
    assert is_regression_config(path)
    with pytest.raises(TrainingInvalid, match=r"plan\.toml: card: Field required"):
        read_regression_config(path)
    path.write_text("kind = [")
    with pytest.raises(TrainingInvalid, match="cannot be read as TOML"):
        read_regression_config(path)
    assert not is_regression_config(tmp_path / "none.toml")


@pytest.mark.data
def test_the_shipped_regression_is_that_of_its_plan_and_its_scores_are_measured_again(data_dir):
    settings = read_regression_config(PLAN, root=data_dir / "joplin_xbd")
    labelled = open_xbd(settings.root)
    tiles = [measure_tile(labelled[index], settings) for index in range(2)]
    card = find("damage-features").card
    again = regression_of(fit_card(settings, tiles))
    shipped = regression_of(card)
    for name in ("damaged", "minor", "destroyed"):
        one, two = getattr(shipped, name), getattr(again, name)
        np.testing.assert_allclose(one.coefficients, two.coefficients, atol=1e-3)
        assert one.intercept == pytest.approx(two.intercept, abs=1e-3)
    measured = {(s.split, s.measure): s.value for s in cross_validated(settings, tiles)}
    assert {(s.split, s.measure): s.value for s in card.scores} == pytest.approx(measured, abs=2e-3)
