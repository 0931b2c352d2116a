import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from geo.vector.hazards import (
    BURNT,
    DAMAGED,
    EVENT_CLASSES,
    FLOODED,
    HAZARDS,
    Hazard,
    event_class,
)
from models.cards.inputs import Task

ENTRY = """
    LAVA = "lava", "2-Volcanic Activity", {
        "burnt": EventClass("Lava flow", "#aa0011", "#330000"),
    }

HAZARDS"""
SEEN = """
import json, sys, types
source = sys.stdin.read()
module = types.ModuleType("geo.vector.hazards")
sys.modules["geo.vector.hazards"] = module
exec(compile(source, "hazards.py", "exec"), vars(module))

from geo.export.cog import class_kind
from geo.export.styles import THEMES, class_colours, maplibre, qml, sld
from geo.raster.classify import Label
from geo.scenes.scene import Phase
from geo.vector.schema import LAYERS, schema_markdown
from models.cards.card import ModelCard
from models.cards.registry import all_cards
from models.cards.selection import matching
from models.cards.suitability import Available
from flows.request import MapRequest

pair = [Available(phase, "landsat-c2-l2", ("red", "nir", "swir22")) for phase in Phase]
lava = module.Hazard("lava")
print(json.dumps({
    "form": "lava" in json.dumps(MapRequest.model_json_schema()),
    "card": "lava" in json.dumps(ModelCard.model_json_schema()),
    "schema": "Lava flow" in LAYERS["observed_event"].notations,
    "markdown": "`Lava flow`" in schema_markdown(),
    "event_type": lava.entry.event_type,
    "qml": "Lava flow" in qml(THEMES["observed_event"]),
    "sld": "#aa0011" in sld(THEMES["observed_event"]),
    "maplibre": "#aa0011" in json.dumps(maplibre(["observed_event"])),
    "class_raster": class_kind("Lava flow").categories[Label.EVENT],
    "class_colour": class_colours("Lava flow")[Label.EVENT],
    "models": [ref.card.name for ref in matching(all_cards(), hazard=lava, available=pair).fits],
}))
"""


def test_a_new_hazard_is_one_entry_in_one_file() -> None:
    source = Path("geo/vector/hazards.py").read_text()
    assert source.count("\n\nHAZARDS") == 1
    extended = source.replace("\n\nHAZARDS", ENTRY)
    run = subprocess.run(
        [sys.executable, "-c", SEEN], input=extended, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "form": True, "card": True, "schema": True, "markdown": True,
        "event_type": "2-Volcanic Activity", "qml": True, "sld": True, "maplibre": True,
        "class_raster": "Lava flow", "class_colour": "#aa0011",
        "models": ["nbr-change", "ndvi-change"],
    }  # fmt: skip


def test_every_task_of_a_hazard_is_one_that_models_have() -> None:
    for entry in HAZARDS.values():
        assert entry.maps
        assert {Task(task) for task in entry.maps} < set(Task)


@pytest.mark.parametrize(
    ("hazard", "task", "expected"),
    [
        ("flood", "flood-change", FLOODED),
        ("flood", None, FLOODED),
        ("wildfire", None, BURNT),
        ("wildfire", "burnt", BURNT),
        ("wildfire", "damage", DAMAGED),
        ("storm", "water", FLOODED),
        ("storm", "damage", DAMAGED),
        # A model that the user named, of another hazard's task, maps what it does.
        ("wildfire", "water", FLOODED),
        ("earthquake", "flood-change", FLOODED),
        ("flood", "burnt", BURNT),
    ],
)
def test_what_a_model_maps_after_a_hazard(hazard, task, expected) -> None:
    assert event_class(Hazard(hazard), task) is expected


def test_only_water_has_a_water_class() -> None:
    water = {name for name, left in EVENT_CLASSES.items() if left.water_class is not None}
    assert water == {"Flooded area", "Flooded area or standing water"}


def test_a_hazard_is_its_name_wherever_it_goes() -> None:
    assert Hazard("tsunami") is Hazard.TSUNAMI
    assert f"{Hazard.TSUNAMI}" == "tsunami"
    assert pickle.loads(pickle.dumps(Hazard.TSUNAMI)) is Hazard.TSUNAMI
