"""Labelled buildings as a grader sees them when it maps: same reading, same place, same blocks.

What became of a model that was shown labels, and whether that is better than it was.

The model after the labels as a folder: a card that names its parent and its labels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox

from geo.scenes.scene import Phase, Scene
from geo.store.atomic_io import make_folder, replace_file, writing
from geo.types import CodeArray, Float64Array, IntArray
from models.adaptation.adapt_regression import adapt_regression
from models.adaptation.labels import NONE, UNSEEN, Labels, require_enough
from models.cards.card import CARD_NAME, WEIGHTS_NAME, ModelCard, card_bytes
from models.cards.inputs import Task
from models.cards.registry import CardRef, all_cards
from models.cards.training_record import Adaptation, LabelFile, LeftOut, ParentModel
from models.damage.alignment import Placed, View, place
from models.damage.buildings import Buildings, Pair
from models.damage.regression import RegressionGrader, grades_of, logits, regression_of
from models.errors import NameTaken
from models.evaluation.damage_metrics import BuildingPredictions, auc
from models.inference.map_scenes import ProgressReceiver

Stage: TypeAlias = Literal["none", "regression", "head", "all"]

_SURE = 1e-4
"""Probabilities below count as this: one label that was missed does not decide alone."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A model after the labels, and what it and its parent say of labels left out."""

    card: ModelCard
    """The parent's in all but what was learned."""
    content: bytes | None
    """Safetensors; None where every number is on the card."""
    stage: Stage
    used: IntArray
    """Which polygons of the labels were learned from."""
    truth: CodeArray
    """(labels,), a number of the vocabulary's names."""
    parent: Float64Array
    """(labels, names): how likely the parent holds what a label can say."""
    adapted: Float64Array
    """The same by models that did not learn from the label."""
    groups: int
    """Parts that the labels were cut into, to be left out in turn."""

    @property
    def helped(self) -> bool:
        """Whether labels left out were foretold better, by their log loss, than by the parent."""
        return self.stage != "none" and _log_loss(self.truth, self.adapted) < _log_loss(
            self.truth, self.parent
        )

    def scores(self) -> tuple[LeftOut, ...]:
        """Return the figures of both, side by side.

        The area under the curve of labels left out is a little too low: whoever leaves out one of
        few damaged houses learns that all houses are likelier sound, that one among them (Parker
        et al. 2007, doi:10.1186/1471-2105-8-326).
        """
        parent, adapted = (self._figures(values) for values in (self.parent, self.adapted))
        return tuple(
            LeftOut(measure=name, parent=_rounded(parent[name]), adapted=_rounded(adapted[name]))
            for name in parent
        )

    def _figures(self, values: Float64Array) -> dict[str, float | None]:
        if self.card.task is Task.DAMAGE:
            return _of_grades(self.truth, values)
        return _of_answers(self.truth, values, threshold=self.card.classes[0].threshold)


def grades_reached(reached: Float64Array) -> Float64Array:
    """Return the probabilities of four grades, (labels, 4).

    Args:
        reached: (labels, 3), of each grade above no damage or a worse one.
    """
    steps = np.minimum.accumulate(reached, axis=1)
    edges = np.column_stack([np.ones(len(steps)), steps, np.zeros(len(steps))])
    return -np.diff(edges, axis=1)


def _of_grades(truth: CodeArray, values: Float64Array) -> dict[str, float | None]:
    scores = BuildingPredictions((truth + 1).astype(np.uint8), values).scores
    return {
        "accuracy": scores["accuracy_buildings"],
        "macro_f1_two": scores["macro_f1_two"],
        "macro_f1_four": scores["macro_f1_four"],
        "auc_damaged": scores["auc_damaged"],
        "log_loss": _log_loss(truth, values),
    }


def _of_answers(
    truth: CodeArray, values: Float64Array, *, threshold: float
) -> dict[str, float | None]:
    yes, said = truth == 1, values[:, 1] >= threshold
    return {
        "accuracy": float((yes == said).mean()),
        "balanced_accuracy": float((said[yes].mean() + (~said[~yes]).mean()) / 2),
        "auc": auc(values[:, 1], yes),
        "log_loss": _log_loss(truth, values),
    }


def _log_loss(truth: CodeArray, values: Float64Array) -> float:
    """Return the mean of minus the log probability of what each label says."""
    right = values[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(right, _SURE, 1)).mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True, eq=False)
class Town:
    """A pair of images, and where all buildings lie in them; some have a label."""

    pair: Pair
    geobox: GeoBox
    placed: Placed
    labels: Labels

    @classmethod
    def of(
        cls,
        pair: Pair,
        geobox: GeoBox,
        labels: Labels,
        *,
        checked: bool,
        progress: ProgressReceiver,
    ) -> "Town":
        """Measure where the pair and the buildings lie, as for a map.

        Args:
            pair: of the scenes.
            geobox: the grid of the map.
            labels: their outlines are all the buildings, as on the map: those beside a building
                count in what is judged of it.
            checked: see `models.damage.alignment.place`.
            progress: told the blocks.

        Raises:
            NotAligned: where the images cannot be compared.
        """
        buildings = Buildings.on(geobox, labels.outlines)
        placement = place(pair, geobox, buildings, checked=checked, progress=progress)
        return cls(pair, geobox, Placed.of(buildings, placement), labels)

    def views(self, card: ModelCard, progress: ProgressReceiver) -> Iterator[View]:
        """Yield the blocks of a map that hold a label, as its images show them."""
        labelled = self.labels.codes != NONE
        wanted = ~(self.placed.too_large | self.placed.adrift)
        blocks = [block for block in self.placed.blocks(card, wanted) if labelled[block.own].any()]
        progress.start("reading labels", len(blocks))
        for block in blocks:
            yield self.placed.view(block, self.pair, self.geobox)
            progress.advance()

    def labelled(self, view: View) -> tuple[IntArray, IntArray]:
        """Return the labelled buildings of a view, and which of its numbers, from 0, they have."""
        own = view.own[self.labels.codes[view.own] != NONE]
        return own, np.searchsorted(view.beside, own)


