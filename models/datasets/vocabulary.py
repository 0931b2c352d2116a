"""Vocabulary: the words that a column of labels may hold, and the class that each of them means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD
from models.cards.architecture import NetworkArchitecture, RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.errors import InputsMismatch


@dataclass(frozen=True)
class Vocabulary:
    """The words of a column of labels."""

    columns: tuple[str, ...]
    """Where it is looked for, the first choice first."""
    names: tuple[str, ...]
    """The classes, by number."""
    meanings: Mapping[str, int]
    """The number of the class of each word, as people write it."""
    unknown: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Every word, as people write it."""
        return (*self.meanings, *self.unknown)

    def __contains__(self, word: str) -> bool:
        return _plain(word) in map(_plain, self.words)

    def meaning(self, word: str) -> int | None:
        """Return the number of a word, None for unknown; raise KeyError for one not in here.

        Case and the separators of words (spaces, hyphens, underscores) do not matter.
        """
        meanings = {_plain(known): number for known, number in self.meanings.items()}
        return ({_plain(known): None for known in self.unknown} | meanings)[_plain(word)]


def vocabulary_of(card: ModelCard) -> Vocabulary:
    """Return the words of labels that a model can be adapted to, else raise InputsMismatch."""
    learns = isinstance(card.architecture, NetworkArchitecture | RegressionArchitecture)
    if not learns or card.task not in _OF_TASK:
        raise InputsMismatch(
            f"{card.name} is a {card.architecture.kind} for {card.task} and cannot be adapted; "
            "name a network for water or floods, or a grader of buildings, such as damage-features"
        )
    return _OF_TASK[card.task]


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]+", " ", word).strip().casefold()


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
    unknown=(DAMAGE_GRA[-1], DAMAGE_XBD[-1], "unknown", "?"),
)
"""Copernicus EMS and xBD; `subtype` is the column of xBD as distributed."""

FLOOD = Vocabulary(
    columns=("notation",),
    names=_YES_OR_NO[0],
    meanings={
        "Flooded area": 1, "flooded": 1, "flood": 1, "yes": 1,
        "not flooded": 0, "dry": 0, "no": 0, "Reference water": 0, "Reference water, receded": 0,
    },
    unknown=_NEITHER,
)  # fmt: skip
"""Water that came: neither permanent water nor where it receded."""

WATER = Vocabulary(
    columns=("notation",),
    names=_YES_OR_NO[1],
    meanings={
        "Flooded area": 1, "Flooded area or standing water": 1, "Reference water": 1,
        "flooded": 1, "flood": 1, "water": 1, "yes": 1,
        "not flooded": 0, "dry": 0, "no water": 0, "no": 0, "Reference water, receded": 0,
    },
    unknown=_NEITHER,
)  # fmt: skip
"""All water in the image after the event."""

_OF_TASK = {Task.DAMAGE: DAMAGE, Task.FLOOD_CHANGE: FLOOD, Task.WATER: WATER}
