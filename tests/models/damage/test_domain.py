"""Buildings and images unlike all that a grader learned from are not graded, and it is said."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from models.cards.inputs import BandStatistics, CardInput, InputPhase, Physical
from models.cards.registry import find
from models.damage.features import FeatureTable
from models.damage.grade_buildings import (
    MAX_DEVIATION,
    MIN_BUILDINGS,
    DomainSample,
    GraderDomain,
)
from models.damage.regression import deviations, regression_of
from models.networks.tensors import SceneStatistics
from tests.models.damage.double import RGB, SENSORS
from tests.models.damage.test_grade_buildings import answers, expected, graded
from tests.models.damage.town import Town, make_town

SCENES = (("a", "b"), ("c",))
FEATURES = 24


def in_file(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def shipped_sample(values: Any) -> DomainSample:
    sample = DomainSample.of(find("damage-features").card)
    sample.deviations.append(np.asarray(values, float))
    return sample


def buildings(far: int, *, count: int = 40, by: float = 1.5 * MAX_DEVIATION) -> Any:
    """Return deviations of buildings of which so many features lie so far off."""
    found = np.random.default_rng(1).normal(0, 0.3, (count, FEATURES))
    found[:, :far] += by
    return found


def learned(images: list[Any]) -> tuple[BandStatistics, ...]:
    return tuple(
        BandStatistics(
            mean=float(band.mean()),
            std=float(band.std()),
            percentiles=tuple(np.percentile(band, (1, 50, 99)).tolist()),
        )
        for band in images
    )


def slots(town: Town, *, after_gain: float = 1.0) -> tuple[CardInput, ...]:
    return tuple(
        CardInput(
            name=phase.value, phase=phase, sensors=SENSORS, bands=RGB, units=Physical.BRIGHTNESS,
            training_statistics=learned([band * gain for band in in_file(path).astype(float)]),
        )
        for phase, path, gain in (
            (InputPhase.BEFORE, town.before, 1.0), (InputPhase.AFTER, town.after, after_gain),
        )
    )  # fmt: skip


def test_images_like_those_learned_from_are_graded(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    found = graded(town, inputs=slots(town))
    assert answers(found) == expected(town)
    assert found.domain == GraderDomain(found.domain.statistics)
    assert found.domain.statistics.out_of_domain == {}
    assert found.domain.statistics.notes == ()


def test_buildings_of_a_far_image_have_no_grade_and_say_why(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    found = graded(town, inputs=slots(town, after_gain=0.1))
    assert set(found.grades.reasons) == {"out of the model's domain after the event"}
    assert np.isnan(found.grades.probabilities).all()
    assert found.domain.statistics.out_of_domain == {"after": (1,)}
    (note,) = found.domain.statistics.notes
    assert "out of the model's domain and was left out of after" in note
    unchecked = graded(town, inputs=slots(town, after_gain=0.1), checked=False)
    assert answers(unchecked) == expected(town)


@pytest.mark.parametrize(("far", "is_far"), [(0, False), (11, False), (13, True), (24, True)])
def test_buildings_are_far_where_half_of_their_features_are(far: int, is_far: bool) -> None:
    domain = shipped_sample(buildings(far)).check(SCENES)
    assert domain.buildings_outside is is_far
    reason = "out of the model's domain" if is_far else None
    assert domain.reason(("a",), ("c",), SCENES) == reason
    # Every scene of both phases is taken from the map.
    assert domain.statistics.out_of_domain == ({"before": (1, 2), "after": (1,)} if is_far else {})


def test_the_note_says_how_far_and_in_what() -> None:
    far = buildings(14)
    far[:, 2] -= 4
    (note,) = shipped_sample(far).check(SCENES).statistics.notes
    assert re.search(r"half of the features of 40 of them lie 1\.\d\d deviations", note)
    assert re.search(r"\(greenness-inside -2\.\d, [a-z-]+ \+1\.\d", note)
    assert "--no-domain-check" in note


def test_few_buildings_are_graded_and_said_to_be_too_few() -> None:
    few = shipped_sample(buildings(24, count=MIN_BUILDINGS - 1)).check(SCENES)
    assert not few.buildings_outside
    assert few.statistics.notes[0].startswith(
        "14 buildings are too few to tell whether damage-features"
    )
    assert shipped_sample(buildings(24, count=MIN_BUILDINGS)).check(SCENES).buildings_outside


def test_a_card_that_does_not_say_what_it_learned_from_is_held_against_nothing() -> None:
    card = find("damage-features").card
    blank = tuple(entry.model_copy(update={"training_statistics": None}) for entry in card.inputs)
    sample = DomainSample.of(card.model_copy(update={"inputs": blank}))
    sample.deviations.append(buildings(24))
    assert sample.check(SCENES) == GraderDomain()


def test_only_the_buildings_of_a_far_scene_are_left_out() -> None:
    domain = GraderDomain(SceneStatistics(out_of_domain={"before": (2,)}))
    assert domain.reason(("a",), ("c",), SCENES) is None
    why = "out of the model's domain before the event"
    assert domain.reason(("a", "b"), ("c",), SCENES) == why


def test_deviations_are_those_of_the_card_and_unknown_where_nothing_was_seen() -> None:
    architecture = regression_of(find("damage-features").card)
    means = np.array([feature.mean for feature in architecture.features])
    spread = np.array([feature.std for feature in architecture.features])
    values = np.stack([means + 2 * spread, means - 9 * spread, means, means])
    values[0, 3] = np.nan
    measured = FeatureTable(
        values, np.array([100, 100, 2, 100]), np.array([1, 1, 1, 0.1]), np.zeros((4, 2))
    )
    found = deviations(architecture, measured)
    np.testing.assert_allclose(np.delete(found[0], 3), 2)
    assert np.isnan(found[0, 3])
    np.testing.assert_allclose(found[1], -architecture.limit)
    assert np.isnan(found[2:]).all()
