"""The demo event: a made landscape, delivered, mapped, and held against its truth."""

from dataclasses import dataclass
from pathlib import Path

from flows.products import class_raster
from flows.published import Published
from flows.request import MapRequest, make_request
from geo.landscape import make_landscape
from geo.write.delivery import Delivery, deliver
from models.score import Positive, score_product

EVENT = "demo-flood"
FLOODED = frozenset({1})
"""Value of flooded pixels in the truth."""


@dataclass(frozen=True)
class DemoEvent:
    """A made event: its files, and the request that maps them."""

    delivery: Delivery
    request: MapRequest


def make_demo(store: Path, *, seed: int, model: str | None = None) -> DemoEvent:
    """Make the imagery of the demo beside the products of a store.

    Args:
        seed: another number makes another place.
        model: name of a model; without one the first that fits.

    Raises:
        StoreError: where the store cannot be written.
    """
    delivery = deliver(make_landscape(seed), store / "imagery" / f"{EVENT}-{seed}")
    request = make_request(
        event=EVENT,
        name=f"Demo flood, made from seed {seed}: not a real place",
        hazard="flood",
        area=str(delivery.area),
        before=[str(path) for path in delivery.before],
        after=[str(path) for path in delivery.after],
        buildings=delivery.buildings,
        model=model,
        store=store,
    )
    return DemoEvent(delivery, request)


def score_demo(event: DemoEvent, published: Published) -> dict[str, float | int | None]:
    """Return how well the flooded area agrees with the truth."""
    score = score_product(
        class_raster(published.folder),
        event.delivery.truth,
        positive=Positive.EVENT,
        values=FLOODED,
    )
    return score.as_json()
