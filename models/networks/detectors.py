"""DetectorModel: a detector behind the same door as a network.

Detectors on optical indices: water by NDWI or MNDWI, burnt ground by NDVI or NBR.

Detectors on radar backscatter: water in one image, flood between two.

What a detector must do, and the image of a slot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geo.raster import indices
from geo.raster.classify import Finding
from geo.raster.indices import lee_decibel
from geo.types import FloatArray, Raster
from models.cards.architecture import (
    BANDS_OF_INDEX,
    DetectorArchitecture,
    IndexChange,
    RadarChange,
    RadarWater,
    WaterIndex,
)
from models.cards.card import ModelCard
from models.cards.inputs import InputPhase
from models.errors import InputsMismatch
from models.networks.tensors import Inputs, SceneStatistics, ValueSample, shape_of, usable_pixels
from models.networks.thresholds import (
    CHANGE_DECIBEL_EDGES,
    CHANGE_INDEX_EDGES,
    DECIBEL_EDGES,
    INDEX_EDGES,
    TileHistograms,
    probability_above,
    probability_below,
)


class Detector(Protocol):
    """A few formulas on named features, with thresholds that a statistics found."""

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return an empty gatherer for each feature that has a threshold."""
        ...

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the features of a window, (rows, cols) each; NaN where not defined."""
        ...

    def answer(
        self, features: Mapping[str, FloatArray], statistics: SceneStatistics
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of each finding, (rows, cols); NaN where there is none."""
        ...


def image(inputs: Inputs, slot: str) -> Raster:
    """Return the raster of a slot.

    Raises:
        InputsMismatch: where the slot is empty.
    """
    raster = inputs.get(slot)
    if raster is None:
        raise InputsMismatch(f"the slot {slot} is empty; give an image for it")
    return raster


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
        self, features: Mapping[str, FloatArray], statistics: SceneStatistics
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of water."""
        name = self.parameters.index
        return {Finding.WATER: probability_above(statistics.threshold(name), features[name])}


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
        self, features: Mapping[str, FloatArray], statistics: SceneStatistics
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of burnt ground, 0 where there was no vegetation."""
        burnt = probability_above(statistics.threshold(self._loss), features[self._loss])
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
        self, features: Mapping[str, FloatArray], statistics: SceneStatistics
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of water."""
        threshold = statistics.threshold(BACKSCATTER)
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
        self, features: Mapping[str, FloatArray], statistics: SceneStatistics
    ) -> Mapping[Finding, FloatArray]:
        """Return the probability of flood and of reference water."""
        before, after, fell = (
            probability_below(statistics.threshold(name), features[name])
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


@dataclass(frozen=True)
class DetectorModel:
    """A detector and its card; see `models.inference.model.Model`."""

    card: ModelCard
    detector: Detector

    @classmethod
    def of(cls, card: ModelCard, architecture: DetectorArchitecture) -> "DetectorModel":
        """Return the detector that a card describes."""
        return cls(card, _detector(card, architecture))

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Learn the thresholds of the scene; see `models.inference.model.Model.statistics`."""
        values = ValueSample(self.card)
        histograms = self.detector.histograms()
        for inputs in samples:
            shape_of(self.card, inputs)
            values.feed(inputs)
            features = self.detector.features(inputs)
            for name, gathered in histograms.items():
                gathered.feed(features[name])
        values.check()
        learned = [gathered.threshold() for gathered in histograms.values()]
        return SceneStatistics(
            thresholds=tuple(threshold for threshold, _ in learned),
            notes=tuple(note for _, notes in learned for note in notes),
        )

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Answer window by window; see `models.inference.model.Model.predict`."""
        answers = [self._window(inputs, statistics) for inputs in batch]
        shapes = {answer.shape[1:] for answer in answers}
        if len(shapes) != 1:
            raise InputsMismatch(f"a batch holds windows of one shape, not of {sorted(shapes)}")
        return np.stack(answers)

    def _window(self, inputs: Inputs, statistics: SceneStatistics) -> FloatArray:
        usable = usable_pixels(self.card, inputs)
        findings = self.detector.answer(self.detector.features(inputs), statistics)
        planes = np.stack([findings[name] for name in self.card.class_names])
        return np.where(usable, planes, np.float32(np.nan))


def _detector(card: ModelCard, architecture: DetectorArchitecture) -> Detector:
    slots = {entry.phase: entry.name for entry in card.inputs}
    match architecture.parameters:
        case WaterIndex() as parameters:
            return WaterIndexDetector(slots[InputPhase.EACH], parameters)
        case RadarWater() as parameters:
            return RadarWaterDetector(slots[InputPhase.EACH], parameters)
        case RadarChange() as parameters:
            return RadarChangeDetector(
                slots[InputPhase.BEFORE], slots[InputPhase.AFTER], parameters
            )
        case IndexChange() as parameters:
            return IndexChangeDetector(
                slots[InputPhase.BEFORE], slots[InputPhase.AFTER], parameters
            )
