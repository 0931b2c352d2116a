"""Reasons: what can be said of why a model answered as it did."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geo.raster import BoolArray, FloatArray
from models.region import Region


@dataclass(frozen=True, eq=False)
class Feature:
    """What a detector compares with a threshold."""

    name: str
    values: FloatArray
    """(rows, cols) of the region; NaN where not defined."""
    line: float | None
    """The threshold; None: nothing was found by it."""
    method: str
    """Where the threshold comes from, see `models.survey.Threshold`."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What an image added to the answer, by integrated gradients.

    Everything is in log odds of what the polygon says, as a mean over its pixels.
    """

    image: str
    """Name of its reading."""
    bands: Mapping[str, float]
    """Sum over the pixels of each band."""
    presence: float | None
    """Sum over the pixels of its channel that says where it was observed; None without one."""
    pixels: FloatArray
    """(rows, cols) of the region; sum over the bands and the presence."""

    @property
    def total(self) -> float:
        """Of all bands, and of its being there."""
        return sum(self.bands.values()) + (self.presence or 0.0)


@dataclass(frozen=True)
class Balance:
    """What the attributions of one run of a network add up to, and what they must."""

    run: str
    log_odds: float
    """Of what the polygon says, a mean over its pixels."""
    at_baseline: float
    """The same without any image."""
    attributed: float
    """Sum of the attributions; `log_odds - at_baseline` but for the steps of the integral."""

    @property
    def gap(self) -> float:
        """What the steps of the integral lost."""
        return self.log_odds - self.at_baseline - self.attributed


@dataclass(frozen=True)
class Effect:
    """The mean probability over a polygon when something is left out."""

    image: str
    """Name of the reading."""
    band: str | None
    """None: the whole image."""
    without: float
    """Mean probability without it, 0 to 1."""
    change: float
    """Less that with it: negative where it speaks for the polygon."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a polygon."""

    region: Region
    probability: FloatArray
    """(rows, cols) of the region, 0 to 1, computed again as the map computes it."""
    observed: Mapping[str, BoolArray]
    """(rows, cols) of the region by reading; True where it was observed."""
    features: tuple[Feature, ...] = ()
    """Of a detector."""
    attributions: tuple[Attribution, ...] = ()
    """Of a network, one an image."""
    balances: tuple[Balance, ...] = ()
    """Of a network, one a run."""
    effects: tuple[Effect, ...] = ()
    """Of a network."""

    @property
    def mean(self) -> float:
        """Mean probability over the polygon's pixels, 0 to 1."""
        return float(self.probability[self.region.pixels].mean())

    @property
    def largest_difference(self) -> float:
        """From the product's own probability, whole per cents, at any pixel of the region."""
        seen = self.region.seen
        return float(np.abs(self.probability[seen] - self.region.percent[seen] / 100).max())

    @property
    def observed_shares(self) -> dict[str, float]:
        """Share of the polygon's pixels that were observed, by reading."""
        own = self.region.pixels
        return {name: float(seen[own].mean()) for name, seen in self.observed.items()}

    def inside(self, feature: Feature) -> FloatArray:
        """Return the values of a feature in the polygon, (values,)."""
        return feature.values[self.region.pixels & np.isfinite(feature.values)]

    def around(self, feature: Feature) -> FloatArray:
        """Return the values of a feature in the region around the polygon, (values,)."""
        return feature.values[~self.region.pixels & np.isfinite(feature.values)]
