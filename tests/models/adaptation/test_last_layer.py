import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load
from threadpoolctl import threadpool_limits

from models.adaptation.label_tiles import LabelTiles
from models.adaptation.last_layer import LastLayer, adapt_last_layer
from models.cards.registry import CardRef, find
from models.datasets.vocabulary import DAMAGE, WATER
from models.errors import InputsMismatch
from models.inference.windows import NoProgress
from models.networks.network import NetworkModel
from tests.models.adaptation.label_files import labels_of
from tests.models.adaptation.tiny_networks import ALTERNATING, save, tile, water_card
from tests.models.damage.test_network import damage_card
from tests.models.network_fixtures import flood_card

torch.set_num_threads(1)
# Threads of the linear algebra wait for each other far longer than these small fits compute.
pytestmark = pytest.mark.usefixtures("one_thread")
LAST = {"segmentation_head.0.weight", "segmentation_head.0.bias"}
CARDS = {
    "3 x 3": water_card(symmetries=4),
    "turned": water_card(symmetries=8),
    "pixel head": water_card(pixel_head=8, shrink=2, symmetries=4),
    "enlarged behind": water_card(arch="fpn", decoder_options={}),
    "siamese": damage_card(),
    "flags": flood_card(),
}


def model_of(ref):
    return NetworkModel.load(ref, device="cpu")


@pytest.fixture
def one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(params=CARDS, ids=str)
def model(request, tmp_path):
    return model_of(save(tmp_path, CARDS[request.param]))


def test_the_last_layer_of_the_features_is_the_network(model):
    channels = tile([0], channels=model.card.architecture.in_channels).channels
    layer = LastLayer.of(model)
    divisor = model.card.calibration.parameters.temperature[0] if model.card.calibration else 1

    def probabilities(coefficients):
        """Of the features, which do not change with the last layer."""
        logits = np.einsum("cf,fyx->cyx", coefficients[:, 1:], features)
        return 1 / (1 + np.exp(-(logits + coefficients[:, :1, None]) / divisor))

    features = layer.features(channels).numpy()
    pixels = channels[None].float().numpy()
    assert layer.coefficients.shape == (len(model.card.classes), 1 + len(features))
    np.testing.assert_allclose(
        probabilities(layer.coefficients), model.probabilities(pixels)[0], atol=1e-5
    )
    other = np.random.default_rng(1).normal(size=layer.coefficients.shape)
    layer.set_coefficients(other)
    np.testing.assert_allclose(layer.coefficients, other, rtol=1e-6)
    np.testing.assert_allclose(probabilities(other), model.probabilities(pixels)[0], atol=1e-4)


def test_a_network_that_ends_otherwise_is_refused(tmp_path):
    model = model_of(save(tmp_path, water_card()))
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.ReLU())
    with pytest.raises(InputsMismatch, match="convolution of tiny gives 8 channels for 1 classes"):
        LastLayer.of(replace(model, network=other))


def test_only_networks_have_a_last_layer():
    labels, tiles = labels_of(ALTERNATING[:4], WATER), LabelTiles((), np.arange(4))
    with pytest.raises(InputsMismatch, match="ndwi-water is a detector and no network"):
        adapt_last_layer(find("ndwi-water"), labels, tiles, device="cpu", progress=NoProgress())


@pytest.fixture
def parent(tmp_path):
    return save(tmp_path / "parent", water_card(symmetries=2))


def adapted(ref, codes, vocabulary=WATER, *, seed=0, **options):
    tiles = LabelTiles((tile(codes, seed=seed, **options),), np.arange(len(codes)))
    labels = labels_of(codes, vocabulary)
    return adapt_last_layer(ref, labels, tiles, device="cpu", progress=NoProgress())


def predicted(card, content, folder, one):
    """The mean probability of each square of a tile by the network as it is loaded."""
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(content)
    model = model_of(CardRef(card, folder))
    likely = model.probabilities(one.channels[None].float().numpy())[0, 0]
    return np.array([likely[one.numbers == k].mean() for k in np.unique(one.numbers)[1:]])


def test_the_last_convolution_is_fitted_and_is_what_the_weights_hold(parent, tmp_path):
    codes = ALTERNATING[:8]
    found = adapted(parent, codes)
    before, after = load(parent.weights.read_bytes()), load(found.weights)
    assert found.stage == "head"
    assert {name for name in before if not torch.equal(before[name], after[name])} == LAST
    assert {name: part.dtype for name, part in after.items()} == {
        name: part.dtype for name, part in before.items()
    }
    assert found.card.weights_sha256 == hashlib.sha256(found.weights).hexdigest()
    assert found.card.classes == parent.card.classes
    assert "8 label polygons, each predicted by" in found.card.calibration.fitted_on
    one, yes = tile(codes), np.array(codes) == 1
    child = predicted(found.card, found.weights, tmp_path / "child", one)
    assert child[yes].min() > child[~yes].max()
    # Held-out labels are predicted almost as well as those that were fitted to.
    assert np.abs(child - found.adapted[:, 1]).mean() < 0.2
    same = predicted(parent.card, parent.weights.read_bytes(), tmp_path / "same", one)
    np.testing.assert_allclose(found.parent[:, 1], same, atol=1e-5)
    assert adapted(parent, codes).weights == found.weights


def test_a_parent_that_predicts_the_labels_is_kept_bit_for_bit(parent):
    once = adapted(parent, ALTERNATING[:8])
    (parent.folder / "weights.safetensors").write_bytes(once.weights)
    colder = once.card.calibration.parameters.model_copy(update={"temperature": (0.02,)})
    calibration = once.card.calibration.model_copy(update={"parameters": colder})
    sure = CardRef(once.card.model_copy(update={"calibration": calibration}), parent.folder)
    twice = adapted(sure, ALTERNATING[:8], seed=2)
    assert twice.stage == "none"
    assert not twice.helped
    assert (twice.weights, twice.card) == (once.weights, sure.card)
    np.testing.assert_array_equal(twice.adapted, twice.parent)


def test_grades_are_fitted_and_the_building_stays(tmp_path):
    grader = save(tmp_path, damage_card())
    # Every other building is damaged, none is destroyed.
    found = adapted(grader, [2 * code for code in ALTERNATING[:8]], DAMAGE, channels=6)
    before, after = load(grader.weights.read_bytes()), load(found.weights)
    name = "segmentation_head.0.weight"
    rows = zip(before[name], after[name], strict=True)
    assert [not torch.equal(*pair) for pair in rows] == [False, True, True, False]
    assert found.stage == "head"
    np.testing.assert_allclose(found.adapted.sum(axis=1), 1)
    assert (found.adapted >= 0).all()
