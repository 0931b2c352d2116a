"""Models compared with labels: networks and detectors by pooled pixels, graders by building."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from geo.raster.classify import Finding
from geo.types import BoolArray, CodeArray, Float64Array, FloatArray
from models.cards.card import ModelCard
from models.cards.inputs import UNCLASSIFIED
from models.damage.detection import damaged_ground, labelled_ground
from models.damage.grader import GRADES, Finder, Grader, graded_mask
from models.datasets.base import LabelledSet, Sample, fill_inputs, inputs_of
from models.datasets.xbd import PIXEL_M, DamageTiles
from models.errors import DataInvalid, InputsMismatch
from models.evaluation.metrics import (
    BuildingPredictions,
    Counts,
    Detail,
    Number,
    PixelGrades,
    Reliability,
    auc,
    count,
    mean_of_known,
    ratio,
    sample_deviation,
)
from models.inference.model import Model
from models.inference.windows import ProgressReceiver


@dataclass(frozen=True)
class TileCounts:
    """The counts of one labelled tile."""

    name: str
    group: str
    """Neighbouring tiles share it: a flood event, a photo."""
    counts: Counts


@dataclass(frozen=True)
class PixelScores:
    """Predictions compared with labels, tile by tile; adds up over sets and models."""

    tiles: tuple[TileCounts, ...] = ()
    """One a sample; a pixel without a prediction counts as not found."""
    predicted_pixels: int = 0
    reliability: Reliability = field(default_factory=Reliability.empty)
    """Of the pixels that have a prediction."""

    def __add__(self, other: "PixelScores") -> "PixelScores":
        return PixelScores(
            self.tiles + other.tiles,
            self.predicted_pixels + other.predicted_pixels,
            self.reliability + other.reliability,
        )

    @property
    def pooled(self) -> Counts:
        """The pixels of all tiles together."""
        return pooled(self.tiles)

    @property
    def ece(self) -> float | None:
        """Expected calibration error; None where nothing was predicted."""
        return self.reliability.ece if self.predicted_pixels else None

    @property
    def by_group(self) -> Mapping[str, Sequence[TileCounts]]:
        """Tiles by their group, groups in order of name."""
        names = sorted({tile.group for tile in self.tiles})
        return {name: [tile for tile in self.tiles if tile.group == name] for name in names}

    def as_json(self) -> dict[str, Number]:
        """Return the scores as plain numbers."""
        counts = self.pooled
        return {
            "n": len(self.tiles),
            "pixels": counts.n,
            "answered_share": ratio(self.predicted_pixels, counts.n),
            "iou": counts.iou,
            "precision": counts.precision,
            "recall": counts.recall,
            "f1": counts.f1,
            "iou_per_tile_mean": mean_of_known([tile.counts.iou for tile in self.tiles]),
            "ece": self.ece,
        }

    def rows(self, by: Detail) -> list[dict[str, Number]]:
        """Return counts and scores of each group or tile as plain numbers."""
        if by == "tile":
            return [{"tile": t.name, "group": t.group, **_row([t])} for t in self.tiles]
        return [{"group": name, **_row(tiles)} for name, tiles in self.by_group.items()]


def pooled(tiles: Sequence[TileCounts]) -> Counts:
    """Return the pixels of tiles together."""
    return sum((tile.counts for tile in tiles), Counts())


def _row(tiles: Sequence[TileCounts]) -> dict[str, Number]:
    counts = pooled(tiles)
    return {
        "n": len(tiles),
        "true_positive": counts.true_positive,
        "false_positive": counts.false_positive,
        "false_negative": counts.false_negative,
        "true_negative": counts.true_negative,
        "iou": counts.iou,
        "precision": counts.precision,
        "recall": counts.recall,
    }


LEFT_OUT = "left-out"
"""The split that a model's card names as not used in its training."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on one split, with one choice of its images."""

    card: ModelCard
    split: str
    filled: tuple[str, ...]
    """The images of the set that it was given."""
    scores: PixelScores

    def as_json(self, by: Detail | None = None) -> dict[str, object]:
        """Return it as plain numbers, with a list of the groups or the tiles where requested."""
        named: dict[str, Number] = {
            "split": self.split,
            "model": self.card.name,
            "version": self.card.version,
            "digest": self.card.digest,
            "finding": self.card.classes[0].name.value,
            "threshold": self.card.classes[0].threshold,
            "inputs": list(self.filled),
        }
        return named | self.scores.as_json() | _detail(self.scores, by)


