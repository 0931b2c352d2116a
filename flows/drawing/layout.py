"""The frame of a map: its view, lon-lat ticks, scale and north.

What stands beside a map: the legend, scale, north, and the facts.

The sidebar is a column of items. Its axes are in pixels, x to the right and y down, so that
each item knows its height before anything is drawn.

The sheet: where the head, the maps and the sidebar lie, in pixels.

Text for a picture: which fonts, how wide it is, and where it breaks.

Layers onto a map: polygons to paths, drawn as `geo.export.styles` says.

MapPicture: everything that the picture of a map shows, as plain values.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import geopandas as gpd
import matplotlib.font_manager as fonts
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextToPath
from matplotlib.transforms import Affine2D
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer

from flows.reports.text import NOT_REVIEWED
from geo.errors import GridMismatch
from geo.export.styles import Symbol, Theme
from geo.types import BoolArray, Float64Array, FloatArray, ObjectArray

_SAMPLES = 257
_WANTED_TICKS = 4
_EDGE = 0.06
"""Share of a side next to a corner where no tick is put: its label would leave the frame."""


@dataclass(frozen=True)
class View:
    """What a map shows, in the units of its projected CRS."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From bottom to top."""
        return self.top - self.bottom

    def padded(self, share: float) -> "View":
        """Return a view that is wider and higher on each side, by a share of the longer one."""
        pad = share * max(self.width, self.height)
        return View(self.left - pad, self.bottom - pad, self.right + pad, self.top + pad)

    def fitted(self, ratio: float) -> "View":
        """Return the smallest view around this one whose height is `ratio` times its width."""
        more_height = max(0.0, self.width * ratio - self.height) / 2
        more_width = max(0.0, self.height / ratio - self.width) / 2
        return View(
            self.left - more_width,
            self.bottom - more_height,
            self.right + more_width,
            self.top + more_height,
        )


@dataclass(frozen=True)
class Tick:
    """A mark on a side of the frame."""

    at: float
    """Easting (bottom) or northing (left), units of the CRS."""
    label: str


def longitude_ticks(view: View, crs: CRS) -> tuple[Tick, ...]:
    """Return where meridians cross the bottom of the frame."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    lon, _ = _to_lonlat(crs)(eastings, np.full(_SAMPLES, view.bottom))
    return _ticks(eastings, np.unwrap(lon, period=360), _longitude_label)


def latitude_ticks(view: View, crs: CRS) -> tuple[Tick, ...]:
    """Return where parallels cross the left of the frame."""
    northings = np.linspace(view.bottom, view.top, _SAMPLES)
    _, lat = _to_lonlat(crs)(np.full(_SAMPLES, view.left), northings)
    return _ticks(northings, lat, _latitude_label)


def ground_width_m(view: View, crs: CRS) -> float:
    """Return the length on the ellipsoid of the line across the middle of the view, metres."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    middle = np.full(_SAMPLES, (view.bottom + view.top) / 2)
    lon, lat = _to_lonlat(crs)(eastings, middle)
    return float(Geod(ellps="WGS84").line_length(lon, lat))


def north_angle(view: View, crs: CRS) -> float:
    """Return the direction of true north at the centre, degrees clockwise from the map's top."""
    centre = ((view.left + view.right) / 2, (view.bottom + view.top) / 2)
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*centre)
    towards = to_lonlat.transform(lon, lat + 1e-4, direction="INVERSE")
    return math.degrees(math.atan2(towards[0] - centre[0], towards[1] - centre[1]))


