"""The walk: from a request to a published product, in order.

Every step is a plain function of `flows.mapping.steps` that takes and returns paths and small
records. `step` wraps it on the way: `direct` calls it as it is, and the Prefect flow of
`flows.mapping.flows` makes a task of it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from flows.config import Settings
from flows.mapping import steps
from flows.mapping.plan import find_scenes, make_plan
from flows.mapping.records import Published
from flows.reports.progress import Meter
from flows.reports.summarise import summarise
from flows.request import MapRequest
from geo.imagery.dataset import fixed_block_cache
from models.inference.windows import ProgressReceiver

Out = TypeVar("Out")


class Step(Protocol):
    """Wraps a function that is one step of the walk."""

    def __call__(self, function: Callable[..., Out], /) -> Callable[..., Out]:
        """Return a function with the same arguments and result."""
        ...


def direct(function: Callable[..., Out], /) -> Callable[..., Out]:
    """Call the step as it is, in this process, without Prefect."""
    return function


@fixed_block_cache()
def walk(
    request: MapRequest, settings: Settings, progress: ProgressReceiver, *, step: Step = direct
) -> Published:
    """Map an event and publish the product, or find it published already.

    Raises:
        GeoError, ModelError, FlowError: with one clear sentence; nothing was published.
    """
    meter = Meter.start()
    store = step(steps.open_store)(request)
    scenes = step(find_scenes)(request)
    plan = step(make_plan)(request, scenes, settings)
    if (published := step(steps.find_published)(store, plan)) is not None:
        return published
    with store.workspace(request.event, plan.product_id) as workspace:
        searched = step(steps.find_buildings)(plan, workspace, progress)
        graded = step(steps.grade)(plan, searched, progress)
        mapped = step(steps.map_pixels)(plan, workspace, progress, searched=searched, graded=graded)
        layers = step(steps.make_layers)(plan, mapped, searched, graded, workspace)
        summary = step(summarise)(plan, mapped, searched, graded, layers)
        step(steps.make_rasters)(plan, mapped, workspace)
        step(steps.draw)(plan, layers, summary, workspace)
        step(steps.write_records)(plan, summary, workspace)
        return step(steps.publish)(store, plan, mapped, workspace, graded=graded, meter=meter)
