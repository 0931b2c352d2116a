"""Levels of the bands of a whole scene, for the slots that a card normalises by them."""

from collections.abc import Mapping

import numpy as np

from geo.raster import FloatArray
from models.card import ModelCard
from models.slot import CardInput
from models.survey import Level
from models.units import ValueSample

_TAILS = (2.0, 98.0)
"""Percentiles to which values are limited first: a ship or a hole in a scene moves nothing."""


NONE_FAR: Mapping[str, tuple[int, ...]] = {}


def scene_levels(
    card: ModelCard, sample: ValueSample, *, far: Mapping[str, tuple[int, ...]] = NONE_FAR
) -> dict[str, tuple[Level, ...]]:
    """Return the levels of the slots that the card normalises by the scene.

    A slot without an image, or without one value that was seen, has none.

    Args:
        card: of a network.
        sample: of the scene.
        far: by slot, numbers of the scenes that are not to be measured.
    """
    kept = {e.slot: sample.kept(e, without=far.get(e.slot, ())) for e in _by_scene(card)}
    return {
        slot: tuple(_level(row[np.isfinite(row)]) for row in rows)
        for slot, rows in kept.items()
        if np.isfinite(rows).any(axis=1).all()
    }


def _by_scene(card: ModelCard) -> list[CardInput]:
    return [entry for entry in card.inputs if entry.normalised_by == "scene"]


def _level(values: FloatArray) -> Level:
    inner = np.clip(values, *np.percentile(values, _TAILS))
    # A constant band carries nothing: with a spread of 1 it becomes 0 everywhere.
    return Level(float(inner.mean()), float(inner.std()) or 1.0)
