"""Backscatter: sigma0 or gamma0, as the user, the bands, the name or the sensor tell."""

import re
from collections.abc import Sequence

from geo.errors import UnitsMismatch
from geo.recognise import Header
from geo.sensors import Backscatter, Sensor
from geo.source import Source

# ASF's HyP3: after the pixel stands the software, then g or s for gamma0 or sigma0, then p for
# power (hyp3-docs.asf.alaska.edu, RTC product guide, naming convention).
_HYP3 = re.compile(r"_RTC\d\d_[A-Z]_(?P<letter>[gs])p", re.IGNORECASE)
_LETTERS = {"g": Backscatter.GAMMA0, "s": Backscatter.SIGMA0}


def backscatter_of(source: Source, sensor: Sensor, headers: Sequence[Header]) -> Backscatter | None:
    """Return what a radar scene holds; None for other sensors.

    In this order: what the user says, the descriptions of the bands, the names of the files, the
    sensor's own.

    Args:
        headers: of the scene's files.

    Raises:
        UnitsMismatch: where the bands or the names say two things, or the user speaks of
            backscatter of a sensor that is no radar.
    """
    if sensor.backscatter is None:
        if source.backscatter is not None:
            raise UnitsMismatch(
                f"{source.backscatter} was said of {headers[0].path.name}, and {sensor.title} is "
                "no radar; leave the backscatter out, or correct --sensor"
            )
        return None
    told = source.backscatter or _described(headers) or _named(headers)
    return told or sensor.backscatter


def _described(headers: Sequence[Header]) -> Backscatter | None:
    texts = (text for header in headers for text in header.descriptions if text)
    return _only({kind for text in texts for kind in _kinds_in(text)}, headers)


def _named(headers: Sequence[Header]) -> Backscatter | None:
    """Return what the files' names tell; folders are called after anything."""
    return _only({kind for h in headers for kind in _kinds_in(h.path.name)}, headers)


def _kinds_in(text: str) -> set[Backscatter]:
    plain = re.sub(r"[\s_\-]", "", text.lower())
    kinds = {kind for kind in Backscatter if kind.value in plain}
    match = _HYP3.search(text)
    return kinds | {_LETTERS[match["letter"].lower()]} if match else kinds


def _only(kinds: set[Backscatter], headers: Sequence[Header]) -> Backscatter | None:
    if len(kinds) > 1:
        raise UnitsMismatch(
            f"{headers[0].path.name} is called both {' and '.join(sorted(kinds))}; say which with "
            "--backscatter"
        )
    return next(iter(kinds), None)
