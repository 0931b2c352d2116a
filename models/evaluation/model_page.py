"""Writes a page: README.md and its pictures, and the card with what was measured."""

import re
from pathlib import Path

from geo.store.atomic_io import make_folder, replace_file, writing
from models.cards.card import CARD_NAME, ModelCard, card_bytes
from models.cards.registry import CardRef
from models.evaluation import model_page_content as pictures
from models.evaluation import model_page_content as places
from models.evaluation import model_page_content as words
from models.evaluation.model_page_measure import Measured, SetMeasured, scored

PAGE_NAME = "README.md"


def write_page(measured: Measured, ref: CardRef, folder: Path) -> Path:
    """Write pictures, card and page, the page last, and return it.

    The same measurements give the same bytes.

    Args:
        measured: see `models.evaluation.model_page_measure`.
        ref: the model.
        folder: of the page; that of the model, or another one.

    Raises:
        StoreError: where it cannot be written.
    """
    card = scored(ref.card, measured)
    files = {
        **_pictures(card, measured),
        CARD_NAME: card_bytes(card),
        PAGE_NAME: page_text(card, measured).encode(),
    }
    with writing(folder):
        make_folder(folder.absolute())
    for name, content in files.items():
        with writing(folder / name):
            replace_file(folder / name, content)
    return folder / PAGE_NAME


def page_text(card: ModelCard, measured: Measured) -> str:
    """Return the page as Markdown.

    Args:
        card: with the scores that were measured.
        measured: the same.
    """
    sets = measured.sets
    several = [part for part in sets if _has_places(part)]
    sections = [
        words.head(card, measured.plan),
        words.learned(card),
        "## Scores",
        *(words.scores(card, part) for part in sets),
        *(["## Between places"] if several else []),
        *(places.places(part, _name(part, "places.png")) for part in several),
        "## Calibration",
        *(words.calibration(card, part, _name(part, "calibration.png")) for part in sets),
        "## Where it fails",
        *(words.worst(part, _name(part, "worst.jpg")) for part in sets if part.worst),
        words.tail(card, measured.plan),
    ]
    return "\n\n".join(sections) + "\n"


def _pictures(card: ModelCard, measured: Measured) -> dict[str, bytes]:
    drawn: dict[str, bytes] = {}
    answer = card.classes[0]
    for part in measured.sets:
        agreement = part.rows[0].agreement
        drawn[_name(part, "calibration.png")] = pictures.draw_calibration(agreement, answer.name)
        if _has_places(part):
            drawn[_name(part, "places.png")] = pictures.draw_places(agreement)
        if part.worst:
            drawn[_name(part, "worst.jpg")] = pictures.draw_worst(
                part.worst, threshold=answer.threshold, imagery=part.plan.thumbnails
            )
    return drawn


def _has_places(part: SetMeasured) -> bool:
    """Whether a set has several places, and water in one of them."""
    agreement = part.rows[0].agreement
    return len(agreement.by_group) > 1 and agreement.pooled.iou is not None


def _name(part: SetMeasured, ending: str) -> str:
    name = f"{part.plan.name} {part.split}".lower()
    return f"{re.sub(r'[^a-z0-9]+', '-', name).strip('-')}-{ending}"
