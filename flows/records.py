"""What a product says of its making: scenes, models, cost; and where its inputs lie."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.cost import Cost
from flows.find import Plan, code_digest
from flows.request import SourceSpec
from geo.grid import crs_of
from geo.origins import Origins
from geo.scene import Scene
from geo.source import expanded
from models.architecture import NetworkArchitecture
from models.grading.grade import Graded
from models.mapping import Mapped
from models.registry import CardRef


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
        "surveys": {name: survey.as_json() for name, survey in mapped.surveys.items()},
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
