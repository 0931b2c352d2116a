"""Grades as the eye writes them: in the words of Copernicus EMS or of xBD."""

from geo.schema import DAMAGE_GRA, DAMAGE_XBD
from models.errors import SampleInvalid

NOT_ANALYSED = DAMAGE_GRA[-1]
GRADES = DAMAGE_GRA[:-1]
"""What a building can be seen to be, the worst first."""
DAMAGED = GRADES[:2]
"""Destroyed or Damaged: what counts as a damaged building; `Possibly damaged` does not."""

_UNTOLD = ("", "?", NOT_ANALYSED, DAMAGE_XBD[-1])
"""What says that the pictures do not tell."""


def seen_grade(text: str) -> str | None:
    """Return the grade that a word stands for, or None where the eye could not tell.

    Case, spaces, hyphens and underscores make no difference.

    Raises:
        SampleInvalid: where it is no such word.
    """
    word = _plain(text)
    if word not in _MEANING:
        known = ", ".join((*GRADES, *DAMAGE_XBD[:-1]))
        raise SampleInvalid(f"{text.strip()!r} is no grade; write one of {known}, or ?")
    return _MEANING[word]


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())


_MEANING: dict[str, str | None] = {
    **{_plain(word): grade for word, grade in zip(DAMAGE_XBD, DAMAGE_GRA, strict=True)},
    **{_plain(grade): grade for grade in GRADES},
    **{_plain(word): None for word in _UNTOLD},
}
