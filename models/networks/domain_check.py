"""Domain check: does a scene look like the training data?

A scene is out where its 1st, 50th and 99th percentiles lie about two deviations of the training
away from those on the card: the mean difference of quantiles (Wasserstein; Ramdas et al. 2017,
doi:10.3390/e19020047), band by band (Rabanser et al. 2019, arXiv:1810.11953). It is out, too, where
it has hardly any contrast, or where a band is nearly one number. An input that is normalised by the
scene is compared in deviations of the scene.

The limits of `DomainLimits` were chosen on single tiles of 256 and 128 pixels. Out of the domain by
its defaults: 0 of 280 images of ombria/test, 5 of 832 of ombria/train, 6 of 244 chips of
water_multispectral; of ombria's optical images, per cent of 70 tiles: times 10 100; times 3 71 to
100; 8 bits read as reflectance 100; an offset of 0.1 4 to 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geo.types import Float64Array, FloatArray
from models.cards.card import DomainLimits, ModelCard
from models.cards.inputs import BandStatistics, CardInput
from models.networks.tensors import Level, SceneStatistics, ValueSample, scene_levels

LEAST_VALUES = 200
"""Sampled values of a scene below which its percentiles say too little to judge it."""
_PERCENTILES = (1, 50, 99)


@dataclass(frozen=True, eq=False)
class _BandComparison:
    """A band of a scene and of the training, in the units that are compared."""

    band: str
    units: str
    scene: Float64Array
    """(3,): the percentiles of the scene."""
    training: Float64Array
    """(3,): those of the training."""
    deviation: float
    constant: float
    """Share of the values that are one number."""

    @property
    def shift(self) -> float:
        """Mean difference of the percentiles, in deviations of the training."""
        return float(np.abs(self.scene - self.training).mean() / self.deviation)

    @property
    def contrast(self) -> float:
        """Range of the scene as a share of that in training."""
        training = float(self.training[2] - self.training[0])
        return float(self.scene[2] - self.scene[0]) / training if training else np.inf

    def text(self, model: str) -> str:
        scene, training = (
            ", ".join(f"{value:.3g}" for value in values) for values in (self.scene, self.training)
        )
        return (
            f"{self.band} has 1st, 50th and 99th percentiles of {scene} ({self.units}), {model} "
            f"was trained on {training}"
        )


def checked_statistics(card: ModelCard, sample: ValueSample) -> SceneStatistics:
    """Return which scenes are out of the domain, and the levels of the rest, or of all of them."""
    found = list(scenes_out_of_domain(card, sample))
    out: dict[str, tuple[int, ...]] = {}
    for name, number, _ in found:
        out[name] = (*out.get(name, ()), number)
    levels = scene_levels(card, sample) | (scene_levels(card, sample, without=out) if out else {})
    notes = tuple(note for _, _, note in found)
    return SceneStatistics(levels=levels, out_of_domain=out, notes=notes)


def scenes_out_of_domain(card: ModelCard, sample: ValueSample) -> Iterator[tuple[str, int, str]]:
    """Yield the scenes out of the card's domain: name of the input, number as in
    `geo.types.Raster.origin`, and why; a scene of which hardly a pixel was sampled is not judged.
    """
    if card.domain is None:
        return
    levels = scene_levels(card, sample)
    for entry in card.inputs:
        if entry.training_statistics is None:
            continue
        values, origins = sample.kept(entry), sample.origins(entry)
        for number in np.unique(origins).tolist():
            seen = values[:, (origins == number) & np.isfinite(values).all(axis=0)]
            if seen.shape[1] < LEAST_VALUES:
                continue
            bands = _compare(entry, entry.training_statistics, seen, levels.get(entry.name))
            if why := _why(bands, card.domain, card.name, by_scene=entry.normalised_by == "scene"):
                scene = sample.scene(entry, number)
                note = f"{scene} is out of the model's domain and was left out of {entry.name}"
                yield entry.name, number, f"{note}: {why}"


def _compare(
    entry: CardInput,
    training: tuple[BandStatistics, ...],
    values: FloatArray,
    levels: tuple[Level, ...] | None,
) -> list[_BandComparison]:
    """Return the bands of a scene, values (bands, values), beside those of the training."""
    percentiles = np.percentile(values, _PERCENTILES, axis=1).T
    bands = []
    for index, band in enumerate(training):
        scene, known = percentiles[index], np.array(band.percentiles)
        units, deviation = entry.units.value, band.std
        if levels is not None:
            scene = (scene - levels[index].mean) / levels[index].std
            known = (known - band.mean) / band.std
            units, deviation = "deviations of the scene", 1.0
        constant = np.unique(values[index], return_counts=True)[1].max() / values.shape[1]
        name = entry.bands[index]
        bands.append(_BandComparison(name, units, scene, known, deviation, float(constant)))
    return bands


def _why(
    bands: list[_BandComparison], limits: DomainLimits, model: str, *, by_scene: bool
) -> str | None:
    constant = max(bands, key=lambda band: band.constant)
    if constant.constant > limits.max_constant_share:
        return (
            f"{100 * constant.constant:.0f} % of {constant.band} are one number, at most "
            f"{100 * limits.max_constant_share:.0f} % are trusted; {constant.text(model)}"
        )
    shifted = max(bands, key=lambda band: band.shift)
    mean = float(np.mean([band.shift for band in bands]))
    if shifted.shift > limits.max_band_shift or mean > limits.max_shift:
        return (
            f"{shifted.text(model)}; that is {shifted.shift:.1f} deviations of the training apart, "
            f"and {mean:.1f} over all bands, where {limits.max_band_shift:g} and "
            f"{limits.max_shift:g} are trusted"
        )
    contrast = float(np.mean([band.contrast for band in bands]))
    if not by_scene and contrast < limits.min_contrast:
        widest = max(bands, key=lambda band: band.contrast)
        return (
            f"it has {contrast:.2g} of the contrast of the training, where "
            f"{limits.min_contrast:g} is trusted; {widest.text(model)}"
        )
    return None
