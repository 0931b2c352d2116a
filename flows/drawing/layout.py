"""The layout of a picture: fonts, columns of text and legends, and polygons as patches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import matplotlib.font_manager as fonts
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextToPath

from geo.export.styles import Symbol, Theme
from geo.types import ObjectArray

DPI = 150
TITLE, SUBTITLE, HEADING, BODY, SMALL = 15.0, 9.0, 9.0, 8.0, 7.2
"""Font sizes, points."""
INK = "#1a1a1a"
MARGIN_PX = 30.0
_LINE_HEIGHT = 1.35
"""Distance of two lines in font sizes."""
_SWATCH = (2.4, 1.4)
"""Width and height of a swatch in font sizes."""
_GROUND = "#a8a8a8"
"""Under a swatch: the brightness of a faded image; on white a surface would look another colour."""
_BADGE = "#fff6d6"
_BADGE_PAD_PX = 12.0
HATCH = "/////"
_POINTS_PER_MM = 72 / 25.4
_VEIL = "#ffffff99"
"""Under a hatch, so that it shows on dark ground as well; #rrggbbaa."""
_DASHES = (0, (4, 2))
_DRAFT_PX = 3000.0
"""Side of the figure until the lengths of its columns are known."""

_UNIT = re.compile(r"(?<=\d) (?=%|km²)|(?<=[<>]) (?=\d)")


def style() -> dict[str, Any]:
    """Return the settings of every picture; Noto fonts draw what DejaVu Sans does not cover."""
    noto = sorted({name for name in fonts.get_font_names() if name.startswith("Noto Sans")})
    return {
        "font.family": ["DejaVu Sans", *noto],
        # A dollar sign in a name is a dollar sign.
        "text.parse_math": False,
        "text.color": INK,
        "hatch.linewidth": 0.7,
        "axes.linewidth": 0.6,
        "figure.dpi": DPI,
    }


