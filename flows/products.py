"""What a store holds, as rows for people and scripts."""

from pathlib import Path
from typing import Any

from flows.errors import RequestInvalid
from geo.manifest import Product, read_product
from geo.store import LocalStore


def event_rows(store: LocalStore) -> list[dict[str, Any]]:
    """Return one row an event: how many products, which is current, since when."""
    rows = []
    for event in store.events():
        current = store.latest(event)
        rows.append(
            {
                "event": event,
                "products": len(store.products(event)),
                "latest": current.product_id if current else None,
                "published": current.published if current else None,
            }
        )
    return rows


def product_rows(store: LocalStore, event: str | None) -> list[dict[str, Any]]:
    """Return one row a product, oldest first, of one event or of all.

    Raises:
        RequestInvalid: where there is no such event.
    """
    events = store.events()
    if event is not None and event not in events:
        there = ", ".join(events) or "none"
        raise RequestInvalid(f"the store {store.root} has no event {event!r}; it has {there}")
    wanted = events if event is None else [event]
    return [_row(product) for name in wanted for product in store.products(name)]


def find_product(name: str, store: LocalStore) -> Product:
    """Return the product in a folder, or the one of that id in a store.

    Raises:
        RequestInvalid: where there is none.
    """
    folder = Path(name)
    if folder.is_dir():
        product = read_product(folder.resolve())
        if product is None:
            raise RequestInvalid(
                f"{folder} is no product, or part of it is missing: a product is a folder with "
                "manifest.json and every file that it names"
            )
        return product
    found = [p for event in store.events() for p in store.products(event) if p.product_id == name]
    if not found:
        raise RequestInvalid(
            f"there is no folder {name!r}, and no product of that id in the store {store.root}; "
            "`aftermap products` lists them"
        )
    return found[0]


def class_raster(folder: Path) -> Path:
    """Return the class raster of a product's folder.

    Raises:
        RequestInvalid: where that folder is no product.
    """
    raster = folder / "rasters" / "class.tif"
    if not raster.is_file():
        raise RequestInvalid(f"{folder} is no product: it has no rasters/class.tif")
    return raster


def built_up(folder: Path) -> Path:
    """Return the buildings of a product's folder.

    Raises:
        RequestInvalid: where that folder is no product.
    """
    layer = folder / "layers" / "built_up.geojson"
    if not layer.is_file():
        raise RequestInvalid(f"{folder} is no product: it has no layers/built_up.geojson")
    return layer


def _row(product: Product) -> dict[str, Any]:
    model = product.manifest.get("model")
    return {
        "event": product.event_id,
        "product": product.product_id,
        "published": product.published,
        "model": model["name"] if model else "none",
        "folder": str(product.folder),
    }
