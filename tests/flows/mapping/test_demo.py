"""The demo holds what it maps against the truth, and a network against the detector."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.config import Settings
from flows.mapping.demo import DETECTOR, DemoEvent, make_demo, score_demo
from flows.mapping.map_run import map_event
from flows.reports.progress import QuietProgress
from geo.synthetic import Landscape, make_landscape
from tests.flows.passing import only_records
from tests.flows.products import assert_every_file_has_a_format
from tests.models.network_fixtures import MADE, save_flood


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ninth of the demo's landscape."""

    def made(seed: int) -> Landscape:
        return make_landscape(seed, size=256)

    monkeypatch.setattr("flows.mapping.demo.make_landscape", made)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A network on the office's own shelf, which goes before the shipped ones."""
    return Settings(models=save_flood(tmp_path_factory.mktemp("models"), head=100.0).folder)


def scored(
    event: DemoEvent, settings: Settings
) -> tuple[str, dict[str, dict[str, float | int | None]]]:
    published = map_event(event.request, settings, QuietProgress(), step=only_records)
    assert published.summary.model is not None
    assert_every_file_has_a_format(published.folder)
    return published.summary.model.name, score_demo(event, published, settings, QuietProgress())


def products(store: Path) -> Iterator[Path]:
    return store.glob("events/*/products/*/summary.json")


def test_a_network_is_scored_beside_the_detector(network: Settings, tmp_path: Path) -> None:
    name, both = scored(make_demo(tmp_path / "one", seed=7), network)
    assert name == MADE
    assert set(both) == {"score", f"score of {DETECTOR}"}
    # It calls everything flood: nothing is missed, and nearly all of it is wrong.
    assert both["score"]["recall"] == pytest.approx(both["score"]["analysed_share"], abs=0.01)
    assert len(list(products(tmp_path / "one"))) == 1
    assert not list(tmp_path.glob("one/events/*/products/.tmp-*"))

    name, alone = scored(make_demo(tmp_path / "two", seed=7, model=DETECTOR), network)
    assert name == DETECTOR
    assert alone == {"score": both[f"score of {DETECTOR}"]}


def test_a_model_that_was_asked_for_is_scored_alone(network: Settings, tmp_path: Path) -> None:
    name, scores = scored(make_demo(tmp_path, seed=7, model="mndwi-water"), network)
    assert (name, set(scores)) == ("mndwi-water", {"score"})
