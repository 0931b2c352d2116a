"""Damaged ground: near what is or was built, never where it was not seen, without seams."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from scipy.ndimage import distance_transform_edt, gaussian_filter

from geo.raster.classify import Finding, Label, Observation, classify
from geo.raster.windows import lattice
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from models.cards.card import ModelCard
from models.damage.buildings import pair_of
from models.damage.detection import LEAST_BUILT, DamagedGround, damaged_ground, labelled_ground
from models.evaluation.evaluate import GroundScore
from models.inference.scene_inputs import read
from tests.models.damage.finder import SeesRoofs, finder_card
from tests.rasters import UTM, north_up, scene_of, write_image

SHAPE = (300, 420)
GRID = GeoBox(SHAPE, north_up(step=0.5), UTM)


def shares(seed: int = 5) -> Any:
    """Return probability of building and of damage: houses on the left, damaged above."""
    rng = np.random.default_rng(seed)
    built = np.where(rng.random(SHAPE) < 0.2, 0.9, 0.05)
    built[:, 300:] = 0.0
    damage = np.where(np.arange(SHAPE[0])[:, None] < 150, 0.9, 0.1) * np.ones(SHAPE)
    return built.astype(np.float32), damage.astype(np.float32)


def test_it_is_the_mean_weighted_by_buildings_and_only_near_them() -> None:
    built, damage = shares()
    ground = damaged_ground(built, damage, pixel_m=0.5)
    total = gaussian_filter(built, 20, truncate=3, mode="constant")
    judged = np.isfinite(ground)
    np.testing.assert_array_equal(judged, total >= LEAST_BUILT)
    assert not judged[:, 370:].any() and judged[:, :280].all()
    assert (ground[:100, :280] > 0.8).all() and (ground[200:, :280] < 0.2).all()


def test_unseen_ground_is_never_damaged_and_weighs_nothing() -> None:
    built, damage = shares()
    hidden = np.zeros(SHAPE, bool)
    hidden[100:200, 50:150] = True
    for gone in (built, damage):
        holed = [np.where(hidden, np.nan, band) if band is gone else band for band in
                 (built, damage)]  # fmt: skip
        ground = damaged_ground(*holed, pixel_m=0.5)
        assert np.isnan(ground[hidden]).all()
        assert np.isfinite(ground[:90, :40]).all()
    lies = damage.copy()
    lies[hidden] = 0
    holed_built = np.where(hidden, np.nan, built)
    np.testing.assert_array_equal(
        damaged_ground(holed_built, lies, pixel_m=0.5),
        damaged_ground(holed_built, damage, pixel_m=0.5),
    )


def test_labels_of_ground_come_from_the_nearest_kind_of_building() -> None:
    mask = np.zeros((120, 200), np.uint8)
    mask[20:30, 20:30], mask[20:30, 120:130], mask[90:100, 60:70] = 4, 1, 255
    truth = labelled_ground(mask, pixel_m=0.5)
    away = distance_transform_edt(mask != 4)
    assert (truth[(away <= 20) & (mask == 0)] == 1).all()
    assert (truth[mask > 0] == 255).all() and (truth[85:110, 50:80] == 255).all()
    assert (truth == 0).any() and set(np.unique(truth)) == {0, 1, 255}
    mask[20:30, 34:44] = 2  # beside the destroyed one: neither
    assert (labelled_ground(mask, pixel_m=0.5)[25, 31:34] == 255).all()


def reader(folder: Path, percent: Any) -> DamagedGround:
    """Return a reader of a pair that was seen but for a strip of the image after."""
    grey = np.full((3, *SHAPE), 100, np.uint8)
    seen = np.ones(SHAPE, bool)
    seen[:, :30] = False
    images = [
        write_image(folder / f"{phase}.tif", grey, transform=GRID.affine,
                    mask=seen if phase is Phase.AFTER else None)
        for phase in Phase
    ]  # fmt: skip
    scenes = [
        scene_of(path, phase, sensor="vhr-rgb") for path, phase in zip(images, Phase, strict=True)
    ]
    coverage = pair_of(SeesRoofs.made().card, scenes, Preference.NEWEST).coverage
    path = write_image(folder / "searched.tif", percent, transform=GRID.affine, nodata=255)
    return DamagedGround(inputs=coverage.inputs, compares=True, searched=path, grid=GRID, least=0.5)


def test_windows_say_what_the_whole_says(tmp_path: Path) -> None:
    percent = (100 * np.stack(shares())).round().astype(np.uint8)
    percent[:, 40:60, 200:260] = 255
    ground = reader(tmp_path, percent)
    found, valid = np.full(SHAPE, np.nan), np.zeros(SHAPE, bool)
    for window in lattice(SHAPE, size=130, overlap=0):
        seen = read(ground, GRID[window.slices])
        (answer,) = ground.predict([seen], ground.scene_statistics([]))
        found[window.slices], valid[window.slices] = answer.probabilities[0], answer.valid
    whole = np.where(percent == 255, np.nan, percent / 100).astype(np.float32)
    np.testing.assert_allclose(found, damaged_ground(whole[0], whole[1], pixel_m=0.5), atol=1e-5)
    np.testing.assert_array_equal(valid, np.arange(SHAPE[1]) >= 30 + np.zeros(SHAPE))


def test_ground_is_called_damaged_or_not_judged_and_never_sound(tmp_path: Path) -> None:
    probability = np.array([[0.9, 0.4, np.nan, 0.9]], np.float32)
    seen = np.array([[True, True, True, False]])
    reason = np.where(seen, 0, Label.NO_DATA).astype(np.uint8)
    done = classify(
        {Finding.DAMAGED: probability}, {Finding.DAMAGED: 0.5},
        Observation(np.ones_like(seen), seen, seen, reason),
    )  # fmt: skip
    assert done.label.tolist() == [[Label.EVENT, Label.COMPARED, Label.COMPARED, Label.NO_DATA]]


def test_scores_of_ground_are_those_of_its_pixels() -> None:
    built, damage = shares()
    mask = np.zeros(SHAPE, np.uint8)
    mask[60:80, 100:120], mask[230:250, 100:120] = 4, 1
    card = ModelCard.model_validate(finder_card())
    score = GroundScore.of(card, np.stack([built, damage, damage, damage]), mask)
    assert (score.auc, score.iou) == (1, 1)
    worse = GroundScore.of(card, np.stack([built, 1 - damage, 1 - damage, damage]), mask)
    assert (worse.auc, worse.iou) == (0, 0)
    both = GroundScore.together([score, worse])
    assert both.iou == pytest.approx(1 / 3, abs=0.03)
    unseen = np.full((4, *SHAPE), np.nan, np.float32)
    nothing = GroundScore.of(card, unseen, mask)
    assert (len(nothing.damaged), nothing.auc, nothing.iou) == (0, None, None)
