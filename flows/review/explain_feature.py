"""Why a feature of a product is there: its inputs are found again, and the model is explained."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from flows.config import RequestInvalid, Settings
from flows.drawing.explanation import MOST_FEATURES, draw_building, draw_polygon
from flows.review.product_inputs import (
    InputPaths,
    product_clouds,
    product_grid,
    product_model,
    product_scenes,
    product_statistics,
)
from geo.imagery.dataset import fixed_block_cache
from geo.raster.classify import NOTATION, REASONS, Label
from geo.raster.grid import crs_of
from geo.scenes.scene import Scene
from geo.scenes.source import Preference
from geo.store.atomic_io import making
from geo.store.manifest import Product
from geo.types import FloatArray
from geo.vector.hazards import DAMAGED
from geo.vector.schema import LAYERS
from models.cards.inputs import Task
from models.cards.registry import CardRef
from models.damage.buildings import Buildings, pair_of
from models.evaluation.explain import BuildingExplanation, Explanation, explain, explain_building
from models.evaluation.explained_polygon import (
    ExplainedPolygon,
    ProductRasters,
    PublishedProbability,
    polygon_window,
)
from models.inference.clouds import maskings
from models.inference.model import load_model
from models.inference.scene_inputs import reader_for
from models.inference.windows import ProgressReceiver

_BUILDINGS = "built_up"
_PROBABILITY = {
    "observed_event": (PublishedProbability.EVENT, 1),
    "hydrography": (PublishedProbability.WATER_BEFORE, 2),
}
"""Which probability the features of a layer have, and its band in `rasters/probability.tif`."""


@dataclass(frozen=True)
class FeatureReport:
    """Why a feature is there: figures for scripts, rows for people, and a picture."""

    figures: dict[str, Any]
    rows: list[dict[str, Any]]
    sentence: str
    draw: Callable[[Path], None]

    def save_picture(self, out_png: Path) -> None:
        """Draw the picture; raises RequestInvalid where the name is no .png, StoreError."""
        if out_png.suffix.lower() != ".png":
            raise RequestInvalid(f"the picture is a PNG, and {out_png} does not end with .png")
        with making(out_png):
            self.draw(out_png)


@dataclass(frozen=True, eq=False)
class ProductFeature:
    """A feature of a published layer."""

    id: str
    layer: str
    number: int
    """Its position in the file of the layer, from 0."""
    geometry: BaseGeometry
    """WGS 84, longitude and latitude."""
    properties: Mapping[str, Any]

    @property
    def notation(self) -> str:
        """What it is, such as "Flooded area"."""
        return str(self.properties["notation"])

    @property
    def title(self) -> str:
        return f"Why {self.id}: {self.properties.get('damage_gra') or self.notation}"

    @property
    def figures(self) -> dict[str, Any]:
        """What every report has."""
        known = {name: self.properties[name] for name in ("notation", "confidence", "model")}
        return {"feature": self.id, "layer": self.layer, **known}

    @property
    def labels(self) -> frozenset[Label]:
        """What its pixels can be in `rasters/class.tif`."""
        named = {Label(label) for label, name in NOTATION.items() if name == self.notation}
        if Label.REFERENCE_WATER in named:  # also where nothing was observed after the event
            return frozenset(named | set(REASONS))
        return frozenset(named or {Label.EVENT})

    def outline(self, crs: str) -> BaseGeometry:
        """Return its geometry in a CRS."""
        outline: BaseGeometry = gpd.GeoSeries([self.geometry], crs="EPSG:4326").to_crs(crs).iloc[0]
        return outline


@fixed_block_cache()
def explain_feature(
    product: Product,
    feature_id: str,
    *,
    paths: InputPaths,
    settings: Settings,
    device: str,
    progress: ProgressReceiver,
) -> FeatureReport:
    """Return why a feature of a product is there.

    Raises:
        RequestInvalid: where there is no such feature, or an input is not as it was.
        ModelError, GeoError: where the inputs cannot be read as they were.
    """
    feature = find_feature(product, feature_id)
    ref = product_model(product, paths, settings)
    scenes = product_scenes(product, paths)
    if feature.layer == _BUILDINGS:
        return _explain_building(product, feature, ref, scenes, device=device, progress=progress)
    clouds = product_clouds(product, scenes, settings)
    grid = product_grid(product)
    probability, band = _PROBABILITY[feature.layer]
    rasters = ProductRasters(
        classes=product.folder / "rasters" / "class.tif",
        probability=product.folder / "rasters" / "probability.tif",
        band=band,
    )
    outline = feature.outline(crs_of(grid))
    window = polygon_window(
        outline, rasters, grid, labels=feature.labels, max_px=ref.card.window_px
    )
    model = load_model(ref, device=device)
    prefer = Preference(product.manifest["request"]["prefer"])
    case = ExplainedPolygon(
        model=model,
        reader=reader_for(model, scenes, prefer, maskings(scenes, clouds)),
        statistics=product_statistics(product),
        grid=grid,
        window=window,
        probability=probability,
    )
    explanation = explain(case, progress)
    draw = partial(
        draw_polygon, title=feature.title, outline=outline, case=case, explanation=explanation
    )
    return _polygon_report(feature, explanation, draw)


def _explain_building(
    product: Product,
    feature: ProductFeature,
    ref: CardRef,
    scenes: Sequence[Scene],
    *,
    device: str,
    progress: ProgressReceiver,
) -> FeatureReport:
    if ref.card.task is not Task.DAMAGE:
        raise RequestInvalid(
            f"{feature.id} is a building without a grade ({feature.properties['reason']}), and "
            f"{ref.card.name} maps pixels; give the id of a feature of {', '.join(_PROBABILITY)}"
        )
    request, grid = product.manifest["request"], product_grid(product)
    path = product.folder / "layers" / f"{_BUILDINGS}.geojson"
    features = json.loads(path.read_bytes())["features"]
    outlines = np.array([shapely.geometry.shape(each["geometry"]) for each in features])
    explanation = explain_building(
        load_model(ref, "grades", device=device),
        pair_of(ref.card, scenes, Preference(request["prefer"])),
        grid,
        Buildings.on(grid, outlines),
        feature.number,
        given=request.get("buildings") is not None,
        checked=request["domain_check"],
        progress=progress,
    )
    draw = partial(
        draw_building, title=feature.title, outline=feature.outline(crs_of(grid)),
        explanation=explanation,
    )  # fmt: skip
    return _building_report(feature, explanation, draw)


def find_feature(product: Product, feature_id: str) -> ProductFeature:
    """Return a feature that a model made, by its `id`; raises RequestInvalid where none is."""
    for layer in LAYERS:
        path = product.folder / "layers" / f"{layer}.geojson"
        for number, feature in enumerate(json.loads(path.read_bytes())["features"]):
            properties = feature["properties"]
            if properties["id"] == feature_id:
                geometry = shapely.geometry.shape(feature["geometry"])
                found = ProductFeature(feature_id, layer, number, geometry, properties)
                _require_explainable(found)
                return found
    raise RequestInvalid(
        f"the product {product.product_id} has no feature {feature_id!r}; give the field id of a "
        f"feature of {', '.join(_PROBABILITY)} or built_up"
    )


def _require_explainable(feature: ProductFeature) -> None:
    if feature.layer == _BUILDINGS:
        return
    if feature.layer not in _PROBABILITY:
        raise RequestInvalid(
            f"{feature.id} is a feature of {feature.layer}, which is not made by a model; give the "
            f"id of a feature of {', '.join(_PROBABILITY)} or built_up"
        )
    if feature.notation == DAMAGED.notation:
        raise RequestInvalid(
            f"{feature.id} is a damaged area, the mean of a network's answers for the buildings "
            "around it; give the id of a building, or of flooded or burnt ground"
        )


def _polygon_report(
    feature: ProductFeature, explanation: Explanation, draw: Callable[[Path], None]
) -> FeatureReport:
    window = explanation.window
    features = [
        {
            "name": each.name,
            "threshold": each.threshold,
            "method": each.method,
            "median_inside": _median(explanation.inside(each)),
            "median_around": _median(explanation.around(each)),
        }
        for each in explanation.features
    ]
    figures = {
        **feature.figures,
        "pixels": int(window.pixels.sum()),
        "pixels_of_polygon": window.polygon_pixels,
        "probability": explanation.mean,
        "probability_in_product": window.mean_percent / 100,
        "largest_difference": explanation.largest_difference,
        "observed_shares": explanation.observed_shares,
        "features": features,
        "left_out": [asdict(effect) for effect in explanation.occlusions],
        "attributions": [
            {"image": a.image, "log_odds": a.total, "bands": dict(a.bands), "presence": a.presence}
            for a in explanation.attributions
        ],
        "completeness": [asdict(each) for each in explanation.completeness],
    }
    sentence = (
        f"{feature.notation}: mean probability {explanation.mean:.3f}, "
        f"{window.mean_percent / 100:.3f} in the product"
    )
    rows = [{name: _figure(value) for name, value in each.items()} for each in features] or [
        {
            "left out": f"{effect.image} {effect.band or ''}".strip(),
            "probability without": f"{effect.without:.3f}",
            "change": f"{effect.change:+.3f}",
        }
        for effect in explanation.occlusions
    ]
    return FeatureReport(figures, rows, sentence, draw)


def _building_report(
    feature: ProductFeature, explanation: BuildingExplanation, draw: Callable[[Path], None]
) -> FeatureReport:
    terms, grade = explanation.contributions, feature.properties["damage_gra"]
    figures = {
        **feature.figures,
        "damage_gra": grade,
        "grade": explanation.grade,
        "probabilities": dict(explanation.probabilities),
        "logits": dict(terms.logits) if terms else {},
        "intercepts": dict(terms.intercepts) if terms else {},
        "features": [asdict(each) for each in explanation.features],
        "attributions": [
            {"image": each.image, "log_odds": each.total, "bands": dict(each.bands)}
            for each in explanation.attributions
        ],
    }
    column = "adds to the log odds of damage"
    rows = [
        {
            "feature": each.feature,
            "before": _figure(each.before),
            "after": _figure(each.after),
            "mean of training": _figure(each.mean),
            column: f"{each.contributions['damaged']:+.2f}",
        }
        for each in explanation.features[:MOST_FEATURES]
    ] or [{"image": each.image, column: f"{each.total:+.2f}"} for each in explanation.attributions]
    shown = ", ".join(f"{name} {share:.0%}" for name, share in explanation.probabilities.items())
    sentence = f"{grade}; computed again: {explanation.grade} ({shown})"
    return FeatureReport(figures, rows, sentence, draw)


def _median(values: FloatArray) -> float | None:
    return float(np.median(values)) if values.size else None


def _figure(value: float | str | None) -> str:
    return "none" if value is None else value if isinstance(value, str) else f"{value:.3g}"
