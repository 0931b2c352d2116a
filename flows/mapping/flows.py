"""The Prefect flow `map-event`: the walk, each step a task, and a report of what came out.

The Prefect flows `train-model` and `pretrain-encoder`.

The Prefect flow `evaluate-model`.

The Prefect flow `adapt-model`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.config import Settings
from flows.learning import (
    Adapted,
    AdaptRequest,
    EvaluateRequest,
    TrainRequest,
    adapt,
    assess,
    learn,
    prepare,
)
from flows.mapping.map_run import walk
from flows.mapping.photos import PublishedPhotos, photos_in, walk_photos
from flows.mapping.records import Published
from flows.reports.progress import progress_on
from flows.reports.summary import photos_markdown, summary_markdown
from flows.request import MapRequest
from models.cards.card import ModelCard

# No `from __future__ import annotations` here: it breaks `flow.serve()`.


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


# No `from __future__ import annotations` here: it breaks `flow.serve()`.


@flow(name="train-model", flow_run_name="train {request.config.name}", validate_parameters=True)
def train_model(request: TrainRequest, quiet: bool = False) -> ModelCard:
    """Train a model; its folder holds the checkpoint that the next run begins from."""
    card: ModelCard = task(name="learn", cache_policy=NO_CACHE)(learn)(
        request, progress_on(quiet=quiet)
    )
    return card


@flow(
    name="pretrain-encoder",
    flow_run_name="pretrain {request.config.name}",
    validate_parameters=True,
)
def pretrain_encoder(request: TrainRequest, quiet: bool = False) -> Path:
    """Teach an encoder on images without labels; its folder holds the checkpoint."""
    path: Path = task(name="prepare", cache_policy=NO_CACHE)(prepare)(
        request, progress_on(quiet=quiet)
    )
    return path


# No `from __future__ import annotations` here: it breaks `flow.serve()`.


@flow(name="evaluate-model", flow_run_name="evaluate {request.title}", validate_parameters=True)
def evaluate_model(request: EvaluateRequest, quiet: bool = False) -> dict[str, object]:
    """Score a model on labels."""
    scores: dict[str, object] = task(name="assess", cache_policy=NO_CACHE)(assess)(
        request, progress_on(quiet=quiet)
    )
    return scores


# No `from __future__ import annotations` here: it breaks `flow.serve()`.


@flow(name="adapt-model", flow_run_name="adapt {request.model}", validate_parameters=True)
def adapt_model(request: AdaptRequest, quiet: bool = False) -> Adapted:
    """Teach a model a new event from a few labels of it."""
    return adapt(request, Settings(), progress_on(quiet=quiet), step=as_task)
