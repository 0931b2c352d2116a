"""Pictures of explanations: why a polygon is there, and why a building has its grade."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import geopandas as gpd
import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from odc.geo.geobox import GeoBox
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from flows.drawing.layout import (
    BODY,
    DPI,
    HATCH,
    INK,
    MARGIN_PX,
    SMALL,
    SUBTITLE,
    TITLE,
    Column,
    View,
    draw_polygons,
    ground_width_m,
    new_figure,
    style,
)
from flows.drawing.map import UNSEEN
from flows.reports.text import dates_text
from geo.export.styles import PERCENT_RAMP, Symbol
from geo.imagery.mosaic import as_picture, quicklook, shown_bands
from geo.raster.grid import crs_of
from geo.scenes.sensors import Family
from geo.types import BoolArray, FloatArray
from models.evaluation.explain import Attribution, BuildingExplanation, Explanation
from models.evaluation.explained_polygon import ExplainedPolygon
from models.inference.scene_inputs import SceneInput

Panel: TypeAlias = tuple[str, Callable[[Axes], None]]
"""A small map or chart: its title, of one or two lines, and what draws it into empty axes."""
Bar: TypeAlias = tuple[str, float, str]
"""Label, value, and the value as it is written beside the bar."""

MOST_FEATURES = 12
"""Features of a building that are shown, the largest contribution first."""
_FOR, _AGAINST, _NEUTRAL = "#2166ac", "#b2182b", "#7f7f7f"
_ADDED = colormaps["RdBu"]
_PERCENT = LinearSegmentedColormap.from_list(
    "percent", [(value / 100, colour) for value, colour in sorted(PERCENT_RAMP.items())]
)
_CUT = 99.5
"""Percentile of the attributions at which their colours end: a few pixels stand out by far."""
_OUTLINES = (
    Symbol("Outline", None, "#000000", width_mm=0.9),
    Symbol("Outline", None, "#ffd400", width_mm=0.45),
)
_PANEL_PX, _PANEL_HEIGHT_PX = 440.0, 470.0

_NOT_TRUTH = "This shows what the model used, not what is true on the ground."
_OF_A_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds, by integrated gradients from "
    "a baseline without any image (0 in every channel, the mean of the training data). Blue raises "
    "the probability, red lowers it; the images share one scale.",
    "Left out: the change of the mean probability over the polygon, in percentage points, when an "
    "image or a band is set to that baseline; blue where the polygon depends on it. The effects do "
    "not add up: two images may replace each other.",
    _NOT_TRUTH,
)
_OF_A_DETECTOR = (
    "The model is a detector: it compares these features, and nothing else, with thresholds.",
    _NOT_TRUTH,
)
_OF_A_GRADE = (
    "Each bar, or each pixel, is what a feature or an image adds to the log odds of major damage "
    "or worse, compared with the mean of the training data: blue raises them, red lowers them.",
    _NOT_TRUTH,
)


@dataclass(frozen=True, eq=False)
class _Ground:
    geobox: GeoBox
    outline: BaseGeometry
    """In the CRS of the geobox."""

    def image(self, title: str, pixels: FloatArray, observed: BoolArray) -> Panel:
        """Return a map of (3, rows, cols), 0 to 1; what was not observed is hatched."""

        def draw(axes: Axes) -> None:
            box = self.geobox.boundingbox
            axes.set_facecolor(UNSEEN)
            axes.patch.set(hatch=HATCH, edgecolor="#9a9a9a")
            axes.imshow(
                np.concatenate([pixels, observed[None]]).transpose(1, 2, 0).astype(np.float32),
                extent=(box.left, box.right, box.bottom, box.top),
                interpolation="nearest",
            )
            outline = gpd.GeoDataFrame(geometry=[self.outline])
            for symbol in _OUTLINES:
                draw_polygons(axes, outline, symbol, name="polygon")
            axes.set(xlim=(box.left, box.right), ylim=(box.bottom, box.top), xticks=[], yticks=[])
            axes.set_box_aspect(self.geobox.shape[0] / self.geobox.shape[1])

        return title, draw

    def field(self, title: str, values: FloatArray, scale: ScalarMappable) -> Panel:
        """Return a map of one number, (rows, cols), NaN where there is none, with its scale."""

        def draw(axes: Axes) -> None:
            colours = scale.to_rgba(np.nan_to_num(values))[..., :3].transpose(2, 0, 1)
            self.image(title, colours, np.isfinite(values))[1](axes)
            bar = axes.figure.colorbar(
                scale, ax=axes, orientation="horizontal", pad=0.02, aspect=30
            )
            bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1, labelcolor=INK)
            bar.outline.set_linewidth(0.5)

        return title, draw

    def added(self, attributions: Sequence[Attribution]) -> dict[str, Panel]:
        """Return by image what each of its pixels added to the log odds, on one scale."""
        everything = np.concatenate([np.abs(each.pixels).ravel() for each in attributions])
        limit = float(max(np.percentile(everything, _CUT), 1e-12))
        scale = ScalarMappable(Normalize(-limit, limit), _ADDED)
        return {
            each.image: self.field(
                f"What {each.image} added:\n{each.total:+.2f} log odds in all", each.pixels, scale
            )
            for each in attributions
        }


def draw_polygon(
    out_png: Path,
    title: str,
    outline: BaseGeometry,
    case: ExplainedPolygon,
    explanation: Explanation,
) -> None:
    """Draw why a polygon is there, and write it as PNG; the outline is in the CRS of the grid."""
    card, window = case.model.card, explanation.window
    box = window.geobox.boundingbox
    view = View(box.left, box.bottom, box.right, box.top)
    width_km = ground_width_m(view, CRS(crs_of(window.geobox))) / 1000
    part = int(window.pixels.sum()) / window.polygon_pixels
    subtitle = (
        f"Mean probability {explanation.mean:.3f} over {window.pixels.sum():,} pixels; "
        f"{window.mean_percent / 100:.3f} in the product. {card.name} {card.version}, digest "
        f"{card.digest[:12]}. The picture is {width_km:.3g} km wide"
        + ("." if part == 1 else f" and shows {part:.0%} of the polygon.")
    )
    notes = _OF_A_DETECTOR if explanation.features else _OF_A_NETWORK
    ground = _Ground(window.geobox, outline)
    _draw(out_png, (title, subtitle), _polygon_rows(ground, case, explanation), notes)


def draw_building(
    out_png: Path, title: str, outline: BaseGeometry, explanation: BuildingExplanation
) -> None:
    """Draw why a building has its grade, and write it as PNG; see `draw_polygon`."""
    card, before, after = explanation.card, explanation.before, explanation.after
    ground = _Ground(before.geobox, outline)
    percent = [(name, 100 * share) for name, share in explanation.probabilities.items()]
    rows: list[list[Panel]] = [[
        ground.image("Before the event", as_picture(before), before.valid),
        ground.image("After the event", as_picture(after), after.valid),
        _bars("Probability of each grade,\nper cent", [(n, v, f"{v:.0f}") for n, v in percent]),
    ]]  # fmt: skip
    added = [(one.feature, one.contributions["damaged"]) for one in explanation.features]
    if added:
        panel = "What each feature adds,\nlog odds of major damage or worse"
        rows[0].append(_bars(panel, [(n, v, f"{v:+.2f}") for n, v in added[:MOST_FEATURES]]))
    if explanation.attributions:
        rows.append([*ground.added(explanation.attributions).values()])
    subtitle = f"Computed again: {explanation.grade}, by {card.name} {card.version}."
    _draw(out_png, (title, subtitle), rows, _OF_A_GRADE)


def _draw(
    out_png: Path, head: tuple[str, str], rows: Sequence[Sequence[Panel]], notes: Sequence[str]
) -> None:
    with matplotlib.style.context(["default", style()]):
        columns = max(3, *(len(row) for row in rows))
        width = 2 * MARGIN_PX + columns * _PANEL_PX
        figure = new_figure()
        above = Column(figure, width - 2 * MARGIN_PX, name="head")
        above.write(head[0], size=TITLE, bold=True)
        above.write(head[1], size=SUBTITLE, gap_px=16)
        below = Column(figure, width - 2 * MARGIN_PX, name="notes")
        for note in notes:
            below.write(note, gap_px=6)
        bottom = MARGIN_PX + above.used_px + len(rows) * _PANEL_HEIGHT_PX
        height = bottom + 16 + below.used_px + MARGIN_PX
        figure.set_size_inches(width / DPI, height / DPI)
        above.place(figure, MARGIN_PX, MARGIN_PX)
        below.place(figure, MARGIN_PX, bottom + 16)
        corner = (MARGIN_PX / width, 1 - bottom / height)
        size = (1 - 2 * MARGIN_PX / width, len(rows) * _PANEL_HEIGHT_PX / height)
        figure.set_layout_engine("constrained", rect=(*corner, *size), wspace=0.06, hspace=0.06)
        grid = figure.add_gridspec(len(rows), columns)
        for number, row in enumerate(rows):
            for column, (title, draw) in enumerate(row):
                axes = figure.add_subplot(grid[number, column], box_aspect=1)
                draw(axes)
                axes.set_title(title, loc="left", fontsize=BODY, linespacing=1.35)
        figure.savefig(out_png, dpi=DPI, format="png", metadata={"Software": None})


def _bars(title: str, rows: Sequence[Bar], *, falling: bool = False) -> Panel:
    """Return a bar chart; `falling`: a negative value raises the probability, and is blue."""

    def draw(axes: Axes) -> None:
        labels, values, texts = zip(*rows, strict=True)
        colours = [_colour(-value if falling else value) for value in values]
        drawn = axes.barh(range(len(rows)), values, height=0.6, color=colours)
        axes.bar_label(drawn, texts, padding=3, fontsize=SMALL)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.margins(x=0.25)
        axes.set(ylim=(max(len(rows), 4) - 0.4, -0.6), xticks=[])
        axes.set_yticks(range(len(rows)), labels)
        axes.tick_params(axis="y", labelsize=SMALL, length=0, pad=3, labelcolor=INK)
        axes.spines[:].set_visible(False)

    return title, draw


def _colour(value: float) -> str:
    return _FOR if value > 0 else _AGAINST if value < 0 else _NEUTRAL


def _polygon_rows(
    ground: _Ground, case: ExplainedPolygon, explanation: Explanation
) -> list[list[Panel]]:
    inputs = case.reader.inputs[::-1] if case.model.card.single_date else case.reader.inputs
    images = {one.name: _image(one, ground, explanation.observed[one.name]) for one in inputs}
    percent = np.where(
        case.window.has_probability, explanation.probability * 100, np.float32(np.nan)
    )
    probability = ground.field(
        "Probability, per cent", percent, ScalarMappable(Normalize(0, 100), _PERCENT)
    )
    if explanation.features:
        features = []
        for each in explanation.features:
            inside, around = _median(explanation.inside(each)), _median(explanation.around(each))
            known = each.values[np.isfinite(each.values)]
            limits = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
            threshold = "none" if each.threshold is None else f"{each.threshold:.3g}"
            title = (
                f"{each.name}: threshold {threshold} ({each.method})\n"
                f"median {inside} in the polygon, {around} around it"
            )
            scale = ScalarMappable(Normalize(*limits), colormaps["cividis"])
            features.append(ground.field(title, each.values, scale))
        return [[*images.values(), probability], features]
    added = ground.added(explanation.attributions)
    cells = [panel for name, image in images.items() for panel in (image, added.get(name)) if panel]
    occlusions = [
        (f"{each.image} {each.band or ''}".strip(), each.change, f"{100 * each.change:+.1f}")
        for each in explanation.occlusions
    ]
    bands = [
        (f"{each.image} {band}", value, f"{value:+.2f}")
        for each in explanation.attributions
        for band, value in {**each.bands, "is there": each.presence}.items()
        if value is not None
    ]
    title = "Left out: change of the probability,\npercentage points"
    cells += [probability, _bars(title, occlusions, falling=True)]
    cells.append(_bars("By band: what each added, log odds", bands))
    columns = 4 if len(cells) > 6 else 3
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _median(values: FloatArray) -> str:
    return f"{np.median(values):.3g}" if values.size else "none"


def _image(source: SceneInput, ground: _Ground, observed: BoolArray) -> Panel:
    """Return an image: in the bands that the model reads where they make a picture."""
    scenes, bands = source.mosaic.scenes, shown_bands(source.mosaic.bands)
    if len(bands) == 3 or scenes[0].sensor.family is Family.RADAR:
        pixels = as_picture(source.mosaic.read(ground.geobox))
    else:
        bands = shown_bands(scenes[0].bands)
        pixels, _ = quicklook(scenes, ground.geobox)
    sensors = ", ".join(dict.fromkeys(scene.sensor.title for scene in scenes))
    natural = bands == ("red", "green", "blue")
    colours = "natural colours" if natural else f"{', '.join(bands)}"
    title = f"{source.name}: {sensors}\n{dates_text([s.taken for s in scenes])}, {colours}"
    return ground.image(title, pixels, observed)
