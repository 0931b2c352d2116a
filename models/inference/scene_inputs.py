"""Scenes as a model wants them, and its prediction for a window with what was observed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox

from geo.errors import BandsMissing
from geo.imagery.mosaic import SceneMosaic
from geo.imagery.reader import Masking
from geo.raster.classify import Finding, Label
from geo.scenes.scene import Phase, Scene, ordered
from geo.scenes.source import Preference
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.suitability import accepts, available, require_fit
from models.inference.model import Model
from models.networks.tensors import SceneStatistics, in_domain, usable_pixels

if TYPE_CHECKING:
    from models.inference.cross_check import DetectorCheck

WindowInputs: TypeAlias = Mapping[str, Raster]
"""One window: a raster by the name of its `SceneInput`."""
Statistics: TypeAlias = Mapping[str, SceneStatistics]
"""Of the scenes, by phase or "all"."""

COVERAGE_WINDOW_PX = 1024
NETWORK_BATCH = 4


class CrossCheck(IntEnum):
    """What a detector says of a predicted pixel, see `models.inference.cross_check`."""

    NOT_COMPARED = 0
    """There is none, or it has no answer there."""
    AGREES = 1
    DIFFERS = 2
    CONTRADICTS = 3
    """It lies in a block where they contradict each other: the network is not trusted there."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one window, and what was observed of it."""

    probabilities: FloatArray
    """(findings, rows, cols)."""
    valid: BoolArray
    """(rows, cols); True where the model answered."""
    valid_before: BoolArray
    """(rows, cols); True where a before image observed the pixel."""
    reason: CodeArray
    """(rows, cols); a `Label` where not valid, 0 elsewhere."""
    origins: tuple[CodeArray, ...]
    """(rows, cols) each, one a `SceneInput`: the number of the scene, from 1."""
    cross_check: CodeArray
    """(rows, cols); a `CrossCheck`."""


@dataclass(frozen=True)
class SceneInput:
    """The scenes that are read together, and what for."""

    name: str
    phase: Phase
    mosaic: SceneMosaic


class Reader(ABC):
    """What `models.inference.map_scenes` reads for every window, and what predicts there."""

    inputs: tuple[SceneInput, ...]

    @property
    def window_px(self) -> int:
        return COVERAGE_WINDOW_PX

    @property
    def overlap_px(self) -> int:
        """Pixels that neighbouring windows share."""
        return 0

    @property
    def batch(self) -> int:
        """Windows that are predicted at once."""
        return 1

    @property
    def default_label(self) -> Label:
        """What an observed pixel is, where there are no findings."""
        return Label.NO_MODEL

    @property
    def cross_checked_by(self) -> str | None:
        """Name of the detector beside the network; None where there is none."""
        return None

    @property
    @abstractmethod
    def thresholds(self) -> Mapping[Finding, float]:
        """Probability from which a finding counts, in the order of the predictions."""

    @abstractmethod
    def scene_statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        """Measure the scenes before any of them is mapped."""

    @abstractmethod
    def in_domain(self, seen: WindowInputs, statistics: Statistics) -> WindowInputs:
        """Return a window without the scenes that lie outside of the model's domain."""

    @abstractmethod
    def predict(
        self, batch: Sequence[WindowInputs], statistics: Statistics
    ) -> Sequence[Prediction]:
        """Predict for windows of one shape."""


def read(reader: Reader, geobox: GeoBox) -> WindowInputs:
    """Read one window of everything that a reader wants; safe in several threads."""
    return {part.name: part.mosaic.read(geobox) for part in reader.inputs}


def reader_for(
    model: Model | None,
    scenes: Sequence[Scene],
    preference: Preference,
    maskings: Mapping[str, Masking] | None = None,
) -> Reader:
    """Return the reader for a model, or `CoverageOnly` without one.

    Args:
        preference: which scene a pixel is taken from where several observed it.
        maskings: by scene id; the provider's own mask is used in a scene without one.
    """
    if model is None:
        return CoverageOnly(tuple(_coverage_inputs(scenes, preference, maskings)))
    require_fit(model.card, [available(scene) for scene in scenes])
    inputs = scene_inputs_of(model.card, scenes, preference, maskings)
    return SingleDate(model, inputs) if model.card.single_date else Joint(model, inputs)


