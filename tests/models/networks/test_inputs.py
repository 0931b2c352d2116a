import numpy as np
import pytest

from geo.raster.indices import lee_decibel
from models.cards.card import ModelCard
from models.cards.registry import find
from models.errors import InputsMismatch
from models.networks.tensors import ValueSample, stack, usable_pixels

RNG = np.random.default_rng(5)


@pytest.fixture
def card(card_json):
    return ModelCard.model_validate(card_json())


def noise(*names, shape=(6, 9), low=0.0, high=0.5):
    return {name: RNG.uniform(low, high, shape) for name in names}


def test_channels_are_the_bands_by_name_normalised_by_the_cards_constants(card, raster):
    bands = noise("green", "red", "nir")
    (window,) = stack(card, [{"s2-before": raster(bands), "s2-after": raster(bands)}])
    assert window.shape == (6, 6, 9)
    np.testing.assert_allclose(window[0], (bands["nir"] - 0.25) / 0.1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(window[1], (bands["green"] - 0.1) / 0.05, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(window[2:4], window[:2])
    np.testing.assert_array_equal(window[4:], 1)


def test_the_order_of_the_bands_in_the_raster_is_of_no_account(card, raster):
    bands = noise("green", "red", "nir")
    turned = dict(reversed(bands.items()))
    first = stack(card, [{"s2-after": raster(bands)}])
    np.testing.assert_array_equal(stack(card, [{"s2-after": raster(turned)}]), first)


def test_a_window_is_not_scaled_by_its_own_values(card, raster):
    dark = noise("green", "nir", high=0.1)
    bright = {name: values + 0.3 for name, values in dark.items()}
    difference = stack(card, [{"s2-after": raster(bright)}]) - stack(
        card, [{"s2-after": raster(dark)}]
    )
    np.testing.assert_allclose(difference[0, 2], 0.3 / 0.1, rtol=1e-4)
    np.testing.assert_allclose(difference[0, 3], 0.3 / 0.05, rtol=1e-4)


def test_a_missing_slot_and_invalid_pixels_are_zero_and_flagged(card, raster):
    bands = noise("green", "nir")
    bands["nir"][2, 3] = np.nan
    inputs = {"s2-before": None, "s2-after": raster(bands)}
    (window,) = stack(card, [inputs])
    assert np.isfinite(window).all()
    assert not window[:2].any()
    assert not window[2:4, 2, 3].any()
    assert not window[4].any()
    assert window[5].sum() == 6 * 9 - 1
    assert usable_pixels(card, inputs).sum() == 6 * 9 - 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"s2-after": {"green": 1, "red": 1}}, "wants the bands nir, green; the image has green, "
                                               "red, without nir"),
        ({"s2-before": {"green": 1, "nir": 1}}, "needs an image for s2-after"),
        ({"s2-after": None}, "needs an image for s2-after"),
        ({"s1-after": {"vv": 1}, "s2-after": {"green": 1, "nir": 1}}, "not s1-after"),
    ],
)  # fmt: skip
def test_what_does_not_fill_the_slots_is_refused(card, raster, inputs, said):
    made = {
        slot: bands and raster({name: np.full((4, 4), 0.2) for name in bands})
        for slot, bands in inputs.items()
    }
    for function in (lambda: stack(card, [made]), lambda: usable_pixels(card, made)):
        with pytest.raises(InputsMismatch, match=said):
            function()


def test_images_on_other_grids_are_refused(card, raster):
    here, there = (raster(noise("green", "nir"), origin_m=x) for x in (5e5, 5e5 + 10))
    with pytest.raises(InputsMismatch, match="different grids"):
        stack(card, [{"s2-before": here, "s2-after": there}])


def test_a_batch_of_several_shapes_is_refused(card, raster):
    windows = [{"s2-after": raster(noise("green", "nir", shape=(4, n)))} for n in (4, 5)]
    with pytest.raises(InputsMismatch, match="one shape"):
        stack(card, windows)


@pytest.fixture
def optional(card_json):
    """A card whose images may all be missing."""
    plain = card_json()
    for entry in plain["inputs"]:
        entry["required"] = False
    return ModelCard.model_validate(plain)


def test_an_image_before_alone_gives_no_answer(optional, raster):
    """What lay there before says nothing of what lies there after."""
    before, after = noise("green", "nir"), noise("green", "nir")
    before["nir"][0, 0] = after["nir"][1, 1] = after["nir"][2, 2] = np.nan
    both = {"s2-before": raster(before), "s2-after": raster(after)}
    np.testing.assert_array_equal(usable_pixels(optional, both), np.isfinite(after["nir"]))
    assert not usable_pixels(optional, {"s2-before": raster(before)}).any()
    assert usable_pixels(optional, {"s2-after": raster(before)}).sum() == 6 * 9 - 1


def test_radar_loses_its_speckle_where_the_card_says_so(card_json, raster):
    """In what the network is given and in what the levels of the scene are measured on."""
    inputs = [
        {"name": "s1", "phase": "after", "sensors": ["sentinel-1-grd"], "bands": ["vv", "vh"],
         "units": "dB", "mean": [-12, -18], "std": [4, 4],
         "speckle": {"window_px": 5, "looks": 4.4}}
    ]  # fmt: skip
    architecture = card_json()["architecture"] | {"in_channels": 3, "margin_px": 2}
    card = ModelCard.model_validate(card_json(inputs=inputs, architecture=architecture))
    bands = noise("vh", "vv", shape=(30, 40), low=-25, high=-5)
    bands["vv"][4, 5] = np.nan
    image = raster(bands)
    (window,) = stack(card, [{"s1": image}])
    smooth = [lee_decibel(image.band(name), window_px=5, looks=4.4) for name in ("vv", "vh")]
    expected = np.stack([(smooth[0] + 12) / 4, (smooth[1] + 18) / 4])
    np.testing.assert_allclose(
        window[:2, image.valid], expected[:, image.valid], rtol=1e-4, atol=1e-5
    )
    sample = ValueSample(card)
    sample.feed({"s1": image})
    np.testing.assert_allclose(sample.kept(card.inputs[0])[0], smooth[0][image.valid], rtol=1e-5)


DECIBEL = RNG.normal(-12, 4, (40, 40))
REFLECTANCE = RNG.uniform(0.01, 0.6, (40, 40))
PICTURE = RNG.uniform(0, 255, (40, 40))


@pytest.mark.parametrize(
    ("name", "bands", "values", "right"),
    [
        ("sar-water", ("vv", "vh"), DECIBEL, True),
        ("sar-water", ("vv", "vh"), 10 ** (DECIBEL / 10), False),
        ("sar-water", ("vv", "vh"), DECIBEL * 100, False),
        ("ndwi-water", ("green", "nir"), REFLECTANCE, True),
        ("ndwi-water", ("green", "nir"), REFLECTANCE - 0.05, True),
        ("ndwi-water", ("green", "nir"), REFLECTANCE * 10_000, False),
        ("ndwi-water", ("green", "nir"), PICTURE, False),
        ("ndwi-picture-water", ("green", "nir"), PICTURE, True),
        ("ndwi-picture-water", ("green", "nir"), REFLECTANCE, False),
        ("ndwi-picture-water", ("green", "nir"), PICTURE * 257, False),
    ],
)
def test_values_that_contradict_the_units_of_the_card_are_refused(
    raster, name, bands, values, right
):
    sample = ValueSample(find(name).card)
    sample.feed({"image": raster(dict.fromkeys(bands, values))})
    if right:
        sample.check()
    else:
        with pytest.raises(InputsMismatch, match=r"should be in .* looks like"):
            sample.check()
