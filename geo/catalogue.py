"""STAC 1.1: an item a product, a collection an event, a catalogue of all events.

Links are relative, so that a store can be copied or served anywhere. The item lies inside
the product and never changes; collection and catalogue are made anew from what is published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import shapely

from geo.area import AreaOfInterest
from geo.durable import replace_file, writing
from geo.manifest import Product, to_json
from geo.scene import Scene
from geo.store import LocalStore

ITEM = "item.json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_ASSETS: dict[str, tuple[str, str]] = {
    ".geojson": ("application/geo+json", "data"),
    ".gpkg": ("application/geopackage+sqlite3", "data"),
    ".tif": (_COG, "data"),
    ".png": ("image/png", "overview"),
    ".json": ("application/json", "metadata"),
}
"""Media type and role of the files that are assets, by their ending; styles are none."""


@dataclass(frozen=True)
class ItemFacts:
    """What the item of a product says besides its files."""

    event_id: str
    product_id: str
    title: str
    hazard: str
    area: AreaOfInterest
    scenes: Sequence[Scene]
    model: str | None
    """Name of the model and 12 digits of its digest."""
    observed_share: float
    """Of the area, 0 to 1."""
    analysed_share: float


def write_item(facts: ItemFacts, folder: Path) -> None:
    """Write the STAC item of a product beside its files.

    Where no scene says when it was taken, STAC asks for a time all the same: it is then the
    time of writing, and `aftermap:acquired` says "unknown".

    Raises:
        StoreError: where the disk does not take it.
    """
    item = pystac.Item(
        id=facts.product_id,
        geometry=facts.area.geojson,
        bbox=[round(float(value), 7) for value in facts.area.geometry.bounds],
        properties={
            "title": facts.title,
            "aftermap:event": facts.event_id,
            "aftermap:hazard": facts.hazard,
            "aftermap:model": facts.model,
            "aftermap:observed_share": facts.observed_share,
            "aftermap:analysed_share": facts.analysed_share,
            "aftermap:scenes": [scene.id for scene in facts.scenes],
        },
        **_times(facts.scenes),
    )
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _ASSETS):
        name = path.relative_to(folder).as_posix()
        media_type, role = _ASSETS[path.suffix]
        item.add_asset(name, pystac.Asset(f"./{name}", media_type=media_type, roles=[role]))
    record = item.to_dict(include_self_link=False, transform_hrefs=False)
    record["collection"] = facts.event_id
    record["links"] = [
        _link("root", "../../../../catalog.json"),
        _link("collection", "../../collection.json"),
        _link("parent", "../../collection.json"),
    ]
    with writing(folder / ITEM):
        (folder / ITEM).write_bytes(to_json(record))


def update_catalogues(store: LocalStore, event_id: str) -> None:
    """Bring the collection of an event, and the catalogue, in line with what is published.

    Calling it again changes nothing.

    Raises:
        StoreError: where the store cannot be written.
    """
    with store.locked():
        products = store.products(event_id)
        if products:
            _replace(store.root / "events" / event_id / "collection.json", _collection(products))
        _replace(store.root / "catalog.json", _catalogue(store.events()))


def _times(scenes: Sequence[Scene]) -> dict[str, Any]:
    known = sorted(scene.taken for scene in scenes if scene.taken is not None)
    if not known:
        now = datetime.now(UTC).replace(microsecond=0)
        return {"datetime": now}
    return {"datetime": known[-1], "start_datetime": known[0], "end_datetime": known[-1]}


def _collection(products: Sequence[Product]) -> dict[str, Any]:
    items = [pystac.Item.from_file(str(product.folder / ITEM)) for product in products]
    newest = items[-1]
    collection = pystac.Collection(
        id=products[-1].event_id,
        description=f"{newest.properties['title']}: layers made by Aftermap",
        title=newest.properties["title"],
        # The layers follow the licence of the imagery, which the store does not know.
        license="other",
        extent=pystac.Extent(
            pystac.SpatialExtent([_total_bbox(items)]),
            pystac.TemporalExtent([[*_interval(items)]]),
        ),
    )
    record = collection.to_dict(include_self_link=False, transform_hrefs=False)
    record["links"] = [
        _link("root", "../../catalog.json"),
        _link("parent", "../../catalog.json"),
        *(_link("item", f"./products/{product.product_id}/{ITEM}") for product in products),
    ]
    return record


def _total_bbox(items: Sequence[pystac.Item]) -> list[float]:
    shapes = [shapely.geometry.shape(item.geometry) for item in items if item.geometry]
    return [float(value) for value in shapely.total_bounds(shapes)]


def _interval(items: Sequence[pystac.Item]) -> tuple[datetime, datetime]:
    starts = [item.common_metadata.start_datetime or item.datetime for item in items]
    ends = [item.common_metadata.end_datetime or item.datetime for item in items]
    return min(filter(None, starts)), max(filter(None, ends))


def _catalogue(events: Sequence[str]) -> dict[str, Any]:
    catalogue = pystac.Catalog("aftermap", "Events mapped by Aftermap", title="Aftermap")
    record = catalogue.to_dict(include_self_link=False, transform_hrefs=False)
    record["links"] = [
        _link("root", "./catalog.json"),
        *(_link("child", f"./events/{event}/collection.json") for event in events),
    ]
    return record


def _link(relation: str, target: str) -> dict[str, str]:
    media_type = "application/geo+json" if target.endswith(ITEM) else "application/json"
    return {"rel": relation, "href": target, "type": media_type}


def _replace(path: Path, record: dict[str, Any]) -> None:
    data = to_json(record)
    if not path.is_file() or path.read_bytes() != data:
        with writing(path.parent):
            replace_file(path, data)
