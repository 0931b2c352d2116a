"""The first and the last step of a run: what is published already, and making a product visible."""

from typing import Any, TypeAlias

from flows.mapping.plan import MapPlan, Plan
from flows.mapping.records import Published, manifest_of, origins_of, read_published
from flows.reports.progress import Meter
from flows.reports.summary import Summary
from flows.request import MapRequest
from geo.store.stac import rebuild
from geo.store.store import LocalStore, SceneState, Workspace

Manifest: TypeAlias = dict[str, Any]
"""What only a map, or only photos, have to say in `manifest.json`."""


def open_store(request: MapRequest) -> LocalStore:
    """Return the store of a request, once what killed runs left in it is mended.

    Raises:
        StoreError: where it cannot be written.
    """
    store = LocalStore(request.store)
    store.repair(request.event)
    return store


def find_published(store: LocalStore, plan: Plan) -> Published | None:
    """Return the product of a plan where it was published before."""
    product = store.find(plan.request.event, plan.product_id)
    if product is None:
        return None
    published = read_published(product, new=False)
    # A run that was killed once its product was visible left these undone.
    _record(store, plan, published, only_missing=True)
    return published


def publish(
    store: LocalStore, plan: Plan, workspace: Workspace, manifest: Manifest, meter: Meter
) -> Published:
    """Make the product visible, all at once, and bring the catalogues up to date.

    Args:
        meter: started with the run.
    """
    publication = store.publish(workspace, manifest_of(plan, manifest, meter.read()))
    published = read_published(publication.product, new=publication.ours)
    _record(store, plan, published)
    return published


def _record(
    store: LocalStore, plan: Plan, published: Published, *, only_missing: bool = False
) -> None:
    """Write down what became of the scenes, where the inputs lie, and the product in STAC."""
    event, summary = plan.request.event, published.summary
    if isinstance(plan, MapPlan) and isinstance(summary, Summary):
        used = {scene.id for scene in summary.scenes if scene.used_share}
        for scene in plan.scenes:
            if only_missing and store.has_scene(event, scene.acquisition):
                continue
            why = None if scene.id in used else "no pixel of it was used"
            state = SceneState.PUBLISHED if scene.id in used else SceneState.DEGRADED
            store.record_scene(event, scene.acquisition, state=state, why=why)
    store.record_origins(event, plan.product_id, origins_of(plan))
    rebuild(store, event)