def round_down(value: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def length_text(metres: float) -> str:
    """Return a round length: "500 m", "2 km"."""
    return f"{metres / 1000:,g} km" if metres >= 1000 else f"{metres:g} m"


def _to_lonlat(
    crs: CRS,
) -> Callable[[Float64Array, Float64Array], tuple[Float64Array, Float64Array]]:
    transform: Callable[[Float64Array, Float64Array], tuple[Float64Array, Float64Array]] = (
        Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    )
    return transform


def _ticks(
    at: Float64Array, degrees: Float64Array, label: Callable[[float, int], str]
) -> tuple[Tick, ...]:
    """Return round degrees along a side; none where the degrees turn back (near a pole)."""
    steps = np.diff(degrees)
    if not (np.isfinite(degrees).all() and ((steps > 0).all() or (steps < 0).all())):
        return ()
    if steps[0] < 0:
        at, degrees = at[::-1], degrees[::-1]
    step = round_down((degrees[-1] - degrees[0]) / (_WANTED_TICKS - 1))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    rounds = step * np.arange(math.ceil(degrees[0] / step), math.floor(degrees[-1] / step) + 1)
    low, high = np.quantile(at[[0, -1]], (_EDGE, 1 - _EDGE))
    found = ((float(np.interp(value, degrees, at)), float(value)) for value in rounds)
    return tuple(Tick(x, label(value, decimals)) for x, value in found if low <= x <= high)


def _longitude_label(degrees: float, decimals: int) -> str:
    wrapped = round((degrees + 180) % 360 - 180, decimals)
    if abs(wrapped) in (0, 180):
        return f"{abs(wrapped):.0f}°"
    return f"{abs(wrapped):.{decimals}f}° {'E' if wrapped > 0 else 'W'}"


def _latitude_label(degrees: float, decimals: int) -> str:
    rounded = round(degrees, decimals)
    if rounded == 0:
        return "0°"
    return f"{abs(rounded):.{decimals}f}° {'N' if rounded > 0 else 'S'}"


DPI = 150
LINE_HEIGHT = 1.35
"""Distance of two lines in font sizes."""

# DejaVu Sans comes with matplotlib and covers Latin, Greek, Cyrillic and Arabic. A name in
# another script is drawn where the machine has a font for it.
_FURTHER_FONTS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Myanmar", "Noto Sans Khmer",
    "Noto Sans Sinhala", "Noto Sans Tamil", "Noto Sans Ethiopic", "Noto Sans Lao",
)  # fmt: skip

_UNIT = re.compile(r"(?<=\d) (?=%|km²)|(?<=[<>]) (?=\d)")


def style() -> dict[str, Any]:
    """Return the settings that every picture is drawn with, over matplotlib's own defaults."""
    installed = set(fonts.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(name for name in _FURTHER_FONTS if name in installed)],
        # A dollar sign in a name is a dollar sign.
        "text.parse_math": False,
        "hatch.linewidth": 0.7,
        "axes.linewidth": 0.6,
        "figure.dpi": DPI,
    }


