"""Pictures of explanations: why a polygon is there, and why a building has its grade."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from flows.drawing.frame import View, ground_width_m
from flows.drawing.panels import (
    Panel,
    bars,
    draw_field,
    draw_ground,
    draw_histograms,
    draw_panels,
    signed,
)
from flows.reports.text import dates_text
from geo.export.styles import PERCENT_RAMP
from geo.imagery.mosaic import as_picture, quicklook, shown_bands
from geo.raster.grid import crs_of
from geo.scenes.sensors import Family
from models.cards.inputs import Physical
from models.evaluation.explain import (
    Attribution,
    BuildingExplanation,
    DetectorFeature,
    Explanation,
    Occlusion,
)
from models.evaluation.explained_polygon import ExplainedPolygon
from models.inference.scene_inputs import SceneInput

_PERCENT = LinearSegmentedColormap.from_list(
    "percent", [(value / 100, colour) for value, colour in sorted(PERCENT_RAMP.items())]
)
_CUT = 99.5
"""Percentile of the attributions at which their colours end: a few pixels stand out by far."""

_OF_A_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds of the polygon, by integrated "
    "gradients from a baseline without any image (0 in every channel, the mean of the training "
    "data). Blue raises the probability of the polygon, red lowers it; the images share one scale.",
    "Left out: the change of the mean probability over the polygon, in percentage points, when an "
    "image or a band is set to that baseline; blue where the polygon depends on it. The effects do "
    "not add up: two images may replace each other.",
    "Both are computed in one window with the polygon in its middle; the map blends several. They "
    "show what the network used, not what is true on the ground: a wrong polygon has reasons, too.",
)
_OF_A_DETECTOR = (
    "The model is a detector: it compares these features, and nothing else, with thresholds. "
    "Histograms are of the pixels of this picture, each of the same area.",
)
_OF_A_REGRESSION = (
    "The grade is a regression on features of the building before and after. Each bar is what one "
    "feature adds to the log odds of major damage or worse, compared with the mean building of the "
    "training data: blue raises them, red lowers them. The other features add less.",
    "They show what the model used, not what is true on the ground.",
)
_OF_A_GRADING_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds of major damage or worse, by "
    "integrated gradients from a baseline without any image. Blue raises them, red lowers them.",
    "They show what the network used, not what is true on the ground.",
)
MOST_FEATURES = 12
"""Features that are shown, the largest contribution first."""


@dataclass(frozen=True, eq=False)
class PolygonPicture:
    """A polygon, the case that was made of it, and the result."""

    feature: str
    """Its id."""
    notation: str
    outline: BaseGeometry
    """In the CRS of the product's grid."""
    product_id: str
    case: ExplainedPolygon
    explanation: Explanation


def draw_polygon_picture(explained: PolygonPicture, out_png: Path) -> None:
    """Draw the picture of an explanation and write it as PNG."""
    explanation, case = explained.explanation, explained.case
    card, region = case.model.card, explanation.window
    box = region.geobox.boundingbox
    view = View(box.left, box.bottom, box.right, box.top)
    width_km = ground_width_m(view, CRS(crs_of(region.geobox))) / 1000
    part = int(region.pixels.sum()) / region.polygon_pixels
    draw_panels(
        out_png,
        title=f"Why {explained.feature}: {explained.notation}",
        subtitle=(
            f"Mean probability {explanation.mean:.3f} over {region.pixels.sum():,} pixels; "
            f"{region.mean_percent / 100:.3f} in the product; at a pixel they differ by at most "
            f"{explanation.largest_difference:.3f}. {card.name} {card.version}, digest "
            f"{card.digest[:12]}; product {explained.product_id}. The picture is {width_km:.3g} "
            "km wide" + ("." if part == 1 else f" and shows {part:.0%} of the polygon.")
        ),
        rows=_rows(explained),
        notes=_OF_A_DETECTOR if explanation.features else _OF_A_NETWORK,
    )


@dataclass(frozen=True, eq=False)
class BuildingPicture:
    """A building, and why it has its grade."""

    feature: str
    """Its id."""
    published: str
    """Its grade in the product, in the words of Copernicus EMS."""
    outline: BaseGeometry
    """In the CRS of the product's grid."""
    product_id: str
    explanation: BuildingExplanation


def draw_building_picture(building: BuildingPicture, out_png: Path) -> None:
    """Draw why a building has its grade, and write it as PNG."""
    explanation = building.explanation
    card, features = explanation.card, explanation.features
    percent = [(name, 100 * share) for name, share in explanation.probabilities.items()]
    grades = bars("Probability of each grade,\nper cent", [(n, v, f"{v:.0f}") for n, v in percent])
    images = [_cut_out(building, phase) for phase in ("before", "after")]
    if features:
        rows = [
            (one.feature, added, signed(added, decimals=2))
            for one in features[:MOST_FEATURES]
            for added in [one.contributions["damaged"]]
        ]
        title = "What each feature adds,\nlog odds of major damage or worse"
        panels = [[*images, grades, bars(title, rows)]]
    else:
        limit = _limit(explanation.attributions)
        shown = [
            Panel(f"What {one.image} added:\n{one.total:+.2f} log odds in all", partial(
                draw_field, ground=_ground_of(building), values=one.pixels,
                colours=colormaps["RdBu"], limits=(-limit, limit),
            ))
            for one in explanation.attributions
        ]  # fmt: skip
        panels = [[*images, grades], shown]
    draw_panels(
        out_png,
        title=f"Why {building.feature}: {building.published}",
        subtitle=(
            f"Computed again: {explanation.grade}, by {card.name} {card.version}, digest "
            f"{card.digest[:12]}; product {building.product_id}."
        ),
        rows=panels,
        notes=_OF_A_REGRESSION if features else _OF_A_GRADING_NETWORK,
    )