@dataclass(frozen=True)
class ModelReader(Reader):
    """A reader for a model, which another model may check."""

    model: Model
    inputs: tuple[SceneInput, ...]
    check: "DetectorCheck | None" = None

    @property
    def window_px(self) -> int:
        return self.model.card.window_px

    @property
    def overlap_px(self) -> int:
        return self.model.card.overlap_px

    @property
    def batch(self) -> int:
        network = isinstance(self.model.card.architecture, NetworkArchitecture)
        return NETWORK_BATCH if network else 1

    @property
    def cross_checked_by(self) -> str | None:
        return self.check.name if self.check else None

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        own = self._statistics(samples)
        return {**own, **self.check.scene_statistics(samples)} if self.check else own

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Statistics
    ) -> Sequence[Prediction]:
        trusted = [self.in_domain(seen, statistics) for seen in batch]
        planes = self._planes(trusted, statistics)
        predictions = [self._prediction(*pair) for pair in zip(trusted, planes, strict=True)]
        return self.check.compare(batch, predictions, statistics) if self.check else predictions

    @abstractmethod
    def _statistics(self, samples: Sequence[GeoBox]) -> Statistics: ...

    @abstractmethod
    def _planes(self, batch: Sequence[WindowInputs], statistics: Statistics) -> FloatArray: ...

    @abstractmethod
    def _prediction(self, seen: WindowInputs, planes: FloatArray) -> Prediction: ...


@dataclass(frozen=True)
class SingleDate(ModelReader):
    """A model that sees one image at a time, on the after and the before image."""

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """The same threshold for water after and, where there is an image, before."""
        threshold = self.model.card.classes[0].threshold
        finding = {Phase.AFTER: Finding.WATER, Phase.BEFORE: Finding.REFERENCE_WATER}
        return {finding[part.phase]: threshold for part in self.inputs}

    def _statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        # Each phase by itself: light and season differ between them.
        name = self.model.card.inputs[0].name
        return {
            part.name: self.model.scene_statistics({name: part.mosaic.read(box)} for box in samples)
            for part in self.inputs
        }

    def in_domain(self, seen: WindowInputs, statistics: Statistics) -> WindowInputs:
        name = self.model.card.inputs[0].name
        return {
            phase: in_domain(raster, statistics[phase].out_of_domain.get(name, ()))
            for phase, raster in seen.items()
        }

    def _planes(self, batch: Sequence[WindowInputs], statistics: Statistics) -> FloatArray:
        name = self.model.card.inputs[0].name
        each = [
            self.model.predict([{name: seen[part.name]} for seen in batch], statistics[part.name])
            for part in self.inputs
        ]
        return np.stack([planes[:, 0] for planes in each], axis=1)

    def _prediction(self, seen: WindowInputs, planes: FloatArray) -> Prediction:
        usable = {
            part.phase: seen[part.name].valid & np.isfinite(plane)
            for part, plane in zip(self.inputs, planes, strict=True)
        }
        valid = usable[Phase.AFTER]
        reasons = [seen[part.name].reason for part in self.inputs if part.phase is Phase.AFTER]
        before = usable.get(Phase.BEFORE, np.zeros_like(valid))
        return _prediction(self.inputs, seen, planes, valid=valid, before=before, reasons=reasons)


@dataclass(frozen=True)
class Joint(ModelReader):
    """A model that sees all its images together."""

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        return {entry.name: entry.threshold for entry in self.model.card.classes}

    def _statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        return {"all": self.model.scene_statistics(read(self, box) for box in samples)}

    def in_domain(self, seen: WindowInputs, statistics: Statistics) -> WindowInputs:
        out = statistics["all"].out_of_domain
        return {name: in_domain(raster, out.get(name, ())) for name, raster in seen.items()}

    def _planes(self, batch: Sequence[WindowInputs], statistics: Statistics) -> FloatArray:
        return self.model.predict(batch, statistics["all"])

    def _prediction(self, seen: WindowInputs, planes: FloatArray) -> Prediction:
        card = self.model.card
        valid = usable_pixels(card, seen) & np.isfinite(planes).all(axis=0)
        before = [seen[part.name].valid for part in self.inputs if part.phase is Phase.BEFORE]
        # The reasons of the required images, then the most telling of the others after the event.
        reasons = [seen[entry.name].reason for entry in card.inputs if entry.required]
        others = [e.name for e in card.after_inputs if not e.required and e.name in seen]
        if others:
            reasons.append(np.max([seen[name].reason for name in others], axis=0))
        observed = np.any([np.zeros_like(valid), *before], axis=0)
        return _prediction(self.inputs, seen, planes, valid=valid, before=observed, reasons=reasons)


