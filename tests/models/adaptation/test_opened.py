from dataclasses import replace

import numpy as np
import pytest
import torch

from models.adaptation.label_tiles import Opened
from models.errors import InputsMismatch
from models.networks.network import NetworkModel
from tests.models.adaptation.made_tuning import save, tile, water_card
from tests.models.damage.test_network import damage_card
from tests.models.network_fixtures import flood_card

torch.set_num_threads(1)

CARDS = {
    "3 x 3": water_card(symmetries=4),
    "turned": water_card(symmetries=8),
    "pixel head": water_card(pixel_head=8, shrink=2, symmetries=4),
    "enlarged behind": water_card(arch="fpn", decoder_options={}),
    "siamese": damage_card(),
    "flags": flood_card(),
}


@pytest.fixture(params=CARDS, ids=str)
def model(request, tmp_path):
    ref = save(tmp_path, CARDS[request.param])
    return NetworkModel.load(ref, ref.card.architecture, device="cpu")


def tile_for(model):
    architecture = model.card.architecture
    return tile([[True] * architecture.classes], channels=architecture.in_channels).tile


def calibrated(model, logits):
    temperature = model.card.calibration
    return 1 / (1 + np.exp(-logits / (temperature.parameters.temperature[0] if temperature else 1)))


def test_logits_are_the_head_of_the_features(model):
    opened, seen = Opened.of(model), tile_for(model)
    head, features = opened.head, opened.features(seen).numpy()
    assert head.shape == (model.card.architecture.classes, 1 + len(features))
    by_head = np.einsum("cf,fyx->cyx", head[:, 1:], features) + head[:, :1, None]
    np.testing.assert_allclose(by_head, opened.logits(seen).numpy(), atol=2e-5)
    expected = model.probabilities(seen.channels[None].float().numpy())[0]
    np.testing.assert_allclose(calibrated(model, by_head), expected, atol=1e-5)


def test_a_head_that_is_set_is_the_network_s(model):
    opened, seen = Opened.of(model), tile_for(model)
    other = np.random.default_rng(1).normal(size=opened.head.shape)
    features = opened.features(seen).numpy()
    opened.set_head(other)
    np.testing.assert_allclose(opened.head, other, rtol=1e-6)
    by_head = np.einsum("cf,fyx->cyx", other[:, 1:], features) + other[:, :1, None]
    np.testing.assert_allclose(opened.logits(seen).numpy(), by_head, atol=1e-4)


def test_a_network_that_ends_otherwise_is_refused(tmp_path):
    ref = save(tmp_path, water_card())
    model = NetworkModel.load(ref, ref.card.architecture, device="cpu")
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.ReLU())
    with pytest.raises(InputsMismatch, match="convolution of tiny gives 8 channels for 1 classes"):
        Opened.of(replace(model, network=other))
