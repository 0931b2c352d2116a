"""The picture of a map, drawn offline and the same every time for the same inputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_scalebar.scalebar import ScaleBar
from odc.geo.geobox import GeoBox
from pyproj import CRS

from flows.drawing.layout import (
    BODY,
    DPI,
    INK,
    MARGIN_PX,
    SMALL,
    SUBTITLE,
    TITLE,
    Column,
    LegendRow,
    View,
    draw_polygons,
    draw_theme,
    ground_width_m,
    latitude_ticks,
    longitude_ticks,
    new_figure,
    north_angle,
    of_symbol,
    style,
)
from flows.reports.summary import SceneUsed, Summary
from flows.reports.text import (
    NOT_REVIEWED,
    confidence_meaning,
    dates_text,
    km2_text,
    one_line,
    share_text,
    time_text,
)
from geo.export.styles import THEMES, Symbol
from geo.scenes.scene import Phase
from geo.types import BoolArray, FloatArray

UNSEEN = "#e8e8e8"
_BUILDING_BEFORE = Symbol("Building, before the event", None, "#ffe600", width_mm=0.2)
"""On the image before the event, where there is no damage to colour."""
_HIDDEN = Symbol("Hidden or not covered in the image", UNSEEN, "#b0b0b0", opacity=1)
_HALO = Symbol("Area of interest", None, "#ffffff", width_mm=1.0)
"""Under the outline of the area, which would be lost on dark ground."""

_AREA = "area_of_interest"
_DRAWN_AFTER = tuple(name for name in THEMES if name not in ("image_footprint", _AREA))
"""What is drawn over the image after the event, the lowest first; footprints would hide it."""
_LEGEND_ORDER = ("observed_event", "hydrography", "built_up", "not_analysed", "area_of_interest")

_SIDEBAR_PX, _HEAD_PX, _SCALE_PX = 420.0, 1540.0, 92.0
_TICKS_PX, _LABEL_PX, _GUTTER_PX = 34.0, 26.0, 26.0
"""For labels of ticks, for the label of the image, and between maps or a map and the sidebar."""
_MAP_WIDTH_PX = {1: 1070.0, 2: 720.0}
"""Of each map, by the number of maps side by side."""
_WIDE = 0.6
"""Height over width of an area below which two maps stand one above the other."""


@dataclass(frozen=True, eq=False)
class Quicklook:
    """A small picture of the imagery, to lie under the layers."""

    pixels: FloatArray
    """(3, rows, cols), red, green, blue, 0 to 1, stretched for display."""
    valid: BoolArray
    """(rows, cols); True means observed."""
    geobox: GeoBox
    """North-up, in the projected CRS of the product."""
    label: str
    """Above its map: "After: Sentinel-2 L2A, 2019-09-15"."""

    @property
    def crs(self) -> CRS:
        return CRS.from_user_input(str(self.geobox.crs))


@dataclass(frozen=True, eq=False)
class MapPicture:
    """Everything that the picture shows."""

    title: str
    subtitle: str
    """Hazard and place, one line."""
    layers: Mapping[str, gpd.GeoDataFrame]
    """By name, EPSG:4326; `area_of_interest` gives the extent, the others may lack."""
    after: Quicklook
    numbers: Mapping[str, str]
    """By notation, reason or grade; one with a number is in the legend without features, too."""
    facts: Sequence[str]
    """Sentences: scenes, model, share analysed, what confidence means."""
    before: Quicklook | None = None
    """Shown beside the other where there are buildings to compare; in the same CRS."""

    @property
    def panels(self) -> tuple[Quicklook, ...]:
        """The images that are shown, before and after where there are buildings to compare."""
        buildings = self.layers.get("built_up")
        if self.before is None or buildings is None or buildings.empty:
            return (self.after,)
        return (self.before, self.after)


def draw_map(picture: MapPicture, out_png: Path) -> None:
    """Draw the picture as PNG, about 1600 pixels wide, 2000 where two maps stand side by side."""
    figure = compose(picture)
    with matplotlib.style.context(["default", style()]):
        # Without the version of matplotlib, which would make the same map another file.
        figure.savefig(out_png, dpi=DPI, format="png", metadata={"Software": None})


def compose(picture: MapPicture) -> Figure:
    """Return the picture as a figure; see `draw_map`."""
    with matplotlib.style.context(["default", style()]):
        return _composed(picture)


def _composed(picture: MapPicture) -> Figure:
    crs = picture.after.crs
    layers = {name: layer.to_crs(crs) for name, layer in picture.layers.items()}
    area = View(*layers[_AREA].total_bounds)
    ratio = (area.top - area.bottom) / (area.right - area.left)
    figure = new_figure()
    head = Column(figure, _HEAD_PX, name="head")
    head.write(one_line(picture.title), size=TITLE, bold=True)
    head.write(one_line(picture.subtitle), size=SUBTITLE, gap_px=16)
    side = Column(figure, _SIDEBAR_PX, name="sidebar")
    side.legend("Legend", _legend_rows(picture), gap_px=20)
    scale_px = side.used_px
    side.used_px += _SCALE_PX
    side.badge(NOT_REVIEWED, gap_px=14)
    code = crs.to_authority()
    projection = f"{crs.name} ({':'.join(code)})" if code else crs.name
    frame = f"Frame: longitude and latitude, WGS 84. Projection: {projection}."
    for fact in (*picture.facts, frame):
        side.write(one_line(fact), size=SMALL, gap_px=6)
    maps = _map_axes(
        figure,
        head,
        side,
        ratio=ratio,
        maps=len(picture.panels),
    )
    box = maps[0].get_window_extent()
    view = area.around(padding=0.04, ratio=box.height / box.width)
    for axes, quicklook in zip(maps, picture.panels, strict=True):
        _draw_panel(axes, quicklook, layers, view=view, before=quicklook is not picture.after)
    metres_a_px = ground_width_m(view, crs) / box.width
    _draw_scale(side, scale_px, metres_a_px, north_degrees=north_angle(view, crs))
    return figure


def _map_axes(figure: Figure, head: Column, side: Column, *, ratio: float, maps: int) -> list[Axes]:
    """Size the figure, place its columns, return axes for 1 or 2 maps; ratio: height / width."""
    columns = 1 if ratio < _WIDE else maps
    rows = maps // columns
    width = _MAP_WIDTH_PX[columns]
    beside, between = _TICKS_PX + _GUTTER_PX, _TICKS_PX + _LABEL_PX
    least = (side.used_px - _TICKS_PX - (rows - 1) * between) / rows
    height = round(max(min(max(width * ratio, 560 / rows), 1300), least))
    left, top = MARGIN_PX + _TICKS_PX, round(MARGIN_PX + head.used_px + _LABEL_PX)
    right = left + columns * width + (columns - 1) * beside
    bottom = top + rows * height + (rows - 1) * between
    full_width = right + _GUTTER_PX + _SIDEBAR_PX + MARGIN_PX
    full_height = bottom + _TICKS_PX + MARGIN_PX
    figure.set_size_inches(full_width / DPI, full_height / DPI)
    head.place(figure, MARGIN_PX, MARGIN_PX)
    side.place(figure, right + _GUTTER_PX, top)
    grid = figure.add_gridspec(
        rows, columns, left=left / full_width, right=right / full_width,
        top=1 - top / full_height, bottom=1 - bottom / full_height,
        wspace=beside / width, hspace=between / height,
    )  # fmt: skip
    return [figure.add_subplot(grid[number], gid="map") for number in range(maps)]


def _draw_panel(
    axes: Axes,
    quicklook: Quicklook,
    layers: Mapping[str, gpd.GeoDataFrame],
    *,
    view: View,
    before: bool,
) -> None:
    """Draw one map, its layers in the quicklook's CRS; `before`: without traces of the event."""
    buildings = "built_up" in layers and not layers["built_up"].empty
    box = quicklook.geobox.boundingbox
    axes.set_facecolor(UNSEEN)
    axes.imshow(
        _faded(quicklook.pixels, quicklook.valid, share=0.15 if buildings else 0.45),
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="antialiased",
        aspect="auto",
        zorder=0,
    )
    if before and buildings:
        draw_polygons(axes, layers["built_up"], _BUILDING_BEFORE, name="built_up")
    elif not before:
        for name in _DRAWN_AFTER:
            if name in layers:
                draw_theme(axes, layers[name], THEMES[name])
    draw_polygons(axes, layers[_AREA], _HALO, name=_AREA)
    draw_theme(axes, layers[_AREA], THEMES[_AREA])
    axes.set(xlim=(view.left, view.right), ylim=(view.bottom, view.top))
    meridians = longitude_ticks(view, quicklook.crs)
    parallels = latitude_ticks(view, quicklook.crs)
    axes.set_xticks([*meridians], [*meridians.values()])
    axes.set_yticks([*parallels], [*parallels.values()], rotation=90, va="center")
    axes.tick_params(labelsize=SMALL, length=4, width=0.6, pad=2, labelcolor=INK)
    axes.set_title(quicklook.label, loc="left", fontsize=BODY, pad=4)


