"""A grader of buildings held against xBD, in the labels' own footprints."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geo.raster import CodeArray
from models.card import ModelCard
from models.damage_metrics import BuildingGrades, PixelGrades
from models.data.xbd import GRADES, UNCLASSIFIED, DamageTile, GradedTiles
from models.errors import DataInvalid
from models.grading.grader import Finder, Grader, graded_mask
from models.grading.ground_score import GroundScore
from models.grading.zones import Values
from models.mapping import Progress

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
    grader: Grader, labelled: GradedTiles, *, split: str = "", progress: Progress
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


def _by_building(tile: DamageTile, probabilities: Values) -> BuildingGrades:
    known = tile.grades != UNCLASSIFIED
    return BuildingGrades(tile.grades[known], probabilities[known])


def _on_pixels(tile: DamageTile, probabilities: Values) -> PixelGrades:
    answer = BuildingGrades(tile.grades, probabilities).answer
    codes = np.concatenate([[0], answer]).astype(np.uint8)
    drawn: CodeArray = codes[tile.buildings]
    return PixelGrades.of(drawn, tile.mask)
