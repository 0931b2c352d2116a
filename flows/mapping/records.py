"""Products that were published, as commands and Prefect show them, and what a manifest says."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config import RequestInvalid
from geo.scenes.source import expanded
from geo.store.manifest import PHOTOS, Origins, Product, read_json, read_product
from geo.store.store import LocalStore

if TYPE_CHECKING:
    from flows.mapping.plan import Plan
    from flows.reports.progress import Cost
    from flows.reports.summary import PhotoSummary, Summary
    from flows.request import SourceSpec
    from geo.scenes.scene import Scene
    from models.cards.registry import CardRef

_LIBRARIES = ("aftermap", "numpy", "rasterio", "shapely", "pyogrio", "pillow")
"""Whose versions a manifest states."""


@dataclass(frozen=True)
class Published:
    """A product that can be read, of a map or of photos."""

    folder: Path
    event_id: str
    product_id: str
    summary: "Summary | PhotoSummary"
    new: bool
    """False where the same inputs had been published before, and nothing was computed."""

    @property
    def main_file(self) -> str:
        """What to open first, with what it is."""
        if (self.folder / "photos.csv").is_file():
            return f"photos:  {self.folder / 'photos.csv'}"
        return f"map:     {self.folder / 'map.png'}"

    @property
    def picture(self) -> Path | None:
        """What it looks like: the map, or the first photo with its mask on it."""
        photos = sorted((self.folder / "overlays").glob("*.jpg"))
        return next((p for p in (self.folder / "map.png", *photos) if p.is_file()), None)

    def markdown(self, place: str) -> str:
        """Return its summary as Markdown.

        Args:
            place: where it lies, a folder or a URL.
        """
        from flows.reports.markdown import photos_markdown, summary_markdown  # noqa: PLC0415 (lists need no summary)
        from flows.reports.summary import PhotoSummary  # noqa: PLC0415 (the same)

        if isinstance(self.summary, PhotoSummary):
            return photos_markdown(self.summary, product=place)
        return summary_markdown(self.summary, product=place)


def read_published(product: Product, *, new: bool) -> Published:
    """Return a product with its summary."""
    from flows.reports.summary import PhotoSummary, Summary  # noqa: PLC0415 (lists need no summary)

    kind = PhotoSummary if product.manifest.get("kind") == PHOTOS else Summary
    text = (product.folder / "summary.json").read_text(encoding="utf-8")
    summary = kind.model_validate_json(text)
    return Published(product.folder, product.event_id, product.product_id, summary, new)


def scene_record(scene: "Scene") -> dict[str, Any]:
    """Return what a manifest says of a scene."""
    return {
        "id": scene.id, "acquisition": scene.acquisition, "revision": scene.revision,
        "phase": scene.phase, "sensor": scene.sensor_name, "taken": scene.taken_text,
        "units": scene.units, "offset": scene.offset, "backscatter": scene.backscatter,
        "files": [path.name for path in scene.paths],
    }  # fmt: skip


def origins_of(plan: "Plan") -> Origins:
    """Return where the inputs of a plan lie, so that `explain` finds them again."""

    def places(specs: "Sequence[SourceSpec]") -> list[str]:
        return [str(expanded(Path(spec.path)).absolute()) for spec in specs]

    ref = plan.choice.ref
    return Origins(
        before=places(plan.request.before),
        after=places(plan.request.after),
        model=str(ref.folder.absolute()) if ref else None,
    )


def model_record(ref: "CardRef | None") -> dict[str, str] | None:
    """Return what a manifest says of a model."""
    if ref is None:
        return None
    return {"name": ref.card.name, "version": ref.card.version, "digest": ref.card.digest}


def manifest_of(plan: "Plan", own: dict[str, Any], cost: "Cost") -> dict[str, Any]:
    """Return what made a product and what it cost.

    Args:
        own: what only a map, or only photos, have to say; its "cost" is added to the cost.
    """
    from flows.mapping.plan import code_digest  # noqa: PLC0415 (lists need no plan)

    return {
        "request": plan.request.portable(),
        "model": model_record(plan.choice.ref),
        "versions": {name: version(name) for name in _LIBRARIES},
        "code_sha256": code_digest(),
        **own,
        "cost": {**cost.as_json(), **own.get("cost", {})},
    }


def event_rows(store: LocalStore) -> list[dict[str, Any]]:
    """Return one row an event: its current product, and how many there are."""
    rows = []
    for event in store.events():
        products = store.products(event)
        current = store.latest(event) or products[-1]
        row = _row(current)
        rows.append({"event": event, "products": len(products), **row})
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
    return [{"event": name, **_row(product)} for name in wanted for product in store.products(name)]


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


def product_file(folder: Path, name: str) -> Path:
    """Return a file of a product's folder.

    Raises:
        RequestInvalid: where that folder is no product.
    """
    path = folder / name
    if not path.is_file():
        raise RequestInvalid(f"{folder} is no product: it has no {name}")
    return path


def _row(product: Product) -> dict[str, Any]:
    """Return what a list says of a product; `date` is that of the newest image after the event."""
    summary = read_json(product.folder / "summary.json") or {}
    model = product.manifest.get("model")
    taken = [
        part["taken"]
        for part in summary.get("scenes", summary.get("photos", []))
        if part.get("taken") and part.get("phase", "after") == "after"
    ]
    area = summary.get("area_km2")
    return {
        "title": summary.get("event_name"),
        "hazard": summary.get("hazard"),
        "date": max(taken)[:10] if taken else None,
        "km2": None if area is None else round(area, 2),
        "model": model["name"] if model else "none",
        "id": product.product_id,
        "published": product.published,
        "path": str(product.folder),
    }
