"""Rasters to the tensors of a model by the names and constants of its card; scene statistics."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from geo.raster.classify import Label
from geo.raster.indices import GaussianPair, lee_decibel
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput, Physical
from models.errors import InputsMismatch


@dataclass(frozen=True)
class Threshold:
    """The line between two classes of one feature, and where it came from."""

    feature: str
    """What is compared with it, such as "ndwi" or "vv after"."""
    value: float | None
    """In the feature's units; None: the classes cannot be told apart, and nothing is found."""
    method: str
    """"otsu", "fixed" or "none"."""
    width: float
    """Scale of the logistic around a fixed threshold, in the feature's units."""
    pair: GaussianPair | None = None
    tiles: int = 0
    """Tiles with two modes that it was estimated from; 0 where it was the scene as a whole."""
    pixels: int = 0


@dataclass(frozen=True)
class Level:
    """Where the values of a band lie in the whole scene, and how far they spread."""

    mean: float
    std: float


@dataclass(frozen=True)
class SceneStatistics:
    """What holds for the whole scene; goes into the manifest."""

    thresholds: tuple[Threshold, ...] = ()
    levels: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    """By input, in the order of its bands, where the card normalises it by the scene."""
    out_of_domain: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By input: numbers, as in `geo.types.Raster.origin`, of the scenes out of the domain."""
    notes: tuple[str, ...] = ()

    def threshold(self, feature: str) -> Threshold:
        return next(entry for entry in self.thresholds if entry.feature == feature)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


NO_STATISTICS = SceneStatistics()


Inputs: TypeAlias = Mapping[str, Raster | None]
"""One window: the raster of each input, None where there is no image for it."""


def select(entry: CardInput, raster: Raster) -> FloatArray:
    """Return an input's bands, (bands, rows, cols), as the card orders and filters them."""
    pixels = raster.pixels[[raster.bands.index(band) for band in entry.bands]]
    if entry.speckle is None:
        return pixels
    window_px, looks = entry.speckle.window_px, entry.speckle.looks
    return np.stack([lee_decibel(band, window_px=window_px, looks=looks) for band in pixels])


def shape_of(card: ModelCard, inputs: Inputs) -> tuple[int, int]:
    """Return (rows, cols) of a window; raise InputsMismatch where it does not fit the inputs."""
    names = {entry.name for entry in card.inputs}
    if unknown := sorted(inputs.keys() - names):
        raise InputsMismatch(
            f"{card.name} has the inputs {', '.join(sorted(names))}, not {', '.join(unknown)}"
        )
    empty = [e.name for e in card.inputs if e.required and inputs.get(e.name) is None]
    filled = [(e, raster) for e in card.inputs if (raster := inputs.get(e.name)) is not None]
    rasters = [raster for _, raster in filled]
    if empty or not rasters:
        raise InputsMismatch(
            f"{card.name} needs an image for {', '.join(empty) or ' or '.join(sorted(names))}"
        )
    for entry, raster in filled:
        missing = [band for band in entry.bands if band not in raster.bands]
        if missing or len(set(raster.bands)) < len(raster.bands):
            lack = f"without {', '.join(missing)}" if missing else "where one is named twice"
            raise InputsMismatch(
                f"{entry.name} wants the bands {', '.join(entry.bands)}; the image has "
                f"{', '.join(raster.bands)}, {lack}"
            )
    if any(raster.geobox != rasters[0].geobox for raster in rasters):
        raise InputsMismatch(f"the images for {card.name} lie on different grids; use one grid")
    return rasters[0].valid.shape[0], rasters[0].valid.shape[1]


def in_domain(raster: Raster, numbers: Collection[int]) -> Raster:
    """Return an image without the scenes, by number, that are out of the model's domain."""
    if not numbers:
        return raster
    out = raster.valid & np.isin(raster.origin, list(numbers))
    return replace(
        raster,
        pixels=np.where(out, np.float32(np.nan), raster.pixels),
        valid=raster.valid & ~out,
        origin=np.where(out, np.uint8(0), raster.origin),
        reason=np.where(out, np.uint8(Label.OUT_OF_DOMAIN), raster.reason),
    )


def usable_pixels(card: ModelCard, inputs: Inputs) -> BoolArray:
    """Return (rows, cols), True where all required inputs and one after the event were observed."""
    seen = np.zeros(shape_of(card, inputs), bool)
    required = np.ones_like(seen)
    for entry in card.inputs:
        raster = inputs.get(entry.name)
        if raster is None:
            continue
        if entry in card.after_inputs:
            seen |= raster.valid
        if entry.required:
            required &= raster.valid
    return seen & required


