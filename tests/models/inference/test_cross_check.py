"""A network compared with a transparent detector, block by block."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geo.raster.classify import Label
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from geo.types import block_numbers
from geo.vector.hazards import Hazard
from models.cards.card import ModelCard
from models.cards.registry import all_cards, find
from models.datasets.chips import open_ombria
from models.inference.cross_check import BLOCK_PX, _contradicted, cross_checked
from models.inference.model import load_model
from models.inference.scene_inputs import CrossCheck, Prediction, read, reader_for
from models.networks.network import NetworkModel
from tests.models.network_fixtures import flood_card
from tests.rasters import north_up, scene_of, write_image

SIDE_PX = 256
GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(), "EPSG:32633")
WET = np.arange(SIDE_PX) % BLOCK_PX < 50
"""Columns of water, in every block."""


class Flood(torch.nn.Module):
    """Stands for a network: flood where the water index of the after image says so."""

    def __init__(self, sign: float, always: float = 0.0) -> None:
        super().__init__()
        self.sign, self.always = sign, always

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Return the logits of (n, channels, rows, cols); 5 and 7 are SWIR and green after."""
        return self.sign * 100 * (channels[:, 7:8] - channels[:, 5:6]) + self.always


def card(**limits: Any) -> ModelCard:
    """Return a card with the slots of flood-s1s2 that takes reflectance as it is."""
    made = flood_card(domain=limits)
    for entry in made["inputs"]:
        entry |= {"mean": [0.0] * len(entry["bands"]), "std": [1.0] * len(entry["bands"])}
    return ModelCard.model_validate(made)


@pytest.fixture
def scenes(tmp_path: Path) -> list[Any]:
    """Dry land before; stripes of water after."""
    land, water = (1500, 3500, 3000), (1200, 300, 100)  # green, nir, swir16
    made = []
    for phase in Phase:
        wet = WET & (phase is Phase.AFTER)
        level = np.where(wet, np.array(water)[:, None, None], np.array(land)[:, None, None])
        noise = np.random.default_rng(3).normal(0, 20, (3, SIDE_PX, SIDE_PX))
        path = write_image(
            tmp_path / phase.value / "image.tif",
            (level + noise).round().clip(1).astype(np.uint16),
            descriptions=("B03", "B08", "B11"),
            photometric="minisblack",
        )
        made.append(scene_of(path, phase, sensor="sentinel-2-l1c", baseline="02.08"))
    return made


def beside(scenes: list[Any], network: Flood, **limits: Any) -> Any:
    """Return the reader of a network beside a detector."""
    model = NetworkModel(card(**limits), network, torch.device("cpu"), 1)
    reader = reader_for(model, scenes, Preference.NEWEST)
    return cross_checked(reader, model.card, all_cards(), hazard=Hazard.FLOOD)


def answered(reader: Any) -> Prediction:
    answers = reader.predict([read(reader, GRID)], reader.scene_statistics([GRID]))
    return answers[0]


def test_a_network_that_agrees_is_left_as_it_is(scenes: list[Any]) -> None:
    reader = beside(scenes, Flood(1))
    assert reader.cross_checked_by == "mndwi-water"
    answer, alone = answered(reader), answered(replace(reader, check=None))
    assert (answer.cross_check == CrossCheck.AGREES).mean() > 0.99
    np.testing.assert_array_equal(answer.valid, alone.valid)
    np.testing.assert_array_equal(answer.probabilities, alone.probabilities)
    np.testing.assert_array_equal(answer.reason, alone.reason)


def test_a_network_that_says_the_opposite_is_taken_for_nothing(scenes: list[Any]) -> None:
    answer = answered(beside(scenes, Flood(-1)))
    assert (answer.cross_check == CrossCheck.CONTRADICTS).all()
    assert not answer.valid.any()
    assert (answer.reason == Label.OUT_OF_DOMAIN).all()


@pytest.mark.parametrize(("always", "share"), [(1e4, 1 - WET.mean()), (-1e4, WET.mean())])
def test_one_that_says_the_same_everywhere_is_kept_and_counted(
    scenes: list[Any], always: float, share: float
) -> None:
    answer = answered(beside(scenes, Flood(1, always)))
    assert answer.valid.all()
    assert (answer.cross_check == CrossCheck.DIFFERS).mean() == pytest.approx(share, abs=0.01)


