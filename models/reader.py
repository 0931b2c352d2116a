"""What the loop over windows asks of whoever reads and answers, and what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from odc.geo.geobox import GeoBox

from geo.classify import Finding, Label
from geo.raster import BoolArray, CodeArray, FloatArray, Raster
from geo.scene import Phase
from geo.scene_mosaic import SceneMosaic
from models.survey import Survey

Seen = Mapping[str, Raster]
"""One window: a raster by the name of its reading."""


class Verdict(IntEnum):
    """What a detector says of a pixel that a network answered, see `models.witness`."""

    UNASKED = 0
    """There is none, or it has no answer there."""
    AGREES = 1
    DIFFERS = 2
    CONTRADICTS = 3
    """It lies in a block where they contradict each other: the network is not trusted there."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one window, and what was seen of it."""

    probabilities: FloatArray
    """(findings, rows, cols)."""
    valid: BoolArray
    """(rows, cols); True where the model answered."""
    valid_before: BoolArray
    """(rows, cols); True where a before image saw the pixel."""
    reason: CodeArray
    """(rows, cols); a `Label` where not valid, 0 elsewhere."""
    origins: tuple[CodeArray, ...]
    """(rows, cols) each, one a reading: the number of the scene, from 1."""
    verdict: CodeArray
    """(rows, cols); a `Verdict`."""


@dataclass(frozen=True)
class Reading:
    """The scenes that are read together, and what for."""

    name: str
    phase: Phase
    mosaic: SceneMosaic


class Reader(Protocol):
    """What the loop over windows needs to know."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What is read for every window."""
        ...

    @property
    def window_px(self) -> int:
        """Side of a window."""
        ...

    @property
    def overlap_px(self) -> int:
        """Pixels that neighbouring windows share."""
        ...

    @property
    def batch(self) -> int:
        """Windows that are predicted at once."""
        ...

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """Probability from which a finding counts, in the order of the answers."""
        ...

    @property
    def seen_as(self) -> Label:
        """What a pixel is that was seen, where there are no findings."""
        ...

    @property
    def witness(self) -> str | None:
        """Name of the detector that the answers are held against; None where there is none."""
        ...

    def survey(self, samples: Sequence[GeoBox]) -> Mapping[str, Survey]:
        """Look at the whole scene before any of it is mapped; by phase, or "all"."""
        ...

    def trusted(self, seen: Seen, surveys: Mapping[str, Survey]) -> Seen:
        """Return a window without the scenes that lie outside of the model's domain."""
        ...

    def predict(self, batch: Sequence[Seen], surveys: Mapping[str, Survey]) -> Sequence[Answer]:
        """Answer for windows of one shape."""
        ...


def read(reader: Reader, geobox: GeoBox) -> Seen:
    """Read one window of everything that a reader wants; safe in several threads."""
    return {reading.name: reading.mosaic.read(geobox) for reading in reader.readings}
