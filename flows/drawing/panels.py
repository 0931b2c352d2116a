"""Panels: small maps and charts in rows, under a head and with notes below."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox

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
from geo.export.styles import Symbol
from geo.types import BoolArray, FloatArray

FOR, AGAINST, NEUTRAL = "#2166ac", "#b2182b", "#7f7f7f"
"""Of what raises the probability that is explained, of what lowers it, and of neither."""
_OUTLINE = Symbol("Outline", None, "#ffd400", width_mm=0.45)
_HALO = Symbol("Outline", None, "#000000", width_mm=0.9)
_BINS = 60
_PANEL_PX, _PANEL_HEIGHT_PX = 440.0, 470.0


@dataclass(frozen=True)
class Panel:
    """One small map or chart."""

    title: str
    """Above it; may have two lines."""
    draw: Callable[[Axes], None]
    """Draws it into empty axes."""


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


def draw_ground(
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


def draw_field(
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


def draw_histograms(
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


def signed(value: float, *, decimals: int) -> str:
    """Return a number with its sign; nothing has none."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"
