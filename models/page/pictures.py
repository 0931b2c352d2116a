"""The pictures of a page: calibration, places, worst tiles.

Drawn with matplotlib's Agg, offline, and the same every time for the same inputs.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geo.quicklook import for_eye
from geo.raster import BoolArray, FloatArray, Raster
from models.agreement import Agreement, pooled
from models.page.measure import Shown
from models.reliability import ECE_BINS

DPI = 100
THUMBNAIL_PX = 96
"""Edge of a tile in the picture of the worst: an eye's help, no copy of the data."""
_ROOM_PX = 18
_NAMED_GROUPS = 40
BLUE, ORANGE, RED, GREY = "#0072b2", "#e69f00", "#d55e00", "#8c8c8c"
"""Of Okabe and Ito (2008), told apart by those who are colour-blind."""
_SKIN = {"font.size": 8.0, "text.parse_math": False, "axes.linewidth": 0.6}


def draw_calibration(agreement: Agreement, finding: str) -> bytes:
    """Return the reliability diagram (Niculescu-Mizil and Caruana 2005) as PNG."""
    with matplotlib.style.context(["default", _SKIN]):
        figure, (curve, shares) = _figure(480, 420, heights=(3, 1))
        table = agreement.reliability
        full = table.pixels > 0
        promised = table.promised[full] / table.pixels[full]
        curve.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        curve.plot(promised, table.positive[full] / table.pixels[full], "o-", color=BLUE)
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share that is {finding}")
        curve.set_title(f"expected calibration error {table.ece:.3f}", fontsize=8)
        edges = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
        shares.bar(edges, table.pixels / table.pixels.sum(), width=0.9 / ECE_BINS, color=GREY)
        shares.set(xlim=(0, 1), xlabel="probability", ylabel="share of pixels")
        return _png(figure)


def draw_places(agreement: Agreement) -> bytes:
    """Return the IoU of each group, the worst first, as PNG."""
    scores = {name: pooled(tiles).iou for name, tiles in agreement.by_group.items()}
    known = sorted((iou, name) for name, iou in scores.items() if iou is not None)
    with matplotlib.style.context(["default", _SKIN]):
        figure, (axes,) = _figure(720, 300, heights=(1,))
        ious = [iou for iou, _ in known]
        axes.plot(range(len(ious)), ious, "o", color=BLUE, markersize=4)
        axes.axhline(float(np.median(ious)), color=GREY, linewidth=0.8)
        whole = agreement.pooled.iou or 0.0
        axes.axhline(whole, color=ORANGE, linewidth=0.8)
        axes.set(ylim=(0, 1), ylabel="IoU", xlim=(-0.5, len(ious) - 0.5))
        axes.set_title(
            f"{len(ious)} groups; grey: median {np.median(ious):.2f}, orange: pixels pooled "
            f"{whole:.2f}",
            fontsize=8,
        )
        named = len(known) <= _NAMED_GROUPS
        names = [name for _, name in known] if named else []
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        return _png(figure)


def draw_worst(shown: Sequence[Shown], *, threshold: float, imagery: bool) -> bytes:
    """Return the worst tiles as JPEG: a row each, images, label, probability, answer.

    Args:
        shown: of one set.
        threshold: probability from which a pixel is answered.
        imagery: whether the images are drawn.
    """
    titles = [*(shown[0].images if imagery else ()), "label", "probability", "answer"]
    with matplotlib.style.context(["default", _SKIN]):
        figure = _sheet(len(shown), len(titles))
        for row, tile in enumerate(shown):
            pictures = [_for_eye(raster) for raster in tile.images.values()] if imagery else []
            parts = (_label(tile), _grey(tile.probability), _verdict(tile, threshold))
            for col, picture in enumerate([*pictures, *parts]):
                axes = _place(figure, row, col, rows=len(shown), cols=len(titles))
                axes.imshow(picture, interpolation="antialiased", vmin=0, vmax=1)
                if row == 0:
                    axes.set_title(titles[col], fontsize=7, pad=2)
                if col == 0:
                    axes.set_xlabel(_caption(tile), fontsize=7, labelpad=2, loc="left")
        return _jpeg(figure)


def _caption(shown: Shown) -> str:
    counts = shown.tile.counts
    return f"{shown.tile.name}: IoU {counts.iou or 0:.2f}"


def _for_eye(raster: Raster) -> FloatArray:
    """Return (rows, cols, 3), 0 to 1."""
    return np.moveaxis(np.where(raster.valid, for_eye(raster), np.float32(1)), 0, -1)


def _label(shown: Shown) -> FloatArray:
    return _coloured(np.ones_like(shown.probability), (shown.target & shown.known, BLUE))


def _grey(probability: FloatArray) -> FloatArray:
    """Return (rows, cols, 3); black is 1, white 0 or no answer."""
    return np.repeat(1 - np.nan_to_num(probability)[..., None], 3, axis=-1)


def _verdict(shown: Shown, threshold: float) -> FloatArray:
    """Return (rows, cols, 3): found blue, missed orange, wrongly found red."""
    found = np.nan_to_num(shown.probability) >= threshold
    true = shown.target & shown.known
    return _coloured(
        np.ones_like(shown.probability),
        (found & true, BLUE),
        (true & ~found, ORANGE),
        (found & shown.known & ~true, RED),
    )


def _coloured(white: FloatArray, *parts: tuple[BoolArray, str]) -> FloatArray:
    picture = np.repeat(white[..., None], 3, axis=-1)
    for mask, colour in parts:
        picture[mask] = matplotlib.colors.to_rgb(colour)
    return picture


def _figure(width: int, height: int, *, heights: Sequence[int]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    return figure, list(axes)


def _sheet(rows: int, cols: int) -> Figure:
    step = THUMBNAIL_PX + _ROOM_PX
    size = (cols * (THUMBNAIL_PX + 6) / DPI, (rows * step + _ROOM_PX) / DPI)
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _place(figure: Figure, row: int, col: int, *, rows: int, cols: int) -> Axes:
    width, height = cols * (THUMBNAIL_PX + 6), rows * (THUMBNAIL_PX + _ROOM_PX) + _ROOM_PX
    left = col * (THUMBNAIL_PX + 6) + 3
    top = _ROOM_PX + row * (THUMBNAIL_PX + _ROOM_PX)
    box = (left / width, 1 - (top + THUMBNAIL_PX) / height)
    axes = figure.add_axes((*box, THUMBNAIL_PX / width, THUMBNAIL_PX / height))
    axes.set(xticks=[], yticks=[])
    return axes


def _png(figure: Figure) -> bytes:
    # Without the version of matplotlib, which would make the same picture another file.
    return _drawn(figure, format="png", metadata={"Software": None})


def _jpeg(figure: Figure) -> bytes:
    return _drawn(figure, format="jpeg", pil_kwargs={"quality": 80, "optimize": True})


def _drawn(figure: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, **options)
    return file.getvalue()
