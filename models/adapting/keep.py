"""The model after the labels as a folder: a card that names its parent and its labels."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geo.durable import make_folder, replace_file, writing
from geo.scene import Phase, Scene
from models.adaptation import Adaptation, LabelFile, ParentModel
from models.adapting.labels import UNSEEN, Labels
from models.adapting.outcome import Outcome
from models.card import CARD_NAME, WEIGHTS_NAME, ModelCard, card_bytes
from models.errors import NameTaken
from models.registry import CardRef, all_cards


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
        "inputs": tuple(e.model_copy(update={"learned_from": None}) for e in parent.inputs),
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
