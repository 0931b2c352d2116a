"""The walk: from a request to a published product, in order.

Every step is a plain function of `flows.steps` that takes and returns paths and small
records. `step` wraps it on the way: `direct` calls it as it is, and the Prefect flow of
`flows.map_event` makes a task of it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from flows import steps
from flows.cost import Meter
from flows.find import find_scenes, make_plan
from flows.published import Published
from flows.request import MapRequest
from flows.settings import Settings
from flows.summary import summarise
from geo.block_cache import fixed_block_cache
from models.mapping import Progress

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
    request: MapRequest, settings: Settings, progress: Progress, *, step: Step = direct
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
        mapped = step(steps.map_pixels)(plan, workspace, progress, searched)
        layers = step(steps.make_layers)(plan, mapped, searched, graded, workspace)
        summary = step(summarise)(plan, mapped, searched, graded, layers)
        step(steps.make_rasters)(plan, mapped, workspace)
        step(steps.draw)(plan, layers, summary, workspace)
        step(steps.write_records)(plan, summary, workspace)
        return step(steps.publish)(store, plan, mapped, workspace, graded=graded, meter=meter)
