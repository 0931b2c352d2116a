"""The encoder of a network, begun with weights that the user has."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from models.architecture import NetworkArchitecture
from models.errors import WeightsMismatch
from models.network import encoder_of
from models.weights import listed, read_tensors

_LOG = logging.getLogger(__name__)
_COUNTER = "num_batches_tracked"
"""Of batch normalisation: no weight, and left out by some who save them."""

Tensors = Mapping[str, torch.Tensor]


def weights_file(path: Path, *, encoder: str) -> Path:
    """Return the file that is meant: itself or, in a folder, the one named after the encoder.

    Raises:
        WeightsMismatch: where a folder holds neither ENCODER.safetensors nor model.safetensors.
    """
    if not path.is_dir():
        return path
    names = (f"{encoder}.safetensors", "model.safetensors")
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise WeightsMismatch(
            f"the folder of encoder weights {path} holds no {' nor '.join(names)}; give the file"
        )
    return found


def begin_encoder(
    network: torch.nn.Module, path: Path, *, architecture: NetworkArchitecture
) -> str:
    """Fill the encoder of a network with weights, and return the sha256 of their file.

    They may be those of the encoder by itself, of a whole network of segmentation-models-pytorch,
    or of a classifier of timm; what a classifier has besides is left out. A first convolution
    that was made for another number of channels is adapted as segmentation-models-pytorch does:
    its filters are repeated in turn and scaled by the ratio of the numbers, or summed for one.

    Args:
        network: of `models.network.build`; its encoder is changed.
        path: a safetensors file, or a folder of them, see `weights_file`.
        architecture: of the network, for its channels and the messages.

    Raises:
        WeightsMismatch: where the file cannot be read, or a tensor of the encoder is missing from
            it or has another shape.
    """
    file = weights_file(path, encoder=architecture.encoder)
    tensors, sha256 = read_tensors(file)
    encoder = encoder_of(network)
    wanted = encoder.state_dict()
    pairs = _paired(wanted, tensors)
    what = f"the encoder weights {file} are not of {architecture.encoder}"
    if missing := sorted(wanted.keys() - pairs.keys()):
        raise WeightsMismatch(
            f"{what}: {len(missing)} of its {len(wanted)} tensors are not there, such as "
            f"{listed(missing)}; the file has {listed(sorted(tensors))}"
        )
    first = _first_convolution(encoder, channels=architecture.image_channels)
    fitted = {
        name: adapted(tensor, channels=wanted[name].shape[1]) if name == first else tensor
        for name, tensor in pairs.items()
    }
    shapes = [
        f"{name} {tuple(pairs[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if fitted[name].shape != wanted[name].shape
    ]
    if shapes:
        raise WeightsMismatch(f"{what}: with other shapes {listed(shapes)}")
    # Not the encoder's own `load_state_dict`: some rename what they are given.
    torch.nn.Module.load_state_dict(encoder, fitted, strict=True)
    _LOG.info("began with %s, %d of its tensors left out", file, len(tensors) - len(pairs))
    return sha256


def adapted(weight: torch.Tensor, *, channels: int) -> torch.Tensor:
    """Return a convolution's weight, (out, in, rows, cols), for another number of channels."""
    there = weight.shape[1]
    if there == channels:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % there] * (there / channels)


def _paired(wanted: Tensors, tensors: Tensors) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by the names that the encoder has for them."""
    exact = {_bare(name): tensor for name, tensor in tensors.items()}
    # timm writes `stages.0` for a classifier and `stages_0` for its features.
    loose = {name.replace(".", "_"): tensor for name, tensor in exact.items()}
    pairs = {name: t for name, t in wanted.items() if name.endswith(_COUNTER)}
    for name in wanted:
        bare = _bare(name)
        if bare in exact or bare.replace(".", "_") in loose:
            pairs[name] = exact[bare] if bare in exact else loose[bare.replace(".", "_")]
    return pairs


def _bare(name: str) -> str:
    """Return a name without what a whole network and the wrapper around timm's put before it."""
    return re.sub(r"^(context\.)?(encoder\.)?(model\.)?", "", name)


def _first_convolution(encoder: torch.nn.Module, *, channels: int) -> str | None:
    """Return the name of the weight that sees the image, or None where there is no convolution."""
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == channels:
            return f"{name}.weight"
    return None
