"""DetectorModel: a detector behind the same door as a network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geo.raster import FloatArray
from models.architecture import (
    DetectorArchitecture,
    IndexChange,
    RadarChange,
    RadarWater,
    WaterIndex,
)
from models.card import ModelCard
from models.detectors.base import Detector
from models.detectors.optical import IndexChangeDetector, WaterIndexDetector
from models.detectors.radar import RadarChangeDetector, RadarWaterDetector
from models.errors import InputsMismatch
from models.inputs import Inputs, answered, shape_of
from models.survey import Survey
from models.terms import InputPhase
from models.units import ValueSample


@dataclass(frozen=True)
class DetectorModel:
    """A detector and its card; see `models.predict.Model`."""

    card: ModelCard
    detector: Detector

    @classmethod
    def of(cls, card: ModelCard, architecture: DetectorArchitecture) -> "DetectorModel":
        """Return the detector that a card describes."""
        return cls(card, _detector(card, architecture))

    def survey(self, samples: Iterable[Inputs]) -> Survey:
        """Learn the thresholds of the scene; see `models.predict.Model.survey`."""
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
        return Survey(
            thresholds=tuple(threshold for threshold, _ in learned),
            notes=tuple(note for _, notes in learned for note in notes),
        )

    def predict(self, batch: Sequence[Inputs], survey: Survey) -> FloatArray:
        """Answer window by window; see `models.predict.Model.predict`."""
        answers = [self._window(inputs, survey) for inputs in batch]
        shapes = {answer.shape[1:] for answer in answers}
        if len(shapes) != 1:
            raise InputsMismatch(f"a batch holds windows of one shape, not of {sorted(shapes)}")
        return np.stack(answers)

    def _window(self, inputs: Inputs, survey: Survey) -> FloatArray:
        usable = answered(self.card, inputs)
        findings = self.detector.answer(self.detector.features(inputs), survey)
        planes = np.stack([findings[name] for name in self.card.class_names])
        return np.where(usable, planes, np.float32(np.nan))


def _detector(card: ModelCard, architecture: DetectorArchitecture) -> Detector:
    slots = {entry.phase: entry.slot for entry in card.inputs}
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
