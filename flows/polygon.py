"""Polygon: one feature of a published layer, and what its pixels are in the rasters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import shapely
from shapely.geometry.base import BaseGeometry

from flows.errors import RequestInvalid
from geo.classify import NOTATION, REASONS, Label
from geo.manifest import Product
from geo.schema import LAYERS
from geo.vectorise import DAMAGED_AREA
from models.case import Asked

ASKED = {"observed_event": Asked.EVENT, "hydrography": Asked.WATER_BEFORE}
"""Which probability the features of a layer have."""
BAND = {Asked.EVENT: 1, Asked.WATER_BEFORE: 2}
"""Of `rasters/probability.tif`."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """A feature that a model decided."""

    id: str
    layer: str
    geometry: BaseGeometry
    """WGS 84, longitude and latitude."""
    properties: Mapping[str, Any]

    @property
    def notation(self) -> str:
        """What it is, such as "Flooded area"."""
        return str(self.properties["notation"])

    @property
    def asked(self) -> Asked:
        """Which probability it has."""
        return ASKED[self.layer]

    @property
    def labels(self) -> frozenset[Label]:
        """What its pixels can be in `rasters/class.tif`."""
        named = {Label(label) for label, name in NOTATION.items() if name == self.notation}
        if Label.REFERENCE_WATER in named:  # it may lie where nothing was seen after the event
            return frozenset(named | set(REASONS))
        return frozenset(named or {Label.EVENT})

    def outline(self, crs: str) -> BaseGeometry:
        """Return its geometry in a CRS."""
        outline: BaseGeometry = gpd.GeoSeries([self.geometry], crs="EPSG:4326").to_crs(crs).iloc[0]
        return outline


def find_polygon(product: Product, feature_id: str) -> Polygon:
    """Return a feature by its `id`.

    Raises:
        RequestInvalid: where there is none, or no model decided it.
    """
    for layer in LAYERS:
        path = product.folder / "layers" / f"{layer}.geojson"
        features = json.loads(path.read_bytes())["features"]
        for feature in features:
            if feature["properties"]["id"] == feature_id:
                return _polygon(feature, layer)
    raise RequestInvalid(
        f"the product {product.product_id} has no feature {feature_id!r}; the field id of its "
        f"layers {' and '.join(ASKED)} names those that can be explained"
    )


def _polygon(feature: Mapping[str, Any], layer: str) -> Polygon:
    properties = feature["properties"]
    if layer not in ASKED:
        raise RequestInvalid(
            f"{properties['id']} is a feature of {layer}, which no model decided; give the id of a "
            f"feature of {' or '.join(ASKED)}"
        )
    if properties["notation"] == DAMAGED_AREA:
        raise RequestInvalid(
            f"{properties['id']} is a damaged area: the mean of what a network says of buildings "
            "around it, which is not taken apart; give the id of flooded or burnt ground"
        )
    return Polygon(properties["id"], layer, shapely.geometry.shape(feature["geometry"]), properties)
