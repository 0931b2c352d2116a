"""Attribution: which images and bands moved the answer of a network, by two ways.

Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) share out the log
odds of a polygon among all pixels of all bands. The baseline is 0 in every channel: the mean of
what the network learned from, and no image there at all. Leaving out sets an image, or a band
of the only one, to that baseline and asks again.

Both ask about one window with the polygon in its middle, where the map blends several, and about
one view of it, where the map may take the mean of mirrored ones: on a laptop, that is the
difference between seconds and minutes.

Imports torch and captum, and is imported only when a network is explained.

Region: the part of a product's grid around one of its polygons, and the polygon's pixels.

Case: a polygon, the model that drew it, and the windows of the map that touch it.

The windows are those of the map and so is what the model learned from the whole scene: the
probability that is explained is the one that was published.

Reasons: what can be said of why a model answered as it did.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from captum.attr import IntegratedGradients
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from geo.errors import GridMismatch
from geo.export.cog import read_part
from geo.raster.classify import NODATA_PERCENT, Finding, Label
from geo.raster.windows import Span, Window, lattice
from geo.scenes.scene import Phase
from geo.types import BoolArray, CodeArray, FloatArray
from models.errors import InputsMismatch
from models.inference.map_scenes import ProgressReceiver
from models.inference.model import Model
from models.inference.scene_inputs import Reader, Seen, read
from models.networks.network import NetworkModel
from models.networks.tensors import (
    Channel,
    Inputs,
    SceneStatistics,
    channels_of,
    stack,
    usable_pixels,
)

_LEAST_PX, _MOST_PX = 128, 512
"""Sides of a region: enough to see the surroundings, and little enough to explain in minutes."""
_AROUND = 1.6
"""Side of a region over the longer side of its polygon."""


@dataclass(frozen=True)
class ProductRasters:
    """The rasters of a product that hold what was decided, pixel by pixel."""

    classes: Path
    probability: Path
    band: int
    """Of the probability: 1 is that of the event, 2 that of water before it."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of the grid with the pixels of one polygon, as the product has them."""

    geobox: GeoBox
    """Of the rectangle."""
    rows: slice
    """In pixels of the product's grid."""
    cols: slice
    pixels: BoolArray
    """(rows, cols); True where a pixel belongs to the polygon."""
    percent: CodeArray
    """(rows, cols); probability of the product, 0 to 100, 255 where there is none."""
    polygon_pixels: int
    """Pixels of the whole polygon, of which the rectangle may hold a part."""

    @property
    def seen(self) -> BoolArray:
        """(rows, cols); True where the product has a probability."""
        return np.asarray(self.percent != NODATA_PERCENT)

    @property
    def mean_percent(self) -> float:
        """Mean probability of the product over the polygon's pixels in the rectangle."""
        return float(self.percent[self.pixels].mean())


def region_of(
    outline: BaseGeometry,
    rasters: ProductRasters,
    geobox: GeoBox,
    *,
    labels: Collection[Label],
    most_px: int,
) -> Region:
    """Return the region around a polygon.

    Its pixels are those that its outline touches and that have its label: the outline was
    simplified, and the label knows which side of it a pixel is on.

    Args:
        outline: of the polygon, in the CRS of the grid.
        geobox: grid of the product.
        labels: what the pixels of the polygon can be.
        most_px: longest side of the region; of a larger polygon it holds a part.

    Raises:
        GridMismatch: where the rasters hold no such pixel there.
    """
    rows, cols = _span(outline, geobox)
    touched = ~geometry_mask(
        [outline],
        out_shape=(rows.stop - rows.start, cols.stop - cols.start),
        transform=geobox[rows, cols].affine,
        all_touched=True,
    )
    found = np.isin(read_part(rasters.classes, rows, cols)[0], list(labels))
    own = touched & found & (_percent(rasters, rows, cols) != NODATA_PERCENT)
    if not own.any():
        raise GridMismatch(
            f"{rasters.classes} holds no pixel of the polygon under its outline; map the event "
            "again, the layers and the rasters are not of one product"
        )
    longest = max(own.shape)
    side = min(max(int(longest * _AROUND), _LEAST_PX), most_px, _MOST_PX)
    row, col = _middle(own, whole=longest <= side)
    view_rows = span_around(rows.start + row, side, geobox.shape[0])
    view_cols = span_around(cols.start + col, side, geobox.shape[1])
    return Region(
        geobox=geobox[view_rows, view_cols],
        rows=view_rows,
        cols=view_cols,
        pixels=_moved(own, (rows.start, cols.start), view_rows, view_cols),
        percent=_percent(rasters, view_rows, view_cols),
        polygon_pixels=int(own.sum()),
    )


