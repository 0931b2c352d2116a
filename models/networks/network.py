"""NetworkModel: a network of segmentation-models-pytorch, built and filled from its card."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from scipy.special import expit
from segmentation_models_pytorch.base import SegmentationModel
from torch.nn.functional import avg_pool2d, interpolate

from geo.types import FloatArray, IntArray
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.errors import CardInvalid, DeviceMissing, InputsMismatch, WeightsMismatch
from models.networks.domain_check import checked_statistics
from models.networks.tensors import Inputs, SceneStatistics, sample_values, stack, usable_pixels


class Siamese(torch.nn.Module):
    """Joins the features of one encoder on two dates by 1 x 1 convolutions, and decodes them.

    As the best of the xView2 challenge did (Durnov 2020,
    github.com/vdurnov/xview2_1st_place_solution; Khvedchenya 2020,
    github.com/BloodAxe/xView2-Solution; Daudt et al. 2018, arXiv:1810.08462).
    """

    def __init__(self, single: SegmentationModel, *, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.encoder = single.get_submodule("encoder")
        self.fuse = torch.nn.ModuleList(
            torch.nn.Conv2d(2 * width, width, 1) for width in single.encoder.out_channels[1:]
        )
        self.decoder = single.get_submodule("decoder")
        self.segmentation_head = single.get_submodule("segmentation_head")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes, rows, cols), of (n, 2 x channels, rows, cols)."""
        # Both dates in one batch: batch normalisation then sees them alike.
        image, *scales = self.encoder(torch.cat(pixels.split(self.channels, dim=1)))
        joined = [image.chunk(2)[1]]  # as in the encoder, the image itself comes first
        for fuse, scale in zip(self.fuse, scales, strict=True):
            before, after = scale.chunk(2)
            joined.append(fuse(torch.cat([before, after - before], dim=1)))
        logits: torch.Tensor = self.segmentation_head(self.decoder(joined))
        return logits


_ROWS, _COLS = 2, 3
"""Axes of (n, channels, rows, cols)."""


_MIRRORED = ((), (_COLS,), (_ROWS,), (_ROWS, _COLS))
_VIEWS = tuple((axes, turned) for turned in (False, True) for axes in _MIRRORED)
"""The eight ways to lay a square on itself: axes that run backwards, and whether rows then become
columns. The first 1, 2, 4 and 8 are groups: the mean turns with the ground."""


def averaged(
    network: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, *, symmetries: int
) -> torch.Tensor:
    """Return the mean logits, (n, classes, rows, cols), of the first `symmetries` of `_VIEWS`."""
    if symmetries == 1:
        return network(pixels)

    def turned(image: torch.Tensor, turn: bool) -> torch.Tensor:
        return image.transpose(_ROWS, _COLS) if turn else image

    total = sum(
        turned(network(turned(pixels.flip(axes), turn)).float(), turn).flip(axes)
        for axes, turn in _VIEWS[:symmetries]
    )
    return torch.as_tensor(total) / symmetries


