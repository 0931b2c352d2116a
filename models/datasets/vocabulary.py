"""Vocabulary: the words that a column of labels may hold, and the class that each of them means."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD
from models.cards.architecture import NetworkArchitecture, RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.errors import InputsMismatch


@dataclass(frozen=True)
class Vocabulary:
    """What a column of labels can say."""

    columns: tuple[str, ...]
    """Where it is looked for, the first choice first."""
    names: tuple[str, ...]
    """What it can mean."""
    meanings: Mapping[str, int]
    """Which of them each word means, by the word as people write it."""
    unsaid: tuple[str, ...]
    """Words that say that nobody knows."""

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that it knows, as people write it."""
        return (*self.meanings, *self.unsaid)

    def meaning(self, word: str) -> int | None:
        """Return the number of a name, None where the word says that nobody knows.

        Case, and whether spaces, hyphens or underscores part the words, mean nothing.

        Raises:
            KeyError: where the word is not known.
        """
        plain = _plain(word)
        if plain in _plains(self.unsaid):
            return None
        return {_plain(known): number for known, number in self.meanings.items()}[plain]


def vocabulary_of(card: ModelCard) -> Vocabulary:
    """Return the words of labels that a model can learn from.

    Raises:
        InputsMismatch: where the model learns from no labels.
    """
    learns = isinstance(card.architecture, NetworkArchitecture | RegressionArchitecture)
    if not learns or card.task not in _OF_TASK:
        raise InputsMismatch(
            f"{card.name} is a {card.architecture.kind} for {card.task} and learns from no labels; "
            "name a network for water or floods, or a grader of buildings, such as damage-features"
        )
    return _OF_TASK[card.task]


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]+", " ", word).strip().casefold()


def _plains(words: Iterable[str]) -> set[str]:
    return {_plain(word) for word in words}


_YES_OR_NO = ("dry or other", "flooded"), ("no water", "water")
_NEITHER = ("Not analysed", "unknown", "?")

DAMAGE = Vocabulary(
    columns=("damage_gra", "damage_xbd", "subtype"),
    names=DAMAGE_XBD[3::-1],
    meanings={
        word: number
        for words in (DAMAGE_GRA[3::-1], DAMAGE_XBD[3::-1])
        for number, word in enumerate(words)
    },
    unsaid=(DAMAGE_GRA[-1], DAMAGE_XBD[-1], "unknown", "?"),
)
"""Copernicus EMS and xBD; `subtype` is the column of xBD as distributed."""

FLOOD = Vocabulary(
    columns=("notation",),
    names=_YES_OR_NO[0],
    meanings={
        "Flooded area": 1, "flooded": 1, "flood": 1, "yes": 1,
        "not flooded": 0, "dry": 0, "no": 0, "Reference water": 0, "Reference water, receded": 0,
    },
    unsaid=_NEITHER,
)  # fmt: skip
"""Water that came: what was water before is none, nor is where it left."""

WATER = Vocabulary(
    columns=("notation",),
    names=_YES_OR_NO[1],
    meanings={
        "Flooded area": 1, "Flooded area or standing water": 1, "Reference water": 1,
        "flooded": 1, "flood": 1, "water": 1, "yes": 1,
        "not flooded": 0, "dry": 0, "no water": 0, "no": 0, "Reference water, receded": 0,
    },
    unsaid=_NEITHER,
)  # fmt: skip
"""All water in the image after the event."""

_OF_TASK = {Task.DAMAGE: DAMAGE, Task.FLOOD_CHANGE: FLOOD, Task.WATER: WATER}
