"""Whether buildings can be graded in a pair of images: they overlap, and are fine enough."""

from collections.abc import Sequence

import shapely

from geo.area import AreaOfInterest
from geo.errors import NotOverlapping
from geo.extent import extent_text
from geo.scene import Phase, Scene
from models.card import ModelCard
from models.errors import InputsMismatch

COARSEST = 2.0
"""Pixels that are so many times as large as those the grader learned from are too large."""


def require_suited(card: ModelCard, scenes: Sequence[Scene], area: AreaOfInterest) -> None:
    """Check the imagery that a grader is to read.

    Raises:
        InputsMismatch: where pixels are too large.
        NotOverlapping: where no place of the area was seen before and after.
    """
    for scene in scenes:
        _require_fine(card, scene)
    _require_overlap(scenes, area)


def _require_fine(card: ModelCard, scene: Scene) -> None:
    limit = COARSEST * (card.resolution_m or scene.gsd_m)
    if scene.gsd_m > limit * 1.001:
        raise InputsMismatch(
            f"{scene.id} has pixels of {scene.gsd_m:.3g} m, and {card.name} grades buildings in "
            f"pixels of at most {limit:.3g} m; give finer images {scene.phase} the event"
        )


def _require_overlap(scenes: Sequence[Scene], area: AreaOfInterest) -> None:
    before, after = (
        shapely.union_all([scene.footprint for scene in scenes if scene.phase is phase])
        for phase in Phase
    )
    if before.intersection(after).intersection(area.geometry).area > 0:
        return
    raise NotOverlapping(
        f"no place of the area lies in the images before ({extent_text(before)}) and after "
        f"({extent_text(after)}); give a pair of one place"
    )
