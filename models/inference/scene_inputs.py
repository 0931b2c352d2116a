"""Scenes as a model wants them, and its prediction for a window with what was observed there.

Three readers: one image at a time (`SingleDate`), several together (`Joint`), and without a
model (`CoverageOnly`), which says what was observed and nothing more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox

from geo.errors import BandsMissing
from geo.imagery.mosaic import SceneMosaic, ordered
from geo.imagery.reader import Masking
from geo.raster.classify import Finding, Label
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Preference
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput
from models.cards.suitability import accepts, available, require_fit
from models.inference.model import Model
from models.networks.tensors import SceneStatistics, in_domain, usable_pixels

WindowInputs: TypeAlias = Mapping[str, Raster]
"""One window: a raster by the name of its `SceneInput`."""


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
    """(rows, cols); True where a before image saw the pixel."""
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


class Reader(Protocol):
    """What `models.inference.map_scenes` needs to know of whoever reads and predicts."""

    @property
    def inputs(self) -> tuple[SceneInput, ...]:
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
    def default_label(self) -> Label:
        """What an observed pixel is, where there are no findings."""
        ...

    @property
    def cross_checked_by(self) -> str | None:
        """Name of the detector beside the network; None where there is none."""
        ...

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """Look at the whole scene before any of it is mapped; by phase, or "all"."""
        ...

    def in_domain(
        self, seen: WindowInputs, statistics: Mapping[str, SceneStatistics]
    ) -> WindowInputs:
        """Return a window without the scenes that lie outside of the model's domain."""
        ...

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Prediction]:
        """Prediction for windows of one shape."""
        ...


def read(reader: Reader, geobox: GeoBox) -> WindowInputs:
    """Read one window of everything that a reader wants; safe in several threads."""
    return {entry.name: entry.mosaic.read(geobox) for entry in reader.inputs}


COVERAGE_WINDOW_PX = 1024
NETWORK_BATCH = 4


def reader_for(
    model: Model | None,
    scenes: Sequence[Scene],
    preference: Preference,
    maskings: Mapping[str, Masking] | None = None,
) -> Reader:
    """Return the reader for a model, or the one that only looks where there is none.

    Args:
        model: of the map.
        scenes: of the request.
        preference: which scene a pixel is taken from where several saw it.
        maskings: by scene id, as `models.inference.clouds.maskings` returns them; the
            provider's own mask is used in a scene without one.

    Raises:
        InputsMismatch: where the scenes do not fill the model's inputs.
        SourceInvalid: where the scenes cannot be ordered or are too many.
    """
    if model is None:
        return CoverageOnly(tuple(_coverage_inputs(scenes, preference, maskings)))
    require_fit(model.card, [available(scene) for scene in scenes])
    inputs = scene_inputs_of(model.card, scenes, preference, maskings)
    return SingleDate(model, inputs) if model.card.single_date else Joint(model, inputs)


@dataclass(frozen=True)
class _WithModel:
    """What a model's card says of its windows."""

    model: Model
    inputs: tuple[SceneInput, ...]

    cross_checked_by = None
    default_label = Label.NO_MODEL

    @property
    def window_px(self) -> int:
        """Side of a window."""
        return self.model.card.window_px

    @property
    def overlap_px(self) -> int:
        """Pixels that neighbouring windows share."""
        return self.model.card.overlap_px

    @property
    def batch(self) -> int:
        """Windows that are predicted at once."""
        network = isinstance(self.model.card.architecture, NetworkArchitecture)
        return NETWORK_BATCH if network else 1


