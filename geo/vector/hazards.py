"""The hazards as data: an entry says everything that differs from one hazard to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self


@dataclass(frozen=True)
class EventClass:
    """What an event leaves on the ground, and how it is drawn."""

    notation: str
    fill: str
    """Colour as #rrggbb; also that of the class raster."""
    outline: str
    water_class: int | None = None
    """UNOSAT `Water_Class`; None where it is not water."""
    opacity: float = 0.8
    """Of the fill, 0 to 1."""
    outline_mm: float = 0.1


FLOODED = EventClass("Flooded area", "#08519c", "#08519c", water_class=1)
STANDING = EventClass("Flooded area or standing water", "#6baed6", "#2171b5", water_class=4)
"""Water without an image before: the two cannot be told apart."""
FLOOD_TRACE = EventClass("Flood trace", "#d9d46a", "#8f8b2f")
BURNT = EventClass("Burnt area", "#8c2d04", "#8c2d04")
LANDSLIDE = EventClass("Landslide", "#bf812d", "#543005")
DAMAGED = EventClass("Damaged area", "#8860e8", "#5b3ab8", opacity=0.35, outline_mm=0.3)


@dataclass(frozen=True)
class HazardEntry:
    """What is known of a hazard."""

    event_type: str
    """Copernicus EMS, number and name. The manual prints the first eight; the numbers of the rest
    follow its order: 9 epidemic, 10 infestation, 11 industrial accident with explosions,
    12 transport accident, 13 humanitarian with conflicts, 14 other. Extreme temperature (4),
    drought (7), 9, 10 and 12 leave nothing to map here."""
    maps: Mapping[str, EventClass]
    """The tasks of models that map it (`models.cards.inputs.Task`), the preferred first, and what
    each of them maps. `damage` needs building footprints, given or found."""


_WATER = {"flood-change": FLOODED, "water": FLOODED}
_FIRE = {"burnt": BURNT}
_DAMAGE = {"damage": DAMAGED}


class Hazard(StrEnum):
    """What happened."""

    entry: HazardEntry

    def __new__(cls, name: str, event_type: str, maps: Mapping[str, EventClass]) -> Self:
        hazard = str.__new__(cls, name)
        hazard._value_ = name
        hazard.entry = HazardEntry(event_type, MappingProxyType(maps))
        return hazard

    FLOOD = "flood", "5-Flood", _WATER
    WILDFIRE = "wildfire", "8-Wildfire", _FIRE | _DAMAGE
    STORM = "storm", "3-Storm", _WATER | _DAMAGE
    EARTHQUAKE = "earthquake", "1-Earthquake", _DAMAGE
    LANDSLIDE = "landslide", "6-Mass Movement", _DAMAGE
    VOLCANO = "volcano", "2-Volcanic Activity", _DAMAGE
    # In EM-DAT, and so in Copernicus EMS, a tsunami is a kind of earthquake.
    TSUNAMI = "tsunami", "1-Earthquake", _WATER | _DAMAGE
    EXPLOSION = "explosion", "11-Industrial accident", _DAMAGE
    CONFLICT = "conflict", "13-Humanitarian", _DAMAGE
    OTHER = "other", "14-Other", _DAMAGE


HAZARDS: Mapping[Hazard, HazardEntry] = {hazard: hazard.entry for hazard in Hazard}

EVENT_TYPES = sorted(
    {entry.event_type for entry in HAZARDS.values()}, key=lambda kind: int(kind.partition("-")[0])
)
"""Value list of `event_type`."""

_BY_TASK = {task: left for entry in HAZARDS.values() for task, left in entry.maps.items()}

EVENT_CLASSES: Mapping[str, EventClass] = {
    left.notation: left
    for left in (
        FLOODED, STANDING, FLOOD_TRACE, BURNT, LANDSLIDE, DAMAGED,
        *(left for entry in HAZARDS.values() for left in entry.maps.values()),
    )
}  # fmt: skip
"""All that `observed_event` can hold, by notation."""


def event_class(hazard: Hazard, task: str | None) -> EventClass:
    """Return what a model of a task maps after a hazard, or else after others; None: the first."""
    maps = HAZARDS[hazard].maps
    if task is None:
        return next(iter(maps.values()))
    return maps.get(task) or _BY_TASK[task]
