"""The flow `map-event` through the command line: what Prefect keeps of it, and what it says."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli.output import quiet_prefect
from flows.request import MapRequest
from geo.scenes.sensors import Units
from geo.store.store import LocalStore
from geo.vector.hazards import Hazard
from tests.aftermap import Ran, aftermap
from tests.flows.imagery import asked, radar

WALK = (
    "open-store", "find-scenes", "make-plan", "find-published", "find-buildings", "grade",
    "map-pixels", "make-layers", "summarise", "make-rasters", "draw", "write-records", "publish",
)  # fmt: skip
"""The tasks of a run that publishes, in their order."""


@dataclass(frozen=True)
class Kept:
    """A run that published, one that failed, and what Prefect tells of them afterwards."""

    published: Ran
    failed: Ran
    store: Path
    told: dict[str, Any]
    """What `prefect_script.py` prints."""

    @property
    def runs(self) -> dict[str, Any]:
        """The flow runs by their state."""
        return {run["state"]: run for run in self.told["runs"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("event")
    store, home = folder / "store", folder / "home"
    image, text = radar(folder / "after.tif"), folder / "text.tif"
    text.write_text("no raster")
    published, failed = (
        aftermap(*_through_prefect(path), "--store", store, "--json", home=home)
        for path in (image, text)
    )
    script = Path(__file__).with_name("prefect_script.py")
    environment = {"PREFECT_HOME": str(home / "prefect"), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, **environment, "PYTHONPATH": str(script.parents[3])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Kept(published, failed, store, json.loads(done.stdout))


def _through_prefect(image: Path) -> list[str]:
    return [word for word in asked(image) if word not in ("--direct", "--quiet")]


@pytest.mark.flow
def test_a_run_is_kept_with_its_tasks_in_the_order_of_the_walk(kept: Kept) -> None:
    assert kept.published.status == 0, kept.published.err
    assert list(kept.runs) == ["Completed", "Failed"]
    run = kept.runs["Completed"]
    assert run["name"] == "map drava-2024"
    assert run["tasks"] == [[name, "Completed"] for name in WALK]
    # Whoever looks at the run sees what was asked, and can ask it again.
    again = MapRequest.model_validate(run["parameters"]["request"])
    assert (again.event, again.hazard, again.store) == ("drava-2024", Hazard.FLOOD, kept.store)


@pytest.mark.flow
def test_its_report_has_the_summary_and_leads_to_the_product(kept: Kept) -> None:
    result = kept.published.json
    (report,) = kept.runs["Completed"]["reports"]
    assert report["key"] == "map-drava-2024"
    assert report["description"] == f"drava-2024: {result['product_id']}"
    assert Path(result["product"]).as_uri() in report["text"]
    assert "| Flooded area or standing water |" in report["text"]


@pytest.mark.flow
def test_stderr_has_progress_and_nothing_of_prefect(kept: Kept) -> None:
    lines = kept.published.err.splitlines()
    assert lines
    assert all(line.startswith("after: ") and "window" in line for line in lines)
    assert kept.published.json["new"]


@pytest.mark.flow
def test_a_walk_that_fails_is_kept_and_says_one_sentence(kept: Kept) -> None:
    failed, run = kept.failed, kept.runs["Failed"]
    assert (failed.status, failed.out) == (2, "")
    assert failed.err.count("\n") == 1
    assert failed.err.startswith("aftermap: ")
    assert "text.tif is not a GeoTIFF" in failed.err
    assert run["tasks"] == [["open-store", "Completed"], ["find-scenes", "Failed"]]
    assert run["reports"] == []
    assert "text.tif is not a GeoTIFF" in run["message"]
    # Where it arose is told by the run's own log, in the UI.
    assert any("Traceback" in entry and "open_image" in entry for entry in run["log"])
    (product,) = LocalStore(kept.store).products("drava-2024")
    assert product.product_id == kept.published.json["product_id"]


@pytest.mark.flow
def test_the_request_makes_a_form_with_lists_to_choose_from(kept: Kept) -> None:
    form = kept.told["form"]
    assert form["required"] == ["request"]
    named = form["definitions"]
    assert set(named["MapRequest"]["required"]) == {"event", "hazard", "after"}
    fields = {**named["MapRequest"]["properties"], **named["SourceSpec"]["properties"]}
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert named["Hazard"]["enum"] == list(Hazard)
    assert named["Preference"]["enum"] == ["newest", "least-cloudy"]
    assert named["Units"]["enum"] == list(Units)
    assert {"type": "string", "format": "date-time"} in fields["taken"]["anyOf"]


@pytest.mark.flow
def test_a_form_that_is_filled_in_is_the_request(kept: Kept) -> None:
    asked_for = MapRequest.model_validate(kept.told["filled"])
    assert (asked_for.hazard, asked_for.after[0].path) == (Hazard.FLOOD, "after.tif")
    assert "request.hazard: Input should be 'flood'" in kept.told["refusal"]


def test_what_the_user_set_for_prefect_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_HOME": "/theirs"}
    monkeypatch.setattr(os, "environ", dict(theirs))
    quiet_prefect(tmp_path)
    assert theirs.items() <= os.environ.items()
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
