"""What stands beside a map: the legend, scale, north, and the facts.

The sidebar is a column of items. Its axes are in pixels, x to the right and y down, so that
each item knows its height before anything is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

from flows.draw.layers import symbol_patches
from flows.draw.text import Ruler, line_px
from geo.write.palette import Symbol

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