def _faded(pixels: FloatArray, valid: BoolArray, *, share: float) -> FloatArray:
    """Return (rows, cols, 4), RGB and opacity, paler and greyer so that the layers stand out."""
    coloured = np.clip(np.nan_to_num(pixels), 0, 1)
    grey = coloured.mean(axis=0, keepdims=True)
    mixed = (1 - share) * (coloured + share * (grey - coloured)) + share
    return np.concatenate([mixed, valid[None]]).transpose(1, 2, 0).astype(np.float32)


def _draw_scale(side: Column, top_px: float, metres_a_px: float, *, north_degrees: float) -> None:
    bar = ScaleBar(
        metres_a_px, "m", rotation="horizontal-only", length_fraction=0.55, width_fraction=0.012,
        location="upper left", bbox_to_anchor=(0, top_px + 26), frameon=False, pad=0,
        border_pad=0, bbox_transform=side.axes.transData, color=INK, scale_loc="top",
        font_properties={"size": SMALL},
    )  # fmt: skip
    side.axes.add_artist(bar)
    turn = math.radians(north_degrees)
    x, y = side.width_px - 40, top_px + 74

    def along(length_px: float) -> tuple[float, float]:
        return x + length_px * math.sin(turn), y - length_px * math.cos(turn)

    arrow = {"facecolor": INK, "width": 2.5, "headwidth": 10, "headlength": 14, "linewidth": 0}
    side.axes.annotate("", along(54), along(0), arrowprops=arrow)
    letter_x, letter_y = along(66)
    side.axes.text(letter_x, letter_y, "N", size=BODY, weight="bold", ha="center", va="center")


