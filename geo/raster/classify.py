"""Probabilities and validity to classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from geo.types import BoolArray, CodeArray, FloatArray


class Label(IntEnum):
    """Value of a pixel of `rasters/class.tif`; from 10 on the reason why it was not analysed."""

    OUTSIDE = 0
    """Outside the area of interest; nodata of the file."""
    UNAFFECTED = 1
    """Observed, and nothing found."""
    EVENT = 2
    """Flooded, burnt or damaged, as the product's event says."""
    UNDATED_WATER = 3
    """Water after, nothing observed before: flood and standing water cannot be told apart."""
    REFERENCE_WATER = 4
    """Water before and after."""
    RECEDED_WATER = 5
    """Water before, none after."""
    COMPARED = 6
    """Observed before and after; the buildings in it were graded, the ground was not judged."""
    NO_IMAGERY = 10
    """No scene covers the pixel."""
    NO_DATA = 11
    """A scene covers it and holds no value there."""
    CLOUD = 12
    CLOUD_SHADOW = 13
    RADAR_SHADOW = 14
    """Radar shadow or layover."""
    OUT_OF_DOMAIN = 15
    """Observed, and unlike anything that the model was trained on."""
    NO_MODEL = 16
    """Observed, and no model was run on it."""


REASONS: dict[Label, str] = {
    Label.NO_IMAGERY: "no imagery",
    Label.NO_DATA: "no data",
    Label.CLOUD: "cloud",
    Label.CLOUD_SHADOW: "cloud shadow",
    Label.RADAR_SHADOW: "radar shadow or layover",
    Label.OUT_OF_DOMAIN: "out of the model's domain",
    Label.NO_MODEL: "no model for this imagery",
}
"""`reason` of the layer `not_analysed`, by label (design: the layers and their fields)."""

NOTATION: dict[int, str] = {
    Label.UNDATED_WATER: "Flooded area or standing water",
    Label.REFERENCE_WATER: "Reference water",
    Label.RECEDED_WATER: "Reference water, receded",
    Label.COMPARED: "Buildings graded, ground not judged",
}
"""`notation` by label; that of `EVENT` follows from the hazard."""

NODATA_PERCENT = 255
"""Value of a probability raster where nothing was observed."""


class Finding(StrEnum):
    """What a model gives the probability of, pixel by pixel."""

    FLOOD = "flood"
    """Water that was not there before."""
    BURNT = "burnt"
    WATER = "water"
    """Water in the after image, whether it was there before or not."""
    REFERENCE_WATER = "reference_water"
    """Water in the before image."""
    CLOUD = "cloud"
    CLOUD_SHADOW = "cloud_shadow"
    BUILDING = "building"
    """A building that is or was there, whatever became of it."""
    MINOR_DAMAGE = "minor_damage"
    """On the Joint Damage Scale, minor damage or worse."""
    DAMAGED = "damaged"
    """Major damage or destroyed."""
    DESTROYED = "destroyed"


@dataclass(frozen=True, eq=False)
class Observation:
    """What was observed of a block of pixels, and where it is in the request."""

    inside: BoolArray
    """(rows, cols); True inside the area of interest."""
    valid: BoolArray
    """(rows, cols); True where the model had what it needs."""
    valid_before: BoolArray
    """(rows, cols); True where a before image observed the pixel."""
    reason: CodeArray
    """(rows, cols); a `Label` from 10 on where not valid."""


@dataclass(frozen=True, eq=False)
class Classified:
    """A block of pixels, decided."""

    label: CodeArray
    """(rows, cols), a `Label`."""
    hydrography: CodeArray
    """(rows, cols); where there was water before, what became of it: `REFERENCE_WATER`,
    `RECEDED_WATER`, or why it was not observed after; 0 elsewhere."""
    event_percent: CodeArray
    """(rows, cols), 0 to 100; 255 where not valid or outside. Probability of the event, or
    of water where that could not be dated."""
    reference_percent: CodeArray
    """(rows, cols), 0 to 100; 255 where no before image observed the pixel or outside."""


