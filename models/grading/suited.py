"""Whether buildings can be graded in a pair of images: they overlap, are fine enough, and RGB."""

from collections.abc import Sequence

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from geo.area import AreaOfInterest, parse_area
from geo.errors import NotOverlapping
from geo.extent import extent_text
from geo.grid import GridChoice, lay_grid
from geo.read import SceneReader
from geo.scene import Phase, Scene
from models.card import ModelCard
from models.errors import InputsMismatch

COARSEST = 2.0
"""Pixels that are so many times as large as those the grader learned from are too large."""
_GREY_STEP = 2.0
"""Of 255: the bands of a grey picture differ by rounding where it was compressed in colour."""
_SAMPLE_PX = 256


def require_suited(card: ModelCard, scenes: Sequence[Scene], area: AreaOfInterest) -> None:
    """Check the imagery that a grader is to read.

    Raises:
        InputsMismatch: where pixels are too large, or an image is grey.
        NotOverlapping: where no place of the area was seen before and after.
    """
    for scene in scenes:
        _require_fine(card, scene)
    _require_overlap(scenes, area)
    for scene in scenes:
        _require_colour(card, scene)


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


def _require_colour(card: ModelCard, scene: Scene) -> None:
    bands = card.inputs[0].bands
    pixels, _ = SceneReader(scene, bands).read(_sample(scene))
    seen = np.isfinite(pixels).all(axis=0)
    apart = np.ptp(pixels[:, seen], axis=0)
    if seen.any() and float(apart.max()) <= _GREY_STEP:
        raise InputsMismatch(
            f"{scene.id} is grey: its bands {', '.join(bands)} hold the same values; {card.name} "
            "wants a picture in natural colours"
        )


def _sample(scene: Scene) -> GeoBox:
    """Return the middle of a scene, at its own resolution."""
    area = parse_area(shapely.geometry.mapping(scene.footprint))
    grid = lay_grid(area, [scene], GridChoice(resolution_m=scene.gsd_m))
    top, left = (max(0, (side - _SAMPLE_PX) // 2) for side in grid.shape)
    return grid[top : min(top + _SAMPLE_PX, grid.shape[0]), left : left + _SAMPLE_PX]
