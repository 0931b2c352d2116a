"""Witness: a transparent detector beside a network, and the blocks where the two contradict.

A detector is the worse of the two, so it overrules nothing by itself. How far they differ is
counted for every product; a block is taken from the network only where the detector is sure of
itself, sees both classes, and the network says the opposite: Cohen's kappa (1960,
doi:10.1177/001316446002000104) far below 0, worse than by chance.

The rule was chosen on every fourth tile of ombria/train, cut into blocks of 128 pixels, with
the detector against the labels, that is, against a network that makes no fault. By MNDWI of both
dates it may judge 33 % of the blocks, and would take 2.5 % of those from that network, 0.8 % of
all; it takes 73 % of those from a network that says the opposite everywhere. On ombria/test:
none of 280, and 70 %. A network that finds nothing, or water everywhere, has a kappa of 0 and is
never taken for wrong: there the share that differs is all that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from odc.geo.geobox import GeoBox

from geo.raster.classify import Classified, Finding, Label, Observation, classify
from geo.scenes.scene import Phase
from geo.types import BoolArray, CodeArray, IntArray, block_numbers
from geo.vector.hazards import Hazard
from models.cards.architecture import DetectorArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput
from models.cards.registry import CardRef
from models.cards.selection import matching
from models.cards.suitability import Available, accepts, available
from models.inference.model import load_model
from models.inference.scene_inputs import (
    Answer,
    CrossCheck,
    Joint,
    Reader,
    SceneInput,
    Seen,
    SingleDate,
)
from models.networks.tensors import SceneStatistics

BLOCK_PX = 128
SURE_PERCENT = 90
"""A detector is sure of a pixel from this probability on, or up to its complement."""
_SURE_SHARE = 0.8
"""Share of a block that it must be sure of to be heard."""
_CLASS_SHARE = 0.1
"""Share of a block that the smaller of its two classes must have."""
_LEAST_COMPARED = 0.5
"""Share of a block that both must have answered."""
_AFFECTED = (Label.EVENT, Label.UNDATED_WATER)


@dataclass(frozen=True)
class CrossCheckedReader:
    """A reader whose answers are held against those of a detector that reads the same images."""

    inner: Reader
    """Of the network."""
    detector: SingleDate | Joint
    names: Mapping[str, str]
    """Name of the network's reading, by that of the detector's."""
    min_kappa: float
    """Kappa below which a block is not trusted."""

    @property
    def inputs(self) -> tuple[SceneInput, ...]:
        """Those of the network."""
        return self.inner.inputs

    @property
    def window_px(self) -> int:
        """That of the network."""
        return self.inner.window_px

    @property
    def overlap_px(self) -> int:
        """That of the network."""
        return self.inner.overlap_px

    @property
    def batch(self) -> int:
        """That of the network."""
        return self.inner.batch

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """Those of the network."""
        return self.inner.thresholds

    @property
    def cross_checked_by(self) -> str | None:
        """Name of the detector."""
        return self.detector.model.card.name

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """Of the network and of the detector, whose notes are not the product's."""
        own = self.detector.scene_statistics(samples)
        seen = {self._key(name): replace(statistics, notes=()) for name, statistics in own.items()}
        return {**self.inner.scene_statistics(samples), **seen}

    def in_domain(self, seen: Seen, statistics: Mapping[str, SceneStatistics]) -> Seen:
        """As the network trusts them."""
        return self.inner.in_domain(seen, statistics)

    def predict(
        self, batch: Sequence[Seen], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Answer]:
        """Answer with the network, but where the detector contradicts it."""
        answers = self.inner.predict(batch, statistics)
        prefix = self._key("")
        own = {k.removeprefix(prefix): s for k, s in statistics.items() if k.startswith(prefix)}
        shown = [{own_name: seen[name] for own_name, name in self.names.items()} for seen in batch]
        return [
            self._heard(answer, said)
            for answer, said in zip(answers, self.detector.predict(shown, own), strict=True)
        ]

    @property
    def default_label(self) -> Label:
        """As the network's."""
        return self.inner.default_label

    def _key(self, name: str) -> str:
        return f"{self.detector.model.card.name}: {name}"

    def _heard(self, answer: Answer, said: Answer) -> Answer:
        # Two models of water are compared on the water of today: what was there before as well
        # is no event, but a network that sees water everywhere is wrong all the same.
        now = Finding.WATER in self.thresholds and Finding.WATER in self.detector.thresholds
        network = _classified(answer, self.thresholds, now=now)
        detector = _classified(said, self.detector.thresholds, now=now)
        both = answer.valid & said.valid
        contradicted = both & _contradicted(
            np.isin(network.label, _AFFECTED),
            np.isin(detector.label, _AFFECTED),
            sure=_sure(detector.event_percent),
            both=both,
            below=self.min_kappa,
        )
        same = np.isin(network.label, _AFFECTED) == np.isin(detector.label, _AFFECTED)
        verdict = np.select(
            [~both, contradicted, same],
            [CrossCheck.NOT_COMPARED, CrossCheck.CONTRADICTS, CrossCheck.AGREES],
            CrossCheck.DIFFERS,
        ).astype(np.uint8)
        return replace(
            answer,
            valid=answer.valid & ~contradicted,
            reason=np.where(contradicted, np.uint8(Label.OUT_OF_DOMAIN), answer.reason),
            cross_check=verdict,
        )


