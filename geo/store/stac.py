"""STAC 1.1: an item a product, a collection an event, a catalog the store; all links are relative.

The collection and the catalog follow from the items on the disk; the tests validate with pystac.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from geo.errors import StoreError
from geo.export.formats import FORMATS, ProductFile, files_of_product
from geo.store.atomic_io import replace_file, writing
from geo.store.manifest import MANIFEST, Product, current, read_json, to_json
from geo.store.store import LocalStore
from geo.vector.schema import LAYERS

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ITEM = "item.json"
_JSON, _GEOJSON = "application/json", "application/geo+json"
_SUMMARISED = ("aftermap:hazard", "aftermap:model", "aftermap:status", "gsd")

_Document = dict[str, Any]


def write_item(
    folder: Path,
    *,
    event_id: str,
    product_id: str,
    area: "BaseGeometry | None",
    bounds: Sequence[float] | None,
    times: Iterable[datetime],
    undated: datetime,
    properties: Mapping[str, Any],
) -> None:
    """Write `item.json` of a product, with an asset for each file in its folder.

    Args:
        area: the area of interest, lon-lat WGS 84; None where the product is not georeferenced.
        bounds: west, south, east, north of the area; west > east across the antimeridian.
        times: acquisition times of the scenes that have one, UTC.
        undated: stands for them where none has one, because STAC requires a time.
        properties: `title`, `license` (SPDX), `gsd` in metres, `aftermap:...`.
    """
    known = sorted(times) or [undated]
    interval = {"start_datetime": _utc(known[0]), "end_datetime": _utc(known[-1])}
    dated = {"aftermap:dated": known != [undated], "datetime": None, **interval}
    item = {
        "type": "Feature",
        **_head(product_id),
        "geometry": None if area is None else dict(area.__geo_interface__),
        **({} if bounds is None else {"bbox": list(bounds)}),
        "properties": {**properties, **dated},
        "collection": event_id,
        "assets": _assets(folder),
        "links": [
            _link("root", "../../../../catalog.json"),
            _link("parent", "../../collection.json"),
            _link("collection", "../../collection.json"),
        ],
    }
    with writing(folder / ITEM):
        (folder / ITEM).write_bytes(to_json(item))


def rebuild(store: LocalStore, event_id: str) -> None:
    """Make the collection of an event and the catalog anew from what the store holds."""
    with writing(store.root), store.locked(event_id):
        if products := store.products(event_id):
            path = store.root / "events" / event_id / "collection.json"
            _put(path, _collection(event_id, products))
    with writing(store.root), store.locked():
        _put(store.root / "catalog.json", _catalog(store.events()))


def _collection(event_id: str, products: Sequence[Product]) -> _Document:
    items = [_item(product) for product in products]
    properties = [item["properties"] for item in items]
    found = {name: {p[name] for p in properties if p.get(name) is not None} for name in _SUMMARISED}
    start = min(p["start_datetime"] for p in properties)
    end = max(p["end_datetime"] for p in properties)
    box = _union([item["bbox"] for item in items if "bbox" in item])
    return {
        "type": "Collection",
        **_head(event_id),
        "title": event_id,
        "description": f"Products of the event {event_id}, made by Aftermap",
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[start, end]]}},
        "license": properties[-1].get("license", "other"),
        "keywords": ["disaster", "response", properties[-1].get("aftermap:hazard", "damage")],
        "summaries": {name: sorted(values) for name, values in found.items() if values},
        "updated": products[-1].published,
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../../catalog.json"),
            *(_link("item", _path(product), _GEOJSON) for product in products),
            _link("latest-version", _path(current(products)[0]), _GEOJSON),
        ],
    }


def _catalog(events: Sequence[str]) -> _Document:
    return {
        "type": "Catalog",
        **_head("aftermap"),
        "title": "Aftermap",
        "description": "Flood and damage layers, by event",
        "links": [
            _link("root", "./catalog.json"),
            *(_link("child", f"./events/{event}/collection.json") for event in events),
        ],
    }


def _head(name: str) -> _Document:
    return {"stac_version": "1.1.0", "stac_extensions": [], "id": name}


def _link(rel: str, href: str, media_type: str = _JSON) -> _Document:
    return {"rel": rel, "href": href, "type": media_type}


def _path(product: Product) -> str:
    return f"./products/{product.product_id}/{ITEM}"


def _item(product: Product) -> _Document:
    item = read_json(product.folder / ITEM)
    if item is None:
        raise StoreError(f"{product.folder} has no {ITEM}, or a damaged one; publish it again")
    return item


def _assets(folder: Path) -> _Document:
    """Return assets by name for the first file of a layer or raster, by path for any other."""
    there = [file for file in files_of_product(folder) if file.path not in (ITEM, MANIFEST)]
    assets: _Document = {}
    for path, name, known in [*there, ProductFile(MANIFEST, "", FORMATS["manifest"])]:
        is_data, stem = known.role == "data", PurePosixPath(path).stem
        key = stem if is_data and stem not in assets else re.sub(r"[/.]", "-", path)
        title = f"{known.title}, {name}" if name else known.title
        if is_data and name in LAYERS:
            title = LAYERS[name].title
        assets[key] = {
            "href": f"./{path}", "type": known.media_type, "title": title, "roles": [known.role]
        }  # fmt: skip
    return assets


def _union(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box around boxes, west > east across the antimeridian; the Earth around none."""
    if not boxes:
        return [-180.0, -90.0, 180.0, 90.0]
    crossing = any(west > east for west, _, east, _ in boxes)
    lons = [(lon % 360 if crossing else lon) for box in boxes for lon in (box[0], box[2])]
    lats = [lat for box in boxes for lat in (box[1], box[3])]
    west, east = (lon - 360 if lon > 180 else lon for lon in (min(lons), max(lons)))
    return [west, min(lats), east, max(lats)]


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _put(path: Path, document: _Document) -> None:
    data = to_json(document)
    if not path.exists() or path.read_bytes() != data:
        replace_file(path, data)