def learn_regression(card: ModelCard, town: Town, progress: ProgressReceiver) -> Outcome:
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


def _designs(
    card: ModelCard, town: Town, progress: ProgressReceiver
) -> tuple[IntArray, Float64Array]:
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


def _left_out(
    card: ModelCard, design: Float64Array, truth: CodeArray, progress: ProgressReceiver
) -> Float64Array:
    """Return the probabilities of each label by a regression that learned on from the others."""
    answers = np.empty((len(truth), 4))
    progress.start("leaving labels out", len(truth))
    for number in range(len(truth)):
        others = np.arange(len(truth)) != number
        learned = adapt_regression(card, design[others], _graded(truth[others]))
        answers[number] = _probabilities(learned.card, design[number : number + 1])[0]
        progress.advance()
    return answers


def _probabilities(card: ModelCard, design: Float64Array) -> Float64Array:
    return grades_of(logits(card, regression_of(card), design)).astype(np.float64)


def _graded(truth: CodeArray) -> CodeArray:
    """Return grades as masks of xBD have them, from 1 on."""
    return (truth + 1).astype(np.uint8)


def require_free(out: Path, name: str) -> None:
    """Check, before anything is read, that a folder and a name can be given to a new model.

    Raises:
        NameTaken: where the folder holds a model, which products may name, or a shipped model has
            the name.
    """
    if (out / CARD_NAME).exists():
        raise NameTaken(f"{out} holds a model already; give another folder with --out")
    if name in {ref.card.name for ref in all_cards()}:
        raise NameTaken(f"a shipped model is named {name!r}; give another --name")


def label_file(
    labels: Labels, outcome: Outcome, scenes: Iterable[Scene], *, buildings_sha256: str | None
) -> LabelFile:
    """Return what a card says of the labels that a model learned on from."""
    seen = tuple(scenes)
    return LabelFile(
        file=labels.file,
        sha256=labels.sha256,
        column=labels.column,
        counts=labels.counts(outcome.used),
        skipped=labels.without(outcome.used, UNSEEN),
        buildings_sha256=buildings_sha256,
        before=_taken(seen, Phase.BEFORE),
        after=_taken(seen, Phase.AFTER),
    )


def keep(ref: CardRef, outcome: Outcome, file: LabelFile, *, name: str, out: Path) -> ModelCard:
    """Write the model, or its parent's numbers where labels left out are foretold no better.

    Args:
        ref: of the parent.
        outcome: of learning on.
        file: the labels.
        name: of the model.
        out: its folder, see `require_free`; the card is written last.

    Returns:
        The card.

    Raises:
        StoreError: where the folder cannot be written.
    """
    parent = ref.card
    adaptation = Adaptation(
        parent=ParentModel(name=parent.name, version=parent.version, digest=parent.digest),
        labels=file,
        stage=outcome.stage if outcome.helped else "none",
        scores=outcome.scores(),
        groups=outcome.groups,
    )
    said = _moved(outcome, parent, file) if outcome.helped else _same(parent, file)
    base = outcome.card if outcome.helped else parent
    card = ModelCard.model_validate(dict(base) | said | {"name": name, "adaptation": adaptation})
    content = outcome.content
    if content is not None and not outcome.helped:
        content = ref.weights.read_bytes()
    with writing(out):
        make_folder(out.absolute())
        if content is not None:
            replace_file(out / WEIGHTS_NAME, content)
        replace_file(out / CARD_NAME, card_bytes(card))
    return card


def _moved(outcome: Outcome, parent: ModelCard, file: LabelFile) -> dict[str, Any]:
    """Return what a card says whose numbers are new."""
    count = len(outcome.used)
    return {
        "summary": f"{parent.name}, adapted to {count} labels of {file.file}.",
        "trained_on": f"{parent.trained_on}; then {count} labels of {file.file}",
        "tested_on": "the labels that it learned on from, left out in turn; see adaptation",
        "training": None,
        "scores": (),
        # What the parent learned from no longer says what this model knows: a person looked at
        # the new event and labelled it, so its imagery is not out of the domain.
        "inputs": tuple(e.model_copy(update={"training_statistics": None}) for e in parent.inputs),
        "limits": (
            f"It was adapted to the {count} labels of {file.file}: on another event or in other "
            f"imagery take {parent.name}, whose scores are of places that it did not learn from.",
            *parent.limits,
        ),
    }


def _same(parent: ModelCard, file: LabelFile) -> dict[str, Any]:
    """Return what a card says whose numbers are the parent's."""
    return {
        "summary": f"{parent.name} as it is: the labels of {file.file} did not make it better.",
    }


def _taken(scenes: tuple[Scene, ...], phase: Phase) -> tuple[str, str] | None:
    """Return the times of the first and the last scene of a phase; None where one is not known."""
    times = [(scene.taken, scene.taken_text) for scene in scenes if scene.phase is phase]
    known = sorted((taken, text) for taken, text in times if taken is not None and text is not None)
    return (known[0][1], known[-1][1]) if known and len(known) == len(times) else None
