"""Models held against labels: one on a set, or several whose figures are put together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geo.raster import FloatArray
from models.agreement import Agreement, Detail, Number, TileCounts, spread
from models.card import ModelCard
from models.data.sample import LabelledSet, Sample, fill_slots, inputs_of
from models.errors import DataInvalid, InputsMismatch
from models.mapping import Progress
from models.metrics import count
from models.predict import Model
from models.reliability import Reliability

LEFT_OUT = "left-out"
"""The split that a model's card says it did not learn from."""


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on one split, with one choice of its inputs."""

    card: ModelCard
    split: str
    filled: tuple[str, ...]
    """The images of the set that it was given."""
    agreement: Agreement

    def as_json(self, by: Detail | None = None) -> dict[str, object]:
        """Return it as plain numbers, with a list of the groups or the tiles where asked."""
        scores: dict[str, Number] = {
            "split": self.split,
            "model": self.card.name,
            "version": self.card.version,
            "digest": self.card.digest,
            "finding": self.card.classes[0].name.value,
            "threshold": self.card.classes[0].threshold,
            "inputs": list(self.filled),
        }
        return scores | self.agreement.as_json() | _detail(self.agreement, by)


def together(each: Sequence[Evaluation], by: Detail | None = None) -> dict[str, object]:
    """Return several models as one object: their pixels pooled, mean and spread, and each.

    For models that left out another fold each, the pooled figures are those of the whole set;
    for models of several seeds the mean and the spread (standard deviation) are.

    Raises:
        DataInvalid: where two models were scored on parts of each other's split.
        InputsMismatch: where they look for different things.
    """
    findings = sorted({evaluation.card.classes[0].name.value for evaluation in each})
    if len(findings) > 1:
        raise InputsMismatch(f"these models look for {' and '.join(findings)}; score them apart")
    _check_parts(each)
    agreement = sum((evaluation.agreement for evaluation in each), Agreement.empty())
    scores = [iou for e in each if (iou := e.agreement.pooled.iou) is not None]
    return {
        "split": ", ".join(dict.fromkeys(evaluation.split for evaluation in each)),
        "models": len(each),
        **agreement.as_json(),
        "iou_mean": float(np.mean(scores)) if scores else None,
        "iou_spread": spread(scores),
        "each": [evaluation.as_json() for evaluation in each],
        **_detail(agreement, by),
    }


def split_for(card: ModelCard, split: str) -> str:
    """Return a split by its name in the set; `LEFT_OUT` is looked up on the card.

    Raises:
        DataInvalid: where the card does not say what the model did not learn from.
    """
    if split != LEFT_OUT:
        return split
    if card.training is None or card.training.left_out is None:
        raise DataInvalid(
            f"the card of {card.name} does not say what it left out; name the split, such as "
            "fold-0-of-5"
        )
    return card.training.left_out


def evaluate(
    model: Model,
    labelled: LabelledSet,
    *,
    split: str = "",
    drop: Collection[str] = (),
    progress: Progress,
) -> Evaluation:
    """Hold the first class of a model against the labels of a set; each sample is a scene.

    Args:
        model: network or detector.
        labelled: what to score it on.
        split: what that is called, for the record.
        drop: names of images of the set that it is not given.
        progress: told the samples.

    Raises:
        InputsMismatch: where `drop` names no image of the set, or what is left does not fill
            the model's slots.
        DataInvalid: where the set is empty, or a sample cannot be read.
    """
    if not len(labelled):
        raise DataInvalid("the split holds no sample; there is nothing to score")
    filled = images_for(model.card, labelled, drop)
    agreement = Agreement.empty()
    progress.start(f"{model.card.name} on labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            agreement += _agreement(model, labelled[index], filled)
            progress.advance(1)
    finally:
        progress.finish()
    return Evaluation(model.card, split, tuple(filled.values()), agreement)


def images_for(card: ModelCard, labelled: LabelledSet, drop: Collection[str]) -> dict[str, str]:
    """Return, by slot of a model, the name of the images that it is given; see `evaluate`."""
    unknown = sorted(set(drop) - labelled.kinds.keys())
    if unknown:
        raise InputsMismatch(
            f"the set has the images {', '.join(labelled.kinds)}; {', '.join(unknown)} cannot be "
            "dropped"
        )
    kinds = {name: kind for name, kind in labelled.kinds.items() if name not in drop}
    return fill_slots(card.inputs, kinds, model=card.name)


def answer(model: Model, sample: Sample, filled: Mapping[str, str]) -> FloatArray:
    """Return the probability of the first class, (rows, cols); NaN where there is none."""
    inputs = inputs_of(sample, filled)
    survey = model.survey([inputs])
    probability: FloatArray = model.predict([inputs], survey)[0, 0]
    return probability


def _agreement(model: Model, sample: Sample, filled: Mapping[str, str]) -> Agreement:
    probability = answer(model, sample, filled)
    usable = sample.known & np.isfinite(probability)
    found = usable & (probability >= model.card.classes[0].threshold)
    counts = count(found[sample.known], sample.target[sample.known])
    return Agreement(
        (TileCounts(sample.name, sample.group, counts),),
        int(usable.sum()),
        Reliability.of(probability[usable], sample.target[usable]),
    )


def _check_parts(each: Sequence[Evaluation]) -> None:
    """Check that the splits are all the same, or have no tile in common."""
    tiles = [tile.name for evaluation in each for tile in evaluation.agreement.tiles]
    if len({evaluation.split for evaluation in each}) > 1 and len(set(tiles)) < len(tiles):
        raise DataInvalid(
            f"the splits {', '.join(e.split for e in each)} share tiles, which would count twice; "
            "give one model for each fold, or all of them for one split"
        )


def _detail(agreement: Agreement, by: Detail | None) -> dict[str, object]:
    return {f"{by}s": agreement.rows(by)} if by else {}
