import pytest
import torch
from safetensors.torch import save_file

from models.cards.architecture import NetworkArchitecture
from models.networks.network import build, encoder_of
from models.training.artifacts import load_encoder

torch.set_num_threads(1)
FIELDS = {
    "kind": "network",
    "arch": "unet",
    "encoder": "tu-mobilenetv3_small_050",
    "decoder_options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "in_channels": 6,
    "classes": 4,
    "siamese": True,
}


def architecture(**changes):
    return NetworkArchitecture.model_validate(FIELDS | changes)


@pytest.fixture
def network():
    torch.manual_seed(3)
    return build(architecture(), name="tiny").eval()


def asked(network, before, after):
    with torch.inference_mode():
        return network(torch.cat([before, after], dim=1))


@pytest.fixture
def dates():
    torch.manual_seed(4)
    return torch.randn(2, 3, 32, 40), torch.randn(2, 3, 32, 40)


def test_both_dates_go_through_one_encoder_made_for_one_image(network, dates):
    assert asked(network, *dates).shape == (2, 4, 32, 40)
    single = build(architecture(siamese=False, in_channels=3), name="single")
    assert encoder_of(network).state_dict().keys() == encoder_of(single).state_dict().keys()
    for name, tensor in encoder_of(single).state_dict().items():
        assert encoder_of(network).state_dict()[name].shape == tensor.shape


def test_the_answer_hangs_on_both_dates_and_on_their_order(network, dates):
    before, after = dates
    there = asked(network, before, after)
    for other in ((after, after), (before, before), (after, before)):
        assert not torch.allclose(asked(network, *other), there, atol=1e-4)


def test_without_the_features_of_the_difference_it_is_the_network_of_the_image_before(
    network, dates
):
    """The other implementation: the plain network of segmentation-models-pytorch."""
    single = build(architecture(siamese=False, in_channels=3), name="single").eval()
    for part in ("encoder", "decoder", "segmentation_head"):
        single.get_submodule(part).load_state_dict(network.get_submodule(part).state_dict())
    with torch.no_grad():
        for fuse in network.fuse:
            width = fuse.out_channels
            fuse.weight.zero_()
            fuse.bias.zero_()
            fuse.weight[:, :width, 0, 0] = torch.eye(width)
    with torch.inference_mode():
        torch.testing.assert_close(asked(network, *dates), single(dates[0]), atol=1e-4, rtol=1e-4)


def test_its_encoder_begins_with_that_of_a_network_for_single_images(network, tmp_path):
    torch.manual_seed(9)
    single = build(architecture(siamese=False, in_channels=3, pixel_head=8), name="single")
    path = tmp_path / "weights.safetensors"
    save_file(single.state_dict(), path)
    load_encoder(network, path, architecture=architecture())
    wanted = encoder_of(single).state_dict()
    for name, tensor in encoder_of(network).state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize("changes", [{"in_channels": 5}, {"availability_channels": True}])
def test_what_is_not_two_images_is_refused(changes):
    with pytest.raises(ValueError, match="sees two images of the same bands"):
        architecture(**changes)