def stack(
    card: ModelCard, batch: Sequence[Inputs], statistics: SceneStatistics = NO_STATISTICS
) -> FloatArray:
    """Return windows of one shape as (n, channels, rows, cols), normalised by the card or scene.

    The channels are the bands of the inputs in the card's order, then, where the card asks for
    them, one an input that is 1 where it was observed. What was not is 0, the mean in training.
    """
    require_one_shape(card, batch)
    return np.stack([_channels(card, inputs, statistics) for inputs in batch])


def require_one_shape(card: ModelCard, batch: Sequence[Inputs]) -> None:
    """Raise InputsMismatch where windows differ in shape, or do not fill the card's inputs."""
    shapes = {shape_of(card, inputs) for inputs in batch}
    if len(shapes) != 1:
        raise InputsMismatch(f"a batch holds windows of one shape, not of {sorted(shapes)}")


@dataclass(frozen=True)
class Channel:
    """What one channel of `stack` holds."""

    input_name: str
    band: str | None
    """None: 1 where the input was observed, else 0."""


def channels_of(card: ModelCard) -> tuple[Channel, ...]:
    """Return the channels of `stack`, in their order."""
    bands = [Channel(entry.name, band) for entry in card.inputs for band in entry.bands]
    flags = [Channel(entry.name, None) for entry in card.inputs]
    return tuple(bands + flags if _flagged(card) else bands)


def _flagged(card: ModelCard) -> bool:
    network = card.architecture
    return isinstance(network, NetworkArchitecture) and network.availability_channels


def _channels(card: ModelCard, inputs: Inputs, statistics: SceneStatistics) -> FloatArray:
    shape = shape_of(card, inputs)
    bands: list[FloatArray] = []
    flags: list[FloatArray] = []
    for entry in card.inputs:
        raster = inputs.get(entry.name)
        if raster is None:
            bands.append(np.zeros((len(entry.bands), *shape), np.float32))
            flags.append(np.zeros((1, *shape), np.float32))
        else:
            bands.append(_normalised(entry, raster, statistics))
            flags.append(raster.valid[None].astype(np.float32))
    return np.concatenate(bands + flags if _flagged(card) else bands)


def _normalised(entry: CardInput, raster: Raster, statistics: SceneStatistics) -> FloatArray:
    pixels = select(entry, raster)
    if not raster.valid.any():
        return np.zeros_like(pixels)
    mean, std = entry.mean or (0.0,) * len(pixels), entry.std or (1.0,) * len(pixels)
    if entry.normalised_by == "scene":
        levels = statistics.levels.get(entry.name)
        if levels is None:
            raise InputsMismatch(
                f"{entry.name} is normalised by the whole scene; sample values of it"
            )
        mean, std = tuple(each.mean for each in levels), tuple(each.std for each in levels)
    scaled = pixels - np.asarray(mean, np.float32)[:, None, None]
    scaled /= np.asarray(std, np.float32)[:, None, None]
    return np.where(raster.valid & np.isfinite(scaled), scaled, np.float32(0))


_PER_SAMPLE = 4096
"""Values kept of a band of a sample; enough for a median to within a hundredth."""


@dataclass(frozen=True)
class Plausible:
    """What the values of a band of a whole scene can be."""

    median: tuple[float, float]
    reach: tuple[float, float]
    """The least value must lie below the first, the greatest above the second."""
    hint: str


PLAUSIBLE: dict[Physical, Plausible] = {
    # Land and water lie between -30 and 0 dB; linear power is never negative.
    Physical.DECIBEL: Plausible(
        (-35.0, 5.0), (0.0, -np.inf), "linear power or digital numbers; convert them to dB"
    ),
    # Snow and cloud reach 1.2; what is scaled by 10,000 or has 8 bits lies far above.
    Physical.REFLECTANCE: Plausible(
        (-0.1, 1.5), (np.inf, -np.inf), "scaled reflectance; divide it by its scale"
    ),
    Physical.BRIGHTNESS: Plausible(
        (0.0, 255.0), (np.inf, 1.0), "reflectance or 16-bit values; scale them to 0-255"
    ),
}