def pooled_json(each: Sequence[Evaluation], by: Detail | None = None) -> dict[str, object]:
    """Return several models as one object: their pixels pooled, mean and deviation, and each.

    Raises:
        DataInvalid: where two splits differ and have tiles in common.
        InputsMismatch: where they look for different things.
    """
    findings = sorted({evaluation.card.classes[0].name.value for evaluation in each})
    if len(findings) > 1:
        raise InputsMismatch(f"these models look for {' and '.join(findings)}; score them apart")
    scores = sum((evaluation.scores for evaluation in each), PixelScores())
    splits = [evaluation.split for evaluation in each]
    names = [tile.name for tile in scores.tiles]
    if len(set(splits)) > 1 and len(set(names)) < len(names):
        raise DataInvalid(
            f"the splits {', '.join(splits)} share tiles, which would count twice; "
            "give one model for each fold, or all of them for one split"
        )
    ious = [iou for e in each if (iou := e.scores.pooled.iou) is not None]
    return {
        "split": ", ".join(dict.fromkeys(splits)),
        "models": len(each),
        **scores.as_json(),
        "iou_mean": mean_of_known(ious),
        "iou_spread": sample_deviation(ious),
        "each": [evaluation.as_json() for evaluation in each],
        **_detail(scores, by),
    }


def _detail(scores: PixelScores, by: Detail | None) -> dict[str, object]:
    return {f"{by}s": scores.rows(by)} if by else {}