def _ground_of(building: BuildingPicture) -> Callable[..., None]:
    geobox = building.explanation.before.geobox
    outline = gpd.GeoDataFrame(geometry=[building.outline], crs=crs_of(geobox))
    return partial(draw_ground, geobox=geobox, outline=outline)


def _cut_out(building: BuildingPicture, phase: str) -> Panel:
    """Return the image of a phase around the building."""
    explanation = building.explanation
    raster = explanation.before if phase == "before" else explanation.after
    draw = partial(
        _ground_of(building), pixels=as_picture(raster).transpose(1, 2, 0), observed=raster.valid
    )
    return Panel(f"{phase.capitalize()} the event", draw)


def _rows(explained: PolygonPicture) -> list[list[Panel]]:
    case, explanation = explained.case, explained.explanation
    outline = gpd.GeoDataFrame(geometry=[explained.outline], crs=crs_of(explanation.window.geobox))
    ground = partial(draw_ground, geobox=explanation.window.geobox, outline=outline)
    field = partial(draw_field, ground=ground)
    inputs = case.reader.inputs
    ordered = inputs[::-1] if case.model.card.single_date else inputs
    images = {one.name: _image(explained, one, ground) for one in ordered}
    percent = np.where(
        case.window.has_probability, explanation.probability * 100, np.float32(np.nan)
    )
    probability = Panel(
        f"Probability, per cent\nof {explained.notation.lower()}",
        partial(field, values=percent, colours=_PERCENT, limits=(0, 100)),
    )
    if explanation.features:
        radar = case.model.card.inputs[0].units is Physical.DECIBEL
        unit = f", {Physical.DECIBEL}" if radar else ""
        features = explanation.features
        maps = [
            Panel(f"{feature.name}{unit}", partial(
                field, values=feature.values, colours=colormaps["cividis"], limits=_limits(feature)
            ))
            for feature in features
        ]  # fmt: skip
        histograms = [_histogram(feature, explanation, unit) for feature in features]
        return [[*images.values(), probability], maps, histograms]
    cells: list[Panel] = []
    limit = _limit(explanation.attributions)
    added = {each.image: each for each in explanation.attributions}
    for name, image in images.items():
        cells.append(image)
        if name in added:
            title = f"What {name} added:\n{added[name].total:+.2f} log odds in all"
            shown = partial(field, values=added[name].pixels, colours=colormaps["RdBu"])
            cells.append(Panel(title, partial(shown, limits=(-limit, limit))))
    cells += [probability, _effects(explanation.occlusions), _bands(explanation.attributions)]
    columns = 4 if len(cells) > 6 else 3
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _histogram(feature: DetectorFeature, explanation: Explanation, unit: str) -> Panel:
    method = "no threshold" if feature.threshold is None else f"threshold: {feature.method}"
    inside, around = explanation.inside(feature), explanation.around(feature)
    draw = partial(draw_histograms, inside=inside, around=around, threshold=feature.threshold)
    return Panel(f"{feature.name}{unit}\n{method}", draw)


def _image(explained: PolygonPicture, source: SceneInput, ground: Callable[..., None]) -> Panel:
    """Return an image: in the bands that the model reads where they make a picture."""
    geobox, scenes = explained.explanation.window.geobox, source.mosaic.scenes
    bands = shown_bands(source.mosaic.bands)
    if len(bands) == 3 or scenes[0].sensor.family is Family.RADAR:
        pixels = as_picture(source.mosaic.read(geobox))
    else:
        bands = shown_bands(scenes[0].bands)
        pixels, _ = quicklook(scenes, geobox)
    sensors = ", ".join(dict.fromkeys(scene.sensor.title for scene in scenes))
    shown_as = "red, green, blue" if len(bands) == 3 else "grey"
    natural = bands == ("red", "green", "blue")
    colours = "natural colours" if natural else f"{', '.join(bands)} as {shown_as}"
    title = f"{source.name}: {sensors}\n{dates_text([s.taken for s in scenes])}, {colours}"
    observed = explained.explanation.observed[source.name]
    return Panel(title, partial(ground, pixels=pixels.transpose(1, 2, 0), observed=observed))


def _limits(feature: DetectorFeature) -> tuple[float, float]:
    known = feature.values[np.isfinite(feature.values)]
    low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _limit(attributions: Sequence[Attribution]) -> float:
    """Return where the colours of the attributions end."""
    everything = np.concatenate([np.abs(each.pixels).ravel() for each in attributions])
    return float(max(np.percentile(everything, _CUT), 1e-12))


def _effects(effects: Sequence[Occlusion]) -> Panel:
    rows = [
        (
            f"{each.image} {each.band or ''}".strip(),
            each.change,
            signed(100 * each.change, decimals=1),
        )
        for each in effects
    ]
    return bars("Left out: change of the probability,\npercentage points", rows, falling=True)


def _bands(attributions: Sequence[Attribution]) -> Panel:
    def rows() -> Iterator[tuple[str, float, str]]:
        for each in attributions:
            present = {} if each.presence is None else {"is there": each.presence}
            for band, value in {**each.bands, **present}.items():
                yield f"{each.image} {band}", value, signed(value, decimals=2)

    return bars("By band: what each added, log odds", [*rows()])
