import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from geo.raster.classify import Finding
from models.cards.registry import all_cards, find
from models.errors import InputsMismatch
from models.inference.model import load_model

DETECTORS = [ref for ref in all_cards() if ref.card.architecture.kind == "detector"]
SIZE = 192


def blobs(seed, share, size=SIZE):
    """A random smooth shape that covers a share of a square."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 12)
    return field > np.quantile(field, 1 - share)


def backscatter(water, seed, *, land=-9.0, wet=-21.0):
    """Speckled VV and VH, dB, where water mirrors the pulse away."""
    rng = np.random.default_rng(seed)
    speckle = 10 * np.log10(rng.gamma(4.4, 1 / 4.4, (2, *water.shape)))
    mean = np.where(water, wet, land + gaussian_filter(rng.normal(size=water.shape), 6) * 4)
    return {"vv": mean + speckle[0], "vh": mean - 7 + speckle[1]}


def reflectance(water, burnt, seed):
    """Water, crops and ash by the reflectances of each, with noise."""
    rng = np.random.default_rng(seed)
    values = {
        "green": (0.08, 0.06, 0.05),
        "red": (0.04, 0.04, 0.07),
        "nir": (0.45, 0.02, 0.12),
        "swir16": (0.2, 0.01, 0.2),
        "swir22": (0.1, 0.01, 0.25),
    }
    return {
        name: np.where(water, wet, np.where(burnt, ash, crop)) * rng.normal(1, 0.05, water.shape)
        for name, (crop, wet, ash) in values.items()
    }


def answer(name, inputs):
    model = load_model(find(name))
    statistics = model.scene_statistics([inputs])
    return model.predict([inputs], statistics)[0], statistics


def iou(found, truth):
    return (found & truth).sum() / (found | truth).sum()


NOTHING = np.zeros((SIZE, SIZE), bool)
LAKE = blobs(1, 0.2)
FLOOD = blobs(2, 0.3) & ~LAKE


@pytest.mark.parametrize("name", ["sar-water", "sar-water-vv"])
def test_radar_finds_the_water_that_was_made(raster, name):
    planes, statistics = answer(name, {"image": raster(backscatter(LAKE, 3))})
    assert iou(planes[0] >= 0.5, LAKE) > 0.9
    assert statistics.thresholds[0].method == "otsu"
    assert statistics.thresholds[0].tiles > 0
    assert statistics.notes == ()


@pytest.mark.parametrize("name", ["sar-change", "sar-change-vv"])
def test_radar_tells_flood_from_the_lake_that_was_there(raster, name):
    before = raster(backscatter(LAKE, 4))
    after = raster(backscatter(LAKE | FLOOD, 5))
    planes, _ = answer(name, {"before": before, "after": after})
    classes = find(name).card.class_names
    assert classes == (Finding.FLOOD, Finding.REFERENCE_WATER)
    assert iou(planes[0] >= 0.5, FLOOD) > 0.85
    assert iou(planes[1] >= 0.5, LAKE) > 0.9
    assert (planes[0][LAKE] >= 0.5).mean() < 0.01


@pytest.mark.parametrize("name", ["sar-change", "sar-change-vv"])
def test_permanent_water_is_no_flood(raster, name):
    """Another day, other speckle, calmer water: nothing came."""
    before = raster(backscatter(LAKE, 6))
    after = raster(backscatter(LAKE, 7, wet=-24.0))
    planes, statistics = answer(name, {"before": before, "after": after})
    assert (planes[0] >= 0.5).mean() < 0.001
    assert any("change of backscatter" in note for note in statistics.notes)


@pytest.mark.parametrize("name", ["sar-change", "sar-change-vv"])
def test_two_dry_dates_are_no_flood(raster, name):
    dates = {
        phase: raster(backscatter(NOTHING, seed)) for phase, seed in [("before", 8), ("after", 9)]
    }
    planes, statistics = answer(name, dates)
    assert (planes >= 0.5).mean() < 0.001
    assert len(statistics.notes) == 3


@pytest.mark.parametrize("name", ["ndwi-water", "mndwi-water"])
def test_optical_water_is_found(raster, name):
    planes, _ = answer(name, {"image": raster(reflectance(LAKE, NOTHING, 10))})
    assert iou(planes[0] >= 0.5, LAKE) > 0.99


def test_a_picture_learns_its_threshold_whatever_the_exposure(raster):
    """The cameras' gains differ by band, so a fixed threshold of 0 would fail."""
    bands = reflectance(LAKE, NOTHING, 11)
    for gains in ((600, 400), (900, 250)):
        picture = raster(
            {
                name: np.clip(values * gain, 0, 255).round()
                for (name, values), gain in zip(
                    {n: bands[n] for n in ("green", "nir")}.items(), gains, strict=True
                )
            }
        )
        planes, statistics = answer("ndwi-picture-water", {"image": picture})
        assert iou(planes[0] >= 0.5, LAKE) > 0.98
        assert statistics.notes == ()


