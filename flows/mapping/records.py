"""What a product says of its making: scenes, models, cost; and where its inputs lie.

Published: a product that can be read, and what it found.

What a store holds, as rows for people and scripts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.config import RequestInvalid
from flows.mapping.plan import Plan, code_digest
from flows.reports.progress import Cost
from flows.reports.summary import Summary
from flows.request import SourceSpec
from geo.raster.grid import crs_of
from geo.scenes.scene import Scene
from geo.scenes.source import expanded
from geo.store.manifest import Origins, Product, read_product
from geo.store.store import LocalStore
from models.cards.architecture import NetworkArchitecture
from models.cards.registry import CardRef
from models.damage.grade_buildings import Graded
from models.inference.map_scenes import Mapped


def scene_record(scene: Scene) -> dict[str, Any]:
    """Return what a manifest says of a scene."""
    return {
        "id": scene.id, "acquisition": scene.acquisition, "revision": scene.revision,
        "phase": scene.phase, "sensor": scene.sensor_name, "taken": scene.taken_text,
        "units": scene.units, "offset": scene.offset, "backscatter": scene.backscatter,
        "files": [path.name for path in scene.paths],
    }  # fmt: skip


def origins_of(plan: Plan) -> Origins:
    """Return where the inputs of a plan lie, so that `explain` finds them again."""

    def places(specs: Sequence[SourceSpec]) -> list[str]:
        return [str(expanded(Path(spec.path)).absolute()) for spec in specs]

    ref = plan.choice.ref
    return Origins(
        before=places(plan.request.before),
        after=places(plan.request.after),
        model=str(ref.folder.absolute()) if ref else None,
    )


def manifest_of(plan: Plan, mapped: Mapped, graded: Graded | None, cost: Cost) -> dict[str, object]:
    """Return what made the product, what it cost, and what its model learned from the scene."""
    ref = plan.choice.ref
    return {
        "request": plan.request.portable(),
        "scenes": [scene_record(scene) for scene in plan.scenes],
        "model": _named(ref)
        if ref else None,
        **({"finder": _named(plan.finder)} if plan.finder else {}),
        "clouds": [source.as_json() for source in plan.clouds],
        "scene_statistics": {name: part.as_json() for name, part in mapped.statistics.items()},
        **({"alignment": graded.placement.as_json()} if graded else {}),
        "grid": {
            "crs": crs_of(plan.geobox), "transform": list(plan.geobox.affine[:6]),
            "shape": list(plan.geobox.shape),
        },
        "options": {"min_area_m2": plan.min_area_m2, "simplify_m": plan.simplify_m},
        "versions": {
            name: version(name) for name in ("aftermap", "numpy", "rasterio", "shapely", "pyogrio")
        },
        "code_sha256": code_digest(),
        "cost": {**cost.as_json(), "windows": mapped.windows, "views": _views(plan)},
    }  # fmt: skip


def _named(ref: CardRef) -> dict[str, str]:
    return {"name": ref.card.name, "version": ref.card.version, "digest": ref.card.digest}


def _views(plan: Plan) -> int:
    """Return how many views of each window the model computes."""
    architecture = plan.choice.ref.card.architecture if plan.choice.ref else None
    return architecture.symmetries if isinstance(architecture, NetworkArchitecture) else 1


@dataclass(frozen=True)
class Published:
    """A product that can be read."""

    folder: Path
    event_id: str
    product_id: str
    summary: Summary
    new: bool
    """False where the same inputs had been published before, and nothing was computed."""


def read_published(folder: Path, *, new: bool) -> Published:
    """Return the product in a folder."""
    summary = Summary.model_validate_json((folder / "summary.json").read_text(encoding="utf-8"))
    return Published(folder, summary.event_id, summary.product_id, summary, new)


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
