import hashlib

import pytest
import timm
import torch
from safetensors.torch import save_file

from flows.reports.progress import QuietProgress
from models.cards.registry import find
from models.errors import TrainingInvalid, WeightsMismatch
from models.networks.network import build
from models.training.artifacts import fit_channels, load_encoder, weights_file
from models.training.config import read_config
from models.training.train import train
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import config, plan
from tests.models.training.test_config import written

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
torch.set_num_threads(1)

TIMM = "mobilenetv3_small_050"
STEM, INNER = "model.conv_stem.weight", "blocks.0.0.conv_pw.weight"


@pytest.fixture
def architecture(tmp_path):
    return config(tmp_path).card.architecture


@pytest.fixture
def network(architecture):
    torch.manual_seed(1)
    return build(architecture, name="tiny")


def saved(tensors, path):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def classifier(channels=3):
    torch.manual_seed(8)
    return timm.create_model(TIMM, in_chans=channels).state_dict()


def whole_network(architecture):
    torch.manual_seed(8)
    return build(architecture, name="other").state_dict()


def same(network, tensors):
    """Whether each tensor of the encoder that has a namesake equals it."""
    there = network.encoder.state_dict()
    pairs = [(tensors[name], tensor) for name, tensor in there.items() if name in tensors]
    return len(pairs) == len(there) and all(torch.equal(a, b) for a, b in pairs)


def test_the_encoder_of_a_whole_network_is_taken_and_nothing_else(network, architecture, tmp_path):
    other = whole_network(architecture)
    before = network.segmentation_head[0].weight.clone()
    path = saved(other, tmp_path / "weights.safetensors")
    digest = load_encoder(network, path, architecture=architecture)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert same(network, {name.removeprefix("encoder."): t for name, t in other.items()})
    assert torch.equal(network.segmentation_head[0].weight, before)


def test_an_encoder_by_itself_is_taken(network, architecture, tmp_path):
    encoder = {
        name.removeprefix("encoder."): tensor
        for name, tensor in whole_network(architecture).items()
        if name.startswith("encoder.") and not name.endswith("num_batches_tracked")
    }
    load_encoder(network, saved(encoder, tmp_path / "e.safetensors"), architecture=architecture)
    counters = {n: t for n, t in network.encoder.state_dict().items() if n not in encoder}
    assert same(network, encoder | counters)


def test_a_classifier_of_timm_of_three_channels_is_adapted_as_timm_does(
    network, architecture, tmp_path
):
    tensors = classifier()
    load_encoder(network, saved(tensors, tmp_path / "c.safetensors"), architecture=architecture)
    there = network.encoder.state_dict()
    assert torch.equal(there[f"model.{INNER}"], tensors[INNER])
    expected = timm.models.adapt_input_conv(7, tensors["conv_stem.weight"])
    torch.testing.assert_close(there[STEM], expected)


def test_a_convolution_for_one_channel_sums_and_for_more_repeats():
    weight = torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2)
    grey = torch.rand(1, 1, 4, 4)
    one = torch.nn.functional.conv2d(grey, fit_channels(weight, channels=1))
    torch.testing.assert_close(one, torch.nn.functional.conv2d(grey.expand(1, 3, 4, 4), weight))
    # What is the same in all channels gives the same answer, however many there are.
    for channels in (2, 4, 6, 7):
        more = fit_channels(weight, channels=channels)
        assert more.shape == (2, channels, 2, 2)
        assert torch.equal(more[:, 0] * channels, weight[:, 0] * 3)
    six = torch.nn.functional.conv2d(grey.expand(1, 6, 4, 4), fit_channels(weight, channels=6))
    torch.testing.assert_close(six, one)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("bn1.weight"), r"1 of its \d+ tensors are not there, such as model\.bn1"),
        (lambda t: t.update({"bn1.weight": torch.ones(3)}), r"shapes model\.bn1.weight \(3,\)"),
        (lambda t: t.update({"conv_stem.weight": torch.ones(16, 3, 5, 5)}), "other shapes .*stem"),
        (lambda t: t.update({"bn1.weight": t["bn1.weight"] * torch.nan}), "not finite"),
    ],
)  # fmt: skip
def test_weights_of_another_encoder_are_refused(network, architecture, tmp_path, change, said):
    tensors = classifier()
    change(tensors)
    before = network.encoder.state_dict()[STEM].clone()
    path = saved(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsMismatch, match=said):
        load_encoder(network, path, architecture=architecture)
    assert torch.equal(network.encoder.state_dict()[STEM], before)


def test_a_folder_holds_the_file_of_the_encoder(tmp_path):
    with pytest.raises(WeightsMismatch, match=r"no mit_b0\.safetensors nor model\.safe"):
        weights_file(tmp_path, encoder="mit_b0")
    for name in ("model.safetensors", "mit_b0.safetensors"):
        (tmp_path / name).touch()
        assert weights_file(tmp_path, encoder="mit_b0").name == name
    assert weights_file(tmp_path / "any.file", encoder="mit_b0").name == "any.file"


def test_a_file_that_cannot_be_used_is_said_so(network, architecture, tmp_path):
    with pytest.raises(WeightsMismatch, match="cannot be read: No such file"):
        load_encoder(network, tmp_path / "none.safetensors", architecture=architecture)
    torch.save(classifier(), tmp_path / "weights.pth")
    with pytest.raises(WeightsMismatch, match="are not safetensors"):
        load_encoder(network, tmp_path / "weights.pth", architecture=architecture)


def test_a_training_begins_with_the_weights_and_the_card_names_their_digest(tmp_path, architecture):
    root = write_ombria(tmp_path / "ombria", [1, 21, 41])
    weights = saved(classifier(), tmp_path / "encoder.safetensors")
    still = {"epochs": 1, "batch": 4, "learning_rate": 1e-12, "average": 0.0}
    fields = plan(root, encoder_weights="encoder.safetensors", optimiser=still)
    path = written(tmp_path, fields)
    card = train(read_config(path), out=tmp_path / "out", progress=QuietProgress())
    assert card.training.encoder_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    network = build(architecture, name="trained")
    load_encoder(network, find(tmp_path / "out").weights, architecture=architecture)
    there = network.encoder.state_dict()[f"model.{INNER}"]
    torch.testing.assert_close(there, classifier()[INNER], atol=0, rtol=1e-3)

    other = {name: t * 1.5 if name == "bn1.weight" else t for name, t in classifier().items()}
    saved(other, weights)
    with pytest.raises(TrainingInvalid, match="whose file of encoder weights has the sha256"):
        train(read_config(path), out=tmp_path / "out", progress=QuietProgress())


def test_the_path_of_the_weights_is_no_part_of_the_digest_of_a_config(tmp_path):
    plain = config(tmp_path)
    assert config(tmp_path, encoder_weights="a.safetensors").digest == plain.digest
