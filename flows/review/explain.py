"""Explain a polygon of a product: find its inputs again, ask the model, say and draw why."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flows.config import RequestInvalid, Settings
from flows.drawing.explanation import Explained, draw_why, picture_of
from flows.review.inputs import (
    BAND,
    Places,
    clouds_again,
    find_polygon,
    grid_of,
    model_again,
    scenes_again,
    surveys_of,
)
from geo.imagery.dataset import fixed_block_cache
from geo.raster.grid import crs_of
from geo.scenes.source import Preference
from geo.store.atomic_io import making
from geo.store.manifest import Product
from geo.types import FloatArray
from models.evaluation.explain import explain
from models.evaluation.explained_polygon import (
    ExplainedPolygon,
    ProductRasters,
    polygon_window,
)
from models.inference.clouds import maskings
from models.inference.model import load_model
from models.inference.scene_inputs import reader_for
from models.inference.windows import ProgressReceiver


@fixed_block_cache()
def explain_feature(
    product: Product,
    feature_id: str,
    *,
    places: Places,
    settings: Settings,
    device: str,
    progress: ProgressReceiver,
) -> Explained:
    """Return why a feature of a product is there.

    Raises:
        RequestInvalid: where there is no such feature, or an input is not as it was.
        ModelError, GeoError: where the inputs cannot be read as they were.
    """
    polygon = find_polygon(product, feature_id)
    ref = model_again(product, places, settings)
    scenes = scenes_again(product, places)
    clouds = clouds_again(product, scenes, settings)
    grid = grid_of(product)
    rasters = ProductRasters(
        classes=product.folder / "rasters" / "class.tif",
        probability=product.folder / "rasters" / "probability.tif",
        band=BAND[polygon.asked],
    )
    region = polygon_window(
        polygon.outline(crs_of(grid)),
        rasters,
        grid,
        labels=polygon.labels,
        max_px=ref.card.window_px,
    )
    model = load_model(ref, device=device)
    prefer = Preference(product.manifest["request"]["prefer"])
    case = ExplainedPolygon(
        model=model,
        reader=reader_for(model, scenes, prefer, maskings(scenes, clouds)),
        statistics=surveys_of(product),
        grid=grid,
        window=region,
        probability=polygon.asked,
    )
    return Explained(polygon, product.product_id, case, explain(case, progress))


def draw_explained(explained: Explained, out_png: Path) -> None:
    """Draw the picture of an explanation.

    Raises:
        RequestInvalid: where the name does not end with .png.
        StoreError: where the file cannot be written.
    """
    if out_png.suffix.lower() != ".png":
        raise RequestInvalid(f"the picture is a PNG, and {out_png} is not named like one")
    picture = picture_of(explained)
    with making(out_png):
        draw_why(picture, out_png)


def explained_json(explained: Explained) -> dict[str, Any]:
    """Return an explanation as plain numbers."""
    polygon, explanation = explained.polygon, explained.explanation
    card, region = explained.case.model.card, explanation.window
    return {
        "product": explained.product_id,
        "feature": polygon.id,
        "layer": polygon.layer,
        "notation": polygon.notation,
        "confidence": polygon.properties["confidence"],
        "model": {"name": card.name, "version": card.version, "digest": card.digest},
        "pixels": int(region.pixels.sum()),
        "pixels_of_polygon": region.polygon_pixels,
        "probability": explanation.mean,
        "probability_in_product": region.mean_percent / 100,
        "largest_difference": explanation.largest_difference,
        "observed_shares": explanation.observed_shares,
        "features": [
            {
                "name": feature.name,
                "threshold": feature.threshold,
                "method": feature.method,
                "median_inside": _median(explanation.inside(feature)),
                "median_around": _median(explanation.around(feature)),
            }
            for feature in explanation.features
        ],
        "left_out": [asdict(effect) for effect in explanation.occlusions],
        "attributions": [
            {
                "image": each.image,
                "log_odds": each.total,
                "bands": dict(each.bands),
                "presence": each.presence,
            }
            for each in explanation.attributions
        ],
        "balances": [{**asdict(each), "gap": each.gap} for each in explanation.completeness],
    }


def explained_rows(explained: Explained) -> list[dict[str, Any]]:
    """Return an explanation as rows of a table, for people."""
    explanation = explained.explanation
    if explanation.features:
        return [
            {
                "feature": feature.name,
                "threshold": "none" if feature.threshold is None else f"{feature.threshold:.3g}",
                "in the polygon": _figure(_median(explanation.inside(feature))),
                "around it": _figure(_median(explanation.around(feature))),
            }
            for feature in explanation.features
        ]
    return [
        {
            "left out": " ".join(part for part in (effect.image, effect.band) if part),
            "probability without": f"{effect.without:.3f}",
            "change": f"{effect.change:+.3f}",
        }
        for effect in explanation.occlusions
    ]


def _median(values: FloatArray) -> float | None:
    return float(np.median(values)) if values.size else None


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
