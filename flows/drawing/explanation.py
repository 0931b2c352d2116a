"""Why a polygon, as a picture: rows of small maps and charts under a head, notes below.

Cells: the small maps and charts of an explanation, each drawn into axes of its own.

An explanation in words and pictures: which cells there are, and what stands beside them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox
from pyproj import CRS

from flows.drawing.layout import (
    BODY,
    DPI,
    HATCH,
    INK,
    SMALL,
    Ruler,
    View,
    draw_polygons,
    ground_width_m,
    line_px,
    style,
)
from flows.drawing.map import UNSEEN
from flows.reports.text import dates_text
from flows.review.inputs import Polygon
from geo.export.styles import PERCENT_RAMP, Symbol
from geo.imagery.mosaic import as_picture, quicklook, shown_bands
from geo.raster.grid import crs_of
from geo.scenes.sensors import Family
from geo.types import BoolArray, FloatArray
from models.cards.inputs import Physical
from models.evaluation.explain import Attribution, DetectorFeature, Explanation, Occlusion
from models.evaluation.explained_polygon import ExplainedPolygon
from models.inference.scene_inputs import SceneInput

FOR, AGAINST, NEUTRAL = "#2166ac", "#b2182b", "#7f7f7f"
"""Of what speaks for a polygon, of what speaks against it, and of neither."""
OUTLINE = Symbol("Polygon", None, "#ffd400", width_mm=0.45)
HALO_OF_OUTLINE = Symbol("Polygon", None, "#000000", width_mm=0.9)
_BINS = 60


class Cell(Protocol):
    """One small map or chart."""

    @property
    def title(self) -> str:
        """Above it; may have two lines."""
        ...

    @property
    def labels_px(self) -> float:
        """Room on its left for labels."""
        ...

    def draw(self, axes: Axes) -> None:
        """Draw it into empty axes."""
        ...


@dataclass(frozen=True, eq=False)
class Ground:
    """What all maps of an explanation share."""

    geobox: GeoBox
    polygon: gpd.GeoDataFrame
    """In the CRS of the geobox."""

    def draw(self, axes: Axes, pixels: FloatArray, seen: BoolArray) -> None:
        """Draw (rows, cols, 3) with the polygon; what was not seen is hatched.

        Args:
            axes: empty.
            pixels: red, green, blue, 0 to 1.
            seen: (rows, cols).
        """
        box = self.geobox.boundingbox
        axes.set_facecolor(UNSEEN)
        axes.patch.set(hatch=HATCH, edgecolor="#9a9a9a")
        axes.imshow(
            np.concatenate([pixels, seen[..., None]], axis=2).astype(np.float32),
            extent=(box.left, box.right, box.bottom, box.top),
            interpolation="nearest",
            aspect="auto",
        )
        for symbol in (HALO_OF_OUTLINE, OUTLINE):
            draw_polygons(axes, self.polygon, symbol, name="polygon")
        axes.set(xlim=(box.left, box.right), ylim=(box.bottom, box.top), xticks=[], yticks=[])


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it was seen."""

    title: str
    ground: Ground
    pixels: FloatArray
    """(3, rows, cols), red, green, blue, 0 to 1."""
    seen: BoolArray
    """(rows, cols)."""
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        self.ground.draw(axes, self.pixels.transpose(1, 2, 0), self.seen)


