"""Scenes compared with what a network was trained on."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.cards.card import ModelCard
from models.cards.inputs import BandStatistics
from models.cards.registry import find
from models.datasets.chips import open_ombria, open_sen1floods11
from models.networks.domain_check import checked_statistics, scenes_out_of_domain
from models.networks.tensors import ValueSample
from tests.models.conftest import make_raster, network_card
from tests.models.network_fixtures import changed, flood_card

RNG = np.random.default_rng(5)
OPTICAL = ("swir16", "nir", "green")


def statistics(values: Any) -> dict[str, Any]:
    """Return what a card keeps of a band."""
    found = BandStatistics(
        mean=values.mean(), std=values.std(), percentiles=np.percentile(values, (1, 50, 99))
    )
    return found.model_dump()


def scene(*, scale: float = 1.0, offset: float = 0.0, seed: int = 1) -> Any:
    """Return a reflectance scene, (3, rows, cols), of land and a fifth of water."""
    rng = np.random.default_rng(seed)
    land, water = (0.25, 0.3, 0.1), (0.02, 0.04, 0.08)
    cols = np.arange(60) < 12
    level = np.where(cols, np.array(water)[:, None, None], np.array(land)[:, None, None])
    return (level + rng.normal(0, 0.02, (3, 50, 60))) * scale + offset


def radar(*, seed: int = 1) -> Any:
    """Return backscatter of land and a fifth of water, dB."""
    return np.random.default_rng(seed).normal(-10, 2, (50, 60)) - 10 * (np.arange(60) < 12)


def made_card(**limits: Any) -> ModelCard:
    """Return a card with the slots of flood-s1s2 that learned from the scenes above."""
    card = flood_card(domain=limits)
    for entry in card["inputs"]:
        if entry["units"] == "dB":
            entry |= {"normalised_by": "scene", "training_statistics": [statistics(radar(seed=9))]}
            del entry["mean"], entry["std"]
        else:
            entry["training_statistics"] = [statistics(band) for band in scene(seed=9)]
    return ModelCard.model_validate(card)


def optical(pixels: Any, *, number: Any = 1) -> Any:
    """Return an optical raster of scenes with the numbers that are given."""
    raster = make_raster(dict(zip(OPTICAL, pixels, strict=True)))
    object.__setattr__(raster, "origin", np.full(raster.valid.shape, number, np.uint8))
    object.__setattr__(raster, "sources", ("first", "second"))
    return raster


def sampled(card: ModelCard, **inputs: Any) -> ValueSample:
    """Return the sample of one window; slots are named with an underscore."""
    sample = ValueSample(card)
    sample.feed({slot.replace("_", "-"): raster for slot, raster in inputs.items()})
    return sample


def far(card: ModelCard, **inputs: Any) -> dict[str, tuple[int, ...]]:
    return dict(checked_statistics(card, sampled(card, **inputs)).out_of_domain)


def test_a_scene_like_the_training_is_trusted_and_one_of_another_scale_is_not() -> None:
    card = made_card()
    assert far(card, s2_after=optical(scene())) == {}
    assert far(card, s2_after=optical(scene(scale=4))) == {"s2-after": (1,)}
    assert far(card, s2_after=optical(scene(scale=0.05))) == {"s2-after": (1,)}
    assert far(card, s2_after=optical(scene(scale=-1, offset=1))) == {"s2-after": (1,)}


def test_the_sentence_names_slot_scene_band_and_both_values() -> None:
    card = made_card()
    [(_, _, note)] = scenes_out_of_domain(card, sampled(card, s2_after=optical(scene(scale=4))))
    assert note.startswith("first is out of the model's domain and was left out of s2-after")
    values = np.percentile(scene(scale=4), (1, 50, 99), axis=(1, 2))[:, 2]
    learned = np.percentile(scene(seed=9), (1, 50, 99), axis=(1, 2))[:, 2]
    for numbers in (values, learned):
        assert ", ".join(f"{value:.3g}" for value in numbers) in note
    assert "green has 1st, 50th and 99th percentiles" in note


def test_each_scene_of_a_slot_is_judged_by_itself() -> None:
    """The left half is the first scene, the right half the second, ten times too bright."""
    card = made_card()
    pixels, right = scene(), np.arange(60) >= 30
    number = np.where(right, 2, 1)[None, :]
    bright = np.where(right, pixels * 10, pixels)
    assert far(card, s2_after=optical(bright, number=number)) == {"s2-after": (2,)}
    assert far(card, s2_after=optical(pixels, number=number)) == {}


def test_a_slot_that_is_far_leaves_the_others_alone() -> None:
    card = made_card()
    images = {"s2_before": optical(scene(scale=4)), "s2_after": optical(scene(seed=2))}
    assert far(card, **images) == {"s2-before": (1,)}


@settings(max_examples=40, deadline=None)
@given(gain=st.floats(0.2, 2), offset=st.floats(-8, 4))
def test_no_gain_and_no_offset_takes_radar_out_of_its_domain(gain: float, offset: float) -> None:
    moved = radar() * gain + offset
    assume(np.ptp(moved) > 1)
    card = made_card()
    assert far(card, s1_after=make_raster({"vv": moved})) == {}


@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_band_that_is_nearly_one_number_is_far(share: float) -> None:
    card = made_card()
    stuck = np.where(RNG.random((50, 60)) < share, -12.0, radar())
    [(name, _, note)] = scenes_out_of_domain(
        card, sampled(card, s1_after=make_raster({"vv": stuck}))
    )
    assert name == "s1-after"
    assert "are one number, at most 75 % are trusted" in note


def test_the_levels_of_radar_are_those_of_the_trusted_scenes() -> None:
    card = made_card()
    both = np.concatenate([radar(), np.full((50, 60), -2.0)])
    raster = make_raster({"vv": both})
    object.__setattr__(raster, "origin", np.repeat([1, 2], 50)[:, None].repeat(60, 1))
    object.__setattr__(raster, "sources", ("right", "stuck"))
    statistics = checked_statistics(card, sampled(card, s1_after=raster))
    alone = checked_statistics(card, sampled(card, s1_after=make_raster({"vv": radar()})))
    assert statistics.out_of_domain == {"s1-after": (2,)}
    # Every so many values are kept, of twice as many other ones.
    assert statistics.levels["s1-after"][0].mean == pytest.approx(
        alone.levels["s1-after"][0].mean, abs=0.3
    )
    whole = checked_statistics(
        card, sampled(card, s1_after=make_raster({"vv": np.full((50, 60), -2.0)}))
    )
    assert whole.out_of_domain == {"s1-after": (0,)}
    assert whole.levels["s1-after"][0].mean == pytest.approx(-2)


def test_limits_statistics_and_pixels_are_needed_to_judge() -> None:
    """Without any one of them nothing is called far."""
    card, bad = made_card(), optical(scene(scale=4))
    assert far(card.unchecked, s2_after=bad) == {}
    unlearned = card.inputs[3].model_copy(update={"training_statistics": None})
    blind = card.model_copy(update={"inputs": (*card.inputs[:3], unlearned)})
    assert far(blind, s2_after=bad) == {}
    few = scene(scale=4).copy()
    few[:, 3:] = np.nan
    assert far(card, s2_after=optical(few)) == {}


def test_the_limits_are_the_cards() -> None:
    lenient = made_card(max_shift=100, max_band_shift=100, min_contrast=0, max_constant_share=1)
    assert far(lenient, s2_after=optical(scene(scale=4))) == {}
    strict = made_card(max_shift=0.001)
    assert far(strict, s2_after=optical(scene())) == {"s2-after": (1,)}
    with pytest.raises(ValueError, match="greater than 0"):
        made_card(max_shift=0)
    assert ModelCard.model_validate(network_card()).domain is None


def test_a_detector_has_no_domain() -> None:
    detector = find("ndwi-water").card.model_dump(mode="json") | {"domain": {}}
    with pytest.raises(ValueError, match="a detector has every number on its card"):
        ModelCard.model_validate(detector)


@pytest.fixture(scope="module")
def ombria_card(data_dir: Any) -> ModelCard:
    """A card that learned from 104 tiles of ombria/train; a training takes 200."""
    train = open_ombria(data_dir / "ombria", "train")
    tiles = [train[index].images for index in range(0, len(train), 6)]
    card = flood_card(domain={})
    for entry in card["inputs"]:
        rasters = [tile[entry["name"]] for tile in tiles]
        rows = np.concatenate([r.pixels[:, r.valid][:, ::17] for r in rasters], axis=1)
        entry["training_statistics"] = [statistics(row) for row in rows]
        if entry["units"] == "dB":
            entry["normalised_by"] = "scene"
            del entry["mean"], entry["std"]
    return ModelCard.model_validate(card)


@pytest.mark.data
def test_imagery_like_the_training_passes(data_dir: Any, ombria_card: ModelCard) -> None:
    test = open_ombria(data_dir / "ombria", "test")
    flagged = [
        slot
        for index in range(0, len(test), 3)
        for slot in far(ombria_card, **_named(test[index].images))
    ]
    assert len(flagged) <= 1
    spain = open_sen1floods11(data_dir / "sen1floods11", "all")[0].images
    assert far(ombria_card, **_named(spain)) == {}


@pytest.mark.data
@pytest.mark.parametrize(
    "wrong",
    [lambda band: band * 5, lambda band: band / 20, lambda band: 1 - band],
    ids=["5 times", "a twentieth", "upside down"],
)
def test_imagery_that_was_read_wrongly_does_not(
    data_dir: Any, ombria_card: ModelCard, wrong: Any
) -> None:
    test = open_ombria(data_dir / "ombria", "test")
    flagged, images = 0, 0
    for index in range(0, len(test), 5):
        for slot in ("s2-before", "s2-after"):
            raster = changed(test[index].images[slot], wrong)
            flagged += bool(far(ombria_card, **_named({slot: raster})))
            images += 1
    assert flagged >= 0.9 * images


def _named(images: Any) -> dict[str, Any]:
    return {name.replace("-", "_"): raster for name, raster in images.items()}