@dataclass(frozen=True)
class CoverageOnly(Reader):
    """No model of pixels: which of them were observed, by which scene."""

    inputs: tuple[SceneInput, ...]
    compares: bool = False
    """True where buildings are graded: a pixel counts that was observed before and after."""
    measured: SceneStatistics | None = None
    """What the grader of the buildings measured in the scenes."""

    @property
    def default_label(self) -> Label:
        return Label.COMPARED if self.compares else Label.NO_MODEL

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        return {}

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        del samples
        return {} if self.measured is None else {"all": self.measured}

    def in_domain(self, seen: WindowInputs, statistics: Statistics) -> WindowInputs:
        out = statistics["all"].out_of_domain if statistics else {}
        return {name: in_domain(raster, out.get(name, ())) for name, raster in seen.items()}

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Statistics
    ) -> Sequence[Prediction]:
        return [self._prediction(self.in_domain(seen, statistics)) for seen in batch]

    def _prediction(self, seen: WindowInputs) -> Prediction:
        observed = {
            phase: np.any([seen[p.name].valid for p in self.inputs if p.phase is phase], axis=0)
            for phase in {part.phase for part in self.inputs}
        }
        before = observed.get(Phase.BEFORE, np.zeros_like(observed[Phase.AFTER]))
        valid = observed[Phase.AFTER] & before if self.compares else observed[Phase.AFTER]
        needed = tuple(Phase) if self.compares else (Phase.AFTER,)
        reasons = [seen[p.name].reason for phase in needed for p in self.inputs if p.phase is phase]
        nothing = np.zeros((0, *valid.shape), np.float32)
        return _prediction(self.inputs, seen, nothing, valid=valid, before=before, reasons=reasons)


def _prediction(
    inputs: Sequence[SceneInput],
    seen: WindowInputs,
    planes: FloatArray,
    *,
    valid: BoolArray,
    before: BoolArray,
    reasons: Sequence[CodeArray],
) -> Prediction:
    """Return a prediction; the first image that did not observe a pixel says why it has none."""
    reason = np.zeros(valid.shape, np.uint8)
    # Observed by all and still without an answer: its feature is not defined there.
    for why in (*reasons, np.full(valid.shape, Label.NO_DATA, np.uint8)):
        reason = np.where(reason == 0, why, reason)
    return Prediction(
        probabilities=planes,
        valid=valid,
        valid_before=before,
        reason=np.where(valid, 0, reason).astype(np.uint8),
        origins=tuple(seen[part.name].origin for part in inputs),
        cross_check=np.zeros_like(valid, np.uint8),
    )


def scene_inputs_of(
    card: ModelCard,
    scenes: Sequence[Scene],
    preference: Preference,
    maskings: Mapping[str, Masking] | None = None,
) -> tuple[SceneInput, ...]:
    """Return what a card's inputs read, those that some scene fills; see `reader_for`."""
    found = []
    for entry in card.inputs:
        for phase in (Phase.AFTER, Phase.BEFORE):
            wanted = [s for s in scenes if s.phase is phase and accepts(entry, available(s))]
            if wanted:
                name = phase.value if card.single_date else entry.name
                mosaic = SceneMosaic(ordered(wanted, preference), entry.bands, maskings)
                found.append(SceneInput(name, phase, mosaic))
    return tuple(found)


def _coverage_inputs(
    scenes: Sequence[Scene], preference: Preference, maskings: Mapping[str, Masking] | None
) -> Iterator[SceneInput]:
    """Yield an input a phase and sensor, of the bands that its scenes share."""
    for phase in (Phase.AFTER, Phase.BEFORE):
        for sensor in sorted({s.sensor_name for s in scenes if s.phase is phase}):
            alike = [s for s in scenes if s.phase is phase and s.sensor_name == sensor]
            common = set.intersection(*(set(scene.bands) for scene in alike))
            common -= {alike[0].sensor.quality}
            shared = [band for band in alike[0].bands if band in common]
            if not shared:
                bands = "; ".join(f"{s.id} has {', '.join(s.bands)}" for s in alike)
                raise BandsMissing(f"the {phase} scenes of {sensor} share no band: {bands}")
            mosaic = SceneMosaic(ordered(alike, preference), shared, maskings)
            yield SceneInput(f"{phase}-{sensor}", phase, mosaic)
