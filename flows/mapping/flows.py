"""The Prefect flows: a map run and the trainings, with retries, time limits, logs and a report."""

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging.handlers import APILogHandler
from prefect.tasks import Task, exponential_backoff

from flows import learning
from flows.config import Settings
from flows.learning import Adapted, AdaptRequest, EvaluateRequest, TrainRequest
from flows.mapping import map_run
from flows.mapping.records import Published
from flows.reports.progress import LogProgress, Progress, progress_on
from flows.request import MapRequest
from geo.errors import StoreError
from models.cards.card import ModelCard

# No `from __future__ import annotations` here: it breaks `flow.serve()`.

Out = TypeVar("Out")
ROOMS = ("geo", "models", "flows")
"""Whose log goes to the page of a run."""
PICTURE_PX, PICTURE_BYTES = 900, 75_000
"""Longer side and size of the picture in a report: the UI reads no files, so it lies within."""
_HOUR = 3600.0


@dataclass(frozen=True)
class TaskOptions:
    """How Prefect runs a step."""

    name: str
    retries: int = 0
    """After an error of the disk or the store; each waits twice as long as the one before."""
    timeout_s: float = _HOUR


TASKS = {
    "open_store": TaskOptions("open the store", retries=3),
    "find_scenes": TaskOptions("find scenes", retries=3),
    "make_plan": TaskOptions("make the plan", retries=3),
    "plan_photos": TaskOptions("make the plan", retries=3),
    "find_published": TaskOptions("look for the product", retries=3),
    "assess_buildings": TaskOptions("find and grade buildings", retries=2, timeout_s=24 * _HOUR),
    "map_pixels": TaskOptions("map pixels", retries=2, timeout_s=24 * _HOUR),
    "analyse_photos": TaskOptions("analyse photos", retries=2, timeout_s=24 * _HOUR),
    "make_layers": TaskOptions("make layers", timeout_s=6 * _HOUR),
    "make_summary": TaskOptions("summarise"),
    "make_rasters": TaskOptions("make rasters", timeout_s=6 * _HOUR),
    "draw": TaskOptions("draw the map", retries=2),
    "write_records": TaskOptions("write records"),
    "write_photo_records": TaskOptions("write records"),
    "publish": TaskOptions("publish", retries=3),
    "train_model": TaskOptions("train", timeout_s=30 * 24 * _HOUR),
    "pretrain_encoder": TaskOptions("pretrain", timeout_s=30 * 24 * _HOUR),
    "evaluate_model": TaskOptions("evaluate", timeout_s=7 * 24 * _HOUR),
    "adapt_model": TaskOptions("adapt", timeout_s=7 * 24 * _HOUR),
}
"""By the name of the step's function."""


def passes_by_itself(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed step is worth another try: a busy disk is, bad input is not."""
    error = state.result(raise_on_failure=False)
    lasting = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    return isinstance(error, OSError | StoreError) and not lasting


def as_task(function: Callable[..., Out], /) -> Callable[..., Out]:
    """Make a step a Prefect task.

    Nothing is cached by Prefect: the store says what was done, by the digest of all inputs.
    """
    options = TASKS[function.__name__]
    wrapped: Callable[..., Out] = task(
        name=options.name,
        cache_policy=NO_CACHE,
        retries=options.retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=passes_by_itself,
        timeout_seconds=options.timeout_s,
    )(function)
    return wrapped


@flow(name="map-event", flow_run_name="map {request.event}", validate_parameters=True)
def map_event(request: MapRequest, quiet: bool = False) -> Published:
    """Map an event, or find water in photos: imagery in, a published product out."""
    with _logged(quiet=quiet) as progress:
        published = map_run.map_event(request, Settings(), progress, step=as_task)
        get_run_logger().info(
            "%s %s", "published" if published.new else "was there already:", published.folder
        )
    create_markdown_artifact(
        key=f"map-{request.event}".replace("_", "-").rstrip("-"),
        markdown=report(published),
        description=f"{request.title}: {published.product_id}",
    )
    return published


@flow(name="train-model", flow_run_name="train {request.config.name}", validate_parameters=True)
def train_model(request: TrainRequest, quiet: bool = False) -> ModelCard:
    """Train a model; its folder holds the checkpoint that the next run begins from."""
    return _learn(learning.train_model, request, quiet=quiet)


@flow(
    name="pretrain-encoder",
    flow_run_name="pretrain {request.config.name}",
    validate_parameters=True,
)
def pretrain_encoder(request: TrainRequest, quiet: bool = False) -> Path:
    """Train an encoder on images without labels; its folder holds the checkpoint."""
    return _learn(learning.pretrain_encoder, request, quiet=quiet)


@flow(name="evaluate-model", flow_run_name="evaluate {request.title}", validate_parameters=True)
def evaluate_model(request: EvaluateRequest, quiet: bool = False) -> dict[str, object]:
    """Score a model on labels."""
    return _learn(learning.evaluate_model, request, quiet=quiet)


@flow(name="adapt-model", flow_run_name="adapt {request.model}", validate_parameters=True)
def adapt_model(request: AdaptRequest, quiet: bool = False) -> Adapted:
    """Adapt a model to a new event by a few labels of it."""
    return _learn(learning.adapt_model, request, quiet=quiet)


def _learn(function: Callable[..., Out], request: object, *, quiet: bool) -> Out:
    with _logged(quiet=quiet) as progress:

        def run(request: object) -> Out:
            return function(request, progress)

        run.__name__ = function.__name__
        return as_task(run)(request)


@contextmanager
def _logged(*, quiet: bool) -> Iterator[Progress]:
    """Send the log of our rooms, with the progress, to the page of the run."""
    handler = APILogHandler()
    loggers = [logging.getLogger(room) for room in ROOMS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield LogProgress(logging.getLogger("flows.progress"), progress_on(quiet=quiet))
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def report(published: Published) -> str:
    """Return the summary of a product as Markdown, with its picture within the text."""
    text = published.markdown(published.folder.as_uri())
    if published.picture is None:
        return text
    data = base64.b64encode(_small(published.picture)).decode()
    return f"![The map of {published.event_id}](data:image/jpeg;base64,{data})\n\n{text}"


def _small(path: Path) -> bytes:
    """Return a picture as a JPEG of at most `PICTURE_BYTES`."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    for quality in (85, 70, 50, 30, 10):
        out = BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= PICTURE_BYTES:
            break
    return out.getvalue()