@dataclass(frozen=True)
class NetworkModel:
    """A network, its card and the device that it runs on; see `models.inference.model.Model`."""

    card: ModelCard
    network: torch.nn.Module
    device: torch.device
    symmetries: int = 1

    @classmethod
    def load(cls, ref: CardRef, *, device: str) -> "NetworkModel":
        """Build the network of a card and fill it; see `models.inference.model.load_model`."""
        architecture = ref.card.architecture
        if not isinstance(architecture, NetworkArchitecture):
            raise InputsMismatch(
                f"{ref.card.name} is a {architecture.kind} and no network with weights; name a "
                "network, such as damage-vhr or flood-rgb"
            )
        place = device_named(device)
        network = build(architecture, name=ref.card.name)
        fill(network, tensors_of(ref.read_weights(), ref.weights), source=ref.weights)
        network = network.eval().to(place).to(memory_format=torch.channels_last)
        return cls(ref.card, network, place, architecture.symmetries)

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Check the units of the scene, and measure the levels that the card asks for."""
        return checked_statistics(self.card, sample_values(self.card, samples))

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Answer a batch of windows; see `models.inference.model.Model.predict`."""
        pixels = stack(self.card, batch, statistics)
        usable = np.stack([usable_pixels(self.card, inputs) for inputs in batch])
        out = np.full((len(batch), len(self.card.classes), *usable.shape[1:]), np.nan, np.float32)
        # A scene that lies turned on the grid leaves nearly half of the windows empty.
        seen = np.flatnonzero(usable.any(axis=(1, 2)))
        # One by one a processor is as fast, and needs 100 MB instead of 370 (flood-rgb, 640 px).
        size = 1 if self.device.type == "cpu" else len(batch)
        for part in (seen[start : start + size] for start in range(0, len(seen), size)):
            out[part] = self.probabilities(pixels[part])
        return np.where(usable[:, None], out, np.float32(np.nan))

    def probabilities(self, pixels: FloatArray) -> FloatArray:
        """Return calibrated float32 (n, classes, rows, cols) of pixels as `stack` returns them."""
        rows, cols = pixels.shape[2:]
        logits = self._logits(_padded(pixels, stride=self.card.stride_px))[:, :, :rows, :cols]
        return np.asarray(expit(logits / self._temperature()), np.float32)

    def log_odds(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the log odds of `probabilities`, differentiable; of pixels on the device."""
        rows, cols = pixels.shape[2:]
        down, across = (_mirrored(side, stride=self.card.stride_px) for side in (rows, cols))
        padded = pixels[:, :, down][..., across]
        logits = averaged(self.network, padded, symmetries=self.symmetries)[:, :, :rows, :cols]
        return logits / torch.from_numpy(self._temperature()).to(pixels.device)

    def _logits(self, pixels: FloatArray) -> FloatArray:
        tensor = torch.from_numpy(pixels).to(
            device=self.device, memory_format=torch.channels_last, non_blocking=True
        )
        half = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=half):
            logits = averaged(self.network, tensor, symmetries=self.symmetries)
        return np.asarray(logits.float().cpu().numpy(), np.float32)

    def _temperature(self) -> FloatArray:
        """Return what the logits are divided by, (classes, 1, 1)."""
        calibration = self.card.calibration
        if calibration is None:
            return np.ones((1, 1, 1), np.float32)
        return np.array(calibration.parameters.temperature, np.float32)[:, None, None]


def build(architecture: NetworkArchitecture, *, name: str) -> torch.nn.Module:
    """Return the network of a card with random weights, or raise CardInvalid; fetches nothing."""
    kinds = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture.arch not in kinds:
        raise CardInvalid(
            f"{name} asks for the architecture {architecture.arch}; segmentation-models-pytorch "
            f"{smp.__version__} has {', '.join(kinds)}"
        )
    # The library would pass over an unknown option in silence.
    options = inspect.signature(kinds[architecture.arch].__init__).parameters
    if unknown := sorted(architecture.decoder_options.keys() - options.keys()):
        raise CardInvalid(
            f"{name} sets {', '.join(unknown)}, which {architecture.arch} does not have; "
            f"it has {', '.join(option for option in options if option.startswith('decoder_'))}"
        )
    try:
        network: torch.nn.Module = smp.create_model(
            architecture.arch,
            encoder_name=architecture.encoder,
            encoder_weights=None,
            in_channels=architecture.image_channels,
            classes=architecture.pixel_head or architecture.classes,
            **architecture.decoder_options,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CardInvalid(
            f"{name} asks for {architecture.arch} on {architecture.encoder}, which "
            f"segmentation-models-pytorch {smp.__version__} cannot build: {error}"
        ) from error
    if architecture.siamese:
        network = Siamese(network, channels=architecture.image_channels)
    return network if architecture.pixel_head is None else PixelHead(network, architecture)


class PixelHead(torch.nn.Module):
    """Classifies each pixel by 1 x 1 convolutions of its channels and a network's features."""

    def __init__(self, context: torch.nn.Module, architecture: NetworkArchitecture) -> None:
        super().__init__()
        features = architecture.pixel_head or architecture.classes
        self.context = context
        self.shrink = architecture.shrink
        self.head = torch.nn.Sequential(
            torch.nn.Conv2d(features + architecture.in_channels, features, 1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(features, architecture.classes, 1),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes, rows, cols), of sides that are multiples of the stride."""
        features = self.context(avg_pool2d(pixels, self.shrink) if self.shrink > 1 else pixels)
        if self.shrink > 1:
            features = interpolate(features, pixels.shape[2:], mode="bilinear")
        logits: torch.Tensor = self.head(torch.cat([features, pixels], dim=1))
        return logits


def tensors_of(content: bytes, path: Path) -> dict[str, torch.Tensor]:
    """Return the finite tensors in the bytes of a safetensors file, or raise WeightsMismatch."""
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
            f"the weights {path} hold values that are not finite in {names_text(broken)}"
        )
    return tensors


def fill(network: torch.nn.Module, tensors: dict[str, torch.Tensor], *, source: Path) -> None:
    """Load tensors into a network, or raise WeightsMismatch where names or shapes differ."""
    wanted = network.state_dict()
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    differences = {
        "without": sorted(wanted.keys() - tensors.keys()),
        "with unknown": sorted(tensors.keys() - wanted.keys()),
        "with shapes": shapes,
    }
    if any(differences.values()):
        found = "; ".join(f"{what} {names_text(n)}" for what, n in differences.items() if n)
        raise WeightsMismatch(f"the weights {source} do not fit the network of the card: {found}")
    network.load_state_dict(tensors, strict=True)


def names_text(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def encoder_of(network: torch.nn.Module) -> torch.nn.Module:
    """Return the encoder of a network that `build` made."""
    context = network.context if isinstance(network, PixelHead) else network
    encoder: torch.nn.Module = context.get_submodule("encoder")
    return encoder


def device_named(name: str) -> torch.device:
    """Return a device, "auto" the first GPU or else the CPU; or raise DeviceMissing."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    there = ["cpu", *(["cuda"] if gpus else []), *gpus]
    if name not in there:
        raise DeviceMissing(f"there is no device {name!r}; there is {', '.join(there)}")
    return torch.device(name)


def _padded(pixels: FloatArray, *, stride: int) -> FloatArray:
    rows, cols = (_mirrored(side, stride=stride) for side in pixels.shape[2:])
    if (len(rows), len(cols)) == pixels.shape[2:]:
        return pixels
    return np.ascontiguousarray(pixels[:, :, rows][..., cols])


def _mirrored(side: int, *, stride: int) -> IntArray:
    """Return the pixels of an axis, mirrored at its end up to a multiple of the stride."""
    return np.pad(np.arange(side), (0, -side % stride), mode="reflect")
