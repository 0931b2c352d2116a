"""CardInput: the image that a model wants; and the words that cards, detectors and maps share."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from geo.raster.classify import Finding
from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS, Backscatter, Family
from models.cards.architecture import LeeFilter, Part


class Task(StrEnum):
    """What a model looks for."""

    WATER = "water"
    """Water in one image; applied to the after and, where there is one, to the before image."""
    FLOOD_CHANGE = "flood-change"
    """Water that came, from a before and an after image."""
    BURNT = "burnt"
    """Vegetation that burnt, from a before and an after image."""
    DAMAGE = "damage"
    """Damage of buildings, from a before and an after image, see `models.damage`."""
    CLOUD = "cloud"
    """What hides the ground in one optical image; run before any of the others."""


class InputPhase(StrEnum):
    """Which image an input takes."""

    BEFORE = "before"
    AFTER = "after"
    EACH = "each"
    """The model sees one image at a time: it runs on the after and on the before image."""

    def takes(self, phase: Phase) -> bool:
        """Whether an image of that phase can fill the input."""
        return self is InputPhase.EACH or self.value == phase.value


class Physical(StrEnum):
    """Units of the pixels that a model is given (`geo.types.Raster.pixels`)."""

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

UNCLASSIFIED = 255
"""Code of a building without a grade, where grades of the Joint Damage Scale are 1 to 4."""
DAMAGE_STEPS = (Finding.MINOR_DAMAGE, Finding.DAMAGED, Finding.DESTROYED)
"""The steps up from no damage on the Joint Damage Scale, each meaning so bad or worse."""


class BandStatistics(Part):
    """What the values of a band were in training, in the units of the input."""

    mean: float
    std: PositiveFloat
    percentiles: tuple[float, float, float] = Field(description="1st, 50th and 99th.")


class CardInput(Part):
    """One input of a model: the image that it wants there."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    phase: InputPhase
    sensors: tuple[str, ...] = Field(min_length=1)
    """Names of `geo.scenes.sensors.SENSORS`."""
    bands: tuple[str, ...] = Field(min_length=1, description="Common names, in this order.")
    units: Physical
    mean: tuple[float, ...] | None = None
    """Subtracted, by band; null: not normalised (detectors)."""
    std: tuple[PositiveFloat, ...] | None = Field(default=None, description="Divided by, by band.")
    normalised_by: Literal["card", "scene"] = "card"
    """scene: mean and deviation of the whole scene, so that a gain and an offset change nothing."""
    backscatter: Backscatter | None = None
    """What a radar image must hold; null: sigma0 or gamma0."""
    speckle: LeeFilter | None = None
    """Applied to each radar band first; null: read as it is."""
    required: bool = True
    training_statistics: tuple[BandStatistics, ...] | None = None

    @model_validator(mode="after")
    def _check_input(self) -> Self:
        unknown = sorted(set(self.sensors) - SENSORS.keys())
        if unknown:
            raise ValueError(
                f"no sensor {', '.join(unknown)}; the sensors are {', '.join(sorted(SENSORS))}"
            )
        for sensor in (SENSORS[name] for name in self.sensors):
            there = {band.name for band in sensor.bands}
            if missing := [band for band in self.bands if band not in there]:
                raise ValueError(
                    f"{sensor.name} has no band {', '.join(missing)}; it has "
                    f"{', '.join(sorted(there))}"
                )
            if UNITS_OF[sensor.family] is not self.units:
                raise ValueError(
                    f"{sensor.name} comes in {UNITS_OF[sensor.family]}, the card says {self.units}"
                )
        if len(set(self.bands)) < len(self.bands):
            raise ValueError(f"a band is named twice: {', '.join(self.bands)}")
        radar = "backscatter" if self.backscatter else "speckle" if self.speckle else None
        if radar and self.units is not Physical.DECIBEL:
            raise ValueError(f"{radar} is of radar, the input is in {self.units}; remove it")
        if self.normalised_by == "scene" and (self.mean, self.std) != (None, None):
            raise ValueError("an input normalised by the scene has no mean and std; remove them")
        for name in ("mean", "std", "training_statistics"):
            constants = getattr(self, name)
            if constants is not None and len(constants) != len(self.bands):
                raise ValueError(f"{len(constants)} values in {name}, {len(self.bands)} bands")
        return self
