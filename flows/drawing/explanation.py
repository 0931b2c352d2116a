"""The picture of an explanation: small maps and charts under a head, with notes below."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from flows.drawing.frame import View, ground_width_m
from flows.drawing.layout import (
    BODY,
    DPI,
    INK,
    MARGIN_PX,
    SMALL,
    SUBTITLE,
    TITLE,
    Column,
    new_figure,
    resize,
    style,
)
from flows.drawing.map import UNSEEN
from flows.drawing.symbols import HATCH, draw_polygons
from flows.reports.text import dates_text
from geo.export.styles import PERCENT_RAMP, Symbol
from geo.imagery.mosaic import as_picture, quicklook, shown_bands
from geo.raster.grid import crs_of
from geo.scenes.sensors import Family
from geo.types import BoolArray, FloatArray
from models.cards.inputs import Physical
from models.evaluation.explain import (
    Attribution,
    DetectorFeature,
    Explanation,
    Occlusion,
)
from models.evaluation.explained_polygon import ExplainedPolygon
from models.inference.scene_inputs import SceneInput

FOR, AGAINST, NEUTRAL = "#2166ac", "#b2182b", "#7f7f7f"
"""Of what raises the probability of the polygon, of what lowers it, and of neither."""
_OUTLINE = Symbol("Polygon", None, "#ffd400", width_mm=0.45)
_HALO = Symbol("Polygon", None, "#000000", width_mm=0.9)
_PERCENT = LinearSegmentedColormap.from_list(
    "percent", [(value / 100, colour) for value, colour in sorted(PERCENT_RAMP.items())]
)
_CUT = 99.5
"""Percentile of the attributions at which their colours end: a few pixels stand out by far."""
_BINS = 60
_PANEL_PX, _PANEL_HEIGHT_PX = 440.0, 520.0

_OF_A_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds of the polygon, by integrated "
    "gradients from a baseline without any image (0 in every channel, the mean of the training "
    "data). Blue raises the probability of the polygon, red lowers it; the images share one scale.",
    "Left out: the change of the mean probability over the polygon, in percentage points, when an "
    "image or a band is set to that baseline; blue where the polygon depends on it. The effects do "
    "not add up: two images may replace each other.",
    "Both are computed in one window with the polygon in its middle; the map blends several. They "
    "show what the network used, not what is true on the ground: a wrong polygon has reasons, too.",
)
_OF_A_DETECTOR = (
    "The model is a detector: it compares these features, and nothing else, with thresholds. "
    "Histograms are of the pixels of this picture, each of the same area.",
)


@dataclass(frozen=True)
class Panel:
    """One small map or chart."""

    title: str
    """Above it; may have two lines."""
    draw: Callable[[Axes], None]
    """Draws it into empty axes."""


@dataclass(frozen=True, eq=False)
class PolygonPicture:
    """A polygon, the case that was made of it, and the result."""

    feature: str
    """Its id."""
    notation: str
    outline: BaseGeometry
    """In the CRS of the product's grid."""
    product_id: str
    case: ExplainedPolygon
    explanation: Explanation


def draw_polygon_picture(explained: PolygonPicture, out_png: Path) -> None:
    """Draw the picture of an explanation and write it as PNG."""
    explanation, case = explained.explanation, explained.case
    card, region = case.model.card, explanation.window
    box = region.geobox.boundingbox
    view = View(box.left, box.bottom, box.right, box.top)
    width_km = ground_width_m(view, CRS(crs_of(region.geobox))) / 1000
    part = int(region.pixels.sum()) / region.polygon_pixels
    draw_panels(
        out_png,
        title=f"Why {explained.feature}: {explained.notation}",
        subtitle=(
            f"Mean probability {explanation.mean:.3f} over {region.pixels.sum():,} pixels; "
            f"{region.mean_percent / 100:.3f} in the product; at a pixel they differ by at most "
            f"{explanation.largest_difference:.3f}. {card.name} {card.version}, digest "
            f"{card.digest[:12]}; product {explained.product_id}. The picture is {width_km:.3g} "
            "km wide" + ("." if part == 1 else f" and shows {part:.0%} of the polygon.")
        ),
        rows=_rows(explained),
        notes=_OF_A_DETECTOR if explanation.features else _OF_A_NETWORK,
    )


def draw_panels(
    out_png: Path,
    *,
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[Panel]],
    notes: Sequence[str],
) -> None:
    """Draw rows of panels under a head, with notes below, and write them as PNG."""
    with matplotlib.style.context(["default", style()]):
        figure = _composed(title, subtitle, rows, notes)
        figure.savefig(out_png, dpi=DPI, format="png", metadata={"Software": None})


