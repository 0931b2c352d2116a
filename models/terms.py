"""The words that cards, detectors and maps share."""

from enum import StrEnum

from geo.classify import Finding
from geo.scene import Phase
from geo.sensors import Family


class Task(StrEnum):
    """What a model looks for."""

    WATER = "water"
    """Water in one image; applied to the after and, where there is one, to the before image."""
    FLOOD_CHANGE = "flood-change"
    """Water that came, from a before and an after image."""
    BURNT = "burnt"
    """Vegetation that burnt, from a before and an after image."""
    DAMAGE = "damage"
    """How buildings fared, from a before and an after image: graded one by one, see
    `models.grading`."""
    CLOUD = "cloud"
    """What hides the ground in one optical image; asked before any of the others."""


class InputPhase(StrEnum):
    """Which image a slot takes."""

    BEFORE = "before"
    AFTER = "after"
    EACH = "each"
    """The model sees one image at a time: it runs on the after and on the before image."""

    def takes(self, phase: Phase) -> bool:
        """Whether an image of that phase can fill the slot."""
        return self is InputPhase.EACH or self.value == phase.value


class Physical(StrEnum):
    """Units of the pixels that a model is given (`geo.raster.Raster.pixels`)."""

    DECIBEL = "dB"
    REFLECTANCE = "reflectance"
    BRIGHTNESS = "brightness 0-255"


UNITS_OF: dict[Family, Physical] = {
    Family.RADAR: Physical.DECIBEL,
    Family.OPTICAL: Physical.REFLECTANCE,
    Family.PICTURE: Physical.BRIGHTNESS,
}

CLASSES_OF: dict[Task, tuple[frozenset[Finding], frozenset[Finding]]] = {
    Task.WATER: (frozenset({Finding.WATER}), frozenset()),
    Task.FLOOD_CHANGE: (frozenset({Finding.FLOOD}), frozenset({Finding.REFERENCE_WATER})),
    Task.BURNT: (frozenset({Finding.BURNT}), frozenset()),
    Task.DAMAGE: (
        frozenset({Finding.DAMAGED}),
        frozenset({Finding.BUILDING, Finding.MINOR_DAMAGE, Finding.DESTROYED}),
    ),
    Task.CLOUD: (frozenset({Finding.CLOUD}), frozenset({Finding.CLOUD_SHADOW})),
}
"""By task: the classes that a card must have, and those that it may have besides."""

DAMAGE_STEPS = (Finding.MINOR_DAMAGE, Finding.DAMAGED, Finding.DESTROYED)
"""The steps up from no damage on the Joint Damage Scale, each meaning so bad or worse."""
