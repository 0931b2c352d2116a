"""The sheet: where the head, the maps and the sidebar lie, in pixels."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.draw.text import DPI

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
