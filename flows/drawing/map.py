"""The picture, put together: head, maps and sidebar on one sheet.

Drawn with matplotlib's Agg, offline, and the same every time for the same inputs. Colours
are those of the layers' styles (`geo.export.styles`); what was not analysed is hatched.

One map of the picture: the image, the layers over it, and the frame.

The legend: which classes the map shows, with their symbols and numbers.

The words beside the map: facts and the numbers of the legend, from a summary.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pyproj import CRS

from flows.drawing.layout import (
    BODY,
    BUILDING_BEFORE,
    DPI,
    GAP_PX,
    HEADING,
    INK,
    MARGIN_PX,
    SIDEBAR_PX,
    SMALL,
    Badge,
    Gap,
    Item,
    Lines,
    MapPicture,
    Quicklook,
    Ruler,
    ScaleBar,
    Sheet,
    View,
    draw_items,
    draw_polygons,
    draw_theme,
    ground_width_m,
    latitude_ticks,
    lay_out,
    legend_entry,
    length_text,
    line_px,
    longitude_ticks,
    north_angle,
    of_symbol,
    round_down,
    style,
)
from flows.reports.summary import SceneUsed, Summary
from flows.reports.text import (
    confidence_meaning,
    dates_text,
    km2_text,
    one_line,
    share_text,
    time_text,
)
from geo.export.styles import THEMES, Symbol, Theme
from geo.scenes.scene import Phase
from geo.types import BoolArray, FloatArray

UNSEEN = "#e8e8e8"
"""Where the image holds nothing."""
HALO = Symbol("Area of interest", None, "#ffffff", width_mm=1.0)
"""Under the outline of the area, which would be lost on dark ground."""

_AREA = "area_of_interest"
_AFTER = tuple(name for name in THEMES if name not in ("image_footprint", _AREA))
"""What is drawn over the image after the event, the lowest first; footprints would hide it."""


def draw_panel(
    axes: Axes,
    quicklook: Quicklook,
    layers: Mapping[str, gpd.GeoDataFrame],
    *,
    view: View,
    before: bool,
) -> None:
    """Draw one map.

    Args:
        axes: empty, of the shape of the view.
        layers: by name, in the CRS of the quicklook.
        before: whether it shows the time before the event, and so none of its traces.
    """
    buildings = "built_up" in layers and not layers["built_up"].empty
    _draw_image(axes, quicklook, faded=0.15 if buildings else 0.45)
    if before and buildings:
        draw_polygons(axes, layers["built_up"], BUILDING_BEFORE, name="built_up")
    elif not before:
        for name in _AFTER:
            if name in layers:
                draw_theme(axes, layers[name], THEMES[name])
    draw_polygons(axes, layers[_AREA], HALO, name=_AREA)
    draw_theme(axes, layers[_AREA], THEMES[_AREA])
    _draw_frame(axes, quicklook, view)


def _draw_image(axes: Axes, quicklook: Quicklook, *, faded: float) -> None:
    """Draw the image, paler and greyer than it is, so that the layers stand out."""
    box = quicklook.geobox.boundingbox
    axes.set_facecolor(UNSEEN)
    axes.imshow(
        _faded(quicklook.pixels, quicklook.valid, share=faded),
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="antialiased",
        aspect="auto",
        zorder=0,
    )


def _faded(pixels: FloatArray, valid: BoolArray, *, share: float) -> FloatArray:
    """Return red, green, blue and opacity, (rows, cols, 4), mixed with grey and white."""
    coloured = np.clip(np.nan_to_num(pixels), 0, 1)
    grey = coloured.mean(axis=0, keepdims=True)
    mixed = (1 - share) * (coloured + share * (grey - coloured)) + share
    return np.concatenate([mixed, valid[None]]).transpose(1, 2, 0).astype(np.float32)


def _draw_frame(axes: Axes, quicklook: Quicklook, view: View) -> None:
    """Fix the view, and mark longitude below and latitude on the left."""
    axes.set(xlim=(view.left, view.right), ylim=(view.bottom, view.top))
    meridians = longitude_ticks(view, quicklook.crs)
    parallels = latitude_ticks(view, quicklook.crs)
    axes.set_xticks([tick.at for tick in meridians], [tick.label for tick in meridians])
    axes.set_yticks(
        [tick.at for tick in parallels],
        [tick.label for tick in parallels],
        rotation=90,
        va="center",
    )
    axes.tick_params(labelsize=SMALL, length=4, width=0.6, pad=2, labelcolor=INK)
    axes.set_title(quicklook.label, loc="left", fontsize=BODY, color=INK, pad=4)


Row: TypeAlias = tuple[str, str, Symbol | None]

_ORDER = ("observed_event", "hydrography", "built_up", "not_analysed", "area_of_interest")
"""What matters most comes first; the order of drawing is another."""


def legend_items(picture: MapPicture, *, ruler: Ruler, width_px: float) -> list[Item]:
    """Return the rows of the legend.

    A class is in it where a feature has it, or where there is a number for it: that nothing
    was found is worth a row.
    """
    items: list[Item] = [Lines(["Legend"], size=HEADING, bold=True, gap_px=6)]
    for name in _ORDER:
        rows = [
            legend_entry(ruler, label, number, symbol=symbol, width_px=width_px)
            for label, number, symbol in _rows(name, picture)
        ]
        if rows and name == "built_up":
            items.append(Lines(["Buildings, number"], size=BODY, gap_px=4))
        items += [*rows, Gap(8 if rows and rows[-1].symbol is None else 0)]
    return [*items, Gap(GAP_PX)]


def _rows(name: str, picture: MapPicture) -> list[Row]:
    """Return label, number and symbol of a layer's rows; a reason has no symbol of its own."""
    theme, layer, numbers = THEMES[name], picture.layers.get(name), picture.numbers
    rows: list[Row] = [
        (symbol.label, numbers.get(symbol.label, ""), symbol)
        for symbol in theme.symbols
        if symbol.label in numbers or _drawn(layer, theme, symbol)
    ]
    if name == "not_analysed" and layer is not None:
        rows += [(reason, numbers.get(reason, ""), None) for reason in sorted(set(layer["reason"]))]
    if name == "built_up" and len(picture.panels) == 2:
        rows.append((BUILDING_BEFORE.label, "", BUILDING_BEFORE))
    return rows


