"""What a detector must do, and the image of a slot."""

from collections.abc import Mapping
from typing import Protocol

from geo.classify import Finding
from geo.raster import FloatArray, Raster
from models.detectors.thresholds import TileHistograms
from models.errors import InputsMismatch
from models.inputs import Inputs
from models.survey import Survey


class Detector(Protocol):
    """A few formulas on named features, with thresholds that a survey found."""

    def histograms(self) -> Mapping[str, TileHistograms]:
        """Return an empty gatherer for each feature that has a threshold."""
        ...

    def features(self, inputs: Inputs) -> Mapping[str, FloatArray]:
        """Return the features of a window, (rows, cols) each; NaN where not defined."""
        ...

    def answer(
        self, features: Mapping[str, FloatArray], survey: Survey
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