def new_figure() -> Figure:
    """Return an empty figure; its size is set once its columns are written."""
    figure = Figure(figsize=(_DRAFT_PX / DPI, _DRAFT_PX / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def line_px(size: float) -> float:
    """Return the height of a line of that font size, pixels."""
    return size * _LINE_HEIGHT * DPI / 72


def text_px(text: str, *, size: float, bold: bool = False) -> float:
    """Return the width of one line as it will be drawn, pixels."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width) * DPI / 72


def wrapped(text: str, width_px: float, *, size: float, bold: bool = False) -> list[str]:
    """Return lines no wider than that; wider words are cut, a number keeps its unit."""

    def fits(line: str) -> bool:
        return text_px(line, size=size, bold=bold) <= width_px

    lines = [""]
    for word in _UNIT.sub("\u00a0", text).split(" "):
        if fits(f"{lines[-1]} {word}".strip()):
            lines[-1] = f"{lines[-1]} {word}".strip()
            continue
        lines.append("")
        for character in word:
            if lines[-1] and not fits(lines[-1] + character):
                lines.append("")
            lines[-1] += character
    return [line for line in lines if line]


@dataclass(frozen=True)
class LegendRow:
    """A row of a legend."""

    label: str
    number: str = ""
    symbol: Symbol | None = None
    """None: a row without a swatch; small where it has a number."""


class Column:
    """A column of text and legends, written first and placed then; its axes are in pixels."""

    def __init__(self, figure: Figure, width_px: float, *, name: str) -> None:
        """Take the figure, the width, and a name, which is the gid of the axes."""
        self.width_px = width_px
        self.used_px = 0.0
        self.axes = figure.add_axes((0.0, 0.0, width_px / _DRAFT_PX, 1.0))
        self.axes.set(xlim=(0, width_px), ylim=(_DRAFT_PX, 0), gid=name)
        self.axes.set_axis_off()

    def place(self, figure: Figure, left_px: float, top_px: float) -> None:
        """Move the column to its place on a figure that has its size."""
        width, height = figure.get_size_inches() * DPI
        bottom = 1 - (top_px + self.used_px) / height
        self.axes.set_position(
            (left_px / width, bottom, self.width_px / width, self.used_px / height)
        )
        self.axes.set_ylim(self.used_px, 0)

    def write(
        self, text: str, *, size: float = BODY, bold: bool = False, gap_px: float = 0
    ) -> None:
        """Write a paragraph, and leave a gap below it."""
        for line in wrapped(text, self.width_px, size=size, bold=bold):
            self._line(line, 0, size=size, bold=bold)
        self.used_px += gap_px

    def badge(self, text: str, *, gap_px: float) -> None:
        """Write a statement into a frame."""
        top, pad = self.used_px, _BADGE_PAD_PX
        self.used_px += pad
        for line in wrapped(text, self.width_px - 2 * pad, size=BODY, bold=True):
            self._line(line, self.width_px / 2, size=BODY, bold=True, align="center")
        self.used_px += pad
        self.axes.add_patch(
            Rectangle((1, top), self.width_px - 2, self.used_px - top, facecolor=_BADGE,
                      edgecolor=INK, linewidth=0.8)
        )  # fmt: skip
        self.used_px += gap_px

    def legend(self, title: str, rows: Sequence[LegendRow], *, gap_px: float) -> None:
        """Write a legend, the numbers of its rows at the right."""
        sizes = [SMALL if row.number and row.symbol is None else BODY for row in rows]
        swatch_px = (_SWATCH[0] + 0.8) * BODY * DPI / 72
        labels = [
            "\n".join(
                wrapped(row.label, self.width_px - swatch_px - text_px(row.number, size=size) - 24,
                        size=size)
            )
            for row, size in zip(rows, sizes, strict=True)
        ]  # fmt: skip
        ground, square = Patch(facecolor=_GROUND, linewidth=0), Outline.unit_rectangle()
        handles = [
            (ground, *symbol_patches(square, row.symbol)) if row.symbol else Patch(visible=False)
            for row in rows
        ]
        legend = Legend(
            self.axes, handles, labels, title=title,
            loc="upper left", bbox_to_anchor=(0, self.used_px), bbox_transform=self.axes.transData,
            frameon=False, alignment="left", fontsize=BODY, borderpad=0, borderaxespad=0,
            handlelength=_SWATCH[0], handleheight=_SWATCH[1], labelspacing=0.55,
            title_fontproperties={"size": HEADING, "weight": "bold"},
            handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
        )  # fmt: skip
        for text, size in zip(legend.get_texts(), sizes, strict=True):
            text.set_fontsize(size)
        self.axes.add_artist(legend)
        # A legend places its rows when it is drawn.
        self.axes.draw_artist(legend)
        to_px = self.axes.transData.inverted()
        for text, row, size in zip(legend.get_texts(), rows, sizes, strict=True):
            box = text.get_window_extent().transformed(to_px)
            middle = (box.y0 + box.y1) / 2
            self.axes.text(self.width_px, middle, row.number, size=size, ha="right", va="center")
        self.used_px += legend.get_window_extent().height + gap_px

    def _line(
        self, text: str, x: float, *, size: float, bold: bool, align: str = "left"
    ) -> None:  # fmt: skip
        y = self.used_px + line_px(size) / 2
        weight = "bold" if bold else "normal"
        self.axes.text(x, y, text, size=size, weight=weight, ha=align, va="center")
        self.used_px += line_px(size)


def draw_theme(axes: Axes, layer: gpd.GeoDataFrame, theme: Theme) -> None:
    """Draw a layer, in the CRS of the axes and maybe empty, in the order of the theme's symbols."""
    for symbol in theme.symbols:
        draw_polygons(axes, of_symbol(layer, theme, symbol), symbol, name=theme.layer)


def of_symbol(layer: gpd.GeoDataFrame, theme: Theme, symbol: Symbol) -> gpd.GeoDataFrame:
    """Return the features that a symbol stands for."""
    if theme.field is None or layer.empty:
        return layer
    return layer[layer[theme.field] == symbol.label]


def draw_polygons(axes: Axes, layer: gpd.GeoDataFrame, symbol: Symbol, *, name: str) -> None:
    """Draw every polygon of a layer with one symbol; the patches carry `name` as their gid."""
    if layer.empty:
        return
    for patch in symbol_patches(_outline(layer.geometry.to_numpy()), symbol):
        patch.set_gid(name)
        # Not add_patch: it measures every vertex to fit a view that is fixed anyway.
        axes.add_artist(patch)


def symbol_patches(outline: Outline, symbol: Symbol) -> list[PathPatch]:
    """Return the patches that draw a shape with a symbol, the lowest first."""
    width = symbol.width_mm * _POINTS_PER_MM
    line = _DASHES if symbol.dashed else "solid"
    edge = PathPatch(outline, fill=False, edgecolor=symbol.outline, linewidth=width, linestyle=line)
    if symbol.fill is None:
        return [edge]
    if symbol.hatched:
        veil = PathPatch(outline, facecolor=_VEIL, linewidth=0)
        edge.set_hatch(HATCH)
        return [veil, edge]
    surface = PathPatch(outline, facecolor=symbol.fill, alpha=symbol.opacity, linewidth=0)
    return [surface, edge]


def _outline(polygons: ObjectArray) -> Outline:
    """Return one path that holds all the polygons, holes turned against their shells."""
    _, points, offsets = shapely.to_ragged_array(shapely.orient_polygons(polygons))
    rings = offsets[0]
    codes = np.full(len(points), Outline.LINETO, dtype=Outline.code_type)
    codes[rings[:-1]] = Outline.MOVETO
    codes[rings[1:] - 1] = Outline.CLOSEPOLY
    return Outline(points[:, :2], codes)
