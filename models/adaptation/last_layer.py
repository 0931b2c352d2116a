"""LastLayer: the last convolution of a network, a logistic regression a class on features."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from scipy.special import expit
from torch.nn.functional import pad, unfold

from geo.types import Float64Array, IntArray
from models.adaptation.adapt import AdaptedModel
from models.adaptation.label_tiles import LabelTiles, sample_pixels
from models.adaptation.labels import Labels, require_enough
from models.adaptation.logistic import LabelledRows, adapt_logits
from models.cards.card import Calibration, ModelCard, TemperatureParameters
from models.cards.inputs import DAMAGE_STEPS, Task
from models.cards.registry import CardRef
from models.errors import InputsMismatch
from models.evaluation.metrics import Reliability
from models.inference.windows import ProgressReceiver
from models.networks.network import NetworkModel, averaged

_SEED = 0


@dataclass(frozen=True)
class LastLayer:
    """A network whose last convolution can be read and set."""

    model: NetworkModel
    convolution: torch.nn.Conv2d
    """The last one; only what treats all channels alike comes after it."""
    bias: torch.Tensor

    @classmethod
    def of(cls, model: NetworkModel) -> "LastLayer":
        """Find the last convolution; raise InputsMismatch where it does not give the classes."""
        last = [part for part in model.network.modules() if isinstance(part, torch.nn.Conv2d)][-1]
        classes = len(model.card.classes)
        if last.bias is None or last.out_channels != classes:
            raise InputsMismatch(
                f"the last convolution of {model.card.name} gives {last.out_channels} channels "
                f"for {classes} classes; only a network that ends in a convolution for its classes "
                "can be adapted"
            )
        return cls(model, last, last.bias)

    @property
    def coefficients(self) -> Float64Array:
        """(classes, 1 + features): intercepts and coefficients."""
        parts = self.bias[:, None], self.convolution.weight.flatten(1)
        return torch.cat(parts, dim=1).detach().cpu().numpy().astype(np.float64)

    def set_coefficients(self, coefficients: Float64Array) -> None:
        """Set intercepts and coefficients."""
        values = torch.from_numpy(coefficients.astype(np.float32)).to(self.model.device)
        with torch.no_grad():
            self.bias.copy_(values[:, 0])
            self.convolution.weight.copy_(values[:, 1:].view_as(self.convolution.weight))

    def features(self, channels: torch.Tensor) -> torch.Tensor:
        """Return what the last convolution weighs at each pixel, (features, rows, cols).

        It and the enlargement after it are linear: the mean of the logits over the views of a
        window is that convolution of the mean of the enlarged features.
        """
        rows, cols = channels.shape[1:]
        stride = self.model.card.stride_px
        edges = (0, -cols % stride, 0, -rows % stride)
        pixels = pad(channels[None].float(), edges, mode="reflect").to(
            self.model.device, memory_format=torch.channels_last
        )
        hook = self.convolution.register_forward_hook(
            lambda module, given, _: _patches(given[0], module)
        )
        try:
            with torch.no_grad():
                found = averaged(self.model.network, pixels, symmetries=self.model.symmetries)
        finally:
            hook.remove()
        return found[0, :, :rows, :cols].float().cpu()


def _patches(pixels: torch.Tensor, convolution: torch.nn.Conv2d) -> torch.Tensor:
    """Return what a convolution weighs at each pixel, (n, features, rows, cols)."""
    if convolution.kernel_size == (1, 1):
        return pixels
    sizes = zip(convolution.kernel_size, convolution.dilation, strict=True)
    edges = tuple(dilation * (size - 1) // 2 for size, dilation in sizes)
    columns = unfold(pixels, convolution.kernel_size, dilation=convolution.dilation, padding=edges)
    return columns.view(len(pixels), -1, *pixels.shape[2:])


def adapt_last_layer(
    ref: CardRef, labels: Labels, tiles: LabelTiles, *, device: str, progress: ProgressReceiver
) -> AdaptedModel:
    """Adapt the last layer of a network to labelled polygons of a new event.

    Thresholds stay the parent's: polygons chosen by hand do not show how common a class is.

    Raises:
        LabelsInvalid: where the labels are too few, too many or of one class.
        InputsMismatch: where the model is no network, or does not end in a convolution.
    """
    card, used = ref.card, tiles.used
    require_enough(labels, used)
    layer = LastLayer.of(NetworkModel.load(ref, device=device))
    label, features = _pixels_of(layer, tiles, progress)
    deviation = features.std(axis=0)
    scale = _Scale(features.mean(axis=0), np.where(deviation > 0, deviation, 1.0))
    rows = LabelledRows(scale.design(features), label, _answers(card, labels, used))
    divisor = np.ones(len(card.classes))
    if card.calibration is not None:
        divisor = np.array(card.calibration.parameters.temperature)
    parent = scale.standardised(layer.coefficients / divisor[:, None])
    found = adapt_logits(rows, parent, progress)
    before, after = (
        rows.mean(_probabilities(card, logits))
        for logits in (rows.design @ parent.T, found.held_out)
    )
    content = ref.read_weights()
    if found.moved:
        moved = scale.plain(found.coefficients) * divisor[:, None]
        kept = np.array([strength is None for strength in found.strengths])
        layer.set_coefficients(np.where(kept[:, None], layer.coefficients, moved))
        stored, state = load(content), layer.model.network.state_dict()
        # Each in the precision that it has in the parent's file.
        content = save({n: state[n].cpu().contiguous().to(stored[n].dtype) for n in stored})
        card = _calibrated(card, content, after, rows.answers)
    return AdaptedModel(
        card=card,
        weights=content,
        stage="head" if found.moved else "none",
        used=used,
        truth=labels.codes[used],
        parent=_by_name(ref.card, before),
        adapted=_by_name(ref.card, after),
    )


@dataclass(frozen=True, eq=False)
class _Scale:
    """Features in deviations from their mean, so that one strength fits all of them."""

    mean: Float64Array
    deviation: Float64Array

    def design(self, features: Float64Array) -> Float64Array:
        """Return (rows, 1 + features): a column of ones, and the features in deviations."""
        standardised = (features - self.mean) / self.deviation
        return np.column_stack([np.ones(len(features)), standardised])

    def standardised(self, plain: Float64Array) -> Float64Array:
        """Return coefficients of features as those of the design; (classes, 1 + features) both."""
        slopes = plain[:, 1:]
        return np.column_stack([plain[:, 0] + slopes @ self.mean, slopes * self.deviation])

    def plain(self, standardised: Float64Array) -> Float64Array:
        slopes = standardised[:, 1:] / self.deviation
        return np.column_stack([standardised[:, 0] - slopes @ self.mean, slopes])


def _pixels_of(
    layer: LastLayer, tiles: LabelTiles, progress: ProgressReceiver
) -> tuple[IntArray, Float64Array]:
    chance = np.random.default_rng(_SEED)
    parts = []
    progress.start("features of labels", len(tiles.tiles))
    try:
        for tile in tiles.tiles:
            label, row, col = sample_pixels(tile.numbers, chance)
            values = layer.features(tile.channels)[:, row, col].numpy().T.astype(np.float64)
            parts.append((label, values))
            progress.advance()
    finally:
        progress.finish()
    label, features = (np.concatenate(column) for column in zip(*parts, strict=True))
    return label, features


def _answers(card: ModelCard, labels: Labels, used: IntArray) -> Float64Array:
    """Return whether labels are of each class, (labels, classes): 1 or 0."""
    codes = labels.codes[used].astype(np.float64)
    if card.task is not Task.DAMAGE:
        return codes[:, None]
    # A labelled building is one, and damaged so badly or worse.
    steps = [codes >= step for step in range(1, 1 + len(DAMAGE_STEPS))]
    return np.column_stack([np.ones(len(codes)), *steps]).astype(np.float64)


def _probabilities(card: ModelCard, logits: Float64Array) -> Float64Array:
    likely: Float64Array = expit(logits)
    if card.task is Task.DAMAGE:
        # So bad or worse: of one network they never rise, see `models.damage.network_grader`.
        likely[:, 1:] = np.minimum.accumulate(likely[:, 1:], axis=1)
    return likely


def _by_name(card: ModelCard, probabilities: Float64Array) -> Float64Array:
    if card.task is Task.DAMAGE:
        return grade_probabilities(probabilities[:, 1:])
    return np.column_stack([1 - probabilities[:, 0], probabilities[:, 0]])


def grade_probabilities(reached: Float64Array) -> Float64Array:
    """Return grades, (labels, 4), from those above no damage, each or a worse one, (labels, 3)."""
    steps = np.minimum.accumulate(reached, axis=1)
    edges = np.column_stack([np.ones(len(steps)), steps, np.zeros(len(steps))])
    return -np.diff(edges, axis=1)


def _calibrated(
    card: ModelCard, content: bytes, held_out: Float64Array, answers: Float64Array
) -> ModelCard:
    both = [number for number, column in enumerate(answers.T) if len(np.unique(column)) > 1]
    ece = Reliability.of(held_out[:, both].ravel(), answers[:, both].ravel() == 1).ece
    temperature = (
        (1.0,) * len(card.classes)
        if card.calibration is None
        else card.calibration.parameters.temperature
    )
    calibration = Calibration(
        method="temperature",
        parameters=TemperatureParameters(temperature=temperature),
        fitted_on=f"{len(answers)} label polygons, each predicted by a fit to the others",
        ece=round(ece, 4),
    )
    digest = hashlib.sha256(content).hexdigest()
    return card.model_copy(update={"weights_sha256": digest, "calibration": calibration})
