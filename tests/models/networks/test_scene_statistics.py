import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cards.card import ModelCard, read_card
from models.errors import CardInvalid, InputsMismatch
from models.networks.network import NetworkModel
from models.networks.tensors import SceneStatistics, stack
from tests.models.conftest import make_raster, network_card

RNG = np.random.default_rng(2)


def radar_card(**changes):
    card = network_card()
    card["architecture"]["in_channels"] = 4
    card["inputs"] = [
        {
            "name": f"s1-{phase}",
            "phase": phase,
            "sensors": ["sentinel-1-grd"],
            "bands": ["vv"],
            "units": "dB",
            "normalised_by": "scene",
            **changes,
        }
        for phase in ("before", "after")
    ]
    return card


def channels(card, decibels):
    inputs = {"s1-after": make_raster({"vv": decibels}), "s1-before": None}
    model = NetworkModel(card, network=None, device=None)
    return stack(card, [inputs], model.scene_statistics([inputs]))[0]


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.2, 1.5), offset=st.floats(-8, 2))
def test_a_gain_and_an_offset_of_the_radar_change_nothing(gain, offset):
    card = ModelCard.model_validate(radar_card(required=False))
    decibels = np.random.default_rng(1).normal(-12, 4, (40, 30)).clip(-24, -1)
    moved = decibels * gain + offset
    if np.median(moved) > 0 or moved.min() >= 0:
        return
    np.testing.assert_allclose(channels(card, moved), channels(card, decibels), atol=2e-3)


def test_the_levels_are_those_of_the_scene_and_not_of_the_window():
    card = ModelCard.model_validate(radar_card(required=False))
    windows = [{"s1-after": make_raster({"vv": RNG.normal(m, 1, (64, 64))})} for m in (-20, -8)]
    model = NetworkModel(card, network=None, device=None)
    first, second = stack(card, windows, model.scene_statistics(windows))[:, 1]
    assert first.mean() == pytest.approx(-1, abs=0.1)
    assert second.mean() == pytest.approx(1, abs=0.1)


def test_a_scene_without_levels_is_refused_and_an_unseen_window_is_zero():
    card = ModelCard.model_validate(radar_card(required=False))
    seen = {"s1-after": make_raster({"vv": RNG.normal(-12, 3, (8, 8))})}
    with pytest.raises(InputsMismatch, match="s1-after is normalised by the whole scene"):
        stack(card, [seen], SceneStatistics())
    unseen = {"s1-after": make_raster({"vv": np.full((8, 8), np.nan)})}
    assert not stack(card, [unseen], SceneStatistics()).any()


def test_constants_beside_the_scenes_own_are_refused(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(radar_card(mean=[-12.0], std=[4.0])))
    with pytest.raises(CardInvalid, match="has no mean and std; remove them"):
        read_card(path)
