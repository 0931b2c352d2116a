"""The demo event: a synthetic flood, mapped, and compared with its reference."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from flows.config import Settings
from flows.mapping.plan import find_scenes, make_plan
from flows.mapping.publish import open_store
from flows.mapping.records import Published, product_file
from flows.mapping.steps import map_pixels
from flows.reports.progress import Progress, reporting
from flows.request import MapRequest, make_request
from geo.synthetic import LandscapeFiles, make_landscape, write_landscape
from models.evaluation.score_product import Positive, score_product

Figures: TypeAlias = dict[str, float | int | None]

EVENT = "demo-flood"
DETECTOR = "sar-change"
"""The transparent detector that the demo's imagery suits best; a network is compared with it."""
FLOODED = frozenset({1})
"""Value of flooded pixels in the truth."""


@dataclass(frozen=True)
class DemoEvent:
    """A synthetic event: its files, and the request that maps them."""

    files: LandscapeFiles
    request: MapRequest


def make_demo(store: Path, *, seed: int, model: str | None = None) -> DemoEvent:
    """Make the imagery of the demo beside the products of a store.

    Args:
        seed: another number makes another place.
        model: name of a model; without one the first that fits.

    Raises:
        StoreError: where the store cannot be written.
    """
    files = write_landscape(make_landscape(seed), store / "imagery" / f"{EVENT}-{seed}")
    request = make_request(
        event=EVENT,
        name=f"Demo flood, synthetic, seed {seed}: not a real place",
        hazard="flood",
        area=str(files.area),
        before=[str(path) for path in files.before],
        after=[str(path) for path in files.after],
        buildings=files.buildings,
        model=model,
        store=store,
    )
    return DemoEvent(files, request)


def score_demo(
    event: DemoEvent, published: Published, settings: Settings, progress: Progress
) -> dict[str, Figures]:
    """Return how well the flooded area agrees with the truth, by title.

    Where nobody named a model and the first that fits is another than the detector, that is
    scored as well, whichever wins.
    """
    figures = {"score": _score(event, product_file(published.folder, "rasters/class.tif"))}
    used = published.summary.model
    if event.request.model is None and used is not None and used.name != DETECTOR:
        figures[f"score of {DETECTOR}"] = _score_of(DETECTOR, event, settings, progress)
    return figures


def _score_of(model: str, event: DemoEvent, settings: Settings, progress: Progress) -> Figures:
    """Map the event with another model, publish nothing, and score it."""
    request = event.request.model_copy(update={"model": model})
    plan = make_plan(request, find_scenes(request), settings)
    store = open_store(request)
    with reporting(progress), store.workspace(request.event, plan.product_id) as workspace:
        mapped = map_pixels(plan, workspace)
        return _score(event, mapped.rasters.classes)


def _score(event: DemoEvent, classes: Path) -> Figures:
    score = score_product(classes, event.files.truth, positive=Positive.EVENT, values=FLOODED)
    return score.as_json()
