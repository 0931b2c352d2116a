"""Case: a polygon, the model that drew it, and the windows of the map that touch it.

The windows are those of the map and so is what the model learned from the whole scene: the
probability that is explained is the one that was published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox

from geo.classify import Finding
from geo.raster import BoolArray, FloatArray
from geo.scene import Phase
from geo.windows import Span, Window, lattice
from models.errors import InputsMismatch
from models.inputs import Inputs
from models.predict import Model
from models.reader import Reader, Seen, read
from models.region import Region, span_around
from models.survey import Survey

Part: TypeAlias = tuple[slice, slice]


class Asked(StrEnum):
    """Which probability of a product is explained."""

    EVENT = "event"
    """That of the event, or of water after it that cannot be dated."""
    WATER_BEFORE = "water before"


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a model that the probability of a polygon rests on."""

    name: str
    """Of its survey: "all", or the phase where a model sees one image at a time."""
    slots: Mapping[str, str]
    """Name of the reading by slot, without the slots that have none."""
    output: int
    """Index in what the model answers."""
    plane: int
    """Index in what the reader answers."""
    dry: bool = False
    """The polygon says that there was no water: its probability is 1 less the model's."""

    def inputs(self, seen: Seen) -> Inputs:
        """Return what the model is given of a window."""
        return {slot: seen[reading] for slot, reading in self.slots.items()}


@dataclass(frozen=True, eq=False)
class Looked:
    """A window of the map that touches a region."""

    window: Window
    seen: Seen
    here: Part
    """What it shares with the region, in its own pixels."""
    there: Part
    """The same in pixels of the region."""

    @property
    def owned(self) -> BoolArray:
        """(rows, cols) of `here`; True where no other window owns the pixel."""
        owned = np.zeros(self.window.weight.shape, np.bool_)
        owned[self.window.rows.core, self.window.cols.core] = True
        return owned[self.here]


@dataclass(frozen=True, eq=False)
class CloseUp:
    """One window of the model's own size around a region."""

    seen: Seen
    here: Part
    """The region, in pixels of the window."""


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that an explanation rests on."""

    model: Model
    reader: Reader
    """Of that model."""
    surveys: Mapping[str, Survey]
    """What the model learned from the whole scene, as the map recorded it."""
    grid: GeoBox
    """Of the product."""
    region: Region
    asked: Asked

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs that the probability rests on.

        Raises:
            InputsMismatch: where the model has no such answer.
        """
        runs = _one_at_a_time(self) if self.model.card.single_date else _together(self)
        if not runs:
            raise InputsMismatch(
                f"{self.model.card.name} gives no probability of the {self.asked}; "
                "explain a polygon of another layer"
            )
        return runs

    def look(self) -> tuple[Looked, ...]:
        """Read the windows of the map that touch the region.

        Raises:
            SceneUnreadable: where pixels cannot be decoded.
        """
        rows, cols = self.grid.shape
        windows = lattice((rows, cols), size=self.reader.window_px, overlap=self.reader.overlap_px)
        touching = [
            Window(down, across)
            for down in windows.rows
            for across in windows.cols
            if _meet(down, self.region.rows) and _meet(across, self.region.cols)
        ]
        return tuple(self._looked(window) for window in touching)

    def _looked(self, window: Window) -> Looked:
        rows, cols = (
            slice(max(span.start, part.start), min(span.stop, part.stop))
            for span, part in ((window.rows, self.region.rows), (window.cols, self.region.cols))
        )
        return Looked(
            window=window,
            seen=self._seen(self.grid[window.slices]),
            here=_shifted(rows, cols, window.rows.start, window.cols.start),
            there=_shifted(rows, cols, self.region.rows.start, self.region.cols.start),
        )

    def _seen(self, geobox: GeoBox) -> Seen:
        """Read a window, without the scenes that the model was not trusted with."""
        return self.reader.trusted(read(self.reader, geobox), self.surveys)

    def close(self) -> CloseUp:
        """Read one window around the region, with what the model wants of its surroundings.

        Raises:
            SceneUnreadable: where pixels cannot be decoded.
        """
        rows, cols = (
            span_around((part.start + part.stop) // 2, self._close_px(part), length)
            for part, length in zip(
                (self.region.rows, self.region.cols), self.grid.shape, strict=True
            )
        )
        return CloseUp(
            seen=self._seen(self.grid[rows, cols]),
            here=_shifted(self.region.rows, self.region.cols, rows.start, cols.start),
        )

    def _close_px(self, part: slice) -> int:
        """Return the side of that window: no wider than needed, it is asked a hundred times."""
        wanted: int = part.stop - part.start + self.reader.overlap_px
        return min(wanted, self.reader.window_px)

    def published(self, looked: Sequence[Looked]) -> FloatArray:
        """Return the probability of what the polygon says as the map has it, (rows, cols)."""
        answers = [self.reader.predict([part.seen], self.surveys)[0] for part in looked]
        planes = blended(looked, [answer.probabilities for answer in answers], self.region)
        return joined({run: planes[run.plane] for run in self.runs})


def joined(planes: Mapping[Run, FloatArray]) -> FloatArray:
    """Return the probability of what a polygon says, (rows, cols).

    As `geo.classify` has it: water that was not there before is the lesser of both.

    Args:
        planes: the model's probability, 0 where it has no answer.
    """
    spoken = [1 - plane if run.dry else plane for run, plane in planes.items()]
    lesser: FloatArray = np.minimum.reduce(spoken)
    return lesser


def blended(looked: Sequence[Looked], values: Sequence[FloatArray], region: Region) -> FloatArray:
    """Return values of windows on a region, blended as the map blends them.

    Args:
        values: (layers, rows, cols) of each whole window; NaN counts as zero.
    """
    total = np.zeros((values[0].shape[0], *region.pixels.shape), np.float32)
    for part, layers in zip(looked, values, strict=True):
        total[:, *part.there] += (
            np.nan_to_num(layers[:, *part.here]) * part.window.weight[part.here]
        )
    return total


def owned(looked: Sequence[Looked], values: Sequence[FloatArray], region: Region) -> FloatArray:
    """Return values of windows on a region, each pixel from the window that owns it.

    Args:
        values: (rows, cols) of each whole window; NaN stays.
    """
    whole = np.full(region.pixels.shape, np.nan, np.float32)
    for part, layer in zip(looked, values, strict=True):
        np.copyto(whole[part.there], layer[part.here], where=part.owned)
    return whole


def _one_at_a_time(case: Case) -> tuple[Run, ...]:
    """Return the runs of a model that sees one image at a time: after the event, and before."""
    slot = case.model.card.inputs[0].slot
    wanted = {Phase.AFTER: False, Phase.BEFORE: True}
    if case.asked is Asked.WATER_BEFORE:
        wanted = {Phase.BEFORE: False}
    return tuple(
        Run(reading.name, {slot: reading.name}, output=0, plane=index, dry=wanted[reading.phase])
        for index, reading in enumerate(case.reader.readings)
        if reading.phase in wanted
    )


def _together(case: Case) -> tuple[Run, ...]:
    """Return the run of a model that sees all its images together."""
    findings = case.model.card.class_names
    before = case.asked is Asked.WATER_BEFORE
    slots = {reading.name: reading.name for reading in case.reader.readings}
    return tuple(
        Run("all", slots, output=index, plane=index)
        for index, finding in enumerate(findings)
        if (finding is Finding.REFERENCE_WATER) is before
    )


def _meet(span: Span, part: slice) -> bool:
    return bool(span.start < part.stop and part.start < span.stop)


def _shifted(rows: slice, cols: slice, top: int, left: int) -> Part:
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)
