"""A network that learns on from labelled polygons, and what it says of those left out."""

import numpy as np

from models.adapting.labels import UNSEEN, Labels, require_enough
from models.adapting.outcome import Outcome, Reals, grades_reached
from models.adapting.windows import Lessons
from models.card import ModelCard
from models.mapping import Progress
from models.registry import CardRef
from models.terms import Task
from models.tuning import adapt_network


def learn_network(
    ref: CardRef, labels: Labels, lessons: Lessons, *, device: str, progress: Progress
) -> Outcome:
    """Learn on from labelled polygons, and judge each by what the others gave.

    Raises:
        LabelsInvalid: where nothing can be learned from the labels.
        InputsMismatch, WeightsMismatch, DeviceMissing: see `models.tuning.adapt_network`.
    """
    used = lessons.used
    require_enough(labels, used, labels.without(used, UNSEEN))
    tuned = adapt_network(ref, lessons.tiles, device=device, progress=progress)
    return Outcome(
        card=tuned.card,
        content=tuned.content,
        stage=tuned.stage,
        used=used,
        truth=labels.codes[used],
        parent=_said(ref.card, tuned.parent),
        adapted=_said(ref.card, tuned.adapted),
        groups=tuned.groups,
    )


def _said(card: ModelCard, probabilities: Reals) -> Reals:
    """Return how likely each thing is that a label can say, (labels, names)."""
    if card.task is Task.DAMAGE:
        return grades_reached(probabilities[:, 1:])
    return np.column_stack([1 - probabilities[:, 0], probabilities[:, 0]])