def split_for(card: ModelCard, split: str) -> str:
    """Return a split by its name in the set; `LEFT_OUT` is looked up on the card."""
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
    progress: ProgressReceiver,
) -> Evaluation:
    """Compare the first class of a model with the labels of a set; each sample is a scene.

    Args:
        drop: names of images of the set that the model is not given.

    Raises:
        InputsMismatch: where `drop` names no image, or the rest does not fill the model's inputs.
        DataInvalid: where the set is empty, or a sample cannot be read.
    """
    if not len(labelled):
        raise DataInvalid("the split holds no sample; there is nothing to score")
    filled = images_for(model.card, labelled, drop)
    scores = PixelScores()
    progress.start(f"{model.card.name} on labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            scores += _scores(model, labelled[index], filled)
            progress.advance(1)
    finally:
        progress.finish()
    return Evaluation(model.card, split, tuple(filled.values()), scores)


def images_for(card: ModelCard, labelled: LabelledSet, drop: Collection[str]) -> dict[str, str]:
    """Return, by input of a model, the name of the image that it is given."""
    unknown = sorted(set(drop) - labelled.kinds.keys())
    if unknown:
        raise InputsMismatch(
            f"the set has the images {', '.join(labelled.kinds)}; {', '.join(unknown)} cannot be "
            "dropped"
        )
    kinds = {name: kind for name, kind in labelled.kinds.items() if name not in drop}
    return fill_inputs(card.inputs, kinds, model=card.name)


def predict_sample(model: Model, sample: Sample, filled: Mapping[str, str]) -> FloatArray:
    """Return the probability of the first class, (rows, cols); NaN where there is none."""
    inputs = inputs_of(sample, filled)
    statistics = model.scene_statistics([inputs])
    probability: FloatArray = model.predict([inputs], statistics)[0, 0]
    return probability


def _scores(model: Model, sample: Sample, filled: Mapping[str, str]) -> PixelScores:
    probability = predict_sample(model, sample, filled)
    usable = sample.known & np.isfinite(probability)
    found = usable & (probability >= model.card.classes[0].threshold)
    counts = count(found[sample.known], sample.target[sample.known])
    return PixelScores(
        (TileCounts(sample.name, sample.group, counts),),
        int(usable.sum()),
        Reliability.of(probability[usable], sample.target[usable]),
    )


STEP_PX = 8
"""Every eighth pixel of every eighth row is scored: damaged ground is smooth in between."""


@dataclass(frozen=True, eq=False)
class GroundScore:
    """Probabilities of damaged ground where the labels know the ground."""

    probability: Float64Array
    """(places,); 0 where the ground was not judged: no damage is published there."""
    damaged: BoolArray
    """(places,), by the labels."""
    threshold: float

    @classmethod
    def of(cls, card: ModelCard, probabilities: FloatArray, mask: CodeArray) -> "GroundScore":
        """Score a tile: probabilities, (classes, rows, cols), and a mask as those of xBD."""
        damage = probabilities[card.class_names.index(Finding.DAMAGED)]
        ground = damaged_ground(probabilities[0], damage, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        labels = labelled_ground(mask, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        known = (labels <= 1) & np.isfinite(damage[::STEP_PX, ::STEP_PX])
        probability = np.nan_to_num(ground[known]).astype(np.float64)
        return cls(probability, labels[known] == 1, card.threshold(Finding.DAMAGED))

    @classmethod
    def together(cls, parts: Sequence["GroundScore"]) -> "GroundScore":
        """Return the ground of several tiles."""
        return cls(
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.damaged for part in parts]),
            parts[0].threshold,
        )

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve; None for one class."""
        return auc(self.probability, self.damaged)

    @property
    def iou(self) -> float | None:
        """Intersection over union of damaged ground; None where there is none."""
        return count(self.probability >= self.threshold, self.damaged).iou


FOOTPRINTS_GIVEN = (
    "the model grades footprints that it is given and finds none itself: it is scored in those of "
    "the labels, and f1_localisation and xview2 have no meaning"
)


@dataclass(frozen=True, eq=False)
class DamageEvaluation:
    """The scores of a grader on one split."""

    card: ModelCard
    split: str
    tiles: int
    pixels: PixelGrades
    """Of a `Finder` its mask, of another the likeliest grade in the labels' footprints."""
    buildings: BuildingPredictions
    ground: GroundScore | None = None
    """Ground beside the buildings, where the model finds buildings itself."""

    def as_json(self) -> dict[str, object]:
        """Return it as plain numbers."""
        return {
            "split": self.split,
            "model": self.card.name,
            "version": self.card.version,
            "digest": self.card.digest,
            "n": self.tiles,
            "buildings": len(self.buildings.labels),
            "buildings_graded": int(self.buildings.has_grade.sum()),
            "f1_localisation": self.pixels.localisation.f1 if self.ground else None,
            "f1_per_grade": dict(zip(GRADES, self.pixels.f1_per_grade, strict=True)),
            "xview2": self.pixels.xview2 if self.ground else None,
            "auc_ground": self.ground.auc if self.ground else None,
            "iou_ground": self.ground.iou if self.ground else None,
            **self.buildings.scores,
            "ece": self.buildings.ece,
            "note": None if self.ground else FOOTPRINTS_GIVEN,
        }


def evaluate_damage(
    grader: Grader, labelled: DamageTiles, *, split: str = "", progress: ProgressReceiver
) -> DamageEvaluation:
    """Compare a grader with the labels of xBD, in their footprints; each tile is a scene.

    Raises:
        DataInvalid: where a tile cannot be read, or no building has a grade.
    """
    pixels, parts, ground = PixelGrades.empty(), [], []
    progress.start(f"{grader.card.name} on labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            tile = labelled[index]
            grades = grader.grade(*tile.images, tile.buildings, count=len(tile.polygons))
            predictions = BuildingPredictions(tile.grades, grades.astype(np.float64))
            if isinstance(grader, Finder):
                probabilities = grader.probabilities(*tile.images)
                pixels += PixelGrades.of(graded_mask(grader.card, probabilities), tile.mask)
                ground.append(GroundScore.of(grader.card, probabilities, tile.mask))
            else:
                codes = np.concatenate([[0], predictions.grades]).astype(np.uint8)
                pixels += PixelGrades.of(codes[tile.buildings], tile.mask)
            known = tile.grades != UNCLASSIFIED
            parts.append(BuildingPredictions(tile.grades[known], predictions.probabilities[known]))
            progress.advance(1)
    finally:
        progress.finish()
    buildings = BuildingPredictions.together(parts)
    if not len(buildings.labels):
        raise DataInvalid(f"the split {split} holds no graded building; there is nothing to score")
    scored = GroundScore.together(ground) if ground else None
    return DamageEvaluation(grader.card, split, len(labelled), pixels, buildings, scored)
