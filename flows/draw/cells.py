"""Cells: the small maps and charts of an explanation, each drawn into axes of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from odc.geo.geobox import GeoBox

from flows.draw.layers import HATCH, draw_polygons
from flows.draw.panel import UNSEEN
from flows.draw.sidebar import BODY, INK, SMALL
from flows.draw.text import DPI
from geo.raster import BoolArray, FloatArray
from geo.write.palette import Symbol

FOR, AGAINST, NEUTRAL = "#2166ac", "#b2182b", "#7f7f7f"
"""Of what speaks for a polygon, of what speaks against it, and of neither."""
OUTLINE = Symbol("Polygon", None, "#ffd400", width_mm=0.45)
HALO_OF_OUTLINE = Symbol("Polygon", None, "#000000", width_mm=0.9)
_BINS = 60


class Cell(Protocol):
    """One small map or chart."""

    @property
    def title(self) -> str:
        """Above it; may have two lines."""
        ...

    @property
    def labels_px(self) -> float:
        """Room on its left for labels."""
        ...

    def draw(self, axes: Axes) -> None:
        """Draw it into empty axes."""
        ...


@dataclass(frozen=True, eq=False)
class Ground:
    """What all maps of an explanation share."""

    geobox: GeoBox
    polygon: gpd.GeoDataFrame
    """In the CRS of the geobox."""

    def draw(self, axes: Axes, pixels: FloatArray, seen: BoolArray) -> None:
        """Draw (rows, cols, 3) with the polygon; what was not seen is hatched.

        Args:
            axes: empty.
            pixels: red, green, blue, 0 to 1.
            seen: (rows, cols).
        """
        box = self.geobox.boundingbox
        axes.set_facecolor(UNSEEN)
        axes.patch.set(hatch=HATCH, edgecolor="#9a9a9a")
        axes.imshow(
            np.concatenate([pixels, seen[..., None]], axis=2).astype(np.float32),
            extent=(box.left, box.right, box.bottom, box.top),
            interpolation="nearest",
            aspect="auto",
        )
        for symbol in (HALO_OF_OUTLINE, OUTLINE):
            draw_polygons(axes, self.polygon, symbol, name="polygon")
        axes.set(xlim=(box.left, box.right), ylim=(box.bottom, box.top), xticks=[], yticks=[])


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it was seen."""

    title: str
    ground: Ground
    pixels: FloatArray
    """(3, rows, cols), red, green, blue, 0 to 1."""
    seen: BoolArray
    """(rows, cols)."""
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        self.ground.draw(axes, self.pixels.transpose(1, 2, 0), self.seen)


@dataclass(frozen=True, eq=False)
class Field:
    """A map of one number, with its scale below."""

    title: str
    ground: Ground
    values: FloatArray
    """(rows, cols); NaN where there is none."""
    colours: Colormap
    limits: tuple[float, float]
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        scale = ScalarMappable(Normalize(*self.limits), self.colours)
        seen = np.isfinite(self.values)
        self.ground.draw(axes, scale.to_rgba(np.nan_to_num(self.values))[..., :3], seen)
        inset = axes.inset_axes((0.0, -0.055, 1.0, 0.03))
        bar = axes.figure.colorbar(scale, cax=inset, orientation="horizontal")
        bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1, labelcolor=INK)
        bar.outline.set_linewidth(0.5)


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart."""

    label: str
    value: float
    text: str
    """The value as it is written beside the bar."""


@dataclass(frozen=True)
class Bars:
    """A bar chart; what speaks for the polygon is blue, what speaks against it red."""

    title: str
    bars: Sequence[Bar]
    falling: bool = False
    """Whether a negative value speaks for the polygon."""
    labels_px: float = 130.0

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        values = [bar.value for bar in self.bars]
        sign = -1 if self.falling else 1
        places = range(len(self.bars))
        axes.barh(places, values, height=0.6, color=[_spoken(sign * v) for v in values])
        axes.axvline(0, color=INK, linewidth=0.6)
        low, high = min(0.0, *values), max(0.0, *values)
        # Room for the figure beyond the end of each bar.
        room = 0.3 * max(high - low, 1e-9)
        axes.set(
            xlim=(low - room, high + room),
            ylim=(max(len(self.bars), 4) - 0.4, -0.6),
        )
        for place, bar in zip(places, self.bars, strict=True):
            left = bar.value < 0
            axes.annotate(
                bar.text, (bar.value, place), xytext=(-3 if left else 3, 0),
                textcoords="offset points", ha="right" if left else "left", va="center",
                fontsize=SMALL, color=INK,
            )  # fmt: skip
        axes.set_yticks(places, [bar.label for bar in self.bars])
        axes.set_xticks([])
        axes.tick_params(axis="y", labelsize=SMALL, length=0, pad=3, labelcolor=INK)
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)


@dataclass(frozen=True, eq=False)
class Distribution:
    """Histograms of a feature, of the polygon and of its surroundings, with the threshold."""

    title: str
    around: FloatArray
    """(values,)."""
    own: FloatArray
    """(values,) of the polygon."""
    line: float | None
    """The threshold."""
    labels_px: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draw it; both histograms have the same area."""
        everything = np.concatenate([self.around, self.own])
        low, high = np.percentile(everything, [0.1, 99.9]) if everything.size else (0.0, 1.0)
        marked = [low, high] if self.line is None else [low, high, self.line]
        edges = np.linspace(min(marked), max(*marked, min(marked) + 1e-6), _BINS + 1)
        for values, colour, label in (
            (self.around, NEUTRAL, "around the polygon"),
            (self.own, FOR, "in the polygon"),
        ):
            counts, _ = np.histogram(values, edges)
            axes.stairs(
                counts / max(counts.sum(), 1), edges, fill=True, alpha=0.55, color=colour,
                label=label,
            )  # fmt: skip
        if self.line is not None:
            axes.axvline(self.line, color=INK, linewidth=1.2, label=f"threshold {self.line:.3g}")
        axes.set(yticks=[], xlim=(edges[0], edges[-1]))
        axes.tick_params(labelsize=SMALL, length=3, width=0.5, pad=2, labelcolor=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.margins(y=0.3)
        axes.legend(
            loc="upper left", fontsize=SMALL, labelcolor=INK, framealpha=0.9, edgecolor="none"
        )


def title_of(axes: Axes, text: str, *, indent_px: float) -> None:
    """Put the title of a cell above it.

    Args:
        indent_px: from the left of the axes; negative where labels stand there.
    """
    axes.annotate(
        text, (0, 1), xycoords="axes fraction", xytext=(indent_px * 72 / DPI, 4),
        textcoords="offset points", va="bottom", fontsize=BODY, color=INK, linespacing=1.35,
    )  # fmt: skip


def _spoken(value: float) -> str:
    return FOR if value > 0 else AGAINST if value < 0 else NEUTRAL