def cross_checked(
    reader: Reader, card: ModelCard, shelf: Sequence[CardRef], *, hazard: Hazard
) -> Reader:
    """Return a reader beside the first detector of the shelf that can read the same images.

    The reader itself comes back where there is none, or the card asks for none.

    Args:
        reader: of a model.
        card: of that model.
        shelf: cards, as `models.cards.registry.all_cards` returns them.
        hazard: decides what is looked for.
    """
    if card.domain is None or card.domain.min_kappa is None:
        return reader
    detectors = [ref for ref in shelf if isinstance(ref.card.architecture, DetectorArchitecture)]
    there = [_available(reading, scene=n) for reading in reader.inputs for n in _each(reading)]
    for ref in matching(detectors, hazard=hazard, available=there).fits:
        names = _fill(ref.card, reader.inputs)
        if names is not None:
            own = tuple(replace(names[name], name=name) for name in names)
            model = load_model(ref, device="cpu")
            beside = SingleDate(model, own) if ref.card.single_date else Joint(model, own)
            by_name = {name: reading.name for name, reading in names.items()}
            return CrossCheckedReader(reader, beside, by_name, card.domain.min_kappa)
    return reader


def _each(reading: SceneInput) -> range:
    return range(len(reading.mosaic.scenes))


def _available(reading: SceneInput, *, scene: int) -> Available:
    """Return what a scene gives as the network reads it: no more bands than that."""
    return replace(available(reading.mosaic.scenes[scene]), bands=reading.mosaic.bands)


def _fill(card: ModelCard, readings: Sequence[SceneInput]) -> dict[str, SceneInput] | None:
    """Return which reading each image of a detector is, by its name; None where one is missing."""
    found: dict[str, SceneInput] = {}
    for entry in card.inputs:
        for phase in (Phase.AFTER, Phase.BEFORE):
            name = phase.value if card.single_date else entry.name
            for reading in readings:
                if name not in found and reading.phase is phase and _takes(entry, reading):
                    found[name] = reading
    wanted = {Phase.AFTER.value} if card.single_date else {entry.name for entry in card.inputs}
    return found if wanted <= found.keys() else None


def _takes(entry: CardInput, reading: SceneInput) -> bool:
    return all(accepts(entry, _available(reading, scene=n)) for n in _each(reading))


def _classified(answer: Answer, thresholds: Mapping[Finding, float], *, now: bool) -> Classified:
    """Return the classes of one window, before they are blended with those of others."""
    everywhere = np.ones_like(answer.valid)
    before = answer.valid_before & (not now)
    planes = dict(zip(thresholds, answer.probabilities, strict=True))
    seen = Observation(everywhere, answer.valid, before, answer.reason)
    return classify(planes, thresholds, seen)


def _sure(percent: CodeArray) -> BoolArray:
    return (percent >= SURE_PERCENT) | (percent <= 100 - SURE_PERCENT)


def _contradicted(
    network: BoolArray, detector: BoolArray, *, sure: BoolArray, both: BoolArray, below: float
) -> BoolArray:
    """Return which pixels lie in a block where the two contradict each other, (rows, cols).

    Args:
        network: (rows, cols); True where it finds the event.
        detector: the same of the detector.
        sure: where the detector is sure.
        both: where both answered; only these pixels count.
        below: kappa.
    """
    rows, cols = both.shape
    number = block_numbers((rows, cols), side=BLOCK_PX)
    blocks = int(number[-1, -1]) + 1

    def counted(mask: BoolArray) -> IntArray:
        return np.bincount(number[mask & both], minlength=blocks)

    n = np.maximum(counted(both), 1)
    share = counted(detector) / n
    heard = (
        (n >= _LEAST_COMPARED * np.bincount(number.ravel(), minlength=blocks))
        & (np.minimum(share, 1 - share) >= _CLASS_SHARE)
        & (counted(sure) >= _SURE_SHARE * n)
    )
    agreed = counted(network == detector) / n
    found = counted(network) / n
    chance = found * share + (1 - found) * (1 - share)
    # Where the detector sees both classes, chance alone cannot reach full agreement.
    kappa = (agreed - chance) / np.where(heard, 1 - chance, 1)
    return np.asarray((heard & (kappa < below))[number])
