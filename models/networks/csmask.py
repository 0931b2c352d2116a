"""CsmaskModel: a network of ukis-csmask with its card; only this module imports onnxruntime."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from scipy import ndimage
from scipy.special import softmax

from geo.raster.windows import lattice
from geo.types import BoolArray, FloatArray
from models.cards.architecture import CsmaskArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.errors import InputsMismatch
from models.networks.tensors import (
    NO_STATISTICS,
    Inputs,
    SceneStatistics,
    sample_values,
    select,
    shape_of,
    usable_pixels,
)

_CLASSES = 3
"""Of the network: ground, cloud, cloud shadow, in this order (`ukis_csmask.mask.CSmask._csm`)."""


@dataclass(frozen=True)
class CsmaskModel:
    """A network of ukis-csmask; the package's own `CSmask` gives no probabilities."""

    card: ModelCard
    architecture: CsmaskArchitecture
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, ref: CardRef, *, device: str) -> "CsmaskModel":
        """Load the network of a card from the package that it comes with, for the CPU."""
        del device
        architecture = ref.card.architecture
        if not isinstance(architecture, CsmaskArchitecture):
            raise InputsMismatch(f"{ref.card.name} is a {architecture.kind}, not of ukis-csmask")
        content = ref.read_weights(cure="install ukis-csmask 1.0.0")
        options = onnxruntime.SessionOptions()
        # The threads that read ahead ask it side by side, and the model of the map computes.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
        return cls(ref.card, architecture, session)

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Check the units of the scene; its constants are the card's."""
        sample_values(self.card, samples)
        return NO_STATISTICS

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Answer windows, averaged to the card's resolution: at 10 m flood is taken for shadow."""
        del statistics
        return np.stack([self._answer(inputs) for inputs in batch])

    def _answer(self, inputs: Inputs) -> FloatArray:
        """Return the probability of cloud and of shadow, (2, rows, cols)."""
        rows, cols = shape_of(self.card, inputs)
        usable = usable_pixels(self.card, inputs)
        (entry,) = self.card.inputs
        raster = inputs[entry.name]
        if raster is None or not usable.any():
            return np.full((len(self.card.classes), rows, cols), np.nan, np.float32)
        # So many pixels make one of about the resolution that the network knows.
        pixel_m = abs(raster.geobox.resolution.x)
        step = max(1, round((self.card.resolution_m or pixel_m) / pixel_m))
        cells, seen = averaged(select(entry, raster), usable, step=step)
        planes = self._judged(self._classes(mirrored(cells, seen)), seen)
        fine = planes.repeat(step, axis=1).repeat(step, axis=2)[:, :rows, :cols]
        return np.where(usable, fine, np.float32(np.nan))

    def _classes(self, reflectance: FloatArray) -> FloatArray:
        """Return the probabilities, (3, rows, cols); small images are mirrored at their edges."""
        (entry,) = self.card.inputs
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (entry.mean, entry.std))
        rows, cols = reflectance.shape[1:]
        side = self.card.window_px
        edges = ((0, 0), (0, max(0, side - rows)), (0, max(0, side - cols)))
        pixels = np.pad((reflectance - mean) / std, edges, mode="symmetric")
        shape = pixels.shape[1], pixels.shape[2]
        total = np.zeros((_CLASSES, *shape), np.float32)
        for window in lattice(shape, size=side, overlap=self.card.overlap_px):
            part = (slice(None), *window.slices)
            tile = np.ascontiguousarray(pixels[part])[None]
            (logits,) = self.session.run(None, {"input": tile})
            total[part] += softmax(logits[0], axis=0) * window.weight
        return total[:, :rows, :cols]

    def _judged(self, classes: FloatArray, seen: BoolArray) -> FloatArray:
        """Return cloud, widened, and the shadow that a cloud is near to, (2, rows, cols)."""
        _, cloud, shadow = np.where(seen, classes, np.float32(0))
        found = cloud >= self.card.classes[0].threshold
        near = np.zeros_like(found)
        if found.any():
            near = ndimage.distance_transform_edt(~found) <= self.architecture.shadow_reach_px
        width = self.architecture.cloud_buffer_px
        if width:
            diamond = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), width)
            cloud = ndimage.grey_dilation(cloud, footprint=diamond)
        return np.stack([cloud, np.where(near, shadow, np.float32(0))])


def averaged(pixels: FloatArray, valid: BoolArray, *, step: int) -> tuple[FloatArray, BoolArray]:
    """Return block means of valid pixels, (bands, rows, cols), 0 without; and where some are."""
    rows, cols = valid.shape
    edges = ((0, -rows % step), (0, -cols % step))
    values = np.pad(np.where(valid, pixels, np.float32(0)), ((0, 0), *edges))
    number = _blocks(np.pad(valid, edges)[None].astype(np.float32), step)
    means = _blocks(values, step) / np.maximum(number, 1)
    return means.astype(np.float32, copy=False), number[0] > 0


def mirrored(cells: FloatArray, seen: BoolArray) -> FloatArray:
    """Return cells with what was not `seen`, (rows, cols), filled by the mirror image of what was.

    Filled with 0, the network found 43 % of the cloudless Spain chip of Sen1Floods11, which fills a
    fifth of a square, in shadow; filled so, 1 %.
    """
    nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    shape = np.array(seen.shape)[:, None, None]
    image = 2 * nearest - np.indices(seen.shape)
    there = np.all((image >= 0) & (image < shape), axis=0)
    rows, cols = np.where(there, image, nearest)
    rows, cols = np.where(seen[rows, cols], (rows, cols), nearest)
    return cells[:, rows, cols]


def _blocks(pixels: FloatArray, step: int) -> FloatArray:
    bands, rows, cols = pixels.shape
    blocks = pixels.reshape(bands, rows // step, step, cols // step, step)
    sums: FloatArray = blocks.sum(axis=(2, 4))
    return sums
