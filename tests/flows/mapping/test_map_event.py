"""The flow `map-event` through the command line: what Prefect keeps of it, and what it says."""

import base64
import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect.states import Failed

from flows.config import RequestInvalid, quiet_prefect
from flows.mapping.flows import TASKS, passes_by_itself
from flows.request import MapRequest
from geo.errors import SceneUnreadable, StoreError
from geo.scenes.sensors import Units
from geo.store.store import LocalStore
from geo.vector.hazards import Hazard
from models.errors import InputsMismatch
from tests.aftermap import Ran, aftermap
from tests.flows.imagery import asked, radar

STEPS = (
    "open_store", "find_scenes", "make_plan", "find_published", "assess_buildings", "map_pixels",
    "make_layers", "make_summary", "make_rasters", "draw", "write_records", "publish",
)  # fmt: skip
"""The steps of a map run that publishes, in their order."""


@dataclass(frozen=True)
class Kept:
    """A run that published, one that failed, and what Prefect tells of them afterwards."""

    published: Ran
    again: Ran
    """The same command once more."""
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
    published, again = (
        aftermap(*_through_prefect(image), "--store", store, "--json", home=home) for _ in range(2)
    )
    script = Path(__file__).with_name("prefect_script.py")
    environment = {
        "PREFECT_HOME": str(home / "prefect"), "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, script, text, store],
        env={**os.environ, **environment, "PYTHONPATH": str(script.parents[3])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Kept(published, again, store, json.loads(done.stdout))


def _through_prefect(image: Path) -> list[str]:
    return [word for word in asked(image) if word not in ("--direct", "--quiet")]


@pytest.mark.flow
def test_a_run_is_kept_with_its_steps_in_order(kept: Kept) -> None:
    assert kept.published.status == 0, kept.published.err
    assert list(kept.runs) == ["Completed", "Failed"]
    run = kept.runs["Completed"]
    assert run["name"] == "map drava-2024"
    assert run["tasks"] == [[TASKS[step].name, "Completed", 1] for step in STEPS]
    # Whoever looks at the run sees what was requested, and can request it again.
    again = MapRequest.model_validate(run["parameters"]["request"])
    assert (again.event, again.hazard, again.store) == ("drava-2024", Hazard.FLOOD, kept.store)


@pytest.mark.flow
def test_a_second_run_with_nothing_to_do_starts_no_flow(kept: Kept) -> None:
    assert kept.again.json["product"] == kept.published.json["product"]
    assert not kept.again.json["new"]
    assert len(kept.told["runs"]) == 2


@pytest.mark.flow
def test_the_page_of_a_run_has_its_log_with_the_progress(kept: Kept) -> None:
    log = "\n".join(kept.runs["Completed"]["log"])
    assert "after: 1 of 1 windows (100 %)" in log
    assert f"published {kept.published.json['product']}" in log


@pytest.mark.flow
def test_its_report_has_the_picture_and_the_summary_and_leads_to_the_product(kept: Kept) -> None:
    result = kept.published.json
    (report,) = kept.runs["Completed"]["reports"]
    assert report["key"] == "map-drava-2024"
    assert report["description"] == f"drava-2024: {result['product_id']}"
    assert Path(result["product"]).as_uri() in report["text"]
    assert "| Flooded area or standing water |" in report["text"]
    start, data = report["text"].split("\n")[0].split(";base64,")
    assert start == "![The map of drava-2024](data:image/jpeg"
    picture = base64.b64decode(data.rstrip(")"))
    assert len(picture) <= 75_000
    assert max(Image.open(BytesIO(picture)).size) == 900


@pytest.mark.flow
def test_stderr_has_progress_and_nothing_of_prefect(kept: Kept) -> None:
    lines = kept.published.err.splitlines()
    assert lines
    assert all(line.startswith("after: ") and "window" in line for line in lines)
    assert kept.published.json["new"]


@pytest.mark.flow
def test_bad_input_is_not_tried_again(kept: Kept) -> None:
    run = kept.runs["Failed"]
    assert "text.tif is not a GeoTIFF" in kept.told["said"]
    assert run["tasks"] == [["open the store", "Completed", 1], ["find scenes", "Failed", 1]]
    assert run["reports"] == []
    assert "text.tif is not a GeoTIFF" in run["message"]
    # Where it arose is told by the run's own log, in the UI.
    assert any("Traceback" in entry and "open_image" in entry for entry in run["log"])
    (product,) = LocalStore(kept.store).products("drava-2024")
    assert product.product_id == kept.published.json["product_id"]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(errno.EIO, "Input/output error"), True), (StoreError("the disk is busy"), True),
        (FileNotFoundError("gone"), False), (SceneUnreadable("no GeoTIFF"), False),
        (InputsMismatch("other bands"), False), (RequestInvalid("no event"), False),
    ],
)  # fmt: skip
def test_only_what_passes_by_itself_is_tried_again(error: Exception, again: bool) -> None:
    assert passes_by_itself(None, None, Failed(data=error)) is again


def test_every_step_of_a_run_has_its_task_options() -> None:
    assert set(STEPS) <= set(TASKS)
    for step in ("find_scenes", "make_plan", "map_pixels", "publish"):
        assert TASKS[step].retries >= 2


@pytest.mark.flow
def test_the_request_makes_a_form_with_lists_to_choose_from(kept: Kept) -> None:
    form = kept.told["form"]
    assert form["required"] == ["request"]
    named = form["definitions"]
    assert set(named["MapRequest"]["required"]) == {"event", "hazard", "after"}
    fields = {**named["MapRequest"]["properties"], **named["SourceSpec"]["properties"]}
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert [
        name for name, field in named["MapRequest"]["properties"].items() if not field["group"]
    ] == []
    assert named["Hazard"]["enum"] == list(Hazard)
    assert named["Preference"]["enum"] == ["newest", "least-cloudy"]
    assert named["Units"]["enum"] == list(Units)
    assert {"type": "string", "format": "date-time"} in fields["taken"]["anyOf"]


@pytest.mark.flow
def test_a_form_that_is_filled_in_is_the_request(kept: Kept) -> None:
    filled = MapRequest.model_validate(kept.told["filled"])
    assert (filled.hazard, filled.after[0].path) == (Hazard.FLOOD, "after.tif")
    assert "request.hazard: Input should be 'flood'" in kept.told["refusal"]


@pytest.mark.flow
def test_the_request_of_the_readme_is_the_parameter_of_a_deployment(kept: Kept) -> None:
    readme = MapRequest.model_validate(kept.told["readme"])
    assert (readme.event, readme.name) == ("my-flood", "My Flood")
    assert readme.before[0].path == "imagery/before/S2B*.tif"


def test_what_the_user_set_for_prefect_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_HOME": "/theirs"}
    monkeypatch.setattr(os, "environ", dict(theirs))
    quiet_prefect(tmp_path)
    assert theirs.items() <= os.environ.items()
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
