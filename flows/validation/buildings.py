"""The buildings of a product: their published grades, and the outlines of some of them."""

from collections.abc import Sequence

import geopandas as gpd
import pyogrio
from shapely.geometry.base import BaseGeometry

from flows.errors import RequestInvalid
from geo.manifest import Product

LAYER = "built_up"


def published_grades(product: Product) -> dict[str, str]:
    """Return `damage_gra` by `id` of every building.

    Raises:
        RequestInvalid: where the product has no building.
    """
    path = product.folder / "layers.gpkg"
    columns = ["id", "damage_gra"]
    frame = pyogrio.read_dataframe(path, layer=LAYER, columns=columns, read_geometry=False)
    if frame.empty:
        raise RequestInvalid(
            f"the product {product.product_id} has no building; map the event with footprints "
            "(--buildings) to validate them"
        )
    return dict(zip(frame["id"], frame["damage_gra"], strict=True))


def outlines(product: Product, ids: Sequence[str]) -> dict[str, BaseGeometry]:
    """Return the outlines of some buildings by id, lon-lat WGS 84."""
    named = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    frame: gpd.GeoDataFrame = pyogrio.read_dataframe(
        product.folder / "layers.gpkg", layer=LAYER, columns=["id"], where=f"id IN ({named})"
    )
    return dict(zip(frame["id"], frame.geometry, strict=True))