@dataclass(frozen=True)
class SingleDate(_WithModel):
    """A model that sees one image at a time, on the after and the before image."""

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """The same threshold for water after and, where there is an image, before."""
        threshold = self.model.card.classes[0].threshold
        return {_FINDING_IN[entry.phase]: threshold for entry in self.inputs}

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """SceneStatistics each phase by itself: light and season differ between them."""
        slot = self.model.card.inputs[0].name
        return {
            entry.name: self.model.scene_statistics(
                {slot: entry.mosaic.read(box)} for box in samples
            )
            for entry in self.inputs
        }

    def in_domain(
        self, seen: WindowInputs, statistics: Mapping[str, SceneStatistics]
    ) -> WindowInputs:
        """Leave out what the statistics of each phase calls far."""
        slot = self.model.card.inputs[0].name
        return {
            name: in_domain(raster, statistics[name].out_of_domain.get(slot, ()))
            for name, raster in seen.items()
        }

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Prediction]:
        """Prediction for the after and the before images."""
        slot = self.model.card.inputs[0].name
        batch = [self.in_domain(seen, statistics) for seen in batch]
        planes = np.stack(
            [
                self.model.predict([{slot: seen[name]} for seen in batch], statistics[name])[:, 0]
                for name in (entry.name for entry in self.inputs)
            ],
            axis=1,
        )
        return [self._answer(*pair) for pair in zip(batch, planes, strict=True)]

    def _answer(self, seen: WindowInputs, planes: FloatArray) -> Prediction:
        usable = {
            entry.phase: seen[entry.name].valid & np.isfinite(plane)
            for entry, plane in zip(self.inputs, planes, strict=True)
        }
        valid = usable[Phase.AFTER]
        return Prediction(
            probabilities=planes,
            valid=valid,
            valid_before=usable.get(Phase.BEFORE, np.zeros_like(valid)),
            reason=_reason(
                valid, [seen[r.name].reason for r in self.inputs if r.phase is Phase.AFTER]
            ),
            origins=_origins(self.inputs, seen),
            cross_check=np.zeros_like(valid, np.uint8),
        )


@dataclass(frozen=True)
class Joint(_WithModel):
    """A model that sees all its images together."""

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """The thresholds of the card, in its order."""
        return {entry.name: entry.threshold for entry in self.model.card.classes}

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """SceneStatistics all images together."""
        return {"all": self.model.scene_statistics(read(self, box) for box in samples)}

    def in_domain(
        self, seen: WindowInputs, statistics: Mapping[str, SceneStatistics]
    ) -> WindowInputs:
        """Leave out, slot by slot, what the statistics calls far."""
        far = statistics["all"].out_of_domain
        return {slot: in_domain(raster, far.get(slot, ())) for slot, raster in seen.items()}

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Prediction]:
        """Prediction for all images together."""
        batch = [self.in_domain(seen, statistics) for seen in batch]
        planes = self.model.predict(batch, statistics["all"])
        return [self._answer(*pair) for pair in zip(batch, planes, strict=True)]

    def _answer(self, seen: WindowInputs, planes: FloatArray) -> Prediction:
        card = self.model.card
        valid = usable_pixels(card, seen) & np.isfinite(planes).all(axis=0)
        before = [seen[r.name].valid for r in self.inputs if r.phase is Phase.BEFORE]
        return Prediction(
            probabilities=planes,
            valid=valid,
            valid_before=np.any([np.zeros_like(valid), *before], axis=0),
            reason=_reason(valid, _whose_reasons_count(card, seen)),
            origins=_origins(self.inputs, seen),
            cross_check=np.zeros_like(valid, np.uint8),
        )


@dataclass(frozen=True)
class CoverageOnly:
    """No model of pixels: which of them were seen, by which scene."""

    inputs: tuple[SceneInput, ...]
    compares: bool = False
    """True where buildings are graded: a pixel counts that was seen before and after."""
    measured: SceneStatistics | None = None
    """What the grader of the buildings measured in the scenes."""

    window_px = COVERAGE_WINDOW_PX
    overlap_px = 0
    batch = 1
    cross_checked_by = None

    @property
    def default_label(self) -> Label:
        """Compared where buildings are graded, or else not analysed."""
        return Label.COMPARED if self.compares else Label.NO_MODEL

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """No findings."""
        return {}

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """Nothing is measured but what the grader did."""
        del samples
        return {} if self.measured is None else {"all": self.measured}

    def in_domain(
        self, seen: WindowInputs, statistics: Mapping[str, SceneStatistics]
    ) -> WindowInputs:
        """Leave out what the grader called far."""
        far = statistics["all"].out_of_domain if statistics else {}
        return {name: in_domain(raster, far.get(name, ())) for name, raster in seen.items()}

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Prediction]:
        """Say what was seen."""
        return [self._answer(self.in_domain(seen, statistics)) for seen in batch]

    def _answer(self, seen: WindowInputs) -> Prediction:
        valid = {
            phase: np.any([seen[r.name].valid for r in self.inputs if r.phase is phase], axis=0)
            for phase in {entry.phase for entry in self.inputs}
        }
        before = valid.get(Phase.BEFORE, np.zeros_like(valid[Phase.AFTER]))
        usable = valid[Phase.AFTER] & before if self.compares else valid[Phase.AFTER]
        needed = tuple(Phase) if self.compares else (Phase.AFTER,)
        return Prediction(
            probabilities=np.zeros((0, *usable.shape), np.float32),
            valid=usable,
            valid_before=before,
            reason=_reason(
                usable, [seen[r.name].reason for p in needed for r in self.inputs if r.phase is p]
            ),
            origins=_origins(self.inputs, seen),
            cross_check=np.zeros_like(usable, np.uint8),
        )