def test_a_picture_without_two_modes_has_no_water_and_a_note(raster):
    rng = np.random.default_rng(12)
    picture = raster({name: rng.normal(120, 15, (SIZE, SIZE)) for name in ("green", "nir")})
    planes, statistics = answer("ndwi-picture-water", {"image": picture})
    assert not planes.any()
    assert statistics.notes == (
        "ndwi shows no two modes in any part of the scene; nothing was found by it.",
    )


@pytest.mark.parametrize("name", ["nbr-change", "ndvi-change"])
def test_burnt_ground_is_found_and_a_lake_that_dried_is_not(raster, name):
    """Bare ground that was water loses its index, too: it had nothing to burn."""
    burnt = FLOOD
    before = raster(reflectance(LAKE, NOTHING, 13))
    after = raster(reflectance(NOTHING, burnt | LAKE, 14))
    planes, statistics = answer(name, {"before": before, "after": after})
    assert iou(planes[0] >= 0.5, burnt) > 0.98
    assert not planes[0][LAKE].any()
    assert statistics.thresholds[0].method == "otsu"


@pytest.mark.parametrize("name", ["nbr-change", "ndvi-change"])
def test_an_unburnt_pair_has_no_burnt_ground_and_a_note(raster, name):
    pair = {
        phase: raster(reflectance(LAKE, NOTHING, seed))
        for phase, seed in [("before", 15), ("after", 16)]
    }
    planes, statistics = answer(name, pair)
    assert (planes >= 0.5).mean() < 0.001
    assert "fixed threshold" in statistics.notes[0]


def scene_for(card, raster, *, seed, constant=False):
    """Images with some of everything for each slot of a card; or one value everywhere."""
    inputs = {}
    for index, entry in enumerate(card.inputs):
        burnt = FLOOD if entry.phase == "after" else NOTHING
        water = LAKE | FLOOD if entry.phase == "after" else LAKE
        if entry.units == "dB":
            bands = backscatter(water, seed + index)
        else:
            bands = reflectance(water, burnt if card.task == "burnt" else NOTHING, seed + index)
            bands |= dict.fromkeys(["blue"], bands["green"])
        scale = 255 if entry.units.startswith("brightness") else 1
        bands = {name: values * scale for name, values in bands.items()}
        if constant:
            bands = {name: np.full_like(v, np.median(v)) for name, v in bands.items()}
        inputs[entry.name] = raster(bands)
    return inputs


@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_a_constant_image_has_nothing_and_a_note(raster, ref):
    inputs = scene_for(ref.card, raster, seed=20, constant=True)
    planes, statistics = answer(ref.card.name, inputs)
    assert planes.shape == (len(ref.card.classes), SIZE, SIZE)
    assert not planes.any()
    assert len(statistics.notes) == len(statistics.thresholds)
    assert all("nothing can be told apart" in note for note in statistics.notes)


FLIPS = [np.flipud, np.fliplr, np.transpose]


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_turning_the_image_turns_the_answer(raster, ref, flip):
    inputs = scene_for(ref.card, raster, seed=30)
    turned = {
        slot: raster(dict(zip(image.bands, map(flip, image.pixels), strict=True)))
        for slot, image in inputs.items()
    }
    model = load_model(ref)
    statistics = model.scene_statistics([inputs])
    planes = model.predict([inputs], statistics)[0]
    found = model.predict([turned], statistics)[0]
    np.testing.assert_allclose(found, [flip(plane) for plane in planes], atol=1e-4)
    assert (planes >= 0.5).any()


