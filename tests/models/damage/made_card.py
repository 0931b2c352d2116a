"""A regression of one number for tests of the main job: dark inside is destroyed."""

import json
from pathlib import Path
from typing import Any

SENSORS = ["vhr-rgb", "aerial-rgb"]


def dark_is_destroyed(folder: Path, **changes: Any) -> Path:
    """Write the card of a grader for `tests.models.grading.town`, and return its folder."""
    inputs = [
        {"name": phase, "phase": phase, "sensors": SENSORS, "bands": ["red", "green", "blue"],
         "units": "brightness 0-255"}
        for phase in ("before", "after")
    ]  # fmt: skip
    card = {
        "name": "dark-is-destroyed", "version": "0.1.0", "summary": "For tests.",
        "task": "damage", "inputs": inputs, "resolution_m": 0.5,
        "window_px": 512, "overlap_px": 64,
        "classes": [{"name": "damaged", "threshold": 0.5}],
        "architecture": {
            "kind": "building-regression", "limit": 6, "neighbours_px": 1, "neighbours_share": 0,
            "least_px": 30,
            "features": [{"name": "brightness-inside", "mean": 130, "std": 30}],
            "damaged": {"intercept": 0, "coefficients": [-8]},
            "minor": {"intercept": -8, "coefficients": [0]},
            "destroyed": {"intercept": 8, "coefficients": [0]},
        },
        "trained_on": "nothing", "tested_on": "nothing", "licence": "none", "limits": ["A test."],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card | changes))
    return folder