def test_what_is_wrong_in_one_block_is_kept_in_the_others(scenes: list[Any]) -> None:
    class Half(Flood):
        def forward(self, channels: torch.Tensor) -> torch.Tensor:
            """Return the opposite in the upper half."""
            logits = super().forward(channels)
            logits[:, :, :BLOCK_PX] *= -1
            return logits

    answer = answered(beside(scenes, Half(1)))
    assert not answer.valid[:BLOCK_PX].any()
    assert answer.valid[BLOCK_PX:].all()


def test_no_detector_is_asked_where_the_card_or_the_imagery_has_none(scenes: list[Any]) -> None:
    assert beside(scenes, Flood(1), min_kappa=None).cross_checked_by is None
    model = NetworkModel(card().unchecked, Flood(1), torch.device("cpu"), 1)
    reader = reader_for(model, scenes, Preference.NEWEST)
    assert cross_checked(reader, model.card, all_cards(), hazard=Hazard.FLOOD) is reader
    assert cross_checked(reader, card(), [find("sar-change")], hazard=Hazard.FLOOD) is reader
    assert reader.cross_checked_by is None
    only_after = [scene for scene in scenes if scene.phase is Phase.AFTER]
    assert beside(only_after, Flood(1)).cross_checked_by == "mndwi-water"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 300), wrong=st.floats(0, 1))
def test_a_block_is_taken_by_cohens_kappa(seed: int, rows: int, wrong: float) -> None:
    """Against the closed form of a two by two table."""
    rng = np.random.default_rng(seed)
    detector = rng.random((rows, 90)) < 0.4
    network = detector ^ (rng.random(detector.shape) < wrong)
    everywhere = np.ones_like(detector)
    taken = _contradicted(network, detector, sure=everywhere, both=everywhere, below=-0.2)
    numbers = block_numbers(detector.shape, side=BLOCK_PX)
    for number in np.unique(numbers):
        here = numbers == number
        a, d = (network & detector)[here].sum(), (~network & ~detector)[here].sum()
        b, c = (network & ~detector)[here].sum(), (~network & detector)[here].sum()
        seen = min(detector[here].mean(), 1 - detector[here].mean()) >= 0.1
        scale = (a + b) * (b + d) + (a + c) * (c + d)
        kappa = 2 * (a * d - b * c) / scale if scale else 0
        assert np.unique(taken[here]).tolist() == [bool(seen and kappa < -0.2)]


def test_a_detector_that_is_unsure_or_sees_one_class_is_not_heard() -> None:
    detector = np.zeros((128, 128), bool)
    detector[:, :40] = True
    everywhere, nowhere = np.ones_like(detector), np.zeros_like(detector)
    heard = {"sure": everywhere, "both": everywhere, "below": -0.2}
    assert _contradicted(~detector, detector, **heard).all()
    few = detector.copy()
    few[:, 10:] = False
    for change in (
        {"sure": nowhere},
        {"both": np.arange(128)[:, None] < 50 * everywhere},
    ):
        assert not _contradicted(~detector, detector, **{**heard, **change}).any()
    assert not _contradicted(~few, few, **heard).any()


@pytest.mark.data
def test_a_faultless_network_keeps_the_blocks_of_ombria(data_dir: Path) -> None:
    """The labels stand for a network; the test split chose nothing of the rule."""
    test = open_ombria(data_dir / "ombria", "test")
    model = load_model(find("mndwi-water"))
    right, opposite, blocks = 0, 0, 0
    for index in range(0, len(test), 4):
        sample = test[index]
        before, after = (
            model.predict([inputs], model.scene_statistics([inputs]))[0, 0]
            for inputs in ({"image": sample.images[name]} for name in ("s2-before", "s2-after"))
        )
        flood = np.minimum(after, 1 - before)
        seen = {
            "detector": flood >= 0.5,
            "sure": (flood >= 0.9) | (flood <= 0.1),
            "both": np.isfinite(flood),
            "below": -0.2,
        }
        right += int(_contradicted(sample.target, **seen).sum()) // BLOCK_PX**2
        opposite += int(_contradicted(~sample.target, **seen).sum()) // BLOCK_PX**2
        blocks += 4
    assert right <= 0.01 * blocks
    assert opposite >= 0.15 * blocks
