"""STAC 1.1: an item a product, a collection an event, a catalog the store.

Links are relative, so that the store can be copied or served from anywhere. The collection
and the catalog say nothing that does not lie on the disk: making them again changes nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pystac
import shapely
from pystac import Asset, Catalog, Collection, Extent, Item, Link, MediaType

from geo.errors import StoreError
from geo.export.formats import FORMATS, ProductFile, files_of_product
from geo.store.atomic_io import replace_file, writing
from geo.store.manifest import MANIFEST, Product, current, read_json, to_json
from geo.store.store import LocalStore
from geo.vector.area_files import Polygonal, wrap
from geo.vector.schema import LAYERS

ITEM = "item.json"

_SUMMARISED = ("aftermap:hazard", "aftermap:model", "aftermap:status", "gsd")


def write_item(
    folder: Path,
    *,
    event_id: str,
    product_id: str,
    area: Polygonal | None,
    bounds: Sequence[float] | None,
    times: Iterable[datetime],
    undated: datetime,
    properties: Mapping[str, Any],
) -> None:
    """Write `item.json` of a product, with an asset for each file that lies in its folder.

    Args:
        folder: of the product, whole but for its manifest.
        event_id: id of the collection.
        product_id: id of the item.
        area: the area of interest, lon-lat WGS 84; None where it lies nowhere.
        bounds: west, south, east, north of the area; west > east across the antimeridian.
        times: acquisition times of the scenes that have one, UTC.
        undated: stands for them where none has one, because STAC asks for a time.
        properties: what else there is to say: `title`, `license` (SPDX), `gsd` in metres,
            `aftermap:model`, `aftermap:hazard`, `aftermap:share_observed`, ...

    Raises:
        StoreError: where it cannot be written.
    """
    known = sorted(times)
    start, end = (known[0], known[-1]) if known else (undated, undated)
    item = Item(
        product_id,
        geometry=None if area is None else dict(shapely.geometry.mapping(area)),
        bbox=None if bounds is None else list(bounds),
        datetime=None,
        start_datetime=start,
        end_datetime=end,
        properties={**properties, "aftermap:dated": bool(known)},
        collection=event_id,
        assets=_assets(folder),
    )
    item.add_links(
        [
            Link("root", "../../../../catalog.json", MediaType.JSON),
            Link("parent", "../../collection.json", MediaType.JSON),
            Link("collection", "../../collection.json", MediaType.JSON),
        ]
    )
    with writing(folder / ITEM):
        (folder / ITEM).write_bytes(_document(item))


def rebuild(store: LocalStore, event_id: str) -> None:
    """Make the collection of an event and the catalog anew from what the store holds.

    Raises:
        StoreError: where they cannot be written.
    """
    with writing(store.root), store.locked(event_id):
        products = store.products(event_id)
        if products:
            path = store.root / "events" / event_id / "collection.json"
            _put(path, _document(_collection(event_id, products)))
    with writing(store.root), store.locked():
        _put(store.root / "catalog.json", _document(_catalog(store.events())))


def _collection(event_id: str, products: Sequence[Product]) -> Collection:
    items = [_item(product) for product in products]
    newest = items[-1]["properties"]
    starts = [item["properties"]["start_datetime"] for item in items]
    ends = [item["properties"]["end_datetime"] for item in items]
    collection = Collection(
        event_id,
        title=event_id,
        description=f"Products of the event {event_id}, made by Aftermap",
        extent=Extent.from_dict(
            {
                "spatial": {"bbox": [_union([item["bbox"] for item in items if "bbox" in item])]},
                "temporal": {"interval": [[min(starts), max(ends)]]},
            }
        ),
        license=newest.get("license", "other"),
        keywords=["disaster", "response", newest.get("aftermap:hazard", "damage")],
        summaries=pystac.Summaries(_summaries([item["properties"] for item in items])),
        extra_fields={"updated": products[-1].published},
    )
    paths = [_path(product) for product in products]
    collection.add_links(
        [
            Link("root", "../../catalog.json", MediaType.JSON),
            Link("parent", "../../catalog.json", MediaType.JSON),
            *(Link("item", path, MediaType.GEOJSON) for path in paths),
            Link("latest-version", _path(current(products)[0]), MediaType.GEOJSON),
        ]
    )
    return collection


def _path(product: Product) -> str:
    return f"./products/{product.product_id}/{ITEM}"


def _item(product: Product) -> dict[str, Any]:
    item = read_json(product.folder / ITEM)
    if item is None:
        raise StoreError(f"{product.folder} has no {ITEM}, or a damaged one; publish it again")
    return item


def _catalog(events: Sequence[str]) -> Catalog:
    catalog = Catalog("aftermap", title="Aftermap", description="Flood and damage layers, by event")
    catalog.add_links(
        [
            Link("root", "./catalog.json", MediaType.JSON),
            *(Link("child", f"./events/{e}/collection.json", MediaType.JSON) for e in events),
        ]
    )
    return catalog


def _assets(folder: Path) -> dict[str, Asset]:
    """Return an asset for each file of a product, and its manifest to come.

    The first file of a layer or raster has its name as a key, any other file its path.
    """
    there = [file for file in files_of_product(folder) if file.path not in (ITEM, MANIFEST)]
    assets: dict[str, Asset] = {}
    for path, name, known in [*there, ProductFile(MANIFEST, "", FORMATS["manifest"])]:
        is_data, stem = known.role == "data", PurePosixPath(path).stem
        key = stem if is_data and stem not in assets else re.sub(r"[/.]", "-", path)
        title = f"{known.title}, {name}" if name else known.title
        if is_data and name in LAYERS:
            title = LAYERS[name].title
        assets[key] = Asset(f"./{path}", title, None, known.media_type, [known.role])
    return assets


def _summaries(properties: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    found = {name: {p[name] for p in properties if p.get(name) is not None} for name in _SUMMARISED}
    return {name: sorted(values) for name, values in found.items() if values}


def _union(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box around boxes; west > east across the antimeridian.

    STAC asks for one: the whole Earth stands for an event whose products all lie nowhere.
    """
    if not boxes:
        return [-180.0, -90.0, 180.0, 90.0]
    crossing = any(west > east for west, _, east, _ in boxes)
    lons = [(lon % 360 if crossing else lon) for box in boxes for lon in (box[0], box[2])]
    lats = [lat for box in boxes for lat in (box[1], box[3])]
    return [wrap(min(lons)), min(lats), wrap(max(lons)), max(lats)]


def _document(thing: Item | Catalog) -> bytes:
    return to_json(thing.to_dict(include_self_link=False, transform_hrefs=False))


def _put(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        replace_file(path, data)
