"""The threshold of a feature, estimated from the tiles of the whole scene, and applied."""

import numpy as np
from scipy.special import expit

from geo.raster.indices import Modes, otsu, two_modes
from geo.types import BoolArray, Float64Array, FloatArray, block_numbers
from models.cards.architecture import ThresholdRule
from models.networks.tensors import Threshold

DECIBEL_EDGES = np.linspace(-40, 10, 251)
CHANGE_DECIBEL_EDGES = np.linspace(-25, 25, 251)
INDEX_EDGES = np.linspace(-1, 1, 129)
CHANGE_INDEX_EDGES = np.linspace(-2, 2, 257)

_LEAST_SPREAD = 1e-3
"""Bins that a feature must spread over not to be called constant."""
_LEAST_OBSERVED = 0.5
"""Share of a tile that must be observed for its histogram to count."""


class TileHistograms:
    """Gathers the histograms of the tiles of one feature, window by window."""

    def __init__(self, feature: str, rule: ThresholdRule, *, edges: Float64Array) -> None:
        self._feature = feature
        self._rule = rule
        self._edges = edges
        self._tiles = [np.zeros((0, len(edges) - 1))]
        self._range = (np.inf, -np.inf)  # least and greatest value so far

    def feed(self, values: FloatArray) -> None:
        """Add a window, (rows, cols), NaN where the feature is not defined."""
        finite = np.isfinite(values)
        if not finite.any():
            return
        seen = values[finite]
        self._range = (min(self._range[0], seen.min()), max(self._range[1], seen.max()))
        if self._rule.method != "fixed":
            self._tiles.append(_histograms(values, edges=self._edges, tile_px=self._rule.tile_px))

    def threshold(self) -> tuple[Threshold, tuple[str, ...]]:
        """Return the threshold, and the sentences that its reader should see."""
        least, greatest = self._range
        if not greatest - least > _LEAST_SPREAD * (self._edges[1] - self._edges[0]):
            why = "has one value everywhere, or none: nothing can be told apart"
            return self._fallback(None, why)
        if self._rule.method == "fixed":
            return Threshold(self._feature, self._rule.fixed, "fixed", self._rule.width), ()
        counts = np.concatenate(self._tiles)
        if not len(counts):
            return self._fallback(self._rule.fixed, "was seen on no whole tile")
        return self._from_tiles(counts)

    def _from_tiles(self, counts: Float64Array) -> tuple[Threshold, tuple[str, ...]]:
        chosen = self._two_sided(counts)
        pool = (counts[chosen] if chosen.any() else counts).sum(axis=0)
        modes = two_modes(pool, self._edges)
        if not _apart(modes, self._rule):
            return self._fallback(self._rule.fixed, "shows no two modes in any part of the scene")
        value = otsu(pool, self._edges)
        low, high = self._rule.plausible
        if not low <= value <= high or not modes.low_mean < value < modes.high_mean:
            why = f"parts at {value:.3g}, which is not between {low:g} and {high:g}"
            return self._fallback(self._rule.fixed, why)
        estimated = Threshold(
            feature=self._feature,
            value=round(value, 6),
            method=self._rule.method,
            width=self._rule.width,
            pair=modes.pair(),
            tiles=int(chosen.sum()),
            pixels=int(pool.sum()),
        )
        return estimated, ()

    def _two_sided(self, counts: Float64Array) -> BoolArray:
        """Return which tiles have two modes with a plausible line between them, (tiles,)."""
        modes = two_modes(counts, self._edges)
        low, high = self._rule.plausible
        middle = (modes.low_mean + modes.high_mean) / 2
        return np.asarray(_apart(modes, self._rule) & (middle >= low) & (middle <= high))

    def _fallback(self, value: float | None, why: str) -> tuple[Threshold, tuple[str, ...]]:
        if value is None:
            none = Threshold(self._feature, None, "none", self._rule.width)
            return none, (f"{self._feature} {why}; nothing was found by it.",)
        note = f"{self._feature} {why}; the card's fixed threshold of {value:g} was used."
        return Threshold(self._feature, value, "fixed", self._rule.width), (note,)


def probability_above(threshold: Threshold, values: FloatArray) -> FloatArray:
    """Return the probability of the class above a threshold: 0.5 at it, 0 without one, NaN of NaN.

    The posterior of two estimated modes, its prior moved to the threshold; or else a logistic.
    """
    if threshold.value is None:
        return np.where(np.isnan(values), values, np.float32(0))
    if threshold.pair is None:
        odds = (values - np.float32(threshold.value)) / np.float32(threshold.width)
    else:
        line = threshold.pair.log_odds_high(np.array([threshold.value], np.float32))
        odds = threshold.pair.log_odds_high(values) - line
    return np.asarray(expit(odds), np.float32)


def probability_below(threshold: Threshold, values: FloatArray) -> FloatArray:
    """Return the probability of the class below a threshold; see `probability_above`."""
    if threshold.value is None:
        return probability_above(threshold, values)
    return 1 - probability_above(threshold, values)


def _apart(modes: Modes, rule: ThresholdRule) -> BoolArray:
    return (modes.ashman_d > rule.min_ashman_d) & (modes.smaller_share > rule.min_share)


def _histograms(values: FloatArray, *, edges: Float64Array, tile_px: int) -> Float64Array:
    """Return histograms of the tiles observed well enough, (tiles, bins); ends take the rest."""
    tile = block_numbers((values.shape[0], values.shape[1]), side=tile_px)
    tiles, bins = int(tile[-1, -1]) + 1, len(edges) - 1
    finite = np.isfinite(values)
    scaled = (values[finite] - edges[0]) / (edges[1] - edges[0])
    place = np.clip(scaled, 0, bins - 1).astype(np.int64)
    counts = np.bincount(tile[finite] * bins + place, minlength=tiles * bins)
    counts = counts.reshape(tiles, bins)
    enough = counts.sum(axis=1) >= _LEAST_OBSERVED * np.bincount(tile.ravel(), minlength=tiles)
    return np.asarray(counts[enough], np.float64)
