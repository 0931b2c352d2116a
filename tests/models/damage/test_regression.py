import json

import numpy as np
import pytest
from scipy.special import expit

from models.cards.card import ModelCard, card_bytes
from models.cards.registry import CardRef, find
from models.damage.features import FEATURES
from models.damage.regression import LOGITS, grades_of, logits, standardised
from models.datasets.xbd import open_xbd
from models.errors import CardInvalid, InputsMismatch
from models.inference.model import load_model
from models.training.train_regression import fit_card, measure_tile
from tests.models.damage.made import plan, town, write_xbd

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def tile(tmp_path_factory):
    root = tmp_path_factory.mktemp("xbd")
    return open_xbd(write_xbd(root, "made-storm_00000001", town(1)))[0]


@pytest.fixture(scope="module")
def grader(tile, tmp_path_factory):
    settings = plan(tmp_path_factory.mktemp("none"))
    card = fit_card(settings, [measure_tile(tile, settings)])
    return load_model(CardRef(card, tmp_path_factory.mktemp("card")), "grades")


def grade(grader, tile, **changes):
    before, after = tile.images
    given = {"before": before, "after": after, "buildings": tile.buildings} | changes
    return grader.grade(
        given["before"], given["after"], given["buildings"], count=len(tile.polygons)
    )


def test_every_building_has_four_probabilities(grader, tile):
    found = grade(grader, tile)
    assert found.dtype == np.float32
    assert found.shape == (len(tile.polygons), 4)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    known = tile.grades < 5
    assert (found.argmax(axis=1) + 1 == tile.grades)[known].mean() > 0.8


def test_contributions_sum_to_the_logits_that_the_probabilities_are_made_of(grader, tile):
    given = (*tile.images, tile.buildings)
    count = len(tile.polygons)
    three = logits(grader.card, grader.architecture, grader.design(*given, count=count))
    found = grade(grader, tile)
    for index in (0, 7, 20):
        terms = grader.explain(*given, count=count, index=index)
        sums = [
            terms.intercepts[name] + sum(f.contributions[name] for f in terms.features)
            for name in LOGITS
        ]
        np.testing.assert_allclose(sums, three[index], rtol=1e-9)
        np.testing.assert_allclose(list(terms.logits.values()), three[index], rtol=1e-9)
        assert len(terms.features) == len(grader.architecture.features)
        sizes = [abs(f.contributions["damaged"]) for f in terms.features]
        assert sizes == sorted(sizes, reverse=True)
    np.testing.assert_allclose(found[:, 2:].sum(axis=1), expit(three[:, 0]), atol=1e-6)


def test_an_explained_feature_has_its_value_in_both_images(grader, tile):
    """The value before is what the feature is where the image after is that before."""
    before, _ = tile.images
    given = {"count": len(tile.polygons), "index": 7}
    now = {f.feature: f for f in grader.explain(*tile.images, tile.buildings, **given).features}
    still = {f.feature: f for f in grader.explain(before, before, tile.buildings, **given).features}
    for name, feature in now.items():
        if FEATURES[name].compares:
            assert feature.before is None
        else:
            assert feature.before == pytest.approx(still[name].after)
        coefficient, value = feature.coefficients["damaged"], feature.standardised
        assert feature.contributions["damaged"] == pytest.approx(coefficient * value)
        assert feature.meaning


def test_a_building_too_small_or_not_seen_has_no_answer(grader, tile):
    buildings = tile.buildings.copy()
    rows, cols = np.nonzero(buildings == 3)
    buildings[rows[20:], cols[20:]] = 0
    before = tile.images[0].copy()
    before[:, buildings == 5] = np.nan
    found = grade(grader, tile, buildings=buildings, before=before)
    assert np.isnan(found[[2, 4]]).all()
    assert np.isfinite(np.delete(found, [2, 4], axis=0)).all()


def test_a_number_that_no_pixel_has_is_no_answer(grader, tile):
    before, after = tile.images
    found = grader.grade(before, after, tile.buildings, count=len(tile.polygons) + 2)
    assert np.isnan(found[-2:]).all()
    none = grader.grade(before, after, np.zeros_like(tile.buildings), count=0)
    assert none.shape == (0, 4)


def test_arrays_of_other_grids_are_an_error_with_both_sides(grader, tile):
    with pytest.raises(InputsMismatch, match=r"on one grid; there is \(3, 240, 240\), \(3, 9, 9\)"):
        grade(grader, tile, after=np.zeros((3, 9, 9), np.float32))


def test_without_their_share_neighbours_do_not_count(grader, tile):
    alone = grader.architecture.model_copy(update={"neighbours_share": 0.0})
    measured = measure_tile(tile, plan(tile.name)).measured
    own, mixed = (standardised(one, measured) for one in (alone, grader.architecture))
    assert np.abs(own).max() == alone.limit
    changed = measured.values.copy()
    changed[10] += 100
    other = type(measured)(changed, measured.pixels, measured.share_observed, measured.centres)
    moved = (standardised(grader.architecture, other) != mixed).any(axis=1)
    assert moved[9:12].all()
    assert not (standardised(alone, other) != own).any(axis=1)[9]


def test_probabilities_of_sure_logits_are_one_grade():
    three = np.array([[-50.0, -50, 0], [-50, 50, 0], [50, 0, -50], [50, 0, 50]])
    np.testing.assert_allclose(grades_of(three), np.eye(4), atol=1e-6)


def test_a_card_comes_back_from_its_file(grader):
    again = ModelCard.model_validate_json(card_bytes(grader.card))
    assert again == grader.card
    assert again.digest == grader.card.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "water"}, "a regression on buildings has the task damage|inputs of phase each"),
        ({"weights_sha256": "0" * 64}, "has every number on its card"),
        ({"classes": [{"name": "water", "threshold": 0.5}]}, "the task damage has the class"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(grader, tmp_path, change, said):
    fields = json.loads(card_bytes(grader.card)) | change
    (tmp_path / "card.json").write_text(json.dumps(fields))
    with pytest.raises(CardInvalid, match=said):
        find(tmp_path)


def test_coefficients_are_as_many_as_features(grader, tmp_path):
    fields = json.loads(card_bytes(grader.card))
    fields["architecture"]["minor"]["coefficients"].pop()
    (tmp_path / "card.json").write_text(json.dumps(fields))
    with pytest.raises(CardInvalid, match="23 coefficients, 24 features"):
        find(tmp_path)


def test_a_model_of_pixels_grades_nothing_and_the_reverse(grader, tmp_path):
    with pytest.raises(InputsMismatch, match="ndwi-water is for water and grades no buildings"):
        load_model(find("ndwi-water"), "grades")
    with pytest.raises(InputsMismatch, match="tiny-damage grades buildings and maps no pixels"):
        load_model(CardRef(grader.card, tmp_path))
