"""Cross-check: a transparent detector beside a network, and the blocks where they contradict.

A block is taken from the network only where the detector is sure of itself, sees both classes, and
Cohen's kappa (1960, doi:10.1177/001316446002000104) is far below 0, worse than by chance.

The rule was chosen on every fourth tile of ombria/train, in blocks of 128 pixels, with the detector
against the labels, that is, a network without errors. By MNDWI of both dates it may judge 33 % of
the blocks, and would take 2.5 % of those, 0.8 % of all; it takes 73 % of those from a network that
says the opposite everywhere. On ombria/test: none of 280, and 70 %. A network that finds nothing,
or water everywhere, has a kappa of 0, and is never taken for wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from odc.geo.geobox import GeoBox

from geo.raster.classify import Classified, Finding, Label, Observation, classify
from geo.scenes.scene import Phase
from geo.types import BoolArray, IntArray, block_numbers
from geo.vector.hazards import Hazard
from models.cards.architecture import DetectorArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef
from models.cards.selection import matching
from models.cards.suitability import Available, accepts, available
from models.inference.model import load_model
from models.inference.scene_inputs import (
    CrossCheck,
    Joint,
    ModelReader,
    Prediction,
    Reader,
    SceneInput,
    SingleDate,
    Statistics,
    WindowInputs,
)

BLOCK_PX = 128
SURE_PERCENT = 90
"""A detector is sure of a pixel from this probability on, or up to its complement."""
_SURE_SHARE = 0.8
"""Share of a block that it must be sure of to count."""
_CLASS_SHARE = 0.1
"""Share of a block that the smaller of its two classes must have."""
_LEAST_COMPARED = 0.5
"""Share of a block that both must have answered."""
_AFFECTED = (Label.EVENT, Label.UNDATED_WATER)


@dataclass(frozen=True)
class DetectorCheck:
    """A detector that reads the same images as a network, and checks it."""

    detector: ModelReader
    names: Mapping[str, str]
    """Name of the network's scene input, by that of the detector's."""
    thresholds: Mapping[Finding, float]
    """Of the network."""
    min_kappa: float

    @property
    def name(self) -> str:
        return self.detector.model.card.name

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Statistics:
        """Measure the scenes for the detector, whose notes are not the product's."""
        own = self.detector.scene_statistics(samples)
        return {f"{self.name}: {key}": replace(part, notes=()) for key, part in own.items()}

    def compare(
        self,
        batch: Sequence[WindowInputs],
        predictions: Sequence[Prediction],
        statistics: Statistics,
    ) -> Sequence[Prediction]:
        """Return predictions without the blocks where the detector contradicts them."""
        prefix = f"{self.name}: "
        own = {k.removeprefix(prefix): s for k, s in statistics.items() if k.startswith(prefix)}
        shown = [{mine: seen[name] for mine, name in self.names.items()} for seen in batch]
        others = self.detector.predict(shown, own)
        return [self._compared(*pair) for pair in zip(predictions, others, strict=True)]

    def _compared(self, answer: Prediction, other: Prediction) -> Prediction:
        # Two models of water are compared on the water of today: what was there before as well
        # is no event, but a network that sees water everywhere is wrong all the same.
        now = Finding.WATER in self.thresholds and Finding.WATER in self.detector.thresholds
        network = _classified(answer, self.thresholds, now=now)
        detector = _classified(other, self.detector.thresholds, now=now)
        found, checked = (np.isin(part.label, _AFFECTED) for part in (network, detector))
        percent, both = detector.event_percent, answer.valid & other.valid
        sure = (percent >= SURE_PERCENT) | (percent <= 100 - SURE_PERCENT)
        contradicted = both & _contradicted(
            found, checked, sure=sure, both=both, below=self.min_kappa
        )
        compared = np.select(
            [~both, contradicted, found == checked],
            [CrossCheck.NOT_COMPARED, CrossCheck.CONTRADICTS, CrossCheck.AGREES],
            CrossCheck.DIFFERS,
        )
        return replace(
            answer,
            valid=answer.valid & ~contradicted,
            reason=np.where(contradicted, np.uint8(Label.OUT_OF_DOMAIN), answer.reason),
            cross_check=compared.astype(np.uint8),
        )


def cross_checked(
    reader: Reader, card: ModelCard, cards: Sequence[CardRef], *, hazard: Hazard
) -> Reader:
    """Return the reader, checked by the first detector for its images if the card asks for one."""
    if not isinstance(reader, ModelReader) or card.domain is None or card.domain.min_kappa is None:
        return reader
    detectors = [ref for ref in cards if isinstance(ref.card.architecture, DetectorArchitecture)]
    there = [scene for part in reader.inputs for scene in _available(part)]
    for ref in matching(detectors, hazard=hazard, available=there).fits:
        found = _fill(ref.card, reader.inputs)
        if found is not None:
            own = tuple(replace(part, name=name) for name, part in found.items())
            kind = SingleDate if ref.card.single_date else Joint
            names = {name: part.name for name, part in found.items()}
            detector = kind(load_model(ref, device="cpu"), own)
            check = DetectorCheck(detector, names, reader.thresholds, card.domain.min_kappa)
            return replace(reader, check=check)
    return reader


def _available(part: SceneInput) -> list[Available]:
    """Return what the scenes give as the network reads them: no more bands than that."""
    bands = part.mosaic.bands
    return [replace(available(scene), bands=bands) for scene in part.mosaic.scenes]


def _fill(card: ModelCard, parts: Sequence[SceneInput]) -> dict[str, SceneInput] | None:
    found: dict[str, SceneInput] = {}
    for entry in card.inputs:
        for phase in (Phase.AFTER, Phase.BEFORE):
            name = phase.value if card.single_date else entry.name
            for part in parts:
                fits = all(accepts(entry, scene) for scene in _available(part))
                if name not in found and part.phase is phase and fits:
                    found[name] = part
    wanted = {Phase.AFTER.value} if card.single_date else {entry.name for entry in card.inputs}
    return found if wanted <= found.keys() else None


def _classified(
    answer: Prediction, thresholds: Mapping[Finding, float], *, now: bool
) -> Classified:
    before = answer.valid_before & (not now)
    planes = dict(zip(thresholds, answer.probabilities, strict=True))
    seen = Observation(np.ones_like(answer.valid), answer.valid, before, answer.reason)
    return classify(planes, thresholds, seen)


def _contradicted(
    network: BoolArray, detector: BoolArray, *, sure: BoolArray, both: BoolArray, below: float
) -> BoolArray:
    """Return (rows, cols), True in blocks whose kappa over pixels of `both` is under `below`."""
    rows, cols = both.shape
    number = block_numbers((rows, cols), side=BLOCK_PX)
    blocks = int(number[-1, -1]) + 1

    def counted(mask: BoolArray) -> IntArray:
        return np.bincount(number[mask & both], minlength=blocks)

    n = np.maximum(counted(both), 1)
    share = counted(detector) / n
    reliable = (
        (n >= _LEAST_COMPARED * np.bincount(number.ravel(), minlength=blocks))
        & (np.minimum(share, 1 - share) >= _CLASS_SHARE)
        & (counted(sure) >= _SURE_SHARE * n)
    )
    agreed = counted(network == detector) / n
    found = counted(network) / n
    chance = found * share + (1 - found) * (1 - share)
    # Where the detector sees both classes, chance alone cannot reach full agreement.
    kappa = (agreed - chance) / np.where(reliable, 1 - chance, 1)
    return np.asarray((reliable & (kappa < below))[number])