@dataclass(frozen=True, eq=False)
class Field:
    """A map of one number, with its scale below."""

    title: str
    ground: Ground
    values: FloatArray
    """(rows, cols); NaN where there is none."""
    colours: Colormap
    limits: tuple[float, float]
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        scale = ScalarMappable(Normalize(*self.limits), self.colours)
        seen = np.isfinite(self.values)
        self.ground.draw(axes, scale.to_rgba(np.nan_to_num(self.values))[..., :3], seen)
        inset = axes.inset_axes((0.0, -0.055, 1.0, 0.03))
        bar = axes.figure.colorbar(scale, cax=inset, orientation="horizontal")
        bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1, labelcolor=INK)
        bar.outline.set_linewidth(0.5)


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart."""

    label: str
    value: float
    text: str
    """The value as it is written beside the bar."""


@dataclass(frozen=True)
class Bars:
    """A bar chart; what speaks for the polygon is blue, what speaks against it red."""

    title: str
    bars: Sequence[Bar]
    falling: bool = False
    """Whether a negative value speaks for the polygon."""
    labels_px: float = 130.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        values = [bar.value for bar in self.bars]
        sign = -1 if self.falling else 1
        places = range(len(self.bars))
        axes.barh(places, values, height=0.6, color=[_spoken(sign * v) for v in values])
        axes.axvline(0, color=INK, linewidth=0.6)
        low, high = min(0.0, *values), max(0.0, *values)
        # Room for the figure beyond the end of each bar.
        room = 0.3 * max(high - low, 1e-9)
        axes.set(
            xlim=(low - room, high + room),
            ylim=(max(len(self.bars), 4) - 0.4, -0.6),
        )
        for place, bar in zip(places, self.bars, strict=True):
            left = bar.value < 0
            axes.annotate(
                bar.text, (bar.value, place), xytext=(-3 if left else 3, 0),
                textcoords="offset points", ha="right" if left else "left", va="center",
                fontsize=SMALL, color=INK,
            )  # fmt: skip
        axes.set_yticks(places, [bar.label for bar in self.bars])
        axes.set_xticks([])
        axes.tick_params(axis="y", labelsize=SMALL, length=0, pad=3, labelcolor=INK)
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)


@dataclass(frozen=True, eq=False)
class Distribution:
    """Histograms of a feature, of the polygon and of its surroundings, with the threshold."""

    title: str
    around: FloatArray
    """(values,)."""
    own: FloatArray
    """(values,) of the polygon."""
    line: float | None
    """The threshold."""
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it; both histograms have the same area."""
        everything = np.concatenate([self.around, self.own])
        low, high = np.percentile(everything, [0.1, 99.9]) if everything.size else (0.0, 1.0)
        marked = [low, high] if self.line is None else [low, high, self.line]
        edges = np.linspace(min(marked), max(*marked, min(marked) + 1e-6), _BINS + 1)
        for values, colour, label in (
            (self.around, NEUTRAL, "around the polygon"),
            (self.own, FOR, "in the polygon"),
        ):
            counts, _ = np.histogram(values, edges)
            axes.stairs(
                counts / max(counts.sum(), 1), edges, fill=True, alpha=0.55, color=colour,
                label=label,
            )  # fmt: skip
        if self.line is not None:
            axes.axvline(self.line, color=INK, linewidth=1.2, label=f"threshold {self.line:.3g}")
        axes.set(yticks=[], xlim=(edges[0], edges[-1]))
        axes.tick_params(labelsize=SMALL, length=3, width=0.5, pad=2, labelcolor=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.margins(y=0.3)
        axes.legend(
            loc="upper left", fontsize=SMALL, labelcolor=INK, framealpha=0.9, edgecolor="none"
        )


def title_of(axes: Axes, text: str, *, indent_px: float) -> None:
    """Put the title of a cell above it.

    Args:
        indent_px: from the left of the axes; negative where labels stand there.
    """
    axes.annotate(
        text, (0, 1), xycoords="axes fraction", xytext=(indent_px * 72 / DPI, 4),
        textcoords="offset points", va="bottom", fontsize=BODY, color=INK, linespacing=1.35,
    )  # fmt: skip


def _spoken(value: float) -> str:
    return FOR if value > 0 else AGAINST if value < 0 else NEUTRAL


MARGIN_PX, GAP_PX, SIDE_PX = 30.0, 34.0, 400.0
ABOVE_PX, BELOW_PX = 60.0, 52.0
"""Of a cell: for two lines of its title, and for its scale."""
_TITLE, _SUBTITLE = 14.0, 9.0
"""Font sizes, points."""


@dataclass(frozen=True, eq=False)
class WhyPicture:
    """Everything that the picture shows."""

    title: str
    subtitle: str
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    """Sentences below: how it was made, and what it does not say."""


def draw_why(picture: WhyPicture, out_png: Path) -> None:
    """Draw the picture and write it as PNG."""
    with matplotlib.style.context(["default", style()]):
        figure = _composed(picture, Ruler())
        figure.savefig(out_png, dpi=DPI, format="png", metadata={"Software": None})


@dataclass(frozen=True)
class _Page:
    """Lengths in pixels, places from the upper left corner."""

    width: float
    height: float

    def axes(self, figure: Figure, box: tuple[float, float, float, float]) -> Axes:
        """Return axes at left, top, width and height."""
        left, top, width, height = box
        axes: Axes = figure.add_axes(
            (
                left / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )
        return axes

    def say(self, figure: Figure, text: str, *, top: float, size: float, bold: bool) -> float:
        """Write a line, and return where the next one begins."""
        figure.text(
            MARGIN_PX / self.width,
            1 - (top + line_px(size) / 2) / self.height,
            text,
            size=size,
            weight="bold" if bold else "normal",
            va="center",
            color=INK,
        )
        return top + line_px(size)


def _composed(picture: WhyPicture, ruler: Ruler) -> Figure:
    columns = max(3, *(len(row) for row in picture.rows))
    width = 2 * MARGIN_PX + columns * SIDE_PX + (columns - 1) * GAP_PX
    text_px = width - 2 * MARGIN_PX
    head = ruler.wrapped(picture.title, text_px, size=_TITLE, bold=True)
    under = ruler.wrapped(picture.subtitle, text_px, size=_SUBTITLE)
    notes = [line for note in picture.notes for line in ruler.wrapped(note, text_px, size=BODY)]
    head_px = len(head) * line_px(_TITLE) + len(under) * line_px(_SUBTITLE)
    step = ABOVE_PX + SIDE_PX + BELOW_PX
    bottom = MARGIN_PX + head_px + len(picture.rows) * step
    page = _Page(width, bottom + len(notes) * line_px(BODY) + MARGIN_PX)
    figure = Figure(figsize=(page.width / DPI, page.height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    top = MARGIN_PX
    for line in head:
        top = page.say(figure, line, top=top, size=_TITLE, bold=True)
    for line in under:
        top = page.say(figure, line, top=top, size=_SUBTITLE, bold=False)
    for row in picture.rows:
        _draw_row(page, figure, row, top=top + ABOVE_PX)
        top += step
    for line in notes:
        top = page.say(figure, line, top=top, size=BODY, bold=False)
    return figure


def _draw_row(page: _Page, figure: Figure, row: Sequence[Cell], *, top: float) -> None:
    for column, cell in enumerate(row):
        left = MARGIN_PX + column * (SIDE_PX + GAP_PX)
        room = cell.labels_px
        axes = page.axes(figure, (left + room, top, SIDE_PX - room, SIDE_PX))
        cell.draw(axes)
        title_of(axes, cell.title, indent_px=-room)


_PERCENT = LinearSegmentedColormap.from_list(
    "percent", [(value / 100, colour) for value, colour in sorted(PERCENT_RAMP.items())]
)
_SPEAKS = colormaps["RdBu"]
"""Red speaks against the polygon, blue for it."""
_COLUMNS = 4
_CUT = 99.5
"""Percentile of the attributions at which their colours end: a few pixels stand out by far."""

_OF_A_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds of the polygon, by integrated "
    "gradients from a baseline without any image (0 in every channel, the mean of what the network "
    "learned from). Blue speaks for the polygon, red against it; the images share one scale.",
    "Left out: the change of the mean probability over the polygon, in percentage points, when an "
    "image or a band is set to that baseline; blue where the polygon rests on it. The effects do "
    "not add up: two images may stand in for each other.",
    "Both are asked of one window with the polygon in its middle; the map blends several. They say "
    "what the network used, not what is so on the ground: a wrong polygon has its reasons, too.",
)
_OF_A_DETECTOR = (
    "The model is a detector: it compares these features, and nothing else, with thresholds. "
    "Histograms are of the pixels of this picture, each of the same area.",
)


@dataclass(frozen=True, eq=False)
class Explained:
    """A polygon, the case that was made of it, and what came out."""

    polygon: Polygon
    product_id: str
    case: ExplainedPolygon
    explanation: Explanation


def picture_of(explained: Explained) -> WhyPicture:
    """Return the picture of an explanation."""
    polygon, explanation = explained.polygon, explained.explanation
    card, region = explained.case.model.card, explanation.window
    box = region.geobox.boundingbox
    crs = crs_of(region.geobox)
    width_m = ground_width_m(View(box.left, box.bottom, box.right, box.top), CRS(crs))
    outline = gpd.GeoDataFrame(geometry=[polygon.outline(crs)], crs=crs)
    part = int(region.pixels.sum()) / region.polygon_pixels
    return WhyPicture(
        title=f"Why {polygon.id}: {polygon.notation}",
        subtitle=(
            f"Mean probability {explanation.mean:.3f} over {region.pixels.sum():,} pixels; "
            f"{region.mean_percent / 100:.3f} in the product; at a pixel they differ by at most "
            f"{explanation.largest_difference:.3f}. {card.name} {card.version}, digest "
            f"{card.digest[:12]}; product {explained.product_id}. The picture is "
            f"{width_m / 1000:.3g} km wide"
            + ("." if part == 1 else f" and shows {part:.0%} of the polygon.")
        ),
        rows=_rows(explained, Ground(region.geobox, outline)),
        notes=_OF_A_DETECTOR if explanation.features else _OF_A_NETWORK,
    )


def _rows(explained: Explained, ground: Ground) -> list[list[Cell]]:
    case, explanation = explained.case, explained.explanation
    readings = case.reader.inputs
    ordered = readings[::-1] if case.model.card.single_date else readings
    pictures = {reading.name: _picture(explained, reading, ground) for reading in ordered}
    probability = Field(
        "Probability, per cent\n" + f"of {explained.polygon.notation.lower()}",
        ground,
        np.where(case.window.has_probability, explanation.probability * 100, np.float32(np.nan)),
        _PERCENT,
        (0, 100),
    )
    if explanation.features:
        radar = case.model.card.inputs[0].units is Physical.DECIBEL
        unit = f", {Physical.DECIBEL}" if radar else ""
        fields = [_field(feature, ground, unit) for feature in explanation.features]
        histograms = [_distribution(f, explanation, unit) for f in explanation.features]
        return [[*pictures.values(), probability], [*fields], [*histograms]]
    limit = _limit(explanation.attributions)
    moved = {each.image: each for each in explanation.attributions}
    cells: list[Cell] = []
    for name, picture in pictures.items():
        cells.append(picture)
        if name in moved:
            cells.append(_moved(moved[name], ground, limit))
    cells += [probability, _effects(explanation.occlusions), _bands(explanation.attributions)]
    columns = _COLUMNS if len(cells) > 6 else 3
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _picture(explained: Explained, reading: SceneInput, ground: Ground) -> Picture:
    """Return an image: in the bands that the model reads where they make a picture."""
    scenes = reading.mosaic.scenes
    bands = shown_bands(reading.mosaic.bands)
    if len(bands) == 3 or scenes[0].sensor.family is Family.RADAR:
        pixels = as_picture(reading.mosaic.read(ground.geobox))
    else:
        bands = shown_bands(scenes[0].bands)
        pixels, _ = quicklook(scenes, ground.geobox)
    sensors = ", ".join(dict.fromkeys(scene.sensor.title for scene in scenes))
    shown_as = "red, green, blue" if len(bands) == 3 else "grey"
    natural = bands == ("red", "green", "blue")
    colours = "natural colours" if natural else f"{', '.join(bands)} as {shown_as}"
    return Picture(
        f"{reading.name}: {sensors}, {dates_text([scene.taken for scene in scenes])}\n{colours}",
        ground,
        pixels,
        explained.explanation.observed[reading.name],
    )


def _field(feature: DetectorFeature, ground: Ground, unit: str) -> Field:
    seen = feature.values[np.isfinite(feature.values)]
    low, high = np.percentile(seen, [1, 99]) if seen.size else (0.0, 1.0)
    return Field(
        f"{feature.name}{unit}", ground, feature.values, colormaps["cividis"],
        (float(low), float(max(high, low + 1e-6))),
    )  # fmt: skip


def _distribution(feature: DetectorFeature, explanation: Explanation, unit: str) -> Distribution:
    told = "nothing found by it" if feature.threshold is None else f"threshold: {feature.method}"
    return Distribution(
        f"{feature.name}{unit}\n{told}",
        explanation.around(feature),
        explanation.inside(feature),
        feature.threshold,
    )


def _limit(attributions: Sequence[Attribution]) -> float:
    """Return where the colours of the attributions end."""
    everything = np.concatenate([np.abs(each.pixels).ravel() for each in attributions])
    return float(max(np.percentile(everything, _CUT), 1e-12))


def _moved(attribution: Attribution, ground: Ground, limit: float) -> Field:
    return Field(
        f"What {attribution.image} added:\n{attribution.total:+.2f} log odds in all",
        ground,
        attribution.pixels,
        _SPEAKS,
        (-limit, limit),
    )


def _effects(effects: Sequence[Occlusion]) -> Bars:
    return Bars(
        "Left out: change of the probability,\npercentage points",
        [
            Bar(
                " ".join(part for part in (effect.image, effect.band) if part),
                effect.change,
                _signed(100 * effect.change, decimals=1),
            )
            for effect in effects
        ],
        falling=True,
    )


def _bands(attributions: Sequence[Attribution]) -> Bars:
    return Bars("By band: what each added, log odds", [*_band_bars(attributions)], labels_px=150.0)


def _band_bars(attributions: Sequence[Attribution]) -> Iterator[Bar]:
    for each in attributions:
        for band, value in each.bands.items():
            yield Bar(f"{each.image} {band}", value, _signed(value, decimals=2))
        if each.presence is not None:
            yield Bar(f"{each.image} is there", each.presence, _signed(each.presence, decimals=2))


def _signed(value: float, *, decimals: int) -> str:
    """Return a number with its sign; nothing has none."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"
