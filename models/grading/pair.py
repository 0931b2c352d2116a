"""The pair of images that a grader compares."""

from collections.abc import Sequence
from dataclasses import dataclass

from geo.scene import Phase, Scene
from geo.scene_mosaic import Preference, SceneMosaic
from models.card import ModelCard
from models.matching import require_fit
from models.reading import SightOnly, available, readings_of


@dataclass(frozen=True)
class Pair:
    """All scenes before, and all after, each read as one image."""

    before: SceneMosaic
    after: SceneMosaic
    sight: SightOnly
    """Which pixels both of them saw."""


def pair_of(card: ModelCard, scenes: Sequence[Scene], preference: Preference) -> Pair:
    """Return the pair that a grader's card reads among scenes.

    Raises:
        InputsMismatch: where the scenes do not fill its slots.
    """
    require_fit(card, [available(scene) for scene in scenes])
    readings = readings_of(card, scenes, preference)
    mosaics = {reading.phase: reading.mosaic for reading in readings}
    return Pair(mosaics[Phase.BEFORE], mosaics[Phase.AFTER], SightOnly(readings, compares=True))
