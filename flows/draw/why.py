"""Why a polygon, as a picture: rows of small maps and charts under a head, notes below."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flows.draw.cells import Cell, title_of
from flows.draw.sidebar import BODY, INK
from flows.draw.text import DPI, Ruler, line_px, style

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
