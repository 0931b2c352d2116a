import hashlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit

from models.cards.card import ModelCard
from models.cards.registry import find
from models.errors import CardInvalid, DeviceMissing, WeightsMismatch
from models.inference.model import load_model
from models.networks.network import build
from models.networks.tensors import stack
from tests.models.conftest import redigest

RNG = np.random.default_rng(11)
# Two threads on two busy cores wait for each other far longer than these networks compute.
torch.set_num_threads(1)


def window(raster, rows, cols):
    bands = {name: RNG.uniform(0, 0.5, (rows, cols)) for name in ("green", "nir")}
    return {"s2-before": None, "s2-after": raster(bands)}


def predicted(model, batch):
    return model.predict(batch, model.scene_statistics(batch))


def test_a_network_answers_at_every_size_from_1_to_130(save_network, raster):
    model = load_model(find(save_network()), device="cpu")
    for size in range(1, 131):
        answer = predicted(model, [window(raster, size, 131 - size)])
        assert answer.shape == (1, 2, size, 131 - size)
        assert answer.dtype == np.float32
        assert np.isfinite(answer).all()
        assert (answer >= 0).all()
        assert (answer <= 1).all()


def test_the_answer_is_the_sigmoid_of_the_network_that_was_saved(save_network, raster):
    """Against the network filled by hand, on a size that needs no padding."""
    folder = save_network()
    ref = find(folder)
    network = build(ref.card.architecture, name="by hand")
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    batch = [window(raster, 40, 64) for _ in range(3)]
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(stack(ref.card, batch))).numpy()
    np.testing.assert_allclose(
        predicted(load_model(ref, device="cpu"), batch), expit(logits), rtol=1e-4, atol=1e-5
    )


def test_windows_of_a_batch_do_not_touch_each_other(save_network, raster):
    model = load_model(find(save_network()), device="cpu")
    batch = [window(raster, 33, 21) for _ in range(3)]
    together = predicted(model, batch)
    for index, alone in enumerate(batch):
        np.testing.assert_allclose(together[index], predicted(model, [alone])[0], atol=1e-5)


def test_the_temperature_of_the_card_divides_the_logits(save_network, raster):
    folder = save_network()
    batch = [window(raster, 16, 16)]
    plain = predicted(load_model(find(folder), device="cpu"), batch)
    card = json.loads((folder / "card.json").read_text())
    card["calibration"] = {
        "method": "temperature",
        "parameters": {"temperature": [2.0, 0.5]},
        "fitted_on": "nothing",
        "ece": 0.02,
    }
    (folder / "card.json").write_text(json.dumps(card))
    warm = predicted(load_model(find(folder), device="cpu"), batch)
    logits = np.log(plain / (1 - plain))
    np.testing.assert_allclose(warm[:, 0], expit(logits[:, 0] / 2), atol=1e-4)
    np.testing.assert_allclose(warm[:, 1], expit(logits[:, 1] * 2), atol=1e-4)


def test_there_is_no_answer_where_the_required_image_was_not_seen(save_network, raster):
    model = load_model(find(save_network()), device="cpu")
    inputs = window(raster, 20, 20)
    pixels = inputs["s2-after"].pixels.copy()
    pixels[:, 5:8, 4:9] = np.nan
    holed = raster(dict(zip(("green", "nir"), pixels, strict=True)))
    answer = predicted(model, [{"s2-before": inputs["s2-after"], "s2-after": holed}])[0]
    np.testing.assert_array_equal(np.isnan(answer), np.isnan(pixels))


def test_a_window_that_nobody_saw_is_not_predicted(save_network, raster):
    model = load_model(find(save_network()), device="cpu")
    seen = window(raster, 20, 20)
    nothing = raster({name: np.full((20, 20), np.nan) for name in ("green", "nir")})
    unseen = {"s2-before": None, "s2-after": nothing}
    shown: list[int] = []

    def counting(pixels):
        shown.append(len(pixels))
        return model.network(pixels)

    watched = replace(model, network=counting)
    answer = predicted(watched, [unseen, seen, unseen])
    assert sum(shown) == 1
    assert np.isnan(answer[[0, 2]]).all()
    np.testing.assert_array_equal(answer[1], predicted(model, [seen])[0])


def test_one_changed_byte_of_the_weights_is_refused(save_network):
    folder = save_network()
    weights = folder / "weights.safetensors"
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    wrong = hashlib.sha256(content).hexdigest()
    with pytest.raises(WeightsMismatch, match=f"sha256 {wrong}, the card says {right}"):
        load_model(find(folder), device="cpu")


def test_missing_weights_are_refused(save_network):
    folder = save_network()
    (folder / "weights.safetensors").unlink()
    with pytest.raises(WeightsMismatch, match="cannot be read"):
        load_model(find(folder), device="cpu")


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def by_torch(payload, path):
    torch.save({"weight": payload}, path)


def by_pickle(payload, path):
    path.write_bytes(pickle.dumps(payload))


@pytest.mark.parametrize("save", [by_torch, by_pickle])
def test_a_pickle_is_refused_and_not_executed(save_network, tmp_path, save):
    folder = save_network()
    canary = tmp_path / "canary"
    save(Canary(canary), folder / "weights.safetensors")
    redigest(folder)
    with pytest.raises(WeightsMismatch, match="are not safetensors"):
        load_model(find(folder), device="cpu")
    assert not canary.exists()


HEAD = "segmentation_head.0.weight"


def drop(tensors):
    tensors.pop(HEAD)


def rename(tensors):
    tensors["another"] = tensors.pop(HEAD)


def reshape(tensors):
    tensors[HEAD] = tensors[HEAD].flatten()


def spoil(tensors):
    tensors[HEAD][0, 0, 0, 0] = float("nan")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop, f"without {HEAD}"),
        (rename, "with unknown another"),
        (reshape, f"with shapes {HEAD}"),
        (spoil, f"not finite in {HEAD}"),
    ],
)
def test_weights_that_are_not_the_networks_are_refused_by_name(save_network, change, said):
    folder = save_network()
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file(tensors, folder / "weights.safetensors")
    redigest(folder)
    with pytest.raises(WeightsMismatch, match=said):
        load_model(find(folder), device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arch": "vnet"}, "the architecture vnet; .* has unet, "),
        ({"encoder": "resnet7"}, "on resnet7, which .* cannot build"),
        ({"decoder_options": {"decoder_depth": 1}}, "decoder_depth, which unet does not have"),
        ({"decoder_options": {"decoder_channels": (8, 8)}}, "cannot build"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(card_json, change, said):
    card = card_json()
    card["architecture"] |= change
    architecture = ModelCard.model_validate(card).architecture
    with pytest.raises(CardInvalid, match=said):
        build(architecture, name="tiny")


def test_a_device_that_is_not_there_is_said_so(save_network):
    ref = find(save_network())
    for device in ("tpu", "cuda:99", "cpu:0"):
        with pytest.raises(DeviceMissing, match="there is cpu"):
            load_model(ref, device=device)