def _composed(
    title: str, subtitle: str, rows: Sequence[Sequence[Panel]], notes: Sequence[str]
) -> Figure:
    columns = max(3, *(len(row) for row in rows))
    width = 2 * MARGIN_PX + columns * _PANEL_PX
    figure = new_figure()
    head = Column(figure, width - 2 * MARGIN_PX, name="head")
    head.write(title, size=TITLE, bold=True)
    head.write(subtitle, size=SUBTITLE, gap_px=16)
    foot = Column(figure, width - 2 * MARGIN_PX, name="notes")
    for note in notes:
        foot.write(note, gap_px=6)
    bottom = MARGIN_PX + head.used_px + len(rows) * _PANEL_HEIGHT_PX
    height = bottom + foot.used_px + MARGIN_PX
    resize(figure, width, height)
    head.place(figure, MARGIN_PX, MARGIN_PX)
    foot.place(figure, MARGIN_PX, bottom)
    middle = (MARGIN_PX / width, 1 - bottom / height)
    size = (1 - 2 * MARGIN_PX / width, len(rows) * _PANEL_HEIGHT_PX / height)
    figure.set_layout_engine("constrained", rect=(*middle, *size), wspace=0.06, hspace=0.06)
    grid = figure.add_gridspec(len(rows), columns)
    for number, row in enumerate(rows):
        for column, panel in enumerate(row):
            axes = figure.add_subplot(grid[number, column], box_aspect=1)
            panel.draw(axes)
            axes.set_title(panel.title, loc="left", fontsize=BODY, linespacing=1.35)
    return figure


def _rows(explained: PolygonPicture) -> list[list[Panel]]:
    case, explanation = explained.case, explained.explanation
    outline = gpd.GeoDataFrame(geometry=[explained.outline], crs=crs_of(explanation.window.geobox))
    ground = partial(_draw_ground, geobox=explanation.window.geobox, outline=outline)
    field = partial(_draw_field, ground=ground)
    inputs = case.reader.inputs
    ordered = inputs[::-1] if case.model.card.single_date else inputs
    images = {one.name: _image(explained, one, ground) for one in ordered}
    percent = np.where(
        case.window.has_probability, explanation.probability * 100, np.float32(np.nan)
    )
    probability = Panel(
        f"Probability, per cent\nof {explained.notation.lower()}",
        partial(field, values=percent, colours=_PERCENT, limits=(0, 100)),
    )
    if explanation.features:
        radar = case.model.card.inputs[0].units is Physical.DECIBEL
        unit = f", {Physical.DECIBEL}" if radar else ""
        features = explanation.features
        maps = [
            Panel(f"{feature.name}{unit}", partial(
                field, values=feature.values, colours=colormaps["cividis"], limits=_limits(feature)
            ))
            for feature in features
        ]  # fmt: skip
        histograms = [_histogram(feature, explanation, unit) for feature in features]
        return [[*images.values(), probability], maps, histograms]
    cells: list[Panel] = []
    limit = _limit(explanation.attributions)
    added = {each.image: each for each in explanation.attributions}
    for name, image in images.items():
        cells.append(image)
        if name in added:
            title = f"What {name} added:\n{added[name].total:+.2f} log odds in all"
            shown = partial(field, values=added[name].pixels, colours=colormaps["RdBu"])
            cells.append(Panel(title, partial(shown, limits=(-limit, limit))))
    cells += [probability, _effects(explanation.occlusions), _bands(explanation.attributions)]
    columns = 4 if len(cells) > 6 else 3
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _draw_ground(
    axes: Axes,
    pixels: FloatArray,
    observed: BoolArray,
    *,
    geobox: GeoBox,
    outline: gpd.GeoDataFrame,
) -> None:
    """Draw (rows, cols, 3), 0 to 1, with the polygon; what was not observed is hatched."""
    box = geobox.boundingbox
    axes.set_facecolor(UNSEEN)
    axes.patch.set(hatch=HATCH, edgecolor="#9a9a9a")
    axes.imshow(
        np.concatenate([pixels, observed[..., None]], axis=2).astype(np.float32),
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="nearest",
    )
    for symbol in (_HALO, _OUTLINE):
        draw_polygons(axes, outline, symbol, name="polygon")
    axes.set(xlim=(box.left, box.right), ylim=(box.bottom, box.top), xticks=[], yticks=[])
    axes.set_box_aspect(geobox.shape[0] / geobox.shape[1])


def _draw_field(
    axes: Axes,
    *,
    ground: Callable[..., None],
    values: FloatArray,
    colours: Colormap,
    limits: tuple[float, float],
) -> None:
    """Draw a map of one number, (rows, cols), NaN where there is none, with its scale below."""
    scale = ScalarMappable(Normalize(*limits), colours)
    ground(axes, scale.to_rgba(np.nan_to_num(values))[..., :3], np.isfinite(values))
    bar = axes.figure.colorbar(scale, ax=axes, orientation="horizontal", pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1, labelcolor=INK)
    bar.outline.set_linewidth(0.5)


