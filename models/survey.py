"""Survey: what a model learned from the scene as a whole before it mapped any of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from geo.histogram import GaussianPair


@dataclass(frozen=True)
class Threshold:
    """The line between two classes of one feature, and where it came from."""

    feature: str
    """What is compared with it, such as "ndwi" or "vv after"."""
    value: float | None
    """In the feature's units; None: the classes cannot be told apart, and nothing is found."""
    method: str
    """"otsu", "kittler-illingworth", "fixed" or "none"."""
    width: float
    """Scale of the logistic around a fixed threshold, in the feature's units."""
    pair: GaussianPair | None = None
    """The two modes on both sides of a learned threshold."""
    tiles: int = 0
    """Tiles with two modes that it was learned from; 0 where it was the scene as a whole."""
    pixels: int = 0
    """Pixels in the histogram that it was learned from."""


@dataclass(frozen=True)
class Level:
    """Where the values of a band lie in the whole scene, and how far they spread."""

    mean: float
    std: float


@dataclass(frozen=True)
class Survey:
    """What holds for the whole scene; goes into the manifest."""

    thresholds: tuple[Threshold, ...] = ()
    levels: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    """By slot, in the order of its bands, where the card normalises it by the scene."""
    far: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By slot, the scenes that lie outside of the model's domain, see `models.domain`: their
    numbers as in `geo.raster.Raster.origin`."""
    notes: tuple[str, ...] = ()
    """Sentences for the reader of the product, such as that a threshold was not learned."""

    def threshold(self, feature: str) -> Threshold:
        """Return the threshold of a feature that the survey is known to hold."""
        return next(entry for entry in self.thresholds if entry.feature == feature)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain dicts, lists, strings and finite numbers."""
        return asdict(self)


NOTHING_LEARNED = Survey()
"""The survey of a model that takes every constant from its card."""