def classify(
    probabilities: Mapping[Finding, FloatArray],
    thresholds: Mapping[Finding, float],
    seen: Observation,
    *,
    default_label: Label = Label.NO_MODEL,
) -> Classified:
    """Decide each pixel from the probabilities of one model.

    Water is flood only where a before image shows dry ground: its probability is then the lesser of
    "water now" and "dry before".

    Args:
        probabilities: (rows, cols) each, 0 to 1; none where no model was run.
        default_label: what a valid pixel is where there are no probabilities.
    """
    nothing = np.zeros(seen.valid.shape, np.float32)
    before = probabilities.get(Finding.REFERENCE_WATER, nothing)
    foreseen = Finding.REFERENCE_WATER in probabilities
    was_wet = seen.valid_before & (before >= thresholds.get(Finding.REFERENCE_WATER, np.inf))
    if not probabilities:
        label, event = np.full(seen.valid.shape, default_label, np.uint8), nothing
    elif Finding.WATER in probabilities:
        label, event = _from_water(probabilities, thresholds, seen, was_wet)
    else:
        label, event = _from_event(probabilities, thresholds, seen, was_wet)
    label = np.where(seen.valid, label, seen.reason)
    outside = np.uint8(Label.OUTSIDE)
    return Classified(
        label=np.where(seen.inside, label, outside),
        hydrography=np.where(seen.inside & was_wet, _fate(label), outside),
        event_percent=_percent(event, seen.valid & seen.inside & bool(probabilities)),
        reference_percent=_percent(before, seen.valid_before & seen.inside & foreseen),
    )


def _from_water(
    probabilities: Mapping[Finding, FloatArray],
    thresholds: Mapping[Finding, float],
    seen: Observation,
    was_wet: BoolArray,
) -> tuple[CodeArray, FloatArray]:
    water = probabilities[Finding.WATER]
    wet = water >= thresholds[Finding.WATER]
    dated = seen.valid_before & (Finding.REFERENCE_WATER in probabilities)
    label = np.select(
        [wet & ~dated, wet & was_wet, wet, was_wet],
        [Label.UNDATED_WATER, Label.REFERENCE_WATER, Label.EVENT, Label.RECEDED_WATER],
        Label.UNAFFECTED,
    ).astype(np.uint8)
    dry_before = 1 - probabilities.get(Finding.REFERENCE_WATER, np.zeros_like(water))
    event = np.where(dated, np.minimum(water, dry_before), water).astype(np.float32)
    return label, event


_EVENTS = (Finding.FLOOD, Finding.BURNT, Finding.DAMAGED)


def _from_event(
    probabilities: Mapping[Finding, FloatArray],
    thresholds: Mapping[Finding, float],
    seen: Observation,
    was_wet: BoolArray,
) -> tuple[CodeArray, FloatArray]:
    finding = next(name for name in _EVENTS if name in probabilities)
    event = probabilities[finding]
    struck = event >= thresholds[finding]
    # What was water before is not flooded, whatever the network answers; and what was not
    # observed before cannot be told from standing water.
    undated = struck & ~seen.valid_before & (finding is Finding.FLOOD)
    label = np.select(
        [was_wet, undated, struck],
        [Label.REFERENCE_WATER, Label.UNDATED_WATER, Label.EVENT],
        Label.COMPARED if finding is Finding.DAMAGED else Label.UNAFFECTED,
    ).astype(np.uint8)
    return label, event


def _fate(label: CodeArray) -> CodeArray:
    gone = (label == Label.RECEDED_WATER) | (label == Label.UNAFFECTED)
    fate = np.where(gone, np.uint8(Label.RECEDED_WATER), np.uint8(Label.REFERENCE_WATER))
    return np.where(label >= Label.NO_IMAGERY, label, fate)


def _percent(probability: FloatArray, valid: BoolArray) -> CodeArray:
    rounded = np.rint(np.nan_to_num(probability) * 100)
    return np.where(valid, rounded, NODATA_PERCENT).astype(np.uint8)
