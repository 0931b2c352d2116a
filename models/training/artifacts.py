"""The outcome of a training: weights, card and log; and pretrained weights of an encoder."""

import csv
import hashlib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save

from geo.store.atomic_io import replace_file, writing
from models.cards.architecture import NetworkArchitecture
from models.cards.card import (
    CARD_NAME,
    WEIGHTS_NAME,
    Calibration,
    CardClass,
    DomainLimits,
    ModelCard,
    Score,
    TemperatureParameters,
    Training,
    card_bytes,
)
from models.cards.inputs import BandStatistics, CardInput
from models.cards.registry import weight_bytes
from models.datasets.catalog import fold_name
from models.errors import WeightsMismatch
from models.evaluation.metrics import Counts, LogitTally
from models.networks.network import encoder_of, names_text, tensors_of
from models.training.config import CardPlan, TrainingConfig
from models.training.loop import TrainingState

LOG_NAME = "log.csv"
_UNKNOWN_SHA256 = "0" * 64
_CLASS_FIELDS = ("finding", "grades")
_LIBRARIES = ("torch", "torchvision", "segmentation-models-pytorch", "timm", "numpy")


GRADE_THRESHOLD = 0.5
"""A building is of the worst grade that it more likely reaches than not: the median grade."""


@dataclass(frozen=True)
class Chosen:
    """Constants of one finding that the validation chose, and its scores there."""

    temperature: float
    threshold: float
    ece: float
    by_subset: tuple[Counts, ...]

    @classmethod
    def of(cls, tallies: Sequence[LogitTally], *, threshold: float | None = None) -> "Chosen":
        """Choose temperature by all subsets alike and, if it is None, threshold by the first."""
        # The best threshold for few inputs is low, and finds too much where there are all.
        together = sum(tallies, LogitTally.empty())
        temperature = together.temperature()
        if threshold is None:
            threshold = tallies[0].threshold(temperature=temperature)
        return cls(
            temperature,
            threshold,
            together.ece(temperature=temperature),
            tuple(t.counts(threshold=threshold, temperature=temperature) for t in tallies),
        )


def choose(tallies: Sequence[Sequence[LogitTally]]) -> tuple[Chosen, ...]:
    """Choose for the finding and for each of its grades; tallies by subset, then by finding."""
    finding, *grades = zip(*tallies, strict=True)
    return (Chosen.of(finding), *(Chosen.of(each, threshold=GRADE_THRESHOLD) for each in grades))


def draft_card(
    plan: CardPlan, statistics: dict[str, tuple[BandStatistics, ...]], *, trained_on: str
) -> ModelCard:
    """Return the card as far as it is known before the training."""
    fields = {name: value for name, value in dict(plan).items() if name not in _CLASS_FIELDS}
    return ModelCard(
        **{**fields, "inputs": tuple(_measured(entry, statistics) for entry in plan.inputs)},
        weights_sha256=_UNKNOWN_SHA256,
        classes=tuple(CardClass(name=finding, threshold=0.5) for finding in plan.findings),
        trained_on=trained_on,
        tested_on="nothing yet",
        domain=DomainLimits(),
    )


def _measured(entry: CardInput, statistics: dict[str, tuple[BandStatistics, ...]]) -> CardInput:
    bands = statistics.get(entry.name)
    if bands is None or entry.normalised_by == "scene":
        return entry.model_copy(update={"training_statistics": bands})
    constants = {
        "mean": tuple(round(band.mean, 6) for band in bands),
        "std": tuple(round(band.std, 6) for band in bands),
    }
    return entry.model_copy(update={"training_statistics": bands, **constants})


def write_outcome(
    folder: Path,
    draft: ModelCard,
    *,
    network: torch.nn.Module,
    chosen: Sequence[Chosen],
    config: TrainingConfig,
    state: TrainingState,
    tiles: tuple[int, int],
    device: torch.device,
) -> ModelCard:
    """Write weights, then the card with their digest; `tiles` to train and to validate with."""
    state_dict = {
        n: tensor.detach().cpu().contiguous() for n, tensor in network.state_dict().items()
    }
    # Layers at half precision; a variance can be smaller than the least half.
    content = save(
        {
            name: tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
            for name, tensor in state_dict.items()
        }
    )
    plan = config.data
    left_out = fold_name(plan.split, folds=plan.folds, number=plan.fold)
    where = f"{plan.kind} {left_out}, whole groups of neighbours, never trained on"
    if plan.block_px:
        where = f"{plan.kind} {plan.split}, {plan.fold_title}, never trained on"
    fields = {
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "classes": tuple(
            CardClass(name=finding, threshold=one.threshold)
            for finding, one in zip(config.card.findings, chosen, strict=True)
        ),
        "tested_on": where,
        "calibration": Calibration(
            method="temperature",
            parameters=TemperatureParameters(
                temperature=tuple(round(one.temperature, 4) for one in chosen)
            ),
            fitted_on=where,
            ece=round(chosen[0].ece, 4),
        ),
        "scores": _scores(
            config, chosen[0], split=where if plan.block_px else left_out, n=tiles[1]
        ),
        "training": _training(
            config, state, None if plan.block_px else left_out, tiles=tiles[0], device=device
        ),
    }
    card = ModelCard.model_validate({**dict(draft), **fields})
    for name, data in ((WEIGHTS_NAME, content), (CARD_NAME, card_bytes(card))):
        with writing(folder / name):
            replace_file(folder / name, data)
    return card


