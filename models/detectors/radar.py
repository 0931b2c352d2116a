"""Detectors on radar backscatter: water in one image, flood between two."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geo.classify import Finding
from geo.raster import FloatArray, Raster
from geo.speckle import lee_decibel
from models.architecture import RadarChange, RadarWater
from models.detectors.base import image
from models.detectors.thresholds import (
    CHANGE_DECIBEL_EDGES,
    DECIBEL_EDGES,
    TileHistograms,
    probability_below,
)
from models.inputs import Inputs
from models.survey import Survey

BACKSCATTER = "backscatter"
BACKSCATTER_BEFORE = "backscatter before"
BACKSCATTER_AFTER = "backscatter after"
CHANGE = "change of backscatter"


@dataclass(frozen=True)
class RadarWaterDetector:
    """Water where the backscatter of one date lies below a threshold.

    A smooth surface mirrors the pulse away from the sensor, and looks dark.
    """

    slot: str
    parameters: RadarWater

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return one gatherer, of the backscatter."""
        rule = self.parameters.water
        return {BACKSCATTER: TileHistograms(BACKSCATTER, rule, edges=DECIBEL_EDGES)}

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the filtered backscatter, dB."""
        raster = image(inputs, self.slot)
        return {BACKSCATTER: _backscatter(raster, self.parameters)}

    def answer(
        self, features: Mapping[str, FloatArray], survey: Survey
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of water."""
        threshold = survey.threshold(BACKSCATTER)
        return {Finding.WATER: probability_below(threshold, features[BACKSCATTER])}


@dataclass(frozen=True)
class RadarChangeDetector:
    """Flood where there is water after, none before, and the backscatter fell.

    The three are joined as fuzzy sets, by the least of their degrees (Twele et al. 2016,
    doi:10.1080/01431161.2016.1192304, join theirs by a mean): water that was there before
    is no flood, however much calmer it lies, nor is ground that was as dark before.
    """

    before: str
    """Slot of the before image."""
    after: str
    """Slot of the after image."""
    parameters: RadarChange

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return three gatherers: both dates by themselves, and their difference."""
        water, change = self.parameters.water, self.parameters.change
        return {
            BACKSCATTER_BEFORE: TileHistograms(BACKSCATTER_BEFORE, water, edges=DECIBEL_EDGES),
            BACKSCATTER_AFTER: TileHistograms(BACKSCATTER_AFTER, water, edges=DECIBEL_EDGES),
            CHANGE: TileHistograms(CHANGE, change, edges=CHANGE_DECIBEL_EDGES),
        }

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the filtered backscatter of both dates, and after minus before, dB."""
        before, after = (
            _backscatter(image(inputs, slot), self.parameters) for slot in (self.before, self.after)
        )
        return {BACKSCATTER_BEFORE: before, BACKSCATTER_AFTER: after, CHANGE: after - before}

    def answer(
        self, features: Mapping[str, FloatArray], survey: Survey
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of flood and of reference water."""
        before, after, fell = (
            probability_below(survey.threshold(name), features[name])
            for name in (BACKSCATTER_BEFORE, BACKSCATTER_AFTER, CHANGE)
        )
        flood = np.minimum(np.minimum(after, fell), 1 - before)
        return {Finding.FLOOD: flood, Finding.REFERENCE_WATER: before}


def _backscatter(raster: Raster, parameters: RadarWater | RadarChange) -> FloatArray:
    """Return the backscatter after the speckle filter, dB, (rows, cols).

    Two polarisations are averaged in dB, the logarithm of their product (as the index of
    Jia et al. 2019, SDWI, takes it): their speckle is independent, wind roughens the one
    and thermal noise floors the other.
    """
    speckle = parameters.speckle
    bands = [
        lee_decibel(
            np.where(raster.valid, raster.band(name), np.float32(np.nan)),
            window_px=speckle.window_px,
            looks=speckle.looks,
        )
        for name in parameters.polarisations
    ]
    return np.asarray(np.mean(bands, axis=0), np.float32)
