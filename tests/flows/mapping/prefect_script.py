"""Tells what Prefect keeps of its runs, and the form that it makes of a request, as JSON.

`PREFECT_HOME=FOLDER python prefect_script.py` asks Prefect's own API, over the database there.
"""

import json
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows.mapping.flows import map_event

FILLED = {"event": "drava-2024", "hazard": "flood", "after": [{"path": "after.tif"}]}
"""What somebody wrote into the form."""


def runs(client: SyncPrefectClient) -> list[dict[str, Any]]:
    """Return the flow runs with their tasks, in the order that they began."""
    every = sorted(client.read_task_runs(), key=lambda task: task.start_time)
    logs = client.read_logs()
    return [
        {
            "name": run.name,
            "state": run.state_name,
            "message": run.state.message,
            "parameters": run.parameters,
            # Prefect ends the name of a task with three characters of its own.
            "tasks": [
                (task.name.rpartition("-")[0], task.state_name)
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


def refusal() -> str:
    """Return what is said of a form that is filled in wrongly."""
    try:
        map_event.validate_parameters({"request": {**FILLED, "hazard": "locusts"}})
    except ParameterTypeError as error:
        return str(error)
    return ""


def main() -> None:
    """Ask, and tell."""
    with get_client(sync_client=True) as client:
        kept = runs(client)
    request = map_event.validate_parameters({"request": FILLED})["request"]
    told = {
        "runs": kept,
        "form": parameter_schema(map_event).model_dump(),
        "filled": request.model_dump(mode="json"),
        "refusal": refusal(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