def _drawn(layer: gpd.GeoDataFrame | None, theme: Theme, symbol: Symbol) -> bool:
    return layer is not None and not of_symbol(layer, theme, symbol).empty


def map_facts(summary: Summary) -> tuple[str, ...]:
    """Return what a reader of the map must know, a sentence or two each."""
    facts = [
        *_scenes("Before", [scene for scene in summary.scenes if scene.phase is Phase.BEFORE]),
        *_scenes("After", [scene for scene in summary.scenes if scene.phase is Phase.AFTER]),
        _seen(summary),
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
        if len(times) == 1:
            facts.append(f"{phase}: {sensor}, {time_text(times[0])}")
        else:
            facts.append(f"{phase}: {sensor}, {len(times)} scenes, {dates_text(times)}")
    return facts


def _seen(summary: Summary) -> str:
    seen = (
        f"Of {km2_text(100 * summary.area_km2)} km², {share_text(summary.observed_share)} was "
        f"observed and {share_text(summary.analysed_share)} analysed"
    )
    reasons = ", ".join(
        f"{part.reason} {share_text(part.share)}"
        for part in sorted(summary.not_analysed, key=lambda part: -part.area_ha)
    )
    return f"{seen}; not: {reasons}." if reasons else f"{seen}."


TITLE, SUBTITLE = 15.0, 9.0
"""Font sizes, points."""
_TEXT_PX = 1540.0
"""Width of the head."""
_MOST_FACTS = 16


def draw_map(picture: MapPicture, out_png: Path) -> None:
    """Draw the picture and write it as PNG, about 1600 pixels wide, 2000 where two maps stand
    side by side.
    """
    figure = compose(picture)
    with matplotlib.style.context(["default", style()]):
        # Without the version of matplotlib, which would make the same map another file.
        figure.savefig(out_png, dpi=DPI, format="png", metadata={"Software": None})


def compose(picture: MapPicture) -> Figure:
    """Return the picture as a figure; see `draw_map`."""
    with matplotlib.style.context(["default", style()]):
        return _composed(picture, Ruler())


def _composed(picture: MapPicture, ruler: Ruler) -> Figure:
    crs = picture.after.crs
    layers = {name: layer.to_crs(crs) for name, layer in picture.layers.items()}
    area = View(*layers["area_of_interest"].total_bounds).padded(0.04)
    head = ruler.wrapped(one_line(picture.title), _TEXT_PX, size=TITLE, bold=True)
    above = legend_items(picture, ruler=ruler, width_px=SIDEBAR_PX)
    below = _facts(picture, crs, ruler)
    sheet = lay_out(
        area.height / area.width,
        maps=len(picture.panels),
        head_px=len(head) * line_px(TITLE) + 2 * line_px(SUBTITLE),
        sidebar_px=sum(item.height_px for item in (*above, *below)) + ScaleBar.height_px,
    )
    view = area.fitted(sheet.ratio)
    figure = sheet.new_figure()
    FigureCanvasAgg(figure)
    _draw_head(figure, [*head], one_line(picture.subtitle), sheet)
    for quicklook, corner in zip(picture.panels, sheet.maps, strict=True):
        axes = sheet.new_axes(figure, (*corner, sheet.map_width, sheet.map_height), name="map")
        draw_panel(axes, quicklook, layers, view=view, before=quicklook is not picture.after)
    _draw_sidebar(figure, [*above, _scale(view, crs, sheet), *below], sheet)
    return figure


def _facts(picture: MapPicture, crs: CRS, ruler: Ruler) -> list[Item]:
    """Return the statement and the facts, their lines broken."""
    facts = [one_line(fact) for fact in picture.facts]
    if len(facts) > _MOST_FACTS:
        left_out = len(facts) - _MOST_FACTS
        facts = [*facts[:_MOST_FACTS], f"{left_out} more facts are in summary.json."]
    facts.append(f"Frame: longitude and latitude, WGS 84. Projection: {_crs_name(crs)}.")
    badge = ruler.wrapped(one_line(picture.statement), SIDEBAR_PX - 24, size=8, bold=True)
    return [
        Badge(badge),
        *(Lines(ruler.wrapped(fact, SIDEBAR_PX, size=SMALL), SMALL, gap_px=6) for fact in facts),
    ]


def _crs_name(crs: CRS) -> str:
    code = crs.to_authority()
    return f"{crs.name} ({':'.join(code)})" if code else crs.name


def _scale(view: View, crs: CRS, sheet: Sheet) -> ScaleBar:
    metres_a_px = ground_width_m(view, crs) / sheet.map_width
    length_m = round_down(metres_a_px * 0.6 * SIDEBAR_PX)
    return ScaleBar(length_m / metres_a_px, length_text(length_m), north_angle(view, crs))


def _draw_head(figure: Figure, title: Sequence[str], subtitle: str, sheet: Sheet) -> None:
    top = MARGIN_PX
    lines = [*((line, TITLE, "bold") for line in title), (subtitle, SUBTITLE, "normal")]
    for text, size, weight in lines:
        middle = 1 - (top + line_px(size) / 2) / sheet.height
        found = figure.text(
            MARGIN_PX / sheet.width, middle, text, size=size, weight=weight, va="center"
        )
        found.set_gid("head")
        top += line_px(size)


def _draw_sidebar(figure: Figure, items: Sequence[Item], sheet: Sheet) -> None:
    left, top, width, height = sheet.sidebar
    axes = sheet.new_axes(figure, (left, top, width, height), name="sidebar")
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    draw_items(axes, items, width_px=width)
