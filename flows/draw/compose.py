"""The picture, put together: head, maps and sidebar on one sheet.

Drawn with matplotlib's Agg, offline, and the same every time for the same inputs. Colours
are those of the layers' styles (`geo.write.palette`); what was not analysed is hatched.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pyproj import CRS

from flows.draw.frame import View, ground_width_m, length_text, north_angle, round_down
from flows.draw.legend import legend_items
from flows.draw.panel import draw_panel
from flows.draw.picture import MapPicture
from flows.draw.sheet import MARGIN_PX, SIDEBAR_PX, Sheet, lay_out
from flows.draw.sidebar import SMALL, Badge, Item, Lines, ScaleBar, draw_items
from flows.draw.text import DPI, Ruler, line_px, style
from flows.phrases import one_line

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
