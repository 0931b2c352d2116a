"""AdaptedModel: a model after the labels of a new event, and the folder that it is written to.

Where held-out labels are predicted no better than by the parent, its numbers are written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geo.scenes.scene import Phase, Scene
from geo.store.atomic_io import make_folder, replace_file, writing
from geo.types import CodeArray, Float64Array, IntArray
from models.adaptation.labels import LabelledBuildings, Labels, require_enough
from models.adaptation.logistic import (
    LEAST_PROBABILITY,
    AdaptedLogits,
    LabelledRows,
    adapt_logits,
)
from models.cards.architecture import Logit
from models.cards.card import (
    CARD_NAME,
    WEIGHTS_NAME,
    Adaptation,
    LabelFile,
    LeftOut,
    ModelCard,
    ParentModel,
    card_bytes,
)
from models.cards.inputs import Task
from models.cards.registry import CardRef, all_cards
from models.damage.regression import (
    RegressionGrader,
    grades_of,
    logits,
    regression_of,
    temperature,
)
from models.errors import NameTaken
from models.evaluation.metrics import BuildingPredictions, auc
from models.inference.windows import ProgressReceiver
from models.training.train_regression import logit_answers, with_ones


@dataclass(frozen=True, eq=False)
class AdaptedModel:
    """A model after the labels, and how well it and its parent predict held-out labels."""

    card: ModelCard
    """The parent's in all but what was fitted."""
    weights: bytes | None
    """Safetensors; None where every number is on the card."""
    stage: Literal["none", "regression", "head"]
    used: IntArray
    """Which polygons of the labels were fitted to."""
    truth: CodeArray
    """(labels,), a number of the vocabulary's names."""
    parent: Float64Array
    """(labels, names): probability of each name by the parent."""
    adapted: Float64Array
    """The same by fits to the other labels."""

    @property
    def helped(self) -> bool:
        """Whether held-out labels are predicted with a lower log loss than by the parent."""
        return self.stage != "none" and _log_loss(self.truth, self.adapted) < _log_loss(
            self.truth, self.parent
        )

    def scores(self) -> tuple[LeftOut, ...]:
        """Return the figures of both, side by side.

        The area under the curve of held-out labels is a little too low: leaving out one of few
        damaged houses makes all likelier sound (Parker et al. 2007, doi:10.1186/1471-2105-8-326).
        """
        parent, adapted = (self._figures(values) for values in (self.parent, self.adapted))
        return tuple(
            LeftOut(measure=name, parent=_rounded(parent[name]), adapted=_rounded(adapted[name]))
            for name in parent
        )

    def _figures(self, values: Float64Array) -> dict[str, float | None]:
        log_loss = {"log_loss": _log_loss(self.truth, values)}
        if self.card.task is Task.DAMAGE:
            scores = BuildingPredictions((self.truth + 1).astype(np.uint8), values).scores
            return {"accuracy": scores.pop("accuracy_buildings"), **scores, **log_loss}
        yes, predicted = self.truth == 1, values[:, 1] >= self.card.classes[0].threshold
        return {
            "accuracy": float((yes == predicted).mean()),
            "balanced_accuracy": float((predicted[yes].mean() + (~predicted[~yes]).mean()) / 2),
            "auc": auc(values[:, 1], yes),
            **log_loss,
        }


def _log_loss(truth: CodeArray, values: Float64Array) -> float:
    right = values[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(right, LEAST_PROBABILITY, 1)).mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def adapt_buildings(
    card: ModelCard, buildings: LabelledBuildings, progress: ProgressReceiver
) -> AdaptedModel:
    """Adapt a regression to labelled buildings of a new event; raises as `require_enough`."""
    labels = buildings.labels
    used, design = _designs(card, buildings, progress)
    require_enough(labels, used)
    truth = labels.codes[used]
    new, found = adapt_regression(card, design, (truth + 1).astype(np.uint8), progress)
    return AdaptedModel(
        card=new,
        weights=None,
        stage="regression" if found.moved else "none",
        used=used,
        truth=truth,
        parent=grades_of(logits(card, regression_of(card), design)).astype(np.float64),
        adapted=grades_of(found.held_out).astype(np.float64),
    )


def _designs(
    card: ModelCard, buildings: LabelledBuildings, progress: ProgressReceiver
) -> tuple[IntArray, Float64Array]:
    architecture = regression_of(card)
    grader = RegressionGrader(card, architecture)
    design = np.full((len(buildings.labels.codes), len(architecture.features)), np.nan)
    for view in buildings.views(card, progress):
        own, numbers = buildings.labelled(view)
        rows = grader.design(
            view.before.pixels, view.after.pixels, view.numbers, count=len(view.drawn)
        )
        design[own] = rows[numbers]
    used = np.flatnonzero(np.isfinite(design).all(axis=1))
    return used, design[used]


