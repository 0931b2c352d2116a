"""Domain: does a scene look like what the network learned from?

A card keeps the 1st, 50th and 99th percentile of each band in training. A scene is far where
its own lie about two deviations of the training away from them: the distance between two
distributions is the mean difference of their quantiles (Wasserstein; Ramdas et al. 2017,
doi:10.3390/e19020047), here of the three that are known, band by band, as Rabanser et al. 2019
(arXiv:1810.11953) compare data with data. It is out, too, where it has hardly any contrast, or
where a band is nearly one number. A slot that is normalised by the scene is compared after
that, in deviations of the scene: a gain and an offset are nothing to it.

The limits of `DomainLimits` were chosen on single tiles of 256 and 128 pixels, which differ more
from each other than whole scenes do. Called far by its defaults, image by image:

- what should pass: 0 of 280 images of ombria/test, 5 of 832 of ombria/train, 0 of 2 of the Spain
  chip, 6 of 244 chips of water_multispectral by the statistics of their own set (haze, and water
  to all sides), 3 by those of ombria.
- what should not, as ombria's optical before and after images, per cent of 70 tiles: times 10
  100, 100; times 3 100, 71; times 2 89, 34; divided by 10 100, 96; 8 bits read as reflectance
  x 10000 100, 100; 1 - x 100, 100; flat snow and flat desert 100, 100; 229 pictures read as
  reflectance 91, 43. By water_multispectral: times 2 53, pictures 100, bands in reverse 55.
- what is hardly seen, because it stays within the range of the training: an offset of 0.1 7, 4
  (59 by water_multispectral); ombria's three bands in reverse 10, 0; radar turned upside down 1, 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geo.types import FloatArray
from models.cards.card import DomainLimits, ModelCard
from models.cards.inputs import BandStatistics, CardInput
from models.networks.tensors import Level, SceneStatistics, ValueSample, scene_levels

LEAST_VALUES = 200
"""Sampled values of a scene below which its percentiles say too little to judge it."""
_PERCENTILES = (1, 50, 99)


@dataclass(frozen=True)
class SceneOutOfDomain:
    """A scene that is not trusted in a slot."""

    input_name: str
    number: int
    """As in `geo.types.Raster.origin`."""
    note: str
    """A sentence that names slot, scene, band and both values."""


@dataclass(frozen=True, eq=False)
class _Compared:
    """A band of a scene, and of the training, in the units that are compared."""

    band: str
    units: str
    found: FloatArray
    """(3,): the percentiles of the scene."""
    learned: FloatArray
    """(3,): those of the training."""
    deviation: float
    """Of the training."""
    stuck: float
    """Share of the values that are one number."""

    @property
    def shift(self) -> float:
        """Mean difference of the percentiles, in deviations of the training."""
        return float(np.abs(self.found - self.learned).mean() / self.deviation)

    @property
    def contrast(self) -> float:
        """Range of the scene as a share of that in training."""
        learned = float(self.learned[2] - self.learned[0])
        return float(self.found[2] - self.found[0]) / learned if learned else np.inf

    def told(self, model: str) -> str:
        """Return both sides in words."""
        found, learned = (
            ", ".join(f"{value:.3g}" for value in values) for values in (self.found, self.learned)
        )
        return (
            f"{self.band} has 1st, 50th and 99th percentiles of {found} ({self.units}), "
            f"{model} learned from {learned}"
        )


def checked_statistics(card: ModelCard, sample: ValueSample) -> SceneStatistics:
    """Return what a network learns from a scene: which parts are far, and the levels of the rest.

    Where a slot is far as a whole, its levels are those of all of it.
    """
    found = list(scenes_out_of_domain(card, sample))
    far: dict[str, tuple[int, ...]] = {}
    for scene in found:
        far[scene.input_name] = (*far.get(scene.input_name, ()), scene.number)
    levels = scene_levels(card, sample) | (scene_levels(card, sample, far=far) if far else {})
    return SceneStatistics(
        levels=levels, out_of_domain=far, notes=tuple(scene.note for scene in found)
    )


def scenes_out_of_domain(card: ModelCard, sample: ValueSample) -> Iterator[SceneOutOfDomain]:
    """Yield the scenes that lie outside of the card's domain, by slot.

    A card without limits, or a slot without statistics, calls nothing far; nor does a scene
    of which hardly a pixel was sampled.

    Args:
        card: of a network.
        sample: of the values of the scenes.
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
            bands = _compared(entry, entry.training_statistics, seen, levels.get(entry.name))
            if why := _why(bands, card.domain, card.name, by_scene=_by_scene(entry)):
                scene = sample.scene(entry, number)
                note = f"{scene} is out of the model's domain and was left out of {entry.name}"
                yield SceneOutOfDomain(entry.name, number, f"{note}: {why}")


def _by_scene(entry: CardInput) -> bool:
    return entry.normalised_by == "scene"


def _compared(
    entry: CardInput,
    training_statistics: tuple[BandStatistics, ...],
    values: FloatArray,
    levels: tuple[Level, ...] | None,
) -> list[_Compared]:
    """Return the bands of a scene beside those of the training.

    Args:
        entry: the slot.
        training_statistics: its statistics.
        values: (bands, values).
        levels: by which the slot is normalised; None where it has constants.
    """
    percentiles = np.percentile(values, _PERCENTILES, axis=1).T
    bands = []
    for index, learned in enumerate(training_statistics):
        found, known = percentiles[index], np.array(learned.percentiles)
        units, deviation = entry.units.value, learned.std
        if levels is not None:
            found = (found - levels[index].mean) / levels[index].std
            known = (known - learned.mean) / learned.std
            units, deviation = "deviations of the scene", 1.0
        stuck = np.unique(values[index], return_counts=True)[1].max() / values.shape[1]
        bands.append(
            _Compared(entry.bands[index], units, found, known, deviation, float(stuck)),
        )
    return bands


def _why(bands: list[_Compared], limits: DomainLimits, model: str, *, by_scene: bool) -> str | None:
    """Return what is wrong with a scene, or None where it is trusted."""
    stuck = max(bands, key=lambda band: band.stuck)
    if stuck.stuck > limits.max_constant_share:
        return (
            f"{100 * stuck.stuck:.0f} % of {stuck.band} are one number, at most "
            f"{100 * limits.max_constant_share:.0f} % are trusted; {stuck.told(model)}"
        )
    shifted = max(bands, key=lambda band: band.shift)
    mean = float(np.mean([band.shift for band in bands]))
    if shifted.shift > limits.max_band_shift or mean > limits.max_shift:
        return (
            f"{shifted.told(model)}; that is {shifted.shift:.1f} deviations of the training apart, "
            f"and {mean:.1f} over all bands, where {limits.max_band_shift:g} and "
            f"{limits.max_shift:g} are trusted"
        )
    contrast = float(np.mean([band.contrast for band in bands]))
    if not by_scene and contrast < limits.min_contrast:
        widest = max(bands, key=lambda band: band.contrast)
        return (
            f"it has {contrast:.2g} of the contrast of the training, where "
            f"{limits.min_contrast:g} is trusted; {widest.told(model)}"
        )
    return None
