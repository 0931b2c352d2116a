"""Weights: read from safetensors, checked by sha256, never unpickled."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import WeightsMismatch

if TYPE_CHECKING:
    import torch


def read_weights(path: Path, *, sha256: str) -> dict[str, "torch.Tensor"]:
    """Return the tensors of a safetensors file that must have a digest.

    Raises:
        WeightsMismatch: where its sha256 is another, and as `read_tensors` does.
    """
    return _tensors(read_content(path, sha256=sha256), path)


def read_content(path: Path, *, sha256: str, cure: str = "take both from one place") -> bytes:
    """Return the bytes of a file of weights that must have a digest; else say the cure.

    Raises:
        WeightsMismatch: where it cannot be read, or its sha256 is another.
    """
    content = _read(path)
    there = hashlib.sha256(content).hexdigest()
    if there != sha256:
        raise WeightsMismatch(
            f"the weights {path} have the sha256 {there}, the card says {sha256}; {cure}"
        )
    return content


def read_tensors(path: Path) -> tuple[dict[str, "torch.Tensor"], str]:
    """Return the tensors of a safetensors file, and its sha256.

    The file is read once: what is digested is what is used.

    Raises:
        WeightsMismatch: where it cannot be read, it is not safetensors, or a value is not finite.
    """
    content = _read(path)
    return _tensors(content, path), hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsMismatch(f"the weights {path} cannot be read: {error.strerror}") from error


def _tensors(content: bytes, path: Path) -> dict[str, "torch.Tensor"]:
    # Only here: networks of ukis-csmask have weights, too, and need no torch.
    import torch  # noqa: PLC0415
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415

    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsMismatch(
            f"the weights {path} are not safetensors ({error}); other formats can run code and "
            "are never opened: convert them"
        ) from error
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsMismatch(
            f"the weights {path} hold values that are not finite in {listed(broken)}"
        )
    return tensors


def fill(network: "torch.nn.Module", tensors: dict[str, "torch.Tensor"], *, source: Path) -> None:
    """Load tensors into a network, each by its name and shape, none missing and none over.

    Raises:
        WeightsMismatch: with the names or shapes that differ.
    """
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    over = sorted(tensors.keys() - wanted.keys())
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    differences = [
        f"{what} {listed(names)}"
        for what, names in (("without", missing), ("with unknown", over), ("with shapes", shapes))
        if names
    ]
    if differences:
        raise WeightsMismatch(
            f"the weights {source} do not fit the network of the card: {'; '.join(differences)}"
        )
    network.load_state_dict(tensors, strict=True)


def listed(names: list[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