def adapt_regression(
    card: ModelCard, features: Float64Array, grades: CodeArray, progress: ProgressReceiver
) -> tuple[ModelCard, AdaptedLogits]:
    """Return the card of a regression after graded buildings, and its calibrated logits.

    Args:
        features: (labels, features), rows of `RegressionGrader.design` without NaN.
        grades: (labels,) 1 to 4.
    """
    architecture, divisor = regression_of(card), temperature(card)
    answers = np.full((len(grades), len(architecture.logits)), np.nan)
    for number, (asked, positive) in enumerate(logit_answers(grades)):
        answers[asked, number] = positive
    rows = LabelledRows(with_ones(features), np.arange(len(grades)), answers)
    parent = np.array([(one.intercept, *one.coefficients) for one in architecture.logits])
    found = adapt_logits(rows, parent / divisor, progress)
    changed = {
        name: Logit(intercept=row[0], coefficients=tuple(row[1:]))
        for name, strength, row in zip(
            ("damaged", "minor", "destroyed"),
            found.strengths,
            (found.coefficients * divisor).round(6).tolist(),
            strict=True,
        )
        if strength is not None
    }
    return card.model_copy(update={"architecture": architecture.model_copy(update=changed)}), found


def require_free(out: Path, name: str) -> None:
    """Raise NameTaken where the folder holds a model, or a shipped model has the name."""
    if (out / CARD_NAME).exists():
        raise NameTaken(f"{out} holds a model already; give another folder with --out")
    if name in {ref.card.name for ref in all_cards()}:
        raise NameTaken(f"a shipped model is named {name!r}; give another --name")


def label_record(
    labels: Labels, model: AdaptedModel, scenes: Iterable[Scene], *, buildings_sha256: str | None
) -> LabelFile:
    """Return the record of the labels that a model was adapted to."""
    seen = tuple(scenes)
    return LabelFile(
        file=labels.file,
        sha256=labels.sha256,
        column=labels.column,
        counts=labels.counts(model.used),
        skipped=labels.not_used(model.used),
        buildings_sha256=buildings_sha256,
        before=_times(seen, Phase.BEFORE),
        after=_times(seen, Phase.AFTER),
    )


def _times(scenes: tuple[Scene, ...], phase: Phase) -> tuple[str, str] | None:
    """Return the times of the first and the last scene of a phase; None where one is not known."""
    times = [(scene.taken, scene.taken_text) for scene in scenes if scene.phase is phase]
    known = sorted((taken, text) for taken, text in times if taken is not None and text is not None)
    return (known[0][1], known[-1][1]) if known and len(known) == len(times) else None


def write_adapted(
    ref: CardRef, model: AdaptedModel, labels: LabelFile, *, name: str, out: Path
) -> ModelCard:
    """Write the model, with its parent's numbers where that predicts held-out labels as well."""
    parent = ref.card
    adaptation = Adaptation(
        parent=ParentModel(name=parent.name, version=parent.version, digest=parent.digest),
        labels=labels,
        stage=model.stage if model.helped else "none",
        scores=model.scores(),
        groups=len(model.used),
    )
    base, weights = (model.card, model.weights) if model.helped else (parent, None)
    if model.weights is not None and not model.helped:
        weights = ref.weights.read_bytes()
    fields = dict(base) | _text(model, parent, labels) | {"name": name, "adaptation": adaptation}
    card = ModelCard.model_validate(fields)
    with writing(out):
        make_folder(out.absolute())
        if weights is not None:
            replace_file(out / WEIGHTS_NAME, weights)
        replace_file(out / CARD_NAME, card_bytes(card))
    return card


def _text(model: AdaptedModel, parent: ModelCard, labels: LabelFile) -> dict[str, Any]:
    if not model.helped:
        said = f"{parent.name} as it is: the labels of {labels.file} did not make it better."
        return {"summary": said}
    count = len(model.used)
    return {
        "summary": f"{parent.name}, adapted to {count} labels of {labels.file}.",
        "trained_on": f"{parent.trained_on}; then {count} labels of {labels.file}",
        "tested_on": "the labels that it was adapted to, each predicted by a fit to the others "
        "(leave-one-out); see adaptation",
        "training": None,
        "scores": (),
        # A person labelled imagery of the new event, so it is inside the domain.
        "inputs": tuple(e.model_copy(update={"training_statistics": None}) for e in parent.inputs),
        "limits": (
            f"It was adapted to the {count} labels of {labels.file}: for another event or other "
            f"imagery take {parent.name}, whose scores are of places that it was not trained on.",
            *parent.limits,
        ),
    }
