"""NetworkModel: a network of segmentation-models-pytorch, built and filled from its card.

This module and `models.weights` are the only ones that import torch to predict, and are
imported only when a network is loaded.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import segmentation_models_pytorch as smp
import torch
from scipy.special import expit

from geo.raster import FloatArray
from models.architecture import NetworkArchitecture
from models.card import ModelCard
from models.errors import CardInvalid, DeviceMissing
from models.inputs import Inputs, answered, shape_of, stack
from models.registry import CardRef
from models.scene_statistics import scene_levels
from models.survey import Survey
from models.units import ValueSample
from models.weights import fill, read_weights


@dataclass(frozen=True)
class NetworkModel:
    """A network, its card and the device that it runs on; see `models.predict.Model`."""

    card: ModelCard
    network: torch.nn.Module
    device: torch.device

    @classmethod
    def load(
        cls, ref: CardRef, architecture: NetworkArchitecture, *, device: str
    ) -> "NetworkModel":
        """Build the network of a card and fill it; see `models.predict.load`."""
        place = device_named(device)
        network = build(architecture, name=ref.card.name)
        # The card of a network always has a digest: `ModelCard` checks it.
        tensors = read_weights(ref.weights, sha256=ref.card.weights_sha256 or "")
        fill(network, tensors, source=ref.weights)
        network = network.eval().to(place).to(memory_format=torch.channels_last)
        return cls(ref.card, network, place)

    def survey(self, samples: Iterable[Inputs]) -> Survey:
        """Check the units of the scene, and measure the levels that the card asks for."""
        values = ValueSample(self.card)
        for inputs in samples:
            shape_of(self.card, inputs)
            values.feed(inputs)
        values.check()
        return Survey(levels=scene_levels(self.card, values))

    def predict(self, batch: Sequence[Inputs], survey: Survey) -> FloatArray:
        """Answer a batch of windows; see `models.predict.Model.predict`."""
        pixels = stack(self.card, batch, survey)
        rows, cols = pixels.shape[2:]
        logits = self._logits(_padded(pixels, stride=self.card.stride_px))[:, :, :rows, :cols]
        probabilities = expit(logits / self._temperature())
        usable = np.stack([answered(self.card, inputs) for inputs in batch])
        return np.where(usable[:, None], probabilities, np.float32(np.nan))

    def _logits(self, pixels: FloatArray) -> FloatArray:
        tensor = torch.from_numpy(pixels).to(
            device=self.device, memory_format=torch.channels_last, non_blocking=True
        )
        half = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=half):
            logits = self.network(tensor)
        return np.asarray(logits.float().cpu().numpy(), np.float32)

    def _temperature(self) -> FloatArray:
        """Return what the logits are divided by, (classes, 1, 1)."""
        calibration = self.card.calibration
        if calibration is None:
            return np.ones((1, 1, 1), np.float32)
        return np.array(calibration.parameters.temperature, np.float32)[:, None, None]


def build(architecture: NetworkArchitecture, *, name: str) -> torch.nn.Module:
    """Return the network of a card with random weights; nothing is fetched.

    Args:
        architecture: from the card.
        name: of the model, for the message.

    Raises:
        CardInvalid: where segmentation-models-pytorch does not know the architecture, the
            encoder or an option.
    """
    _check_known(architecture, name=name)
    try:
        network: torch.nn.Module = smp.create_model(
            architecture.arch,
            encoder_name=architecture.encoder,
            encoder_weights=None,
            in_channels=architecture.in_channels,
            classes=architecture.classes,
            **architecture.decoder_options,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CardInvalid(
            f"{name} asks for {architecture.arch} on {architecture.encoder}, which "
            f"segmentation-models-pytorch {smp.__version__} cannot build: {error}"
        ) from error
    return network


def _check_known(architecture: NetworkArchitecture, *, name: str) -> None:
    """Check names that the library would otherwise pass over in silence."""
    kinds = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture.arch not in kinds:
        raise CardInvalid(
            f"{name} asks for the architecture {architecture.arch}; segmentation-models-pytorch "
            f"{smp.__version__} has {', '.join(kinds)}"
        )
    options = inspect.signature(kinds[architecture.arch].__init__).parameters
    unknown = sorted(architecture.decoder_options.keys() - options.keys())
    if unknown:
        raise CardInvalid(
            f"{name} sets {', '.join(unknown)}, which {architecture.arch} does not have; "
            f"it has {', '.join(option for option in options if option.startswith('decoder_'))}"
        )


def device_named(name: str) -> torch.device:
    """Return a device; "auto" is the first GPU where there is one, else the CPU.

    Raises:
        DeviceMissing: where it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    there = ["cpu", *(["cuda"] if gpus else []), *gpus]
    if name not in there:
        raise DeviceMissing(f"there is no device {name!r}; there is {', '.join(there)}")
    return torch.device(name)


def _padded(pixels: FloatArray, *, stride: int) -> FloatArray:
    """Return windows mirrored at their lower and right edge up to multiples of the stride."""
    rows, cols = pixels.shape[2:]
    edges = ((0, 0), (0, 0), (0, -rows % stride), (0, -cols % stride))
    return np.pad(pixels, edges, mode="reflect") if np.any(edges) else pixels
