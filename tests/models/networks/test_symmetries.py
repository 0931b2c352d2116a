import pytest
import torch

from models.networks.network import averaged

GROUPS = {
    2: [lambda x: x.flip(3)],
    4: [lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.rot90(2, (2, 3))],
    8: [
        lambda x: x.rot90(1, (2, 3)),
        lambda x: x.rot90(3, (2, 3)),
        lambda x: x.transpose(2, 3),
        lambda x: x.flip(2).rot90(1, (2, 3)),
    ],
}
"""What a mean over so many views must turn with."""


@pytest.fixture
def network():
    """A convolution that treats no two directions alike."""
    torch.manual_seed(2)
    return torch.nn.Conv2d(3, 2, 5, padding=2).eval()


@pytest.fixture
def pixels():
    return torch.randn(2, 3, 24, 40)


@pytest.mark.parametrize("symmetries", GROUPS)
def test_the_mean_turns_with_the_ground(network, pixels, symmetries):
    with torch.inference_mode():
        straight = averaged(network, pixels, symmetries=symmetries)
        for turn in GROUPS[symmetries]:
            turned = averaged(network, turn(pixels), symmetries=symmetries)
            torch.testing.assert_close(turned, turn(straight))
        assert not torch.allclose(straight, network(pixels), atol=1e-2)


def test_the_mean_is_that_of_the_kernels_views(network, pixels):
    """Another way to the same: for one convolution, the mean of its kernel's eight views."""
    kernel = network.weight.data
    views = [k.rot90(n, (2, 3)) for k in (kernel, kernel.flip(3)) for n in range(4)]
    mean = torch.nn.Conv2d(3, 2, 5, padding=2)
    mean.load_state_dict({"weight": torch.stack(views).mean(dim=0), "bias": network.bias.data})
    with torch.inference_mode():
        torch.testing.assert_close(averaged(network, pixels, symmetries=8), mean(pixels))


def test_one_view_is_the_network_itself(network, pixels):
    with torch.inference_mode():
        assert torch.equal(averaged(network, pixels, symmetries=1), network(pixels))
