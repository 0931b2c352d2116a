import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from skimage.measure import regionprops

from models.damage.features import (
    FEATURES,
    LEVEL,
    RING_PX,
    BuildingZones,
    ImageQuantities,
    QuantityPair,
    measure,
)
from tests.models.damage.made import HOUSE_PX, town

TOWN = town(side=3)
NAMES = tuple(FEATURES)


def buildings(made):
    image = np.zeros(made.before.shape[1:], np.int32)
    for number, polygon in enumerate(made.polygons, 1):
        left, top, right, bottom = (int(v) for v in polygon.bounds)
        image[top:bottom, left:right] = number
    return image


HOUSES = buildings(TOWN)


def features(before=TOWN.before, after=TOWN.after, houses=HOUSES, count=9):
    pair = QuantityPair.of(before.astype(np.float32), after.astype(np.float32), houses, count=count)
    return measure(pair, NAMES)


def test_means_and_deviations_are_those_of_another_implementation():
    zone = BuildingZones.of(HOUSES, np.ones(HOUSES.shape, bool), count=9).inside
    image = TOWN.after[0]
    regions = regionprops(HOUSES, intensity_image=image)
    np.testing.assert_allclose(zone.pixels, [r.area for r in regions])
    np.testing.assert_allclose(zone.mean(image), [r.intensity_mean for r in regions])
    np.testing.assert_allclose(zone.std(image), [r.intensity_std for r in regions], rtol=1e-4)


def test_correlation_is_that_of_numpy_up_to_its_floor():
    zone = BuildingZones.of(HOUSES, np.ones(HOUSES.shape, bool), count=9).inside
    one, other = 50 * TOWN.before[0], 50 * TOWN.after[0]
    wanted = [np.corrcoef(one[k == HOUSES], other[k == HOUSES])[0, 1] for k in range(1, 10)]
    np.testing.assert_allclose(zone.correlation(one, other), wanted, atol=1e-3)


def test_a_ring_is_around_its_building_and_on_no_other():
    zones = BuildingZones.of(HOUSES, np.ones(HOUSES.shape, bool), count=9)
    ring = np.zeros(HOUSES.size, np.int32)
    ring[zones.ring.places] = zones.ring.owners + 1
    ring = ring.reshape(HOUSES.shape)
    assert not (ring[HOUSES > 0]).any()
    for number in range(1, 10):
        reach = np.hypot(*np.ogrid[-RING_PX : RING_PX + 1, -RING_PX : RING_PX + 1]) <= RING_PX
        assert not (ring == number)[~binary_dilation(number == HOUSES, reach)].any()
    # The gap between two houses is 14 pixels: each has half of it.
    assert zones.ring.pixels[4] > HOUSE_PX * 4 * 4


def test_the_order_of_buildings_changes_nothing():
    order = np.random.default_rng(3).permutation(9)
    renamed = np.concatenate([[0], np.argsort(order) + 1])[HOUSES].astype(np.int32)
    np.testing.assert_allclose(features(houses=renamed).values, features().values[order], rtol=1e-9)


def test_the_exposure_of_either_image_changes_nothing():
    plain = features().values
    for gains in ((0.5, 1.0), (1.0, 0.6), (0.7, 0.4)):
        changed = features(TOWN.before * gains[0], TOWN.after * gains[1]).values
        np.testing.assert_allclose(changed, plain, atol=0.03)


def test_both_images_are_brought_to_one_level():
    seen = np.ones(HOUSES.shape, bool)
    assert np.median(ImageQuantities.of(TOWN.before * 0.3, seen).brightness) == pytest.approx(
        LEVEL, rel=1e-5
    )


def test_rubble_and_likeness_say_what_they_promise():
    found = dict(zip(NAMES, features().values.T, strict=True))
    sound = np.array(TOWN.grades) == 1
    gone = np.array(TOWN.grades) == 4
    for name in ("fine-roughness-inside", "coarse-roughness-inside", "redness-inside",
                 "unevenness-inside", "unevenness-inside-change"):  # fmt: skip
        assert found[name][gone].mean() > found[name][sound].mean(), name
    for name in ("likeness-near", "likeness-of-edges-near"):
        assert found[name][gone].mean() < found[name][sound].mean(), name


def test_likeness_survives_a_shift_that_the_plain_one_does_not():
    rng = np.random.default_rng(2)
    ground = rng.normal(100, 30, HOUSES.shape).astype(np.float32)
    before = np.stack([ground] * 3)
    found = dict(
        zip(NAMES, features(before, np.roll(before, (-2, 4), (1, 2))).values.T, strict=True)
    )
    assert found["likeness-near"].min() > 0.95
    assert abs(found["likeness-inside"]).max() < 0.3


def test_what_was_not_seen_is_not_counted():
    hidden = TOWN.after.copy()
    left, top, right, bottom = (int(v) for v in TOWN.polygons[4].bounds)
    hidden[:, top:bottom, left:right] = np.nan
    found = features(after=hidden)
    assert found.pixels[4] == found.share_observed[4] == 0
    assert np.isnan(found.values[4, NAMES.index("redness-inside")])
    whole = features()
    np.testing.assert_array_equal(found.pixels[[0, 2, 6, 8]], whole.pixels[[0, 2, 6, 8]])
    np.testing.assert_allclose(
        found.values[[0, 2, 6, 8]], whole.values[[0, 2, 6, 8]], rtol=0.05, atol=0.05
    )


def test_nothing_seen_at_all_is_no_answer_and_no_fault():
    found = features(after=np.full_like(TOWN.after, np.nan))
    assert not found.pixels.any()


def test_every_feature_says_what_it_means():
    assert len(FEATURES) == 24
    assert all(feature.meaning for feature in FEATURES.values())