@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_bands_go_by_name_and_a_missing_one_is_refused(raster, ref):
    inputs = scene_for(ref.card, raster, seed=40)
    model = load_model(ref)
    statistics = model.scene_statistics([inputs])
    planes = model.predict([inputs], statistics)
    turned = {
        slot: raster(dict(reversed(list(zip(image.bands, image.pixels, strict=True)))))
        for slot, image in inputs.items()
    }
    np.testing.assert_array_equal(model.predict([turned], statistics), planes)
    for entry in ref.card.inputs:
        for lost in entry.bands:
            image = inputs[entry.name]
            kept = {b: p for b, p in zip(image.bands, image.pixels, strict=True) if b != lost}
            short = {**inputs, entry.name: raster(kept)}
            for function in (lambda s=short: model.predict([s], statistics),
                             lambda s=short: model.scene_statistics([s])):  # fmt: skip
                with pytest.raises(InputsMismatch, match=f"without {lost}"):
                    function()


@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_no_answer_where_an_image_was_not_seen(raster, ref):
    inputs = scene_for(ref.card, raster, seed=50)
    slot = ref.card.inputs[-1].name
    image = inputs[slot]
    pixels = image.pixels.copy()
    pixels[:, 50:70, 20:30] = np.nan
    inputs[slot] = raster(dict(zip(image.bands, pixels, strict=True)))
    planes, _ = answer(ref.card.name, inputs)
    hole = np.isnan(pixels[0])
    for plane in planes:
        np.testing.assert_array_equal(np.isnan(plane), hole)
    seen = planes[:, ~hole]
    assert ((seen >= 0) & (seen <= 1)).all()


@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_a_margin_is_all_that_an_answer_depends_on(raster, ref):
    """A window cut out of a larger one answers alike but for its margin."""
    inputs = scene_for(ref.card, raster, seed=60)
    margin = ref.card.architecture.margin_px
    rows, cols = slice(40, 104), slice(70, 134)
    cut = {
        slot: raster(dict(zip(image.bands, image.pixels[:, rows, cols], strict=True)))
        for slot, image in inputs.items()
    }
    model = load_model(ref)
    statistics = model.scene_statistics([inputs])
    whole = model.predict([inputs], statistics)[0, :, rows, cols]
    part = model.predict([cut], statistics)[0]
    inner = (slice(None), slice(margin, 64 - margin), slice(margin, 64 - margin))
    np.testing.assert_allclose(part[inner], whole[inner], atol=1e-4)


@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_a_survey_is_the_same_twice_and_goes_into_a_manifest(raster, ref):
    inputs = scene_for(ref.card, raster, seed=70)
    model = load_model(ref)
    statistics = model.scene_statistics(iter([inputs, inputs]))
    assert statistics == model.scene_statistics([inputs, inputs])
    assert json.loads(json.dumps(statistics.as_json(), allow_nan=False))["thresholds"]


@pytest.mark.parametrize("size", [1, 2, 3, 17, 63, 65])
@pytest.mark.parametrize("ref", DETECTORS, ids=lambda ref: ref.card.name)
def test_every_size_is_answered(raster, ref, size):
    whole = scene_for(ref.card, raster, seed=80)
    cut = {
        slot: raster(dict(zip(image.bands, image.pixels[:, 60 : 60 + size, :7], strict=True)))
        for slot, image in whole.items()
    }
    planes, _ = answer(ref.card.name, cut)
    assert planes.shape == (len(ref.card.classes), size, 7)


def test_a_scene_without_one_valid_pixel_is_surveyed_with_a_note(raster):
    nothing = raster(dict.fromkeys(("vv", "vh"), np.full((70, 70), np.nan)))
    planes, statistics = answer("sar-water", {"image": nothing})
    assert np.isnan(planes).all()
    assert len(statistics.notes) == 1
