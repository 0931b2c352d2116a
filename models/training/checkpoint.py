"""Where a training stands, in one file: tensors as safetensors, the rest as JSON in its header.

The file is replaced as a whole: a killed training leaves the old one or the new one.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from geo.durable import replace_file, writing
from models.errors import TrainingInvalid

NAME = "checkpoint.safetensors"
_HEADER = "training"


@dataclass
class Standing:
    """How far a training is."""

    config_sha256: str
    data_sha256: str
    encoder_sha256: str | None = None
    """Of the weights that the encoder began with; None: random ones."""
    epoch: int = 0
    """Epochs that are done."""
    wall_s: float = 0.0
    """Spent on them, over all runs."""
    energy_wh: float | None = None
    """Spent on them; None where nothing meters it."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """The log: one row an epoch."""


def write_checkpoint(
    folder: Path,
    standing: Standing,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write where the training stands.

    Raises:
        StoreError: where it cannot be written.
    """
    tensors = {
        **{f"network.{name}": tensor for name, tensor in network.state_dict().items()},
        **{f"average.{name}": tensor for name, tensor in average.state_dict().items()},
        **{
            f"optimiser.{index}.{name}": value
            for index, state in optimiser.state_dict()["state"].items()
            for name, value in state.items()
        },
    }
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={_HEADER: json.dumps(asdict(standing))},
    )
    path = folder / NAME
    with writing(path):
        replace_file(path, content)


def read_checkpoint(
    folder: Path,
    fresh: Standing,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
) -> Standing:
    """Fill network, average and optimiser, and return how far they are; `fresh` without a file.

    Raises:
        TrainingInvalid: where the file is damaged, or of another config or other data.
    """
    path = folder / NAME
    if not path.is_file():
        return fresh
    try:
        with safe_open(path, framework="pt") as file:
            standing = Standing(**json.loads(file.metadata()[_HEADER]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingInvalid(
            f"the checkpoint {path} cannot be read ({error}); remove it to begin anew"
        ) from error
    _check_same(path, standing, fresh)
    network.load_state_dict(_part(tensors, "network."))
    average.load_state_dict(_part(tensors, "average."))
    optimiser.load_state_dict(
        {**optimiser.state_dict(), "state": _optimiser_state(_part(tensors, "optimiser."))}
    )
    return standing


def _check_same(path: Path, there: Standing, wanted: Standing) -> None:
    for what, one, other in (
        ("config", there.config_sha256, wanted.config_sha256),
        ("data", there.data_sha256, wanted.data_sha256),
        ("file of encoder weights", there.encoder_sha256, wanted.encoder_sha256),
    ):
        if one != other:
            raise TrainingInvalid(
                f"{path} is of a training whose {what} has the sha256 {_short(one)}, this one's is "
                f"{_short(other)}; give another --out, or remove it to begin anew"
            )


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "of none"


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _optimiser_state(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    return state
