"""The layout of a picture: frames with ticks, fonts, columns of text and legends, polygons."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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
from pyproj import CRS, Geod, Transformer

from geo.export.styles import Symbol, Theme
from geo.types import Float64Array, ObjectArray

_SAMPLES = 257
_WANTED_TICKS = 4
_EDGE = 0.06
"""Share of a side next to a corner where no tick is put: its label would leave the frame."""

Ticks: TypeAlias = dict[float, str]
"""Labels by easting (bottom) or northing (left), units of the CRS."""


@dataclass(frozen=True)
class View:
    """What a map shows, in the units of its projected CRS."""

    left: float
    bottom: float
    right: float
    top: float

    def around(self, *, padding: float, ratio: float) -> "View":
        """Return a larger view; ratio: height / width, padding: least share of the longer side."""
        width, height = self.right - self.left, self.top - self.bottom
        pad = 2 * padding * max(width, height)
        width, height = width + pad, height + pad
        x = max(width, height / ratio) / 2
        y = max(height, width * ratio) / 2
        middle_x, middle_y = (self.left + self.right) / 2, (self.bottom + self.top) / 2
        return View(middle_x - x, middle_y - y, middle_x + x, middle_y + y)


def longitude_ticks(view: View, crs: CRS) -> Ticks:
    """Return where meridians cross the bottom of the frame."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    lon, _ = _lonlat(crs, eastings, np.full(_SAMPLES, view.bottom))
    return _ticks(eastings, np.unwrap(lon, period=360), "EW")


def latitude_ticks(view: View, crs: CRS) -> Ticks:
    """Return where parallels cross the left of the frame."""
    northings = np.linspace(view.bottom, view.top, _SAMPLES)
    _, lat = _lonlat(crs, np.full(_SAMPLES, view.left), northings)
    return _ticks(northings, lat, "NS")


def ground_width_m(view: View, crs: CRS) -> float:
    """Return the length on the ellipsoid of the line across the middle of the view, metres."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    lon, lat = _lonlat(crs, eastings, np.full(_SAMPLES, (view.bottom + view.top) / 2))
    return float(Geod(ellps="WGS84").line_length(lon, lat))


def north_angle(view: View, crs: CRS) -> float:
    """Return the direction of true north at the centre, degrees clockwise from the map's top."""
    x, y = (view.left + view.right) / 2, (view.bottom + view.top) / 2
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(x, y)
    north_x, north_y = to_lonlat.transform(lon, lat + 1e-4, direction="INVERSE")
    return math.degrees(math.atan2(north_x - x, north_y - y))


def round_down(value: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _lonlat(crs: CRS, x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return lon, lat


def _ticks(at: Float64Array, degrees: Float64Array, sides: str) -> Ticks:
    """Return round degrees along a side; none where the degrees turn back (near a pole)."""
    steps = np.diff(degrees)
    if not (np.isfinite(degrees).all() and ((steps > 0).all() or (steps < 0).all())):
        return {}
    if steps[0] < 0:
        at, degrees = at[::-1], degrees[::-1]
    step = round_down((degrees[-1] - degrees[0]) / (_WANTED_TICKS - 1))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    rounds = step * np.arange(math.ceil(degrees[0] / step), math.floor(degrees[-1] / step) + 1)
    low, high = np.quantile(at[[0, -1]], (_EDGE, 1 - _EDGE))
    found = {float(np.interp(value, degrees, at)): float(value) for value in rounds}
    return {x: _label(value, decimals, sides) for x, value in found.items() if low <= x <= high}


def _label(degrees: float, decimals: int, sides: str) -> str:
    """Return degrees as "17.02° E"; the equator, Greenwich and the antimeridian have no side."""
    wrapped = round((degrees + 180) % 360 - 180, decimals)
    if abs(wrapped) in (0, 180):
        return f"{abs(wrapped):.0f}°"
    return f"{abs(wrapped):.{decimals}f}° {sides[0] if wrapped > 0 else sides[1]}"


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
