"""Detectors: a few formulas on named features, with thresholds found in the whole scene.

A new detector is one file: its parameters, a `DetectorMethod`, and its formulas, a `Detector` of
that method, in a module of `models.networks` with the name of the method.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from geo.raster import indices
from geo.raster.classify import Finding
from geo.raster.indices import lee_decibel
from geo.types import Float64Array, FloatArray, Raster
from models.cards.architecture import (
    BANDS_OF_INDEX,
    DetectorArchitecture,
    DetectorMethod,
    IndexChange,
    RadarChange,
    RadarMethod,
    RadarWater,
    ThresholdRule,
    WaterIndex,
)
from models.cards.card import ModelCard
from models.cards.inputs import InputPhase
from models.cards.registry import CardRef
from models.errors import InputsMismatch
from models.networks.tensors import (
    Inputs,
    SceneStatistics,
    require_one_shape,
    sample_values,
    shape_of,
    usable_pixels,
)
from models.networks.thresholds import (
    CHANGE_DECIBEL_EDGES,
    CHANGE_INDEX_EDGES,
    DECIBEL_EDGES,
    INDEX_EDGES,
    TileHistograms,
    probability_above,
    probability_below,
)

Images: TypeAlias = Mapping[InputPhase, Raster]
Features: TypeAlias = Mapping[str, FloatArray]
"""(rows, cols) each, by name; NaN where not defined."""
Findings: TypeAlias = Mapping[Finding, FloatArray]
"""Probabilities, (rows, cols) each; NaN where there is no answer."""


@dataclass(frozen=True)
class Detector(ABC):
    """A few formulas on named features, with thresholds found in the whole scene."""

    parameters: DetectorMethod

    of_method: ClassVar[dict[type[DetectorMethod], type["Detector"]]] = {}

    def __init_subclass__(cls, *, method: type[DetectorMethod], **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.of_method[method] = cls

    @abstractmethod
    def rules(self) -> Mapping[str, tuple[ThresholdRule, Float64Array]]:
        """Return, by feature, how its threshold is found, and the edges of its histograms."""

    @abstractmethod
    def features(self, images: Images) -> Features:
        """Return the features of a window."""

    @abstractmethod
    def answer(self, features: Features, statistics: SceneStatistics) -> Findings:
        """Return the probabilities of a window."""


@dataclass(frozen=True)
class WaterIndexDetector(Detector, method=WaterIndex):
    """Water where an index lies above a threshold."""

    parameters: WaterIndex

    def rules(self) -> Mapping[str, tuple[ThresholdRule, Float64Array]]:
        return {self.parameters.index: (self.parameters.water, INDEX_EDGES)}

    def features(self, images: Images) -> Features:
        name = self.parameters.index
        return {name: _index(images[InputPhase.EACH], name)}

    def answer(self, features: Features, statistics: SceneStatistics) -> Findings:
        name = self.parameters.index
        return {Finding.WATER: probability_above(statistics.threshold(name), features[name])}


NDVI_BEFORE = "ndvi before"
"""Feature that says where there was vegetation to burn."""


@dataclass(frozen=True)
class IndexChangeDetector(Detector, method=IndexChange):
    """Burnt where vegetated ground lost more of an index than a threshold."""

    parameters: IndexChange

    def rules(self) -> Mapping[str, tuple[ThresholdRule, Float64Array]]:
        return {self._loss: (self.parameters.change, CHANGE_INDEX_EDGES)}

    def features(self, images: Images) -> Features:
        """Return the NDVI before, and the loss of the index where that says vegetation."""
        before, after = images[InputPhase.BEFORE], images[InputPhase.AFTER]
        name = self.parameters.index
        green = _index(before, "ndvi")
        loss = _index(before, name) - _index(after, name)
        vegetated = green > self.parameters.vegetated_above
        return {NDVI_BEFORE: green, self._loss: np.where(vegetated, loss, np.float32(np.nan))}

    def answer(self, features: Features, statistics: SceneStatistics) -> Findings:
        """Return the probability of burnt ground, 0 where there was no vegetation."""
        burnt = probability_above(statistics.threshold(self._loss), features[self._loss])
        bare = features[NDVI_BEFORE] <= self.parameters.vegetated_above
        return {Finding.BURNT: np.where(bare, np.float32(0), burnt)}

    @property
    def _loss(self) -> str:
        return f"loss of {self.parameters.index}"


def _index(raster: Raster, name: str) -> FloatArray:
    """Return an index, (rows, cols), NaN where not valid or not defined."""
    first, second = BANDS_OF_INDEX[name]
    values = getattr(indices, name)(raster.band(first), raster.band(second))
    return np.where(raster.valid, values, np.float32(np.nan))


BACKSCATTER = "backscatter"
BACKSCATTER_BEFORE = "backscatter before"
BACKSCATTER_AFTER = "backscatter after"
CHANGE = "change of backscatter"


@dataclass(frozen=True)
class RadarWaterDetector(Detector, method=RadarWater):
    """Water where the backscatter of one date lies below a threshold: smooth surfaces are dark."""

    parameters: RadarWater

    def rules(self) -> Mapping[str, tuple[ThresholdRule, Float64Array]]:
        return {BACKSCATTER: (self.parameters.water, DECIBEL_EDGES)}

    def features(self, images: Images) -> Features:
        return {BACKSCATTER: _backscatter(images[InputPhase.EACH], self.parameters)}

    def answer(self, features: Features, statistics: SceneStatistics) -> Findings:
        threshold = statistics.threshold(BACKSCATTER)
        return {Finding.WATER: probability_below(threshold, features[BACKSCATTER])}


@dataclass(frozen=True)
class RadarChangeDetector(Detector, method=RadarChange):
    """Flood where there is water after, none before, and the backscatter fell.

    Joined as fuzzy sets, by the least of their degrees (Twele et al. 2016,
    doi:10.1080/01431161.2016.1192304, join theirs by a mean).
    """

    parameters: RadarChange

    def rules(self) -> Mapping[str, tuple[ThresholdRule, Float64Array]]:
        water = (self.parameters.water, DECIBEL_EDGES)
        change = (self.parameters.change, CHANGE_DECIBEL_EDGES)
        return {BACKSCATTER_BEFORE: water, BACKSCATTER_AFTER: water, CHANGE: change}

    def features(self, images: Images) -> Features:
        """Return the filtered backscatter of both dates, and after minus before, dB."""
        before, after = (
            _backscatter(images[phase], self.parameters)
            for phase in (InputPhase.BEFORE, InputPhase.AFTER)
        )
        return {BACKSCATTER_BEFORE: before, BACKSCATTER_AFTER: after, CHANGE: after - before}

    def answer(self, features: Features, statistics: SceneStatistics) -> Findings:
        before, after, fell = (
            probability_below(statistics.threshold(name), features[name])
            for name in (BACKSCATTER_BEFORE, BACKSCATTER_AFTER, CHANGE)
        )
        flood = np.minimum(np.minimum(after, fell), 1 - before)
        return {Finding.FLOOD: flood, Finding.REFERENCE_WATER: before}


def _backscatter(raster: Raster, parameters: RadarMethod) -> FloatArray:
    """Return filtered dB, (rows, cols), the mean of polarisations (as SDWI, Jia et al. 2019)."""
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
    def load(cls, ref: CardRef, *, device: str) -> "DetectorModel":
        """Return the detector of a card; it runs on the CPU whatever the device."""
        del device
        return cls.of(ref.card)

    @classmethod
    def of(cls, card: ModelCard) -> "DetectorModel":
        """Return the detector that a card describes, or raise InputsMismatch."""
        architecture = card.architecture
        if not isinstance(architecture, DetectorArchitecture):
            raise InputsMismatch(f"{card.name} is a {architecture.kind} and no detector")
        detector = Detector.of_method[type(architecture.parameters)]
        return cls(card, detector(architecture.parameters))

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Find the thresholds of the scene; see `models.inference.model.Model`."""
        histograms = {
            name: TileHistograms(name, rule, edges=edges)
            for name, (rule, edges) in self.detector.rules().items()
        }

        def feed(inputs: Inputs) -> None:
            features = self.features(inputs)
            for name, gathered in histograms.items():
                gathered.feed(features[name])

        sample_values(self.card, samples, also=feed)
        found = [gathered.threshold() for gathered in histograms.values()]
        return SceneStatistics(
            thresholds=tuple(threshold for threshold, _ in found),
            notes=tuple(note for _, notes in found for note in notes),
        )

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Answer window by window; see `models.inference.model.Model.predict`."""
        require_one_shape(self.card, batch)
        return np.stack([self._window(inputs, statistics) for inputs in batch])

    def _window(self, inputs: Inputs, statistics: SceneStatistics) -> FloatArray:
        findings = self.detector.answer(self.features(inputs), statistics)
        planes = np.stack([findings[name] for name in self.card.class_names])
        return np.where(usable_pixels(self.card, inputs), planes, np.float32(np.nan))

    def features(self, inputs: Inputs) -> Features:
        """Return the features of a window, once its inputs are known to be filled."""
        shape_of(self.card, inputs)
        images = ((entry.phase, inputs.get(entry.name)) for entry in self.card.inputs)
        return self.detector.features({phase: part for phase, part in images if part is not None})