class Ruler:
    """Measures text as it will be drawn, in pixels."""

    def __init__(self) -> None:
        self._text = TextToPath()

    def width_px(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return the width of one line."""
        properties = FontProperties(size=size, weight="bold" if bold else "normal")
        width, _, _ = self._text.get_text_width_height_descent(text, properties, ismath=False)
        return float(width) * DPI / 72

    def wrapped(self, text: str, width_px: float, *, size: float, bold: bool = False) -> list[str]:
        """Return lines that are not wider; words that are, are cut.

        A number and its unit stay together.
        """
        lines: list[str] = []
        line = ""
        for word in _UNIT.sub("\u00a0", text).split(" "):
            for part in self._parts(word, width_px, size=size, bold=bold):
                longer = f"{line} {part}" if line else part
                if line and self.width_px(longer, size=size, bold=bold) > width_px:
                    lines.append(line)
                    line = part
                else:
                    line = longer
        return [*lines, line] if line else lines

    def _parts(self, word: str, width_px: float, *, size: float, bold: bool) -> list[str]:
        """Return the word, cut into pieces that fit."""
        parts = [""]
        if self.width_px(word, size=size, bold=bold) <= width_px:
            return [word]
        for character in word:
            if parts[-1] and self.width_px(parts[-1] + character, size=size, bold=bold) > width_px:
                parts.append("")
            parts[-1] += character
        return parts


def line_px(size: float) -> float:
    """Return the height of a line of that font size, pixels."""
    return size * LINE_HEIGHT * DPI / 72


POINTS_PER_MM = 72 / 25.4
HATCH = "/////"
VEIL = "#ffffff99"
"""Under a hatch, so that it shows on dark ground as well; #rrggbbaa."""
DASHES = (0, (4, 2))

BUILDING_BEFORE = Symbol("Building, before the event", None, "#ffe600", width_mm=0.2)
"""On the image before the event, where there is no damage to colour."""


def draw_theme(axes: Axes, layer: gpd.GeoDataFrame, theme: Theme) -> None:
    """Draw a layer, symbol by symbol in the order of the theme.

    Args:
        axes: in the units of the layer's CRS.
        layer: in the CRS of the map; may hold no feature.
        theme: how the layer is drawn.
    """
    for symbol in theme.symbols:
        draw_polygons(axes, of_symbol(layer, theme, symbol), symbol, name=theme.layer)


def of_symbol(layer: gpd.GeoDataFrame, theme: Theme, symbol: Symbol) -> gpd.GeoDataFrame:
    """Return the features that a symbol stands for."""
    return layer if theme.field is None else layer[layer[theme.field] == symbol.label]


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
    width = symbol.width_mm * POINTS_PER_MM
    line = DASHES if symbol.dashed else "solid"
    edge = PathPatch(outline, fill=False, edgecolor=symbol.outline, linewidth=width, linestyle=line)
    if symbol.fill is None:
        return [edge]
    if symbol.hatched:
        veil = PathPatch(outline, facecolor=VEIL, linewidth=0)
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


@dataclass(frozen=True, eq=False)
class Quicklook:
    """A small picture of the imagery, to lie under the layers.

    Raises:
        GridMismatch: where the arrays and the geobox disagree on their shape.
    """

    pixels: FloatArray
    """(3, rows, cols), red, green, blue, 0 to 1, stretched for the eye."""
    valid: BoolArray
    """(rows, cols); True means observed."""
    geobox: GeoBox
    """North-up, in the projected CRS of the product."""
    label: str
    """Above its map: "After: Sentinel-2 L2A, 2019-09-15"."""

    def __post_init__(self) -> None:
        shape = tuple(self.geobox.shape)
        if self.pixels.shape != (3, *shape) or self.valid.shape != shape:
            raise GridMismatch(
                f"a quicklook on a grid of {shape} has pixels {self.pixels.shape} and validity "
                f"{self.valid.shape}; make them (3, rows, cols) and (rows, cols) of its grid"
            )

    @property
    def crs(self) -> CRS:
        """The projected CRS that it lies in."""
        return CRS.from_user_input(str(self.geobox.crs))


@dataclass(frozen=True, eq=False)
class MapPicture:
    """Everything that the picture shows.

    Raises:
        GridMismatch: where the two quicklooks differ in CRS.
    """

    title: str
    subtitle: str
    """Hazard and place, one line."""
    layers: Mapping[str, gpd.GeoDataFrame]
    """By name, EPSG:4326; `area_of_interest` says what is shown, the others may lack."""
    after: Quicklook
    numbers: Mapping[str, str]
    """Beside a class in the legend, by notation, reason or damage grade; a class that has a
    number is in the legend even where no feature has it."""
    facts: Sequence[str]
    """Sentences: scenes, model, share analysed, what confidence means."""
    before: Quicklook | None = None
    """Shown beside the other where there are buildings to compare; in the same CRS."""
    statement: str = NOT_REVIEWED

    def __post_init__(self) -> None:
        if self.before is not None and self.before.crs != self.after.crs:
            raise GridMismatch(
                f"the image before is in {self.before.crs.to_string()}, the one after in "
                f"{self.after.crs.to_string()}; put both on the product's grid"
            )

    @property
    def panels(self) -> tuple[Quicklook, ...]:
        """The images that are shown, before and after where there are buildings to compare."""
        buildings = self.layers.get("built_up")
        if self.before is None or buildings is None or buildings.empty:
            return (self.after,)
        return (self.before, self.after)


MARGIN_PX = 30.0
SIDEBAR_PX = 400.0
TICKS_PX = 34.0
"""For the labels of the ticks, left of a map and below it."""
LABEL_PX = 26.0
"""For the label of the image, above a map."""
GUTTER_PX = 26.0
"""Between two maps, and between a map and the sidebar."""

_MAP_WIDTH_PX = {1: 1070.0, 2: 720.0}
"""Of each map, by the number of maps side by side."""
_WIDE = 0.6
"""Height over width of an area below which two maps stand one above the other."""


@dataclass(frozen=True)
class Sheet:
    """Lengths in pixels, places from the upper left corner."""

    width: float
    height: float
    maps: tuple[tuple[float, float], ...]
    """Left and top of each map."""
    map_width: float
    map_height: float

    @property
    def ratio(self) -> float:
        """Height over width of a map."""
        return self.map_height / self.map_width

    @property
    def sidebar(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the sidebar."""
        top = self.maps[0][1]
        left = self.width - MARGIN_PX - SIDEBAR_PX
        return left, top, SIDEBAR_PX, self.height - MARGIN_PX - top

    def new_figure(self) -> Figure:
        """Return an empty figure of its size."""
        return Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")

    def new_axes(
        self, figure: Figure, box: tuple[float, float, float, float], *, name: str
    ) -> Axes:
        """Return axes at left, top, width and height; `name` is their gid."""
        left, top, width, height = box
        bottom = self.height - top - height
        axes: Axes = figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        axes.set_gid(name)
        return axes


def lay_out(ratio: float, *, maps: int, head_px: float, sidebar_px: float) -> Sheet:
    """Return a sheet that holds one or two maps, the head and the sidebar.

    Args:
        ratio: height over width of the area that is shown.
        maps: 1 or 2; two of a wide area stand one above the other, else side by side.
        head_px: height of the title and what belongs to it.
        sidebar_px: height that the sidebar needs; the maps grow with it.
    """
    columns = 1 if ratio < _WIDE else maps
    rows = maps // columns
    width = _MAP_WIDTH_PX[columns]
    step_x, between = width + TICKS_PX + GUTTER_PX, TICKS_PX + LABEL_PX
    least = (sidebar_px - TICKS_PX - (rows - 1) * between) / rows
    height = round(max(min(max(width * ratio, 560 / rows), 1300), least))
    top = round(MARGIN_PX + head_px + LABEL_PX)
    corners = tuple(
        (MARGIN_PX + TICKS_PX + column * step_x, top + row * (height + between))
        for row in range(rows)
        for column in range(columns)
    )
    return Sheet(
        width=corners[-1][0] + width + GUTTER_PX + SIDEBAR_PX + MARGIN_PX,
        height=corners[-1][1] + height + TICKS_PX + MARGIN_PX,
        maps=corners,
        map_width=width,
        map_height=height,
    )


BODY, SMALL, HEADING = 8.0, 6.8, 9.0
"""Font sizes, points."""
INK = "#1a1a1a"
SWATCH_PX = (40, 22)
GROUND = "#a8a8a8"
"""Under a swatch: the brightness of a faded image."""
GAP_PX = 14.0
BADGE_PAD_PX = 26.0


class Item(Protocol):
    """One piece of the sidebar."""

    @property
    def height_px(self) -> float:
        """How much of the column it takes."""
        ...

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw it, from `top_px` down."""
        ...


@dataclass(frozen=True)
class Gap:
    """Room between two items."""

    height_px: float

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw nothing."""


@dataclass(frozen=True)
class Lines:
    """A paragraph whose lines are broken already."""

    lines: Sequence[str]
    size: float = BODY
    bold: bool = False
    indent_px: float = 0.0
    gap_px: float = GAP_PX
    """Left free under it."""

    @property
    def height_px(self) -> float:
        """Its lines and the gap."""
        return len(self.lines) * line_px(self.size) + self.gap_px

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw its lines."""
        for row, line in enumerate(self.lines):
            y = top_px + (row + 0.5) * line_px(self.size)
            _say(axes, self.indent_px, y, line, size=self.size, bold=self.bold)


@dataclass(frozen=True)
class Badge:
    """A statement in a frame."""

    lines: Sequence[str]

    @property
    def height_px(self) -> float:
        """Its frame and the gap."""
        return len(self.lines) * line_px(BODY) + BADGE_PAD_PX + GAP_PX

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw the frame and the lines."""
        height = self.height_px - GAP_PX
        frame = Rectangle(
            (1, top_px), width_px - 2, height, facecolor="#fff6d6", edgecolor=INK, linewidth=0.8
        )
        axes.add_patch(frame)
        for row, line in enumerate(self.lines):
            y = top_px + BADGE_PAD_PX / 2 + (row + 0.5) * line_px(BODY)
            _say(axes, width_px / 2, y, line, size=BODY, bold=True, align="center")


@dataclass(frozen=True)
class Entry:
    """A row of the legend: swatch, label, number."""

    symbol: Symbol | None
    """None: a row under another one, without a swatch."""
    lines: Sequence[str]
    number: str
    size: float = BODY

    @property
    def height_px(self) -> float:
        """The higher of swatch and lines, and a little."""
        least = SWATCH_PX[1] if self.symbol else 0
        return max(least, len(self.lines) * line_px(self.size)) + (9 if self.symbol else 2)

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw the row; the number stands at the right, beside the first line."""
        if self.symbol is not None:
            _swatch(axes, self.symbol, top_px + 1)
        for row, line in enumerate(self.lines):
            y = top_px + (row + 0.5) * line_px(self.size)
            _say(axes, SWATCH_PX[0] + 14, y, line, size=self.size)
        first = top_px + 0.5 * line_px(self.size)
        _say(axes, width_px, first, self.number, size=self.size, align="right")


@dataclass(frozen=True)
class ScaleBar:
    """A round length on the ground, in four parts, and an arrow to true north."""

    length_px: float
    label: str
    north_degrees: float
    """Clockwise from the map's top."""

    height_px: ClassVar[float] = 84.0 + GAP_PX
    """The arrow and the gap; the same for every bar."""

    def draw(self, axes: Axes, *, top_px: float, width_px: float) -> None:
        """Draw the bar at the left and the arrow at the right."""
        y = top_px + 56
        for part in range(4):
            colour = INK if part % 2 == 0 else "white"
            left = 2 + part * self.length_px / 4
            bar = Rectangle(
                (left, y), self.length_px / 4, 9, facecolor=colour, edgecolor=INK, linewidth=0.7
            )
            bar.set_gid("scale")
            axes.add_patch(bar)
        _say(axes, 2, y - 14, "0", size=SMALL)
        _say(axes, 2 + self.length_px, y - 14, self.label, size=SMALL, align="right")
        _arrow(axes, x_px=width_px - 40, y_px=top_px + 48, degrees=self.north_degrees)


def legend_entry(
    ruler: Ruler, label: str, number: str, *, symbol: Symbol | None, width_px: float
) -> Entry:
    """Return a row of the legend, its label broken so that the number fits beside it."""
    size = BODY if symbol else SMALL
    room = width_px - SWATCH_PX[0] - 14 - ruler.width_px(number, size=size) - 12
    return Entry(symbol, ruler.wrapped(label, room, size=size), number, size)


def draw_items(axes: Axes, items: Sequence[Item], *, width_px: float) -> None:
    """Draw the items, one under the other."""
    top_px = 0.0
    for item in items:
        item.draw(axes, top_px=top_px, width_px=width_px)
        top_px += item.height_px


def _say(
    axes: Axes, x: float, y: float, text: str, *, size: float, bold: bool = False,
    align: str = "left",
) -> None:  # fmt: skip
    weight = "bold" if bold else "normal"
    axes.text(x, y, text, size=size, weight=weight, ha=align, va="center", color=INK)


def _swatch(axes: Axes, symbol: Symbol, top_px: float) -> None:
    box = Outline.unit_rectangle().transformed(Affine2D().scale(*SWATCH_PX).translate(2, top_px))
    # A surface lets the image through; on white it would be another colour than on the map.
    axes.add_patch(PathPatch(box, facecolor=GROUND, linewidth=0))
    for patch in symbol_patches(box, symbol):
        patch.set_gid(f"swatch {symbol.label}")
        axes.add_patch(patch)


def _arrow(axes: Axes, *, x_px: float, y_px: float, degrees: float) -> None:
    """Draw an arrow around a point; the axes' y points down, so a turn is clockwise."""
    turn = Affine2D().rotate_deg(degrees).translate(x_px, y_px)
    for side, colour in ((-15, INK), (15, "white")):
        half = turn.transform([(0, -24), (side, 30), (0, 18)])
        axes.add_patch(Polygon(half, facecolor=colour, edgecolor=INK, linewidth=0.7))
    letter_x, letter_y = turn.transform((0, -38))
    axes.text(letter_x, letter_y, "N", size=BODY, weight="bold", ha="center", va="center")
