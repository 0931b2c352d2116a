"""Labelled buildings as a grader sees them when it maps: same reading, same place, same blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox

from geo.raster import CodeArray
from models.adapting.labels import NONE, UNSEEN, Labels, require_enough
from models.adapting.outcome import Indexes, Outcome, Reals
from models.card import ModelCard
from models.grading.adapt import adapt_regression
from models.grading.blocks import Placed, View
from models.grading.buildings import Buildings
from models.grading.pair import Pair
from models.grading.place import place
from models.grading.regression import RegressionGrader, grades_of, logits, regression_of
from models.mapping import Progress


@dataclass(frozen=True, eq=False)
class Town:
    """A pair of images, and where all buildings lie in them; some have a label."""

    pair: Pair
    geobox: GeoBox
    placed: Placed
    labels: Labels

    @classmethod
    def of(
        cls, pair: Pair, geobox: GeoBox, labels: Labels, *, checked: bool, progress: Progress
    ) -> "Town":
        """Measure where the pair and the buildings lie, as for a map.

        Args:
            pair: of the scenes.
            geobox: the grid of the map.
            labels: their outlines are all the buildings, as on the map: those beside a building
                count in what is judged of it.
            checked: see `models.grading.place.place`.
            progress: told the blocks.

        Raises:
            NotAligned: where the images cannot be compared.
        """
        buildings = Buildings.on(geobox, labels.outlines)
        placement = place(pair, geobox, buildings, checked=checked, progress=progress)
        return cls(pair, geobox, Placed.of(buildings, placement), labels)

    def views(self, card: ModelCard, progress: Progress) -> Iterator[View]:
        """Yield the blocks of a map that hold a label, as its images show them."""
        labelled = self.labels.codes != NONE
        wanted = ~(self.placed.too_large | self.placed.adrift)
        blocks = [block for block in self.placed.blocks(card, wanted) if labelled[block.own].any()]
        progress.start("reading labels", len(blocks))
        for block in blocks:
            yield self.placed.view(block, self.pair, self.geobox)
            progress.advance()

    def labelled(self, view: View) -> tuple[Indexes, Indexes]:
        """Return the labelled buildings of a view, and which of its numbers, from 0, they have."""
        own = view.own[self.labels.codes[view.own] != NONE]
        return own, np.searchsorted(view.beside, own)


def learn_regression(card: ModelCard, town: Town, progress: Progress) -> Outcome:
    """Learn on from labelled buildings, and judge each by what the others gave.

    Raises:
        InputsMismatch: where the card is no regression on buildings.
        LabelsInvalid: where nothing can be learned from the labels.
    """
    used, design = _designs(card, town, progress)
    require_enough(town.labels, used, town.labels.without(used, UNSEEN))
    truth = town.labels.codes[used]
    return Outcome(
        card=adapt_regression(card, design, _graded(truth)).card,
        content=None,
        stage="regression",
        used=used,
        truth=truth,
        parent=_probabilities(card, design),
        adapted=_left_out(card, design, truth, progress),
        groups=len(used),
    )


def _designs(card: ModelCard, town: Town, progress: Progress) -> tuple[Indexes, Reals]:
    """Return the labelled buildings with an answer, ascending, and what is judged of each."""
    architecture = regression_of(card)
    grader = RegressionGrader(card, architecture)
    design = np.full((len(town.labels.codes), len(architecture.features)), np.nan)
    for view in town.views(card, progress):
        own, numbers = town.labelled(view)
        rows = grader.design(
            view.before.pixels, view.after.pixels, view.numbers, count=len(view.beside)
        )
        design[own] = rows[numbers]
    used = np.flatnonzero(np.isfinite(design).all(axis=1))
    return used, design[used]


def _left_out(card: ModelCard, design: Reals, truth: CodeArray, progress: Progress) -> Reals:
    """Return the probabilities of each label by a regression that learned on from the others."""
    answers = np.empty((len(truth), 4))
    progress.start("leaving labels out", len(truth))
    for number in range(len(truth)):
        others = np.arange(len(truth)) != number
        learned = adapt_regression(card, design[others], _graded(truth[others]))
        answers[number] = _probabilities(learned.card, design[number : number + 1])[0]
        progress.advance()
    return answers


def _probabilities(card: ModelCard, design: Reals) -> Reals:
    return grades_of(logits(card, regression_of(card), design)).astype(np.float64)


def _graded(truth: CodeArray) -> CodeArray:
    """Return grades as masks of xBD have them, from 1 on."""
    return (truth + 1).astype(np.uint8)