_FINDING_IN = {Phase.AFTER: Finding.WATER, Phase.BEFORE: Finding.REFERENCE_WATER}


def _whose_reasons_count(card: ModelCard, seen: WindowInputs) -> list[CodeArray]:
    """Return the reasons of the required images, then the most telling of the others after.

    An optional image before is missed by no answer, so its reasons do not count.
    """
    required = [seen[entry.name].reason for entry in card.inputs if entry.required]
    others = [e.name for e in card.after_inputs if not e.required and e.name in seen]
    # Cloud before "no data" before "no imagery", as between the scenes of one image.
    telling = [np.max([seen[slot].reason for slot in others], axis=0)] if others else []
    return [*required, *telling]


def scene_inputs_of(
    card: ModelCard,
    scenes: Sequence[Scene],
    preference: Preference,
    maskings: Mapping[str, Masking] | None = None,
) -> tuple[SceneInput, ...]:
    """Return what a card's inputs read, those that some scene fills; see `reader_for`."""
    return tuple(_scene_inputs(card, scenes, preference, maskings))


def _scene_inputs(
    card: ModelCard,
    scenes: Sequence[Scene],
    preference: Preference,
    maskings: Mapping[str, Masking] | None,
) -> Iterator[SceneInput]:
    for entry in card.inputs:
        for phase in (Phase.AFTER, Phase.BEFORE):
            wanted = _scenes_for(entry, scenes, phase)
            if wanted:
                name = phase.value if card.single_date else entry.name
                mosaic = SceneMosaic(ordered(wanted, preference), entry.bands, maskings)
                yield SceneInput(name, phase, mosaic)


def _scenes_for(entry: CardInput, scenes: Sequence[Scene], phase: Phase) -> list[Scene]:
    return [s for s in scenes if s.phase is phase and accepts(entry, available(s))]


def _coverage_inputs(
    scenes: Sequence[Scene], preference: Preference, maskings: Mapping[str, Masking] | None
) -> Iterator[SceneInput]:
    """Yield a entry a phase and sensor, of the bands that its scenes share."""
    for phase in (Phase.AFTER, Phase.BEFORE):
        for sensor in sorted({s.sensor_name for s in scenes if s.phase is phase}):
            alike = [s for s in scenes if s.phase is phase and s.sensor_name == sensor]
            quality = alike[0].sensor.quality
            shared = [
                band
                for band in alike[0].bands
                if band != quality and all(band in scene.bands for scene in alike)
            ]
            if not shared:
                raise BandsMissing(
                    f"the {phase} scenes of {sensor} share no band: "
                    + "; ".join(f"{s.id} has {', '.join(s.bands)}" for s in alike)
                )
            name = f"{phase}-{sensor}"
            yield SceneInput(name, phase, SceneMosaic(ordered(alike, preference), shared, maskings))


def _reason(valid: BoolArray, reasons: Sequence[CodeArray]) -> CodeArray:
    """Return why a pixel has no answer: the first image that did not see it says so."""
    reason = np.zeros(valid.shape, np.uint8)
    for why in reasons:
        reason = np.where(reason == 0, why, reason)
    # WindowInputs by all and still without an answer: its feature is not defined there.
    reason = np.where(reason == 0, np.uint8(Label.NO_DATA), reason)
    return np.where(valid, 0, reason).astype(np.uint8)


def _origins(inputs: Sequence[SceneInput], seen: WindowInputs) -> tuple[CodeArray, ...]:
    return tuple(seen[entry.name].origin for entry in inputs)