def _span(outline: BaseGeometry, geobox: GeoBox) -> tuple[slice, slice]:
    """Return the rows and columns that an outline may touch, within the grid."""
    left, bottom, right, top = outline.bounds
    to_pixel = ~geobox.affine
    (col0, row0), (col1, row1) = to_pixel @ (left, top), to_pixel @ (right, bottom)
    low = [max(0, int(np.floor(start)) - 1) for start in (row0, col0)]
    high = [
        min(side, int(np.ceil(stop)) + 1)
        for stop, side in zip((row1, col1), geobox.shape, strict=True)
    ]
    return slice(low[0], max(high[0], low[0] + 1)), slice(low[1], max(high[1], low[1] + 1))


def _percent(rasters: ProductRasters, rows: slice, cols: slice) -> CodeArray:
    percent: CodeArray = read_part(rasters.probability, rows, cols)[rasters.band - 1]
    return percent


def _middle(own: BoolArray, *, whole: bool) -> tuple[int, int]:
    """Return the middle of the polygon's extent or, where the whole of it does not fit into a
    region, the pixel of the polygon that lies nearest to it.
    """
    middle = np.array(own.shape) // 2
    if not whole:
        places = np.argwhere(own)
        middle = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    return int(middle[0]), int(middle[1])


def span_around(middle: int, side: int, length: int) -> slice:
    """Return a span of at most `side` around a pixel, moved to lie within the grid."""
    start = max(0, min(middle - side // 2, length - side))
    return slice(start, min(start + side, length))


def _moved(own: BoolArray, corner: tuple[int, int], rows: slice, cols: slice) -> BoolArray:
    """Return a mask that begins at `corner` on another part of the grid."""
    moved = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.bool_)
    places = np.argwhere(own) + corner - (rows.start, cols.start)
    inside = ((places >= 0) & (places < moved.shape)).all(axis=1)
    moved[tuple(places[inside].T)] = True
    return moved


Part: TypeAlias = tuple[slice, slice]


class Asked(StrEnum):
    """Which probability of a product is explained."""

    EVENT = "event"
    """That of the event, or of water after it that cannot be dated."""
    WATER_BEFORE = "water before"


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a model that the probability of a polygon rests on."""

    name: str
    """Of its statistics: "all", or the phase where a model sees one image at a time."""
    slots: Mapping[str, str]
    """Name of the reading by slot, without the slots that have none."""
    output: int
    """Index in what the model answers."""
    plane: int
    """Index in what the reader answers."""
    dry: bool = False
    """The polygon says that there was no water: its probability is 1 less the model's."""

    def inputs(self, seen: Seen) -> Inputs:
        """Return what the model is given of a window."""
        return {slot: seen[reading] for slot, reading in self.slots.items()}


@dataclass(frozen=True, eq=False)
class Looked:
    """A window of the map that touches a region."""

    window: Window
    seen: Seen
    here: Part
    """What it shares with the region, in its own pixels."""
    there: Part
    """The same in pixels of the region."""

    @property
    def owned(self) -> BoolArray:
        """(rows, cols) of `here`; True where no other window owns the pixel."""
        owned = np.zeros(self.window.weight.shape, np.bool_)
        owned[self.window.rows.core, self.window.cols.core] = True
        return owned[self.here]


@dataclass(frozen=True, eq=False)
class CloseUp:
    """One window of the model's own size around a region."""

    seen: Seen
    here: Part
    """The region, in pixels of the window."""


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that an explanation rests on."""

    model: Model
    reader: Reader
    """Of that model."""
    statistics: Mapping[str, SceneStatistics]
    """What the model learned from the whole scene, as the map recorded it."""
    grid: GeoBox
    """Of the product."""
    region: Region
    asked: Asked

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs that the probability rests on.

        Raises:
            InputsMismatch: where the model has no such answer.
        """
        runs = _one_at_a_time(self) if self.model.card.single_date else _together(self)
        if not runs:
            raise InputsMismatch(
                f"{self.model.card.name} gives no probability of the {self.asked}; "
                "explain a polygon of another layer"
            )
        return runs

    def look(self) -> tuple[Looked, ...]:
        """Read the windows of the map that touch the region.

        Raises:
            SceneUnreadable: where pixels cannot be decoded.
        """
        rows, cols = self.grid.shape
        windows = lattice((rows, cols), size=self.reader.window_px, overlap=self.reader.overlap_px)
        touching = [
            Window(down, across)
            for down in windows.rows
            for across in windows.cols
            if _meet(down, self.region.rows) and _meet(across, self.region.cols)
        ]
        return tuple(self._looked(window) for window in touching)

    def _looked(self, window: Window) -> Looked:
        rows, cols = (
            slice(max(span.start, part.start), min(span.stop, part.stop))
            for span, part in ((window.rows, self.region.rows), (window.cols, self.region.cols))
        )
        return Looked(
            window=window,
            seen=self._seen(self.grid[window.slices]),
            here=_shifted(rows, cols, window.rows.start, window.cols.start),
            there=_shifted(rows, cols, self.region.rows.start, self.region.cols.start),
        )

    def _seen(self, geobox: GeoBox) -> Seen:
        """Read a window, without the scenes that the model was not trusted with."""
        return self.reader.in_domain(read(self.reader, geobox), self.statistics)

    def close(self) -> CloseUp:
        """Read one window around the region, with what the model wants of its surroundings.

        Raises:
            SceneUnreadable: where pixels cannot be decoded.
        """
        rows, cols = (
            span_around((part.start + part.stop) // 2, self._close_px(part), length)
            for part, length in zip(
                (self.region.rows, self.region.cols), self.grid.shape, strict=True
            )
        )
        return CloseUp(
            seen=self._seen(self.grid[rows, cols]),
            here=_shifted(self.region.rows, self.region.cols, rows.start, cols.start),
        )

    def _close_px(self, part: slice) -> int:
        """Return the side of that window: no wider than needed, it is asked a hundred times."""
        wanted: int = part.stop - part.start + self.reader.overlap_px
        return min(wanted, self.reader.window_px)

    def published(self, looked: Sequence[Looked]) -> FloatArray:
        """Return the probability of what the polygon says as the map has it, (rows, cols)."""
        answers = [self.reader.predict([part.seen], self.statistics)[0] for part in looked]
        planes = blended(looked, [answer.probabilities for answer in answers], self.region)
        return joined({run: planes[run.plane] for run in self.runs})


def joined(planes: Mapping[Run, FloatArray]) -> FloatArray:
    """Return the probability of what a polygon says, (rows, cols).

    As `geo.raster.classify` has it: water that was not there before is the lesser of both.

    Args:
        planes: the model's probability, 0 where it has no answer.
    """
    spoken = [1 - plane if run.dry else plane for run, plane in planes.items()]
    lesser: FloatArray = np.minimum.reduce(spoken)
    return lesser


def blended(looked: Sequence[Looked], values: Sequence[FloatArray], region: Region) -> FloatArray:
    """Return values of windows on a region, blended as the map blends them.

    Args:
        values: (layers, rows, cols) of each whole window; NaN counts as zero.
    """
    total = np.zeros((values[0].shape[0], *region.pixels.shape), np.float32)
    for part, layers in zip(looked, values, strict=True):
        total[:, *part.there] += (
            np.nan_to_num(layers[:, *part.here]) * part.window.weight[part.here]
        )
    return total


def owned(looked: Sequence[Looked], values: Sequence[FloatArray], region: Region) -> FloatArray:
    """Return values of windows on a region, each pixel from the window that owns it.

    Args:
        values: (rows, cols) of each whole window; NaN stays.
    """
    whole = np.full(region.pixels.shape, np.nan, np.float32)
    for part, layer in zip(looked, values, strict=True):
        np.copyto(whole[part.there], layer[part.here], where=part.owned)
    return whole


def _one_at_a_time(case: Case) -> tuple[Run, ...]:
    """Return the runs of a model that sees one image at a time: after the event, and before."""
    slot = case.model.card.inputs[0].name
    wanted = {Phase.AFTER: False, Phase.BEFORE: True}
    if case.asked is Asked.WATER_BEFORE:
        wanted = {Phase.BEFORE: False}
    return tuple(
        Run(reading.name, {slot: reading.name}, output=0, plane=index, dry=wanted[reading.phase])
        for index, reading in enumerate(case.reader.inputs)
        if reading.phase in wanted
    )


def _together(case: Case) -> tuple[Run, ...]:
    """Return the run of a model that sees all its images together."""
    findings = case.model.card.class_names
    before = case.asked is Asked.WATER_BEFORE
    slots = {reading.name: reading.name for reading in case.reader.inputs}
    return tuple(
        Run("all", slots, output=index, plane=index)
        for index, finding in enumerate(findings)
        if (finding is Finding.REFERENCE_WATER) is before
    )


def _meet(span: Span, part: slice) -> bool:
    return bool(span.start < part.stop and part.start < span.stop)


def _shifted(rows: slice, cols: slice, top: int, left: int) -> Part:
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


@dataclass(frozen=True, eq=False)
class Feature:
    """What a detector compares with a threshold."""

    name: str
    values: FloatArray
    """(rows, cols) of the region; NaN where not defined."""
    line: float | None
    """The threshold; None: nothing was found by it."""
    method: str
    """Where the threshold comes from, see `models.networks.tensors.Threshold`."""


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


STEPS = 32
"""Points of the integral (Gauss-Legendre) where nothing else is said."""

Spoken: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Group:
    """Channels that are left out together."""

    run: Run
    image: str
    band: str | None
    channels: list[int]


def attribute(
    case: Case, close: CloseUp, progress: ProgressReceiver, *, steps: int = STEPS
) -> tuple[tuple[Attribution, ...], tuple[Balance, ...]]:
    """Share out the log odds of the polygon among images and bands, by integrated gradients.

    Args:
        case: what is asked.
        close: the window that the network is asked about.
        progress: told the steps of the integral.
        steps: points of the integral; the more, the smaller the gap of the balances.

    Raises:
        InputsMismatch: where the model is no network of torch.
    """
    model = _network(case)
    attributions: list[Attribution] = []
    balances: list[Balance] = []
    progress.start("integrated gradients", len(case.runs) * steps)
    try:
        for run in case.runs:
            spoken = _spoken(model, case, close, run)
            there = torch.from_numpy(_stacked(model, case, close, run)).to(model.device)
            shares = _shares(_counted(spoken, progress), there, steps=steps)
            with torch.inference_mode():
                log_odds, at_baseline = float(spoken(there)), float(spoken(0 * there))
            attributions += _by_image(channels_of(model.card), run, shares, close)
            balances.append(Balance(run.name, log_odds, at_baseline, float(shares.sum())))
    finally:
        progress.finish()
    return tuple(attributions), tuple(balances)


def leave_out(case: Case, close: CloseUp) -> tuple[Effect, ...]:
    """Return what leaving out each image does to the probability of the polygon.

    Of a network that sees one image at a time, its bands are left out one by one, and the
    image before the event, which the map can do without.

    Raises:
        InputsMismatch: where the model is no network of torch.
    """
    model = _network(case)
    planes = {run: _answer(model, case, close, run) for run in case.runs}
    own = case.region.pixels
    whole = float(joined(planes)[own].mean())

    def effect(changed: Mapping[Run, FloatArray], image: str, band: str | None) -> Effect:
        without = float(joined(changed)[own].mean())
        return Effect(image, band, without, without - whole)

    undated = [
        effect({run: planes[run] for run in case.runs if run is not dry}, dry.name, None)
        for dry in case.runs
        if dry.dry
    ]
    groups = [group for run in case.runs for group in _groups(channels_of(model.card), run)]
    return tuple(undated) + tuple(
        effect(
            planes | {group.run: _answer(model, case, close, group.run, without=group.channels)},
            group.image,
            group.band,
        )
        for group in groups
    )


def _network(case: Case) -> NetworkModel:
    if not isinstance(case.model, NetworkModel):
        raise InputsMismatch(
            f"{case.model.card.name} runs as {type(case.model).__name__}, and only networks of "
            "torch can be asked what moved them"
        )
    return replace(case.model, symmetries=1)


def _stacked(model: NetworkModel, case: Case, close: CloseUp, run: Run) -> FloatArray:
    """Return (1, channels, rows, cols) of the window."""
    return stack(model.card, [run.inputs(close.seen)], case.statistics[run.name])


def _spoken(model: NetworkModel, case: Case, close: CloseUp, run: Run) -> Spoken:
    """Return the function whose value is explained: from windows to log odds, (n,)."""
    own = torch.from_numpy(case.region.pixels).to(model.device)

    def spoken(pixels: torch.Tensor) -> torch.Tensor:
        log_odds = model.log_odds(pixels)[:, run.output, *close.here][:, own].mean(dim=1)
        return -log_odds if run.dry else log_odds

    return spoken


def _counted(spoken: Spoken, progress: ProgressReceiver) -> Spoken:
    """Return the same function, which tells how often it was asked."""

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        progress.advance(len(pixels))
        return spoken(pixels)

    return counted


def _shares(spoken: Spoken, there: torch.Tensor, *, steps: int) -> FloatArray:
    """Return what each pixel of each channel added, (channels, rows, cols)."""
    # One window at a time: the gradients of a network of this size take 1 GB a window.
    found = IntegratedGradients(spoken).attribute(
        there, baselines=0.0, n_steps=steps, internal_batch_size=1
    )
    return np.asarray(found[0].detach().float().cpu().numpy(), np.float32)


def _by_image(
    channels: Sequence[Channel], run: Run, shares: FloatArray, close: CloseUp
) -> Iterator[Attribution]:
    for slot, reading in run.slots.items():
        mine = [index for index, channel in enumerate(channels) if channel.input_name == slot]
        sums = {channels[index].band: float(shares[index].sum()) for index in mine}
        yield Attribution(
            image=reading,
            bands={band: value for band, value in sums.items() if band is not None},
            presence=sums.get(None),
            pixels=shares[mine].sum(axis=0)[close.here],
        )


def _groups(channels: Sequence[Channel], run: Run) -> Iterator[_Group]:
    """Yield what is left out: the images of a run or, where it has but one, its bands."""
    for slot, reading in run.slots.items():
        mine = {
            index: channel for index, channel in enumerate(channels) if channel.input_name == slot
        }
        if len(run.slots) > 1:
            yield _Group(run, reading, None, list(mine))
            continue
        for index, channel in mine.items():
            if channel.band is not None:
                yield _Group(run, reading, channel.band, [index])


def _answer(
    model: NetworkModel, case: Case, close: CloseUp, run: Run, *, without: Sequence[int] = ()
) -> FloatArray:
    """Return the probability that a run gives, (rows, cols) of the region, 0 where it has none.

    Args:
        without: channels that are set to the baseline.
    """
    pixels = _stacked(model, case, close, run)
    pixels[:, list(without)] = 0
    probability = model.probabilities(pixels)[0, run.output]
    usable = usable_pixels(model.card, run.inputs(close.seen))
    return np.where(usable, probability, np.float32(0))[close.here]
