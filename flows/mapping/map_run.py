"""A map run, the one page to read first: from a request to a published product, in order.

Every step is a plain function that takes and returns paths and small records. What is large
lies in files of the workspace, so that a step can run wherever that folder is seen. `step` wraps
each: `direct` calls it as it is, and the Prefect flow of `flows.mapping.flows` makes it a task.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from flows.config import Settings
from flows.mapping.photo_plan import PhotoPlan, find_photos, plan_photos
from flows.mapping.plan import MapPlan, find_scenes, make_plan
from flows.mapping.publish import Manifest, find_published, open_store, publish
from flows.mapping.records import Published
from flows.reports.progress import Meter, Progress, reporting
from flows.request import MapRequest
from geo.store.store import Workspace

Out = TypeVar("Out")


class Step(Protocol):
    """Wraps a function that is one step of a run."""

    def __call__(self, function: Callable[..., Out], /) -> Callable[..., Out]:
        """Return a function with the same arguments and result."""
        ...


def direct(function: Callable[..., Out], /) -> Callable[..., Out]:
    """Call the step as it is, in this process, without Prefect."""
    return function


def map_event(
    request: MapRequest, settings: Settings, progress: Progress, *, step: Step = direct
) -> Published:
    """Map an event, or find water in photos, and publish the product or find it published.

    Raises:
        GeoError, ModelError, FlowError: with one clear sentence; nothing was published.
    """
    meter = Meter.start()
    store = step(open_store)(request)
    plan = make_any_plan(request, settings, step=step)
    if (published := step(find_published)(store, plan)) is not None:
        return published
    with reporting(progress), store.workspace(request.event, plan.product_id) as workspace:
        if isinstance(plan, PhotoPlan):
            manifest = make_photos(plan, workspace, step=step)
        else:
            manifest = make_map(plan, workspace, step=step)
        return step(publish)(store, plan, workspace, manifest, meter)


def make_any_plan(
    request: MapRequest, settings: Settings, *, step: Step = direct
) -> MapPlan | PhotoPlan:
    """Return the plan of a request: of a map, or of photos where it gives photos."""
    if photos := find_photos(request):
        return step(plan_photos)(request, photos, settings)
    scenes = step(find_scenes)(request)
    return step(make_plan)(request, scenes, settings)


def make_map(plan: MapPlan, workspace: Workspace, *, step: Step = direct) -> Manifest:
    """Make the files of a map in its workspace; return what its manifest says."""
    from flows.mapping import steps  # noqa: PLC0415 (heavy, and not needed by a second run)

    buildings = step(steps.assess_buildings)(plan, workspace)
    mapped = step(steps.map_pixels)(plan, workspace, buildings)
    layers = step(steps.make_layers)(plan, mapped, buildings, workspace)
    summary = step(steps.make_summary)(plan, mapped, buildings, layers, workspace)
    step(steps.make_rasters)(plan, mapped, workspace)
    step(steps.draw)(plan, layers, summary, workspace)
    return step(steps.write_records)(plan, mapped, buildings, summary, workspace)


def make_photos(plan: PhotoPlan, workspace: Workspace, *, step: Step = direct) -> Manifest:
    """Make the files of a product of photos in its workspace; return what its manifest says."""
    from flows.mapping import photos  # noqa: PLC0415 (heavy, and not needed by a second run)

    found = step(photos.analyse_photos)(plan, workspace)
    return step(photos.write_photo_records)(plan, found, workspace)


def find_map(request: MapRequest, settings: Settings) -> Published | None:
    """Return the product of a request where it was published before, without Prefect.

    Raises:
        GeoError, ModelError, FlowError: where the request cannot be mapped.
    """
    return find_published(open_store(request), make_any_plan(request, settings))
