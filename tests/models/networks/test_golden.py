"""What the shipped networks answer to a made scene does not change unnoticed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.cards.registry import find
from models.inference.model import load_model
from tests.models.conftest import redigest
from tests.models.golden.fixture import answers, cases, network_of, scene, shipped_networks

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"
CLOSE = 1e-3


def difference(one, other):
    """Return the largest difference of two answers; they must have the same cases."""
    assert one.keys() == other.keys()
    return max(float(np.abs(np.array(one[k]) - np.array(other[k])).max()) for k in one)


def test_every_shipped_network_answers_as_it_did():
    for ref in shipped_networks():
        record = json.loads((GOLDEN / f"{ref.card.name}.json").read_text())
        again = f"python -m tests.models.golden {ref.card.name}"
        assert record["weights_sha256"] == ref.card.weights_sha256, again
        assert difference(answers(network_of(ref)), record["answers"]) < CLOSE, again


def test_there_is_no_golden_answer_of_a_network_that_is_gone():
    names = {ref.card.name for ref in shipped_networks()}
    assert {path.stem for path in GOLDEN.glob("*.json")} == names


@pytest.fixture
def network(save_network, tmp_path):
    """A network whose answer hangs on its inputs, and the folder that it lies in."""
    folder = save_network()
    tensors = load_file(folder / "weights.safetensors")
    tensors["segmentation_head.0.weight"] = tensors["segmentation_head.0.weight"] * 20
    save_file(tensors, folder / "weights.safetensors")
    redigest(folder)
    return folder


def golden(folder):
    return json.loads(json.dumps(answers(load_model(find(folder), device="cpu"))))


def test_the_same_network_answers_the_same(network):
    assert difference(golden(network), golden(network)) < 1e-6
    assert set(golden(network)) == {"all", "s2-after"}


def changed_weight(folder):
    tensors = load_file(folder / "weights.safetensors")
    tensors["segmentation_head.0.bias"] = tensors["segmentation_head.0.bias"] + 0.1
    save_file(tensors, folder / "weights.safetensors")
    redigest(folder)


def changed_mean(folder):
    card = json.loads((folder / "card.json").read_text())
    card["inputs"][1]["mean"][0] += 0.1
    (folder / "card.json").write_text(json.dumps(card))


def changed_order(folder):
    card = json.loads((folder / "card.json").read_text())
    card["inputs"][1]["bands"].reverse()
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("change", [changed_weight, changed_mean, changed_order])
def test_a_change_of_weights_or_card_shows(network, change):
    before = golden(network)
    change(network)
    assert difference(before, golden(network)) > CLOSE


def test_the_made_scene_is_plausible_in_its_units_and_no_two_bands_are_alike(card_json, network):
    model = load_model(find(network), device="cpu")
    whole = scene(model.card)
    model.scene_statistics([whole])  # refuses units that are not the card's
    bands = [band for image in whole.values() for band in image.pixels]
    correlation = np.corrcoef([band.ravel() for band in bands]) - np.eye(len(bands))
    assert np.abs(correlation).max() < 0.95
    assert [name for name, _ in cases(model.card)] == ["all", "s2-after"]
