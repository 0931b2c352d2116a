"""A model held against labels: pooled pixels, tiles, and how well its probabilities hold."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from geo.raster import FloatArray
from models.card import ModelCard
from models.data.sample import LabelledSet, Sample, fill_slots, inputs_of
from models.errors import DataInvalid, InputsMismatch
from models.mapping import Progress
from models.metrics import Counts, count
from models.predict import Model
from models.reliability import Reliability

Number = float | int | str | list[str] | None


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on one set, with one choice of its inputs."""

    card: ModelCard
    filled: tuple[str, ...]
    """The images of the set that it was given."""
    tiles: tuple[Counts, ...]
    """One a sample; what it gave no answer for counts as not found."""
    answered_pixels: int
    """Labelled pixels that it gave an answer for."""
    reliability: Reliability
    """Of the pixels that it gave an answer for."""

    @property
    def pooled(self) -> Counts:
        """The pixels of all samples together."""
        return sum(self.tiles, Counts(0, 0, 0, 0))

    @property
    def iou_per_tile_mean(self) -> float | None:
        """Mean over the samples that have an IoU: a label or an answer."""
        scores = [counts.iou for counts in self.tiles if counts.iou is not None]
        return float(np.mean(scores)) if scores else None

    def as_json(self) -> dict[str, Number]:
        """Return it as plain numbers."""
        pooled = self.pooled
        return {
            "model": self.card.name,
            "version": self.card.version,
            "digest": self.card.digest,
            "finding": self.card.classes[0].name.value,
            "threshold": self.card.classes[0].threshold,
            "inputs": list(self.filled),
            "n": len(self.tiles),
            "pixels": pooled.n,
            "answered_share": self.answered_pixels / pooled.n if pooled.n else None,
            "iou": pooled.iou,
            "precision": pooled.precision,
            "recall": pooled.recall,
            "f1": pooled.f1,
            "iou_per_tile_mean": self.iou_per_tile_mean,
            "ece": self.reliability.ece if self.answered_pixels else None,
        }


def evaluate(
    model: Model, labelled: LabelledSet, *, drop: Collection[str] = (), progress: Progress
) -> Evaluation:
    """Hold the first class of a model against the labels of a set; each sample is a scene.

    Args:
        model: network or detector.
        labelled: what to score it on.
        drop: names of images of the set that it is not given.
        progress: told the samples.

    Raises:
        InputsMismatch: where `drop` names no image of the set, or what is left does not fill
            the model's slots.
        DataInvalid: where the set is empty, or a sample cannot be read.
    """
    unknown = sorted(set(drop) - labelled.kinds.keys())
    if unknown:
        raise InputsMismatch(
            f"the set has the images {', '.join(labelled.kinds)}; {', '.join(unknown)} cannot be "
            "dropped"
        )
    if not len(labelled):
        raise DataInvalid("the split holds no sample; there is nothing to score")
    kinds = {name: kind for name, kind in labelled.kinds.items() if name not in drop}
    filled = fill_slots(model.card.inputs, kinds, model=model.card.name)
    tiles: list[Counts] = []
    reliability, answered = Reliability.empty(), 0
    progress.start(f"{model.card.name} on labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            sample = labelled[index]
            probability = _answer(model, sample, filled)
            usable = sample.known & np.isfinite(probability)
            found = usable & (probability >= model.card.classes[0].threshold)
            tiles.append(count(found[sample.known], sample.target[sample.known]))
            reliability += Reliability.of(probability[usable], sample.target[usable])
            answered += int(usable.sum())
            progress.advance(1)
    finally:
        progress.finish()
    return Evaluation(model.card, tuple(filled.values()), tuple(tiles), answered, reliability)


def _answer(model: Model, sample: Sample, filled: dict[str, str]) -> FloatArray:
    """Return the probability of the first class, (rows, cols); NaN where there is none."""
    inputs = inputs_of(sample, filled)
    survey = model.survey([inputs])
    answer: FloatArray = model.predict([inputs], survey)[0, 0]
    return answer
