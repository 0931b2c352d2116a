"""The network as a grader, with answers that are made; see test_graded_training for a real one."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import mean

from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.damage.grader import GRADES, Finder, Grader, graded_mask
from models.damage.network_grader import LEAST_PX, NetworkGrader, within
from models.errors import CardInvalid, InputsMismatch
from models.inference.model import load_model
from tests.models.conftest import network_card

SIZE = 96


def damage_card(**changes):
    inputs = [
        {"name": phase, "phase": phase, "sensors": ["vhr-rgb"], "bands": ["red", "green", "blue"],
         "units": "brightness 0-255", "mean": [100.0] * 3, "std": [50.0] * 3}
        for phase in ("before", "after")
    ]  # fmt: skip
    architecture = network_card()["architecture"] | {
        "in_channels": 6, "classes": 4, "availability_channels": False, "siamese": True,
    }  # fmt: skip
    names = ("building", "minor_damage", "damaged", "destroyed")
    classes = [{"name": name, "threshold": 0.5} for name in names]
    return network_card(
        task="damage", inputs=inputs, architecture=architecture, classes=classes,
        resolution_m=0.5, window_px=64, overlap_px=16, **changes,
    )  # fmt: skip


@dataclass
class Made:
    """Answers with what the images hold: red before is the building, after the grades."""

    card: ModelCard

    def probabilities(self, pixels):
        assert pixels.shape[1] == 6
        assert max(pixels.shape[2:]) <= self.card.window_px
        return np.clip((pixels[:, [0, 3, 4, 5]] * 50 + 100) / 255, 0, 1).astype(np.float32)


@pytest.fixture
def grader():
    return NetworkGrader(Made(ModelCard.model_validate(damage_card())))


@pytest.fixture
def scene():
    """Before, after, and three buildings, the last of which is too small to grade."""
    rng = np.random.default_rng(2)
    before, after = (rng.uniform(0, 255, (3, SIZE, SIZE)).astype(np.float32) for _ in range(2))
    buildings = np.zeros((SIZE, SIZE), np.int32)
    buildings[5:25, 5:30], buildings[50:70, 60:90] = 1, 2
    buildings[90, : LEAST_PX - 1] = 3
    return before, after, buildings


def reached(after):
    """What the made network says of grades, so bad or worse, never rising."""
    return np.minimum.accumulate(after / 255, axis=0)


def test_it_is_a_grader_and_a_finder(grader):
    named: Grader = grader
    assert isinstance(named, Finder)


def test_a_building_has_the_mean_of_its_pixels(grader, scene):
    before, after, buildings = scene
    grades = grader.grade(before, after, buildings, count=4)
    assert grades.dtype == np.float32
    steps = np.concatenate([np.ones((1, SIZE, SIZE)), reached(after), np.zeros((1, SIZE, SIZE))])
    for column, pixels in enumerate(-np.diff(steps, axis=0)):
        wanted = mean(pixels, buildings, [1, 2])
        np.testing.assert_allclose(grades[:2, column], wanted, atol=1e-4)
    np.testing.assert_allclose(grades[:2].sum(axis=1), 1, atol=1e-5)
    assert (grades[:2] >= 0).all()
    # Too small, and not there at all.
    assert np.isnan(grades[2:]).all()


def test_windows_leave_no_seam(grader, scene):
    before, after, _ = scene
    answer = grader.probabilities(before, after)
    np.testing.assert_allclose(answer[0], before[0] / 255, atol=1e-5)
    np.testing.assert_allclose(answer[1:], reached(after), atol=1e-5)


def test_what_was_not_seen_on_both_dates_is_no_building_and_has_no_grade(grader, scene):
    before, after, buildings = scene
    before[0], after[0, 5:20] = 255, np.nan
    before[2, 50:52] = np.nan
    grades = grader.grade(before, after, buildings, count=3)
    assert np.isnan(grades[0]).all()
    assert np.isfinite(grades[1]).all()
    answer = grader.probabilities(before, after)
    assert (np.isnan(answer).all(axis=0) == np.isnan(answer).any(axis=0)).all()
    unseen = np.isnan(answer[0])
    assert unseen[5:20].all()
    assert unseen[50:52].all()
    assert unseen.sum() == 17 * SIZE
    assert not graded_mask(grader.card, answer)[unseen].any()


def test_a_mask_has_the_worst_grade_that_is_likelier_than_not(grader):
    before = np.zeros((3, 40, 50), np.float32)
    before[0, :, 10:] = 255
    after = np.zeros_like(before)
    for grade in range(4):
        after[:grade, :, 10 + 10 * grade :] = 200
    mask = graded_mask(grader.card, grader.probabilities(before, after))
    assert mask.dtype == np.uint8
    assert [np.unique(mask[:, col : col + 10]).tolist() for col in range(0, 50, 10)] == [
        [0], [1], [2], [3], [4],
    ]  # fmt: skip
    assert len(GRADES) == 4


def test_a_share_of_one_half_must_be_seen():
    buildings = np.ones((10, 10), np.int32)
    for unseen, answered in ((4, True), (6, False)):
        answer = np.full((3, 10, 10), 0.5, np.float32)
        answer[:, :unseen] = np.nan
        assert np.isfinite(within(answer, buildings, count=1)).all() == answered


def test_images_of_other_shapes_are_refused(grader, scene):
    before, after, buildings = scene
    with pytest.raises(InputsMismatch, match=r"on one grid; there is \(3, 96, 96\)"):
        grader.grade(before, after[:, :50], buildings, count=3)
    with pytest.raises(InputsMismatch, match="on one grid"):
        grader.probabilities(before[:, :50], after)


def test_a_network_for_damage_maps_no_pixels_and_one_of_other_classes_grades_nothing(tmp_path):
    card = ModelCard.model_validate(damage_card())
    with pytest.raises(InputsMismatch, match="grades buildings and maps no pixels"):
        load_model(CardRef(card, tmp_path))
    turned = damage_card()["classes"][::-1]
    other = ModelCard.model_validate(damage_card() | {"classes": turned})
    with pytest.raises(CardInvalid, match="building, minor_damage, damaged, destroyed, in this"):
        load_model(CardRef(other, tmp_path), "grades")
