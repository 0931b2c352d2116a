"""A network that learns on from labelled polygons, and what it says of those left out.

A network that learns on: frozen features first, all weights where there are enough labels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.torch import load, save
from scipy.special import expit

from geo.types import Float64Array
from models.adaptation.adapt import Outcome, grades_reached
from models.adaptation.label_tiles import (
    LabelledTile,
    Lessons,
    Opened,
    PolygonLabels,
    at_spots,
    mean_by_polygon,
)
from models.adaptation.labels import UNSEEN, Labels, require_enough
from models.adaptation.trial import Lesson, Stage, Trial, TrialOutcome, lesson_of
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef
from models.cards.training_record import Calibration, TemperatureParameters
from models.errors import InputsMismatch
from models.evaluation.metrics import Reliability
from models.inference.map_scenes import ProgressReceiver
from models.networks.network import NetworkModel
from models.networks.weights import read_content

_SEED = 0


@dataclass(frozen=True, eq=False)
class TunedNetwork:
    """What became of a network."""

    content: bytes
    """Safetensors of the whole network, of the architecture of its parent."""
    card: ModelCard
    """The parent's with the new sha256 of the weights and, where something was learned, the new
    calibration. Its thresholds are the parent's: polygons that somebody chose do not say how
    common the answer is. Its name, its scores and what it says that it learned from are the
    parent's, too; they are for the caller to change."""
    stage: Stage
    """none: the parent is kept, bit for bit; head: the last convolution learned, on features that
    stay as they are; all: every weight."""
    parent: Float64Array
    """(polygons, classes) calibrated probabilities by the parent, the mean over the pixels of each
    polygon (256 of them by chance, where it has more); NaN where no pixel was seen."""
    adapted: Float64Array
    """The same by a network that did not learn from the polygon: one that learned from all others
    (head), or from the other groups of polygons (all)."""
    groups: int
    """Into how many groups the polygons were cut to be left out in turn; as many as there are
    polygons where the head learned."""


def adapt_network(
    ref: CardRef, tiles: Sequence[LabelledTile], *, device: str, progress: ProgressReceiver
) -> TunedNetwork:
    """Teach a network the labels of a new place, as far as that foretells labels left out.

    A class of which all polygons say the same stays as it is: nothing tells its answers apart.

    Args:
        ref: of the parent, a network.
        tiles: of the new place, their channels as the parent's card wants them.
        device: see `models.networks.network.device_named`.
        progress: told the steps.

    Raises:
        InputsMismatch: where the model is no network, polygons are not numbered from 1 on, each
            whole in one tile and of one label, or all of them say the same.
        WeightsMismatch: where the weights are not the card's.
        DeviceMissing: where the device is not there.
    """
    model = loaded(ref, device)
    labels = PolygonLabels.of(ref.card, tiles, seed=_SEED)
    _check_both(labels, ref.card)
    parent = Opened.of(model)
    lesson = _lesson(parent, tiles, labels, progress)
    trial = Trial(parent, temperature_of(ref.card), tiles, labels, lesson, progress)
    return _tuned(ref, trial, trial.outcome())


def temperature_of(card: ModelCard) -> Float64Array:
    """Return what a card divides its logits by, (classes,)."""
    if card.calibration is None:
        return np.ones(len(card.classes))
    return np.array(card.calibration.parameters.temperature)


def loaded(ref: CardRef, device: str) -> NetworkModel:
    """Load a network that may learn; raises as `adapt_network` does."""
    architecture = ref.card.architecture
    if not isinstance(architecture, NetworkArchitecture):
        raise InputsMismatch(
            f"{ref.card.name} is a {architecture.kind} and no network whose weights could learn; "
            "name a network, such as damage-vhr or flood-rgb"
        )
    return NetworkModel.load(ref, architecture, device=device)


def _check_both(labels: PolygonLabels, card: ModelCard) -> None:
    if not labels.both.any():
        raise InputsMismatch(
            f"the {int(labels.seen.sum())} label polygons that the imagery shows say the same of "
            f"each of {', '.join(card.class_names)}; label some that differ, such as dry ground "
            "beside a flood, or houses that stand beside those that fell"
        )


def _lesson(
    parent: Opened, tiles: Sequence[LabelledTile], labels: PolygonLabels, progress: ProgressReceiver
) -> Lesson:
    progress.start("what the network sees in labels", len(tiles))
    try:
        everyone = np.ones(len(labels.answers), bool)
        features = at_spots(
            parent.features, tiles, labels, asked=everyone, advance=progress.advance
        )
    finally:
        progress.finish()
    return lesson_of(features, labels)


def _tuned(ref: CardRef, trial: Trial, outcome: TrialOutcome) -> TunedNetwork:
    """Return weights, card and answers of what a trial kept."""
    content, card = read_content(ref.weights, sha256=ref.card.weights_sha256 or ""), ref.card
    before = _by_polygon(card, trial, trial.lesson.design @ trial.heads.T)
    after = _by_polygon(card, trial, outcome.logits)
    if outcome.stage != "none":
        content = _filled(content, outcome.network)
        card = _recalibrated(card, trial, after, content)
    return TunedNetwork(content, card, outcome.stage, before, after, outcome.groups)


def probabilities(card: ModelCard, logits: Float64Array) -> Float64Array:
    """Return the probabilities of calibrated logits, (classes, ...) both."""
    likely: Float64Array = expit(logits)
    if card.task is Task.DAMAGE:
        # So bad or worse: of one network they never rise, see `models.damage.network_grader`.
        likely[1:] = np.minimum.accumulate(likely[1:], axis=0)
    return likely


def _by_polygon(card: ModelCard, trial: Trial, logits: Float64Array) -> Float64Array:
    """Return mean probabilities, (polygons, classes), of calibrated logits at spots."""
    likely = probabilities(card, logits.T).T
    return mean_by_polygon(likely, trial.lesson.polygon, count=len(trial.labels.answers))


def _filled(content: bytes, network: Opened) -> bytes:
    """Return the weights of a network, each in the precision of the file it came from."""
    stored = load(content)
    state = network.network.state_dict()
    return save({name: state[name].cpu().contiguous().to(stored[name].dtype) for name in stored})


def _recalibrated(card: ModelCard, trial: Trial, after: Float64Array, content: bytes) -> ModelCard:
    """Return a card with the digest of new weights, and how far they can be believed."""
    asked = np.isfinite(trial.labels.answers) & np.isfinite(after)
    asked &= trial.labels.both
    ece = Reliability.of(after[asked], trial.labels.answers[asked] == 1).ece
    polygons = int(asked.any(axis=1).sum())
    calibration = Calibration(
        method="temperature",
        parameters=TemperatureParameters(temperature=tuple(trial.temperature.tolist())),
        fitted_on=f"{polygons} label polygons, each by a network that did not learn from it",
        ece=round(ece, 4),
    )
    digest = hashlib.sha256(content).hexdigest()
    return card.model_copy(update={"weights_sha256": digest, "calibration": calibration})


def learn_network(
    ref: CardRef, labels: Labels, lessons: Lessons, *, device: str, progress: ProgressReceiver
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


def _said(card: ModelCard, probabilities: Float64Array) -> Float64Array:
    """Return how likely each thing is that a label can say, (labels, names)."""
    if card.task is Task.DAMAGE:
        return grades_reached(probabilities[:, 1:])
    return np.column_stack([1 - probabilities[:, 0], probabilities[:, 0]])
