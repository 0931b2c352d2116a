"""Tells what Prefect keeps of its runs, and the form that it makes of a request, as JSON.

`PREFECT_HOME=FOLDER python prefect_script.py IMAGE STORE` first runs the flow on an image that
cannot be read, then asks Prefect's own API, over the database in that folder.
"""

import json
import sys
import time
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import TaskRun
from prefect.exceptions import ParameterTypeError
from prefect.logging.handlers import APILogHandler
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate

from flows.mapping.flows import map_event
from flows.request import make_request
from geo.errors import SceneUnreadable

FILLED = {"event": "drava-2024", "hazard": "flood", "after": [{"path": "after.tif"}]}
"""What somebody wrote into the form."""
README = {
    "event": "My Flood", "hazard": "flood", "before": ["imagery/before/S2B*.tif"],
    "after": ["imagery/after/S2B*.tif"], "area": "17.01,50.93,17.08,50.97",
}  # fmt: skip
"""The request file of the README, as the parameters of a deployment: paths without more."""


def runs(client: SyncPrefectClient) -> list[dict[str, Any]]:
    """Return the flow runs with their tasks, in the order that they began."""
    every = sorted(_ended(client), key=lambda task: task.start_time)
    logs = client.read_logs()
    return [
        {
            "name": run.name,
            "state": run.state_name,
            "message": run.state.message,
            "parameters": run.parameters,
            # Prefect ends the name of a task with three characters of its own.
            "tasks": [
                (task.name.rpartition("-")[0], task.state_name, task.run_count)
                for task in every
                if task.flow_run_id == run.id
            ],
            "reports": [
                {"key": report.key, "text": report.data, "description": report.description}
                for report in client.read_artifacts()
                if report.flow_run_id == run.id and report.type == "markdown"
            ],
            "log": [entry.message for entry in logs if entry.flow_run_id == run.id],
        }
        for run in sorted(client.read_flow_runs(), key=lambda run: run.start_time)
    ]


def _ended(client: SyncPrefectClient) -> list[TaskRun]:
    """Return the task runs, once the server has taken in how each of them ended."""
    for _ in range(60):
        every = client.read_task_runs()
        if not any(task.state_name == "Running" for task in every):
            break
        time.sleep(0.5)
    return every


def refusal() -> str:
    """Return what is said of a form that is filled in wrongly."""
    try:
        map_event.validate_parameters({"request": {**FILLED, "hazard": "locusts"}})
    except ParameterTypeError as error:
        return str(error)
    return ""


def fail(image: str, store: str) -> str:
    """Run the flow on an image that cannot be read, and return what is said."""
    request = make_request(**{**FILLED, "after": [image], "store": store})
    try:
        map_event(request, quiet=True)
    except SceneUnreadable as error:
        return str(error)
    return ""


def main(image: str, store: str) -> None:
    """Fail, ask, and tell."""
    said = fail(image, store)
    APILogHandler().flush()  # the log is sent in batches, by another thread
    with get_client(sync_client=True) as client:
        kept = runs(client)
    form = parameter_schema(map_event).model_dump()
    validate({"request": README}, form, raise_on_error=True)
    told = {
        "said": said,
        "runs": kept,
        "form": form,
        "filled": map_event.validate_parameters({"request": FILLED})["request"].model_dump(
            mode="json"
        ),
        "readme": map_event.validate_parameters({"request": README})["request"].model_dump(
            mode="json"
        ),
        "refusal": refusal(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
