"""How numbers and names are put into words, the same in every report and on the map."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time

NOT_REVIEWED = "Draft: automatic extraction, not reviewed"

# Controls, and the marks that turn the direction of the text after them.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~$#!@])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def confidence_meaning(*, calibrated: bool, buildings: bool = False) -> str:
    """Return what the confidence of a polygon, or of a building, means, and what it does not."""
    of = "a building's grade" if buildings else "the class of a polygon, the mean of its pixels"
    trust = (
        "calibrated: of 100 with confidence 80 about 80 are right, where the scene resembles what "
        "the model was tested on"
        if calibrated
        else "not calibrated: use it for ranking, not as the share that is right"
    )
    return f"Confidence is the probability of {of}, per cent, {trust}."


def one_line(text: str) -> str:
    """Return the text in one line, without characters that cannot be seen."""
    return " ".join(_INVISIBLE.sub(" ", text).split())


def sentence(text: str) -> str:
    """Return the text with capital and stop; a name like `ndwi-water` keeps its first letter."""
    line = one_line(text)
    first, blank, rest = line.partition(" ")
    begun = first.capitalize() + blank + rest if first.isalpha() and first.islower() else line
    return begun if not begun or begun[-1] in ".!?" else f"{begun}."


def escaped(text: str) -> str:
    """Return text that Markdown and the HTML made of it show as it is, in one line."""
    line = "".join(_ENTITIES.get(character, character) for character in one_line(text))
    line = _MARKDOWN.sub(r"\\\1", line)
    # Bare addresses would become links; a list could begin inside a list.
    line = line.replace("://", r":\//").replace("www.", r"www\.").replace("WWW.", r"WWW\.")
    line = re.sub(r"^([-+=])", r"\\\1", line)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)


def km2_text(area_ha: float) -> str:
    """Return hectares as square kilometres, to three digits: "1,234", "12.3", "0.0123"."""
    km2 = area_ha / 100
    if km2 == 0:
        return "0"
    if km2 < 0.0001:
        return "< 0.0001"
    decimals = next((n for n, limit in enumerate((100, 10, 1, 0.1, 0.01)) if km2 >= limit), 5)
    return f"{km2:,.{min(decimals, 4)}f}"


def share_text(share: float) -> str:
    """Return a share as per cent; only nothing is "0 %", and only all of it is "100 %"."""
    percent = 100 * share
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    if percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def time_text(taken: datetime | None) -> str:
    """Return "2016-07-23 17:38 UTC"; at midnight the day alone, as its time of day is not known."""
    if taken is None:
        return "time unknown"
    utc = taken.astimezone(UTC)
    return f"{utc:%Y-%m-%d}" if utc.time() == time(0) else f"{utc:%Y-%m-%d %H:%M} UTC"


def dates_text(times: Sequence[datetime | None]) -> str:
    """Return the day of several times, or the first and the last: "2016-07-01 to 2016-07-23"."""
    days = sorted({f"{taken.astimezone(UTC):%Y-%m-%d}" for taken in times if taken is not None})
    known = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""
    unknown = "date unknown" if None in times else ""
    return ", ".join(part for part in (known, unknown) if part)
