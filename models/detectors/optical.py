"""Detectors on optical indices: water by NDWI or MNDWI, burnt ground by NDVI or NBR."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geo import indices
from geo.classify import Finding
from geo.raster import FloatArray, Raster
from models.architecture import BANDS_OF_INDEX, IndexChange, WaterIndex
from models.detectors.base import image
from models.detectors.thresholds import (
    CHANGE_INDEX_EDGES,
    INDEX_EDGES,
    TileHistograms,
    probability_above,
)
from models.inputs import Inputs
from models.survey import Survey

INDICES = {
    "ndwi": indices.ndwi,
    "mndwi": indices.mndwi,
    "ndvi": indices.ndvi,
    "nbr": indices.nbr,
}
GREEN = "ndvi before"
"""Feature that says where there was vegetation to burn."""


@dataclass(frozen=True)
class WaterIndexDetector:
    """Water where an index lies above a threshold."""

    slot: str
    parameters: WaterIndex

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return one gatherer, of the index."""
        name = self.parameters.index
        return {name: TileHistograms(name, self.parameters.water, edges=INDEX_EDGES)}

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the index."""
        name = self.parameters.index
        return {name: _index(image(inputs, self.slot), name)}

    def answer(
        self, features: Mapping[str, FloatArray], survey: Survey
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of water."""
        name = self.parameters.index
        return {Finding.WATER: probability_above(survey.threshold(name), features[name])}


@dataclass(frozen=True)
class IndexChangeDetector:
    """Burnt where vegetated ground lost more of an index than a threshold."""

    before: str
    """Slot of the before image."""
    after: str
    """Slot of the after image."""
    parameters: IndexChange

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return one gatherer, of the loss where there was vegetation to burn."""
        rule = self.parameters.change
        return {self._loss: TileHistograms(self._loss, rule, edges=CHANGE_INDEX_EDGES)}

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the NDVI before, and the loss of the index where that says vegetation."""
        before, after = image(inputs, self.before), image(inputs, self.after)
        name = self.parameters.index
        green = _index(before, "ndvi")
        loss = _index(before, name) - _index(after, name)
        vegetated = green > self.parameters.vegetated_above
        return {GREEN: green, self._loss: np.where(vegetated, loss, np.float32(np.nan))}

    def answer(
        self, features: Mapping[str, FloatArray], survey: Survey
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of burnt ground, 0 where there was no vegetation."""
        burnt = probability_above(survey.threshold(self._loss), features[self._loss])
        bare = features[GREEN] <= self.parameters.vegetated_above
        return {Finding.BURNT: np.where(bare, np.float32(0), burnt)}

    @property
    def _loss(self) -> str:
        return f"loss of {self.parameters.index}"


def _index(raster: Raster, name: str) -> FloatArray:
    """Return an index, (rows, cols), NaN where not valid or not defined."""
    first, second = BANDS_OF_INDEX[name]
    values = INDICES[name](raster.band(first), raster.band(second))
    return np.where(raster.valid, values, np.float32(np.nan))
