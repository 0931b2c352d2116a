"""Models held against labels: one on a set, or several whose figures are put together.

A grader of buildings held against xBD, in the labels' own footprints.

Damaged ground held against labels: ground near damaged buildings, and near sound ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geo.raster.classify import Finding
from geo.types import BoolArray, CodeArray, Float64Array, FloatArray
from models.cards.card import ModelCard
from models.cards.inputs import UNCLASSIFIED
from models.damage.detection import damaged_ground, labelled_ground
from models.damage.grader import Finder, Grader, graded_mask
from models.datasets.base import LabelledSet, Sample, fill_slots, inputs_of
from models.datasets.xbd import GRADES, PIXEL_M, DamageTile, GradedTiles
from models.errors import DataInvalid, InputsMismatch
from models.evaluation.damage_metrics import BuildingGrades, PixelGrades, auc
from models.evaluation.metrics import (
    Agreement,
    Detail,
    Number,
    Reliability,
    TileCounts,
    count,
    spread,
)
from models.inference.map_scenes import ProgressReceiver
from models.inference.model import Model

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
    progress: ProgressReceiver,
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
    statistics = model.scene_statistics([inputs])
    probability: FloatArray = model.predict([inputs], statistics)[0, 0]
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


STEP_PX = 8
"""Every eighth pixel of every eighth row is scored: what lies between is smoothed of them."""


@dataclass(frozen=True, eq=False)
class GroundScore:
    """Probabilities of ground that the labels know."""

    probability: Float64Array
    """(places,); 0 where the ground was not judged: no damage is published there."""
    damaged: BoolArray
    """(places,), what the labels say."""
    least: float
    """Probability from which ground is called damaged."""

    @classmethod
    def of(cls, card: ModelCard, answer: FloatArray, mask: CodeArray) -> "GroundScore":
        """Score a tile.

        Args:
            card: of a model that finds buildings.
            answer: its probabilities, (classes, rows, cols).
            mask: as those of xBD.
        """
        damage = answer[card.class_names.index(Finding.DAMAGED)]
        ground = damaged_ground(answer[0], damage, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        truth = labelled_ground(mask, pixel_m=PIXEL_M)[::STEP_PX, ::STEP_PX]
        known = (truth <= 1) & np.isfinite(damage[::STEP_PX, ::STEP_PX])
        probability = np.nan_to_num(ground[known]).astype(np.float64)
        return cls(probability, truth[known] == 1, card.threshold(Finding.DAMAGED))

    @classmethod
    def together(cls, parts: Sequence["GroundScore"]) -> "GroundScore":
        """Return the ground of several tiles."""
        return cls(
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.damaged for part in parts]),
            parts[0].least,
        )

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve; None for one class."""
        return auc(self.probability, self.damaged)

    @property
    def iou(self) -> float | None:
        """Intersection over union of damaged ground; None where there is none."""
        called = self.probability >= self.least
        union = int((called | self.damaged).sum())
        return int((called & self.damaged).sum()) / union if union else None


FOOTPRINTS_GIVEN = (
    "the model grades footprints that it is given and finds none itself: it is scored in those of "
    "the labels, and f1_localisation and xview2 have no meaning"
)


@dataclass(frozen=True, eq=False)
class DamageEvaluation:
    """What a grader is worth on one split."""

    card: ModelCard
    split: str
    tiles: int
    pixels: PixelGrades
    """The mask of a model that finds buildings; of another the likeliest grade, drawn in the
    labels' footprints."""
    buildings: BuildingGrades
    ground: GroundScore | None = None
    """Ground beside the buildings, where the model finds buildings itself."""

    def as_json(self) -> dict[str, object]:
        """Return it as plain numbers."""
        graded = len(self.buildings.graded.truth)
        return {
            "split": self.split,
            "model": self.card.name,
            "version": self.card.version,
            "digest": self.card.digest,
            "n": self.tiles,
            "buildings": len(self.buildings.truth),
            "buildings_graded": graded,
            "f1_localisation": self.pixels.localisation.f1 if self.ground else None,
            "f1_per_grade": dict(zip(GRADES, self.pixels.f1_per_grade, strict=True)),
            "xview2": self.pixels.xview2 if self.ground else None,
            "auc_ground": self.ground.auc if self.ground else None,
            "iou_ground": self.ground.iou if self.ground else None,
            **self.building_scores,
            "ece": self.buildings.reliability.ece if graded else None,
            "note": None if self.ground else FOOTPRINTS_GIVEN,
        }

    @property
    def building_scores(self) -> Mapping[str, float | None]:
        """Per building, by the names of `aftermap evaluate`."""
        return {
            "auc_damaged": self.buildings.auc_damaged,
            "macro_f1_two": self.buildings.macro_f1_two,
            "macro_f1_four": self.buildings.macro_f1_four,
            "accuracy_buildings": self.buildings.accuracy,
        }


def evaluate_damage(
    grader: Grader, labelled: GradedTiles, *, split: str = "", progress: ProgressReceiver
) -> DamageEvaluation:
    """Hold a grader against the labels of xBD; each tile is a scene.

    Raises:
        DataInvalid: where a tile cannot be read, or no building has a grade.
    """
    pixels, parts, ground = PixelGrades.empty(), [], []
    progress.start(f"{grader.card.name} on labelled tiles", len(labelled))
    try:
        for index in range(len(labelled)):
            tile = labelled[index]
            count = len(tile.polygons)
            probabilities = grader.grade(*tile.images, tile.buildings, count=count)
            if isinstance(grader, Finder):
                answer = grader.probabilities(*tile.images)
                pixels += PixelGrades.of(graded_mask(grader.card, answer), tile.mask)
                ground.append(GroundScore.of(grader.card, answer, tile.mask))
            else:
                pixels += _on_pixels(tile, probabilities.astype(np.float64))
            parts.append(_by_building(tile, probabilities.astype(np.float64)))
            progress.advance(1)
    finally:
        progress.finish()
    buildings = BuildingGrades.together(parts)
    if not len(buildings.truth):
        raise DataInvalid(f"the split {split} holds no graded building; there is nothing to score")
    scored = GroundScore.together(ground) if ground else None
    return DamageEvaluation(grader.card, split, len(labelled), pixels, buildings, scored)


def _by_building(tile: DamageTile, probabilities: Float64Array) -> BuildingGrades:
    known = tile.grades != UNCLASSIFIED
    return BuildingGrades(tile.grades[known], probabilities[known])


def _on_pixels(tile: DamageTile, probabilities: Float64Array) -> PixelGrades:
    answer = BuildingGrades(tile.grades, probabilities).answer
    codes = np.concatenate([[0], answer]).astype(np.uint8)
    drawn: CodeArray = codes[tile.buildings]
    return PixelGrades.of(drawn, tile.mask)
