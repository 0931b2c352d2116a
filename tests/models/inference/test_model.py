"""One door loads any model by its card, and a new detector is one file."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import models.networks
from geo.scenes.scene import Phase
from geo.vector.hazards import Hazard
from models.cards.architecture import DetectorMethod
from models.cards.card import read_card
from models.cards.registry import all_cards, find
from models.cards.selection import choose_model
from models.cards.suitability import Available
from models.errors import CardInvalid, InputsMismatch
from models.inference.model import CLASSES, load_model

DETECTOR = '''
"""Water where the near infrared is dark."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geo.raster.classify import Finding
from models.cards.architecture import DetectorMethod, ThresholdRule
from models.cards.inputs import InputPhase
from models.networks.detectors import Detector
from models.networks.thresholds import INDEX_EDGES, probability_below


class DarkInfrared(DetectorMethod):
    method: Literal["dark-infrared"]
    water: ThresholdRule

    @property
    def bands(self):
        return ("nir",)


@dataclass(frozen=True)
class DarkInfraredDetector(Detector, method=DarkInfrared):
    parameters: DarkInfrared

    def rules(self):
        return {"nir": (self.parameters.water, INDEX_EDGES)}

    def features(self, images):
        raster = images[InputPhase.EACH]
        return {"nir": np.where(raster.valid, raster.band("nir"), np.float32(np.nan))}

    def answer(self, features, statistics):
        return {Finding.WATER: probability_below(statistics.threshold("nir"), features["nir"])}
'''


@pytest.fixture
def new_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file beside the networks, and a folder with a card; both are gone after the test."""
    (tmp_path / "dark_infrared.py").write_text(DETECTOR)
    monkeypatch.setattr(models.networks, "__path__", [*models.networks.__path__, str(tmp_path)])
    monkeypatch.setattr(DetectorMethod, "known", dict(DetectorMethod.known))
    card = find("ndwi-water").card.model_dump(mode="json")
    rule = {"method": "fixed", "fixed": 0.1, "width": 0.02, "plausible": [0, 1]}
    card |= {"name": "dark-infrared", "scores": []}
    card["architecture"]["parameters"] = {"method": "dark-infrared", "water": rule}
    card["inputs"][0]["bands"] = ["nir"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    yield tmp_path
    sys.modules.pop("models.networks.dark_infrared", None)


def test_a_new_detector_is_one_file_and_is_chosen_loaded_and_run(new_detector, raster):
    offer = Available(Phase.AFTER, "sentinel-2-l2a", ("green", "nir"))
    choice = choose_model([offer], hazard=Hazard.FLOOD, extra=new_detector)
    assert choice.name == "dark-infrared"
    model = load_model(choice.ref)
    image = raster({"nir": np.tile(np.float32([0.3, 0.02]), (8, 4))})
    answer = model.predict([{"image": image}], model.scene_statistics([{"image": image}]))[0, 0]
    np.testing.assert_array_equal(answer > 0.5, image.band("nir") < 0.1)


def test_a_method_that_is_nowhere_is_refused_with_those_that_are(new_detector):
    card = json.loads((new_detector / "card.json").read_text())
    card["architecture"]["parameters"]["method"] = "../evil"
    (new_detector / "card.json").write_text(json.dumps(card))
    with pytest.raises(CardInvalid, match=r"no detector has the method '../evil'; there are water"):
        read_card(new_detector / "card.json")


def test_every_kind_of_architecture_has_a_class():
    kinds = {ref.card.architecture.kind for ref in all_cards()}
    assert kinds == set(CLASSES)


@pytest.mark.parametrize(
    ("name", "purpose", "words"),
    [
        ("damage-features", "pixels", "grades buildings and maps no pixels; name a model for"),
        ("ndwi-water", "grades", "is for water and grades no buildings; name a model for damage"),
        ("damage-features", "footprints", "finds none itself; name a model that does"),
    ],
)
def test_a_model_that_answers_something_else_is_refused(name, purpose, words):
    with pytest.raises(InputsMismatch, match=f"{name} {words}|{name} grades buildings and {words}"):
        load_model(find(name), purpose)