def bars(title: str, rows: Sequence[tuple[str, float, str]], *, falling: bool = False) -> Panel:
    """Return a bar chart; what raises the probability is blue, what lowers it red.

    Args:
        title: may have two lines.
        rows: label, value, and the value as it is written beside the bar.
        falling: whether a negative value raises the probability.
    """
    return Panel(title, partial(_draw_bars, rows=rows, sign=-1 if falling else 1))


def _draw_bars(axes: Axes, *, rows: Sequence[tuple[str, float, str]], sign: int) -> None:
    labels, values, texts = zip(*rows, strict=True)
    colours = [FOR if sign * v > 0 else AGAINST if v else NEUTRAL for v in values]
    drawn = axes.barh(range(len(rows)), values, height=0.6, color=colours)
    axes.bar_label(drawn, texts, padding=3, fontsize=SMALL)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.margins(x=0.25)
    axes.set(ylim=(max(len(rows), 4) - 0.4, -0.6), xticks=[])
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", labelsize=SMALL, length=0, pad=3, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _histogram(feature: DetectorFeature, explanation: Explanation, unit: str) -> Panel:
    method = "no threshold" if feature.threshold is None else f"threshold: {feature.method}"
    inside, around = explanation.inside(feature), explanation.around(feature)
    draw = partial(_draw_histograms, inside=inside, around=around, threshold=feature.threshold)
    return Panel(f"{feature.name}{unit}\n{method}", draw)


def _draw_histograms(
    axes: Axes, *, inside: FloatArray, around: FloatArray, threshold: float | None
) -> None:
    """Draw the values of the polygon and of its surroundings; both have the same area."""
    everything = np.concatenate([around, inside])
    low, high = np.percentile(everything, [0.1, 99.9]) if everything.size else (0.0, 1.0)
    marked = [low, high] if threshold is None else [low, high, threshold]
    edges = np.linspace(min(marked), max(*marked, min(marked) + 1e-6), _BINS + 1)
    for values, colour, label in (
        (around, NEUTRAL, "around the polygon"), (inside, FOR, "in the polygon"),
    ):  # fmt: skip
        counts, _ = np.histogram(values, edges)
        shares = counts / max(counts.sum(), 1)
        axes.stairs(shares, edges, fill=True, alpha=0.55, color=colour, label=label)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linewidth=1.2, label=f"threshold {threshold:.3g}")
    axes.set(yticks=[], xlim=(edges[0], edges[-1]))
    axes.tick_params(labelsize=SMALL, length=3, width=0.5, pad=2, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(y=0.35)
    axes.legend(loc="upper left", fontsize=SMALL, framealpha=0.9, edgecolor="none")


def _image(explained: PolygonPicture, source: SceneInput, ground: Callable[..., None]) -> Panel:
    """Return an image: in the bands that the model reads where they make a picture."""
    geobox, scenes = explained.explanation.window.geobox, source.mosaic.scenes
    bands = shown_bands(source.mosaic.bands)
    if len(bands) == 3 or scenes[0].sensor.family is Family.RADAR:
        pixels = as_picture(source.mosaic.read(geobox))
    else:
        bands = shown_bands(scenes[0].bands)
        pixels, _ = quicklook(scenes, geobox)
    sensors = ", ".join(dict.fromkeys(scene.sensor.title for scene in scenes))
    shown_as = "red, green, blue" if len(bands) == 3 else "grey"
    natural = bands == ("red", "green", "blue")
    colours = "natural colours" if natural else f"{', '.join(bands)} as {shown_as}"
    title = f"{source.name}: {sensors}\n{dates_text([s.taken for s in scenes])}, {colours}"
    observed = explained.explanation.observed[source.name]
    return Panel(title, partial(ground, pixels=pixels.transpose(1, 2, 0), observed=observed))


def _limits(feature: DetectorFeature) -> tuple[float, float]:
    known = feature.values[np.isfinite(feature.values)]
    low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _limit(attributions: Sequence[Attribution]) -> float:
    """Return where the colours of the attributions end."""
    everything = np.concatenate([np.abs(each.pixels).ravel() for each in attributions])
    return float(max(np.percentile(everything, _CUT), 1e-12))


def _effects(effects: Sequence[Occlusion]) -> Panel:
    rows = [
        (
            f"{each.image} {each.band or ''}".strip(),
            each.change,
            signed(100 * each.change, decimals=1),
        )
        for each in effects
    ]
    return bars("Left out: change of the probability,\npercentage points", rows, falling=True)


def _bands(attributions: Sequence[Attribution]) -> Panel:
    def rows() -> Iterator[tuple[str, float, str]]:
        for each in attributions:
            present = {} if each.presence is None else {"is there": each.presence}
            for band, value in {**each.bands, **present}.items():
                yield f"{each.image} {band}", value, signed(value, decimals=2)

    return bars("By band: what each added, log odds", [*rows()])


def signed(value: float, *, decimals: int) -> str:
    """Return a number with its sign; nothing has none."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"
