"""The Prefect flow `map-event`: the walk, each step a task, and a report of what came out."""

# No `from __future__ import annotations` here: it breaks `flow.serve()`.
from collections.abc import Callable
from typing import TypeVar

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.photo_plan import photos_in
from flows.photo_report import photos_markdown
from flows.photos import PublishedPhotos, walk_photos
from flows.progress import progress_on
from flows.published import Published
from flows.report import summary_markdown
from flows.request import MapRequest
from flows.settings import Settings
from flows.walk import walk

Out = TypeVar("Out")


def as_task(function: Callable[..., Out], /) -> Callable[..., Out]:
    """Make a step a Prefect task.

    Nothing is cached by Prefect: the store says what was done, by the digest of all inputs.
    """
    name = function.__name__.replace("_", "-")
    wrapped: Callable[..., Out] = task(name=name, cache_policy=NO_CACHE, log_prints=False)(function)
    return wrapped


@flow(name="map-event", flow_run_name="map {request.event}", validate_parameters=True)
def map_event(request: MapRequest, quiet: bool = False) -> Published:
    """Map an event: imagery in, published layers out."""
    published = walk(request, Settings(), progress_on(quiet=quiet), step=as_task)
    create_markdown_artifact(
        key=f"map-{request.event}".replace("_", "-").rstrip("-"),
        markdown=summary_markdown(published.summary, product=published.folder.as_uri()),
        description=f"{request.title}: {published.product_id}",
    )
    return published


@flow(name="map-photos", flow_run_name="photos {request.event}", validate_parameters=True)
def map_photos(request: MapRequest, quiet: bool = False) -> PublishedPhotos:
    """Find water in photos that lie nowhere: photos in, masks and a summary out."""
    photos, progress = photos_in(request), progress_on(quiet=quiet)
    published = walk_photos(request, photos, Settings(), progress, step=as_task)
    create_markdown_artifact(
        key=f"photos-{request.event}".replace("_", "-").rstrip("-"),
        markdown=photos_markdown(published.summary, product=published.folder.as_uri()),
        description=f"{request.title}: {published.product_id}",
    )
    return published
