"""An explanation in words and pictures: which cells there are, and what stands beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from pyproj import CRS

from flows.draw.cells import Bar, Bars, Cell, Distribution, Field, Ground, Picture
from flows.draw.frame import View, ground_width_m
from flows.draw.why import WhyPicture
from flows.phrases import dates_text
from flows.polygon import Polygon
from geo.grid import crs_of
from geo.quicklook import for_eye, quicklook, shown_bands
from geo.sensors import Family
from geo.write.palette import PERCENT_RAMP
from models.case import Case
from models.reader import Reading
from models.reasons import Attribution, Effect, Explanation, Feature
from models.terms import Physical

_PERCENT = LinearSegmentedColormap.from_list(
    "percent", [(value / 100, colour) for value, colour in sorted(PERCENT_RAMP.items())]
)
_SPEAKS = colormaps["RdBu"]
"""Red speaks against the polygon, blue for it."""
_COLUMNS = 4
_CUT = 99.5
"""Percentile of the attributions at which their colours end: a few pixels stand out by far."""

_OF_A_NETWORK = (
    "Beside each image: what every pixel of it added to the log odds of the polygon, by integrated "
    "gradients from a baseline without any image (0 in every channel, the mean of what the network "
    "learned from). Blue speaks for the polygon, red against it; the images share one scale.",
    "Left out: the change of the mean probability over the polygon, in percentage points, when an "
    "image or a band is set to that baseline; blue where the polygon rests on it. The effects do "
    "not add up: two images may stand in for each other.",
    "Both are asked of one window with the polygon in its middle; the map blends several. They say "
    "what the network used, not what is so on the ground: a wrong polygon has its reasons, too.",
)
_OF_A_DETECTOR = (
    "The model is a detector: it compares these features, and nothing else, with thresholds. "
    "Histograms are of the pixels of this picture, each of the same area.",
)


@dataclass(frozen=True, eq=False)
class Explained:
    """A polygon, the case that was made of it, and what came out."""

    polygon: Polygon
    product_id: str
    case: Case
    explanation: Explanation


def picture_of(explained: Explained) -> WhyPicture:
    """Return the picture of an explanation."""
    polygon, explanation = explained.polygon, explained.explanation
    card, region = explained.case.model.card, explanation.region
    box = region.geobox.boundingbox
    crs = crs_of(region.geobox)
    width_m = ground_width_m(View(box.left, box.bottom, box.right, box.top), CRS(crs))
    outline = gpd.GeoDataFrame(geometry=[polygon.outline(crs)], crs=crs)
    part = int(region.pixels.sum()) / region.polygon_pixels
    return WhyPicture(
        title=f"Why {polygon.id}: {polygon.notation}",
        subtitle=(
            f"Mean probability {explanation.mean:.3f} over {region.pixels.sum():,} pixels; "
            f"{region.mean_percent / 100:.3f} in the product; at a pixel they differ by at most "
            f"{explanation.largest_difference:.3f}. {card.name} {card.version}, digest "
            f"{card.digest[:12]}; product {explained.product_id}. The picture is "
            f"{width_m / 1000:.3g} km wide"
            + ("." if part == 1 else f" and shows {part:.0%} of the polygon.")
        ),
        rows=_rows(explained, Ground(region.geobox, outline)),
        notes=_OF_A_DETECTOR if explanation.features else _OF_A_NETWORK,
    )


def _rows(explained: Explained, ground: Ground) -> list[list[Cell]]:
    case, explanation = explained.case, explained.explanation
    readings = case.reader.readings
    ordered = readings[::-1] if case.model.card.single_date else readings
    pictures = {reading.name: _picture(explained, reading, ground) for reading in ordered}
    probability = Field(
        "Probability, per cent\n" + f"of {explained.polygon.notation.lower()}",
        ground,
        np.where(case.region.seen, explanation.probability * 100, np.float32(np.nan)),
        _PERCENT,
        (0, 100),
    )
    if explanation.features:
        radar = case.model.card.inputs[0].units is Physical.DECIBEL
        unit = f", {Physical.DECIBEL}" if radar else ""
        fields = [_field(feature, ground, unit) for feature in explanation.features]
        histograms = [_distribution(f, explanation, unit) for f in explanation.features]
        return [[*pictures.values(), probability], [*fields], [*histograms]]
    limit = _limit(explanation.attributions)
    moved = {each.image: each for each in explanation.attributions}
    cells: list[Cell] = []
    for name, picture in pictures.items():
        cells.append(picture)
        if name in moved:
            cells.append(_moved(moved[name], ground, limit))
    cells += [probability, _effects(explanation.effects), _bands(explanation.attributions)]
    columns = _COLUMNS if len(cells) > 6 else 3
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _picture(explained: Explained, reading: Reading, ground: Ground) -> Picture:
    """Return an image: in the bands that the model reads where they make a picture."""
    scenes = reading.mosaic.scenes
    bands = shown_bands(reading.mosaic.bands)
    if len(bands) == 3 or scenes[0].sensor.family is Family.RADAR:
        pixels = for_eye(reading.mosaic.read(ground.geobox))
    else:
        bands = shown_bands(scenes[0].bands)
        pixels, _ = quicklook(scenes, ground.geobox)
    sensors = ", ".join(dict.fromkeys(scene.sensor.title for scene in scenes))
    shown_as = "red, green, blue" if len(bands) == 3 else "grey"
    natural = bands == ("red", "green", "blue")
    colours = "natural colours" if natural else f"{', '.join(bands)} as {shown_as}"
    return Picture(
        f"{reading.name}: {sensors}, {dates_text([scene.taken for scene in scenes])}\n{colours}",
        ground,
        pixels,
        explained.explanation.observed[reading.name],
    )


def _field(feature: Feature, ground: Ground, unit: str) -> Field:
    seen = feature.values[np.isfinite(feature.values)]
    low, high = np.percentile(seen, [1, 99]) if seen.size else (0.0, 1.0)
    return Field(
        f"{feature.name}{unit}", ground, feature.values, colormaps["cividis"],
        (float(low), float(max(high, low + 1e-6))),
    )  # fmt: skip


def _distribution(feature: Feature, explanation: Explanation, unit: str) -> Distribution:
    told = "nothing found by it" if feature.line is None else f"threshold: {feature.method}"
    return Distribution(
        f"{feature.name}{unit}\n{told}",
        explanation.around(feature),
        explanation.inside(feature),
        feature.line,
    )


def _limit(attributions: Sequence[Attribution]) -> float:
    """Return where the colours of the attributions end."""
    everything = np.concatenate([np.abs(each.pixels).ravel() for each in attributions])
    return float(max(np.percentile(everything, _CUT), 1e-12))


def _moved(attribution: Attribution, ground: Ground, limit: float) -> Field:
    return Field(
        f"What {attribution.image} added:\n{attribution.total:+.2f} log odds in all",
        ground,
        attribution.pixels,
        _SPEAKS,
        (-limit, limit),
    )


def _effects(effects: Sequence[Effect]) -> Bars:
    return Bars(
        "Left out: change of the probability,\npercentage points",
        [
            Bar(
                " ".join(part for part in (effect.image, effect.band) if part),
                effect.change,
                _signed(100 * effect.change, decimals=1),
            )
            for effect in effects
        ],
        falling=True,
    )


def _bands(attributions: Sequence[Attribution]) -> Bars:
    return Bars("By band: what each added, log odds", [*_band_bars(attributions)], labels_px=150.0)


def _band_bars(attributions: Sequence[Attribution]) -> Iterator[Bar]:
    for each in attributions:
        for band, value in each.bands.items():
            yield Bar(f"{each.image} {band}", value, _signed(value, decimals=2))
        if each.presence is not None:
            yield Bar(f"{each.image} is there", each.presence, _signed(each.presence, decimals=2))


def _signed(value: float, *, decimals: int) -> str:
    """Return a number with its sign; nothing has none."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"