def _legend_rows(picture: MapPicture) -> list[LegendRow]:
    """Return rows of classes with a feature or a number: that nothing was found is worth a row."""
    rows = []
    for name in _LEGEND_ORDER:
        theme, layer, numbers = THEMES[name], picture.layers.get(name), picture.numbers
        here = [
            LegendRow(symbol.label, numbers.get(symbol.label, ""), symbol)
            for symbol in theme.symbols
            if symbol.label in numbers
            or (layer is not None and not of_symbol(layer, theme, symbol).empty)
        ]
        if name == "not_analysed" and layer is not None:
            here += [LegendRow(r, numbers.get(r, "")) for r in sorted(set(layer["reason"]))]
        if name == "built_up" and len(picture.panels) == 2:
            here.append(LegendRow(_BUILDING_BEFORE.label, symbol=_BUILDING_BEFORE))
        if name == "built_up" and here:
            rows.append(LegendRow("Buildings, number"))
        rows += here
    if not all(panel.valid.all() for panel in picture.panels):
        rows.append(LegendRow(_HIDDEN.label, symbol=_HIDDEN))
    return rows


def map_facts(summary: Summary) -> tuple[str, ...]:
    """Return what a reader of the map must know, a sentence or two each."""
    facts = [
        *_scenes("Before", [scene for scene in summary.scenes if scene.phase is Phase.BEFORE]),
        *_scenes("After", [scene for scene in summary.scenes if scene.phase is Phase.AFTER]),
        _coverage(summary),
    ]
    if summary.model is not None:
        model = summary.model
        facts.append(f"Model: {model.name} {model.version} ({model.digest12})")
        facts.append(
            confidence_meaning(calibrated=model.calibrated, buildings=model.grades_buildings)
        )
    facts.append(f"Product: {summary.product_id}")
    return tuple(facts)


def legend_numbers(summary: Summary) -> dict[str, str]:
    """Return the number beside each class of the legend, by notation, reason or damage."""
    unseen_ha = sum(part.area_ha for part in summary.not_analysed)
    return {
        "Area of interest": f"{km2_text(100 * summary.area_km2)} km²",
        **({"Not analysed": f"{km2_text(unseen_ha)} km²"} if summary.not_analysed else {}),
        **{found.notation: f"{km2_text(found.area_ha)} km²" for found in summary.classes},
        **{part.reason: f"{km2_text(part.area_ha)} km²" for part in summary.not_analysed},
        **{grade: f"{count:,}" for grade, count in summary.buildings.items()},
    }


def _scenes(phase: str, scenes: Sequence[SceneUsed]) -> list[str]:
    """Return one fact for each sensor: one scene with its time, several with their dates."""
    facts = []
    for sensor in dict.fromkeys(scene.sensor for scene in scenes):
        times = [scene.taken for scene in scenes if scene.sensor == sensor]
        when = (
            time_text(times[0]) if len(times) == 1 else f"{len(times)} scenes, {dates_text(times)}"
        )
        facts.append(f"{phase}: {sensor}, {when}")
    return facts


def _coverage(summary: Summary) -> str:
    observed = (
        f"Of {km2_text(100 * summary.area_km2)} km², {share_text(summary.observed_share)} was "
        f"observed and {share_text(summary.analysed_share)} analysed"
    )
    reasons = ", ".join(
        f"{part.reason} {share_text(part.share)}"
        for part in sorted(summary.not_analysed, key=lambda part: -part.area_ha)
    )
    return f"{observed}; not analysed: {reasons}." if reasons else f"{observed}."