class ValueSample:
    """Keeps a regular sample of each band while windows go by, and judges it at the end."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._kept: dict[str, list[FloatArray]] = {entry.name: [] for entry in card.inputs}
        self._origins: dict[str, list[CodeArray]] = {entry.name: [] for entry in card.inputs}
        self._scenes: dict[str, tuple[str, ...]] = {}

    def feed(self, inputs: Inputs) -> None:
        """Add a window that fills the inputs of the card."""
        for entry in self._card.inputs:
            raster = inputs.get(entry.name)
            if raster is not None:
                seen = select(entry, raster)[:, raster.valid]
                step = max(1, seen.shape[1] // _PER_SAMPLE)
                self._kept[entry.name].append(seen[:, ::step])
                self._origins[entry.name].append(raster.origin[raster.valid][::step])
                self._scenes[entry.name] = raster.sources

    def kept(self, entry: CardInput, *, without: Collection[int] = ()) -> FloatArray:
        """Return what was kept of an input, (bands, values), but of scenes by number."""
        values = np.concatenate(
            [np.zeros((len(entry.bands), 0), np.float32), *self._kept[entry.name]], axis=1
        )
        return values[:, ~np.isin(self.origins(entry), list(without))] if without else values

    def origins(self, entry: CardInput) -> CodeArray:
        """Return the number of the scene that each value kept comes from, (values,)."""
        return np.concatenate([np.zeros(0, np.uint8), *self._origins[entry.name]])

    def scene(self, entry: CardInput, number: int) -> str:
        """Return the id of a scene; "the image" where it has no number."""
        return self._scenes[entry.name][number - 1] if number else "the image"

    def check(self) -> None:
        """Raise InputsMismatch where what was kept contradicts the units of the card."""
        for entry in self._card.inputs:
            if self._kept[entry.name]:
                for band, row in zip(entry.bands, self.kept(entry), strict=True):
                    _check_band(entry, band, row[np.isfinite(row)])


def sample_values(
    card: ModelCard, samples: Iterable[Inputs], *, also: Callable[[Inputs], None] = lambda _: None
) -> ValueSample:
    """Return a sample of windows, each given to `also` too; or raise InputsMismatch."""
    values = ValueSample(card)
    for inputs in samples:
        shape_of(card, inputs)
        values.feed(inputs)
        also(inputs)
    values.check()
    return values


def _check_band(entry: CardInput, band: str, values: FloatArray) -> None:
    if not values.size or values.min() == values.max() == 0:
        return
    wanted = PLAUSIBLE[entry.units]
    median = float(np.median(values))
    inside = wanted.median[0] <= median <= wanted.median[1]
    if inside and values.min() < wanted.reach[0] and values.max() > wanted.reach[1]:
        return
    raise InputsMismatch(
        f"{band} of {entry.name} should be in {entry.units}; its values run from "
        f"{values.min():.3g} to {values.max():.3g} with a median of {median:.3g}, "
        f"which looks like {wanted.hint}"
    )


_TAILS = (2.0, 98.0)
"""Percentiles to which values are limited first: a ship or a hole in a scene moves nothing."""


def scene_levels(
    card: ModelCard, sample: ValueSample, *, without: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, tuple[Level, ...]]:
    """Return levels of the observed inputs normalised by the scene; `without`: scenes left out."""

    def level(row: FloatArray) -> Level:
        values = row[np.isfinite(row)]
        inner = np.clip(values, *np.percentile(values, _TAILS))
        # A constant band carries nothing: with a spread of 1 it becomes 0 everywhere.
        return Level(float(inner.mean()), float(inner.std()) or 1.0)

    levels = {}
    for entry in card.inputs:
        rows = sample.kept(entry, without=(without or {}).get(entry.name, ()))
        if entry.normalised_by == "scene" and np.isfinite(rows).any(axis=1).all():
            levels[entry.name] = tuple(map(level, rows))
    return levels


def raster_without_location(
    pixels: FloatArray,
    *,
    valid: BoolArray,
    bands: tuple[str, ...],
    source: str,
    pixel_m: float = 1.0,
) -> Raster:
    """Return physical pixels, (bands, rows, cols), without georeference as a raster.

    Its grid only says that the images of a sample belong together, and the size of a pixel.
    """
    usable = valid & np.isfinite(pixels).all(axis=0)
    return Raster(
        pixels=np.where(usable, pixels, np.float32(np.nan)),
        valid=usable,
        geobox=GeoBox(valid.shape, Affine.scale(pixel_m, -pixel_m), "EPSG:3857"),
        bands=bands,
        sources=(source,),
        origin=usable.astype(np.uint8),
        reason=np.where(usable, 0, np.uint8(Label.NO_DATA)).astype(np.uint8),
    )
