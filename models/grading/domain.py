"""Domain of a grader: do these images and buildings look like those that it learned from?

The images are held against the card's percentiles band by band, as `models.domain` holds those of
networks of pixels. The buildings are held against the means and deviations of the features on the
card. They are far where half of the features lie, on average over the buildings, more than
`FARTHEST` deviations of the training away, each cut at the card's limit. The half of the features
and not all: the colour of what lies around moves with the season and with the camera, and alone
says little; where the other half moves as well, these are other houses.

The two limits are of regressions on one tile of joplin_xbd and groups of neighbouring buildings of
the tile that was left out, both ways: of groups of 5, 16 and 6 per cent are called far; of 10, 9
and 0; of 15, 3 and 0; of 20 and more none, which lie at 0.87 at most. The tiles as a whole lie at
0.51 and 0.45. With the shipped card: joplin_vhr, another camera's images of the same tornado, 0.58;
puerto_rico_maria 1.10 with 17 outlines that damage-vhr found and 0.95 with 23 squares by hand. So
it sees another country's houses, and not by far. The share of buildings with three features beyond
the limit did not tell the two apart (0.68 and 0.71; the tiles of joplin_xbd 0.34 and 0.05), nor
did the Mahalanobis distance.
"""

from dataclasses import dataclass, field

import numpy as np

from geo.classify import REASONS, Label
from geo.raster import Raster
from models.card import ModelCard
from models.domain import surveyed
from models.grading.regression import regression_of
from models.grading.zones import Values
from models.learned import DomainLimits
from models.survey import NOTHING_LEARNED, Survey
from models.terms import InputPhase
from models.units import ValueSample

FARTHEST = 0.9
"""Deviations of the training that the middle one of the features may lie away."""
MOST_BLOCKS = 256
"""Blocks that are looked at, spread over all: a city has thousands."""
LEAST_BUILDINGS = 15
"""Fewer say too little of what they are."""
_NAMED = 3
"""Features that a note names."""


@dataclass(frozen=True)
class Trust:
    """How far a grader is trusted with a pair of images and its buildings."""

    survey: Survey = NOTHING_LEARNED
    """Scenes that are far, by slot, and why."""
    far_buildings: bool = False
    """Whether the buildings are: then every scene is."""

    def reason(
        self, before: tuple[str, ...], after: tuple[str, ...], scenes: "Scenes"
    ) -> str | None:
        """Return why a building is not graded, None where nothing speaks against it.

        Args:
            before: ids of the scenes that show it before the event.
            after: the same after it.
            scenes: ids of all scenes, in the order of their numbers.
        """
        why = REASONS[Label.OUT_OF_DOMAIN]
        if self.far_buildings:
            return why
        for phase, seen, ids in (
            (InputPhase.BEFORE, before, scenes.before),
            (InputPhase.AFTER, after, scenes.after),
        ):
            far = {ids[number - 1] for number in self.survey.far.get(phase.value, ())}
            if far & set(seen):
                return f"{why} {phase} the event"
        return None


@dataclass(frozen=True)
class Scenes:
    """Ids of the scenes of a pair, in the order of their numbers."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Watch:
    """Gathers what a grader is given, block by block, and judges it at the end."""

    card: ModelCard
    sample: ValueSample
    deviations: list[Values] = field(default_factory=list)
    """(buildings, features) of each block, see `models.grading.regression.deviations`."""

    @classmethod
    def of(cls, card: ModelCard) -> "Watch":
        """Return a watch over a grader; one whose card has no limits is held to the usual ones."""
        limited = card.domain or DomainLimits()
        return cls(card.model_copy(update={"domain": limited}), ValueSample(card))

    def look(self, before: Raster, after: Raster, deviations: Values | None) -> None:
        """Add a block: its images, and how far its buildings lie from those learned from."""
        self.sample.feed({e.slot: after if e.phase is InputPhase.AFTER else before
                          for e in self.card.inputs})  # fmt: skip
        if deviations is not None:
            self.deviations.append(deviations[np.isfinite(deviations).any(axis=1)])

    def trust(self, scenes: Scenes) -> Trust:
        """Return how far the grader is trusted with what was looked at.

        A card that does not say what it learned from, one that learned on from the event itself
        say, is held against nothing.
        """
        if all(entry.learned_from is None for entry in self.card.inputs):
            return Trust()
        survey = surveyed(self.card, self.sample)
        why = self._why_far()
        if why is None:
            return Trust(_noted(survey, self._too_few()))
        every = {
            entry.slot: tuple(range(1, 1 + len(ids)))
            for entry in self.card.inputs
            for ids in ((scenes.after if entry.phase is InputPhase.AFTER else scenes.before),)
        }
        return Trust(_noted(Survey(far=every, notes=survey.notes), why), far_buildings=True)

    @property
    def _count(self) -> int:
        return sum(len(part) for part in self.deviations)

    def _too_few(self) -> str | None:
        if not self.deviations or not 0 < self._count < LEAST_BUILDINGS:
            return None
        return (
            f"{self._count} buildings are too few to tell whether {self.card.name} knows such "
            f"buildings; from {LEAST_BUILDINGS} on it is told"
        )

    def _why_far(self) -> str | None:
        """Return why the buildings are far, None where they are not or are too few."""
        if self._count < LEAST_BUILDINGS:
            return None
        means = np.nanmean(np.concatenate(self.deviations), axis=0)
        middle = float(np.median(np.abs(means)))
        if middle <= FARTHEST:
            return None
        names = [feature.name for feature in regression_of(self.card).features]
        furthest = np.argsort(-np.abs(means))[:_NAMED]
        told = ", ".join(f"{names[index]} {means[index]:+.1f}" for index in furthest)
        return (
            f"the buildings are out of the model's domain and none was graded: half of the "
            f"features of {self._count} of them lie {middle:.2f} deviations or more from those "
            f"that {self.card.name} learned from, on average, where {FARTHEST:g} is trusted "
            f"({told}); --no-domain-check grades them all the same"
        )


def _noted(survey: Survey, note: str | None) -> Survey:
    """Return a survey with one more note."""
    notes = (*survey.notes, note) if note else survey.notes
    return Survey(levels=survey.levels, far=survey.far, notes=notes)