def write_log(folder: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the log: one row an epoch; a column is empty where it was not measured."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    with writing(folder / LOG_NAME):
        replace_file(folder / LOG_NAME, text.getvalue().encode())


def _scores(config: TrainingConfig, chosen: Chosen, *, split: str, n: int) -> tuple[Score, ...]:
    return tuple(
        Score(
            dataset=config.data.kind,
            split=split,
            metric=f"IoU of {config.card.finding}, pooled pixels, from {' + '.join(subset.inputs)}",
            value=round(counts.iou, 4),
            n=n,
        )
        for subset, counts in zip(config.input_subsets, chosen.by_subset, strict=True)
        if counts.iou is not None
    )


def _training(
    config: TrainingConfig,
    state: TrainingState,
    left_out: str | None,
    *,
    tiles: int,
    device: torch.device,
) -> Training:
    return Training(
        config_sha256=config.digest,
        data_sha256=state.data_sha256,
        encoder_sha256=state.encoder_sha256,
        left_out=left_out,
        seed=config.seed,
        epochs=config.optimiser.epochs,
        tiles=tiles,
        libraries=tuple(f"{name} {version(name)}" for name in _LIBRARIES),
        device=str(device),
        wall_s=round(state.wall_s, 1),
        energy_wh=state.energy_wh and round(state.energy_wh, 2),
    )


_LOG = logging.getLogger(__name__)
Tensors = Mapping[str, torch.Tensor]


def weights_file(path: Path, *, encoder: str) -> Path:
    """Return the path or, of a folder, the file in it that is named after the encoder."""
    if not path.is_dir():
        return path
    names = (f"{encoder}.safetensors", "model.safetensors")
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise WeightsMismatch(
            f"the folder of encoder weights {path} holds no {' nor '.join(names)}; give the file"
        )
    return found


def load_encoder(network: torch.nn.Module, path: Path, *, architecture: NetworkArchitecture) -> str:
    """Fill the encoder of a network with weights, and return the sha256 of their file.

    They may be those of an encoder, of a whole network of segmentation-models-pytorch, or of a
    classifier of timm; for a folder see `weights_file`.

    Raises:
        WeightsMismatch: where it cannot be read, or a tensor is missing or has another shape.
    """
    file = weights_file(path, encoder=architecture.encoder)
    content, sha256 = weight_bytes(file)
    tensors = tensors_of(content, file)
    encoder = encoder_of(network)
    wanted = encoder.state_dict()
    pairs = _paired(wanted, tensors)
    what = f"the encoder weights {file} are not of {architecture.encoder}"
    if missing := sorted(wanted.keys() - pairs.keys()):
        raise WeightsMismatch(
            f"{what}: {len(missing)} of its {len(wanted)} tensors are not there, such as "
            f"{names_text(missing)}; the file has {names_text(sorted(tensors))}"
        )
    convolutions = (
        f"{name}.weight"
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == architecture.image_channels
    )
    first = next(convolutions, None)
    fitted = {
        name: fit_channels(tensor, channels=wanted[name].shape[1]) if name == first else tensor
        for name, tensor in pairs.items()
    }
    shapes = [
        f"{name} {tuple(pairs[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if fitted[name].shape != wanted[name].shape
    ]
    if shapes:
        raise WeightsMismatch(f"{what}: with other shapes {names_text(shapes)}")
    # Not the encoder's own `load_state_dict`: some rename what they are given.
    torch.nn.Module.load_state_dict(encoder, fitted, strict=True)
    _LOG.info("encoder weights of %s, %d of its tensors left out", file, len(tensors) - len(pairs))
    return sha256


def fit_channels(weight: torch.Tensor, *, channels: int) -> torch.Tensor:
    """Return a convolution's weight, (out, in, rows, cols), for another number of channels."""
    # As segmentation-models-pytorch does: repeated in turn and scaled, or summed for one.
    there = weight.shape[1]
    if there == channels:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % there] * (there / channels)


def _paired(wanted: Tensors, tensors: Tensors) -> dict[str, torch.Tensor]:
    exact = {_bare(name): tensor for name, tensor in tensors.items()}
    # timm writes `stages.0` for a classifier and `stages_0` for its features.
    loose = {name.replace(".", "_"): tensor for name, tensor in exact.items()}
    # Counters of batch normalisation are no weights, and not in every file.
    pairs = {name: t for name, t in wanted.items() if name.endswith("num_batches_tracked")}
    for name in wanted:
        bare = _bare(name)
        tensor = exact.get(bare, loose.get(bare.replace(".", "_")))
        if tensor is not None:
            pairs[name] = tensor
    return pairs


def _bare(name: str) -> str:
    """Return a name without what a whole network and the wrapper around timm's put before it."""
    return re.sub(r"^(context\.)?(encoder\.)?(model\.)?", "", name)
