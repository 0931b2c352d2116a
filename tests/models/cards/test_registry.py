import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.cards.registry import all_cards, find
from models.errors import ModelUnknown, NameTaken


@pytest.mark.parametrize("ref", all_cards(), ids=lambda ref: ref.card.name)
def test_every_shipped_model_says_what_it_is(ref):
    assert ref.folder.name == ref.card.name
    assert (ref.folder / "README.md").read_text().startswith(f"# {ref.card.name}\n")
    assert ref.card.calibration is not None or any(
        "confidence is not calibrated" in limit for limit in ref.card.limits
    )


def test_a_users_model_is_found_by_name_and_by_path(tmp_path, card_json):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps(card_json()))
    for extra in (tmp_path, folder):
        assert find("tiny", extra=extra).folder == folder
        assert "tiny" in [ref.card.name for ref in all_cards(extra)]
    assert find(folder).card.name == "tiny"


def test_a_name_is_taken_once(tmp_path, card_json):
    (tmp_path / "card.json").write_text(json.dumps(card_json(name="sar-water")))
    with pytest.raises(NameTaken, match="two models are named 'sar-water'"):
        all_cards(tmp_path)


def test_an_unknown_model_names_those_that_exist(tmp_path):
    with pytest.raises(ModelUnknown, match=r"the models are .*mndwi-water, nbr-change, "):
        find("resnet")
    with pytest.raises(ModelUnknown, match=r"holds no card\.json"):
        all_cards(tmp_path)


def test_a_detector_maps_without_torch():
    """Torch takes seconds and a gigabyte; a laptop with detectors pays for neither."""
    script = """
import sys
import numpy as np
from models.cards.registry import find
from models.inference.model import load_model
sys.path.insert(0, sys.argv[1])
from conftest import make_raster
rng = np.random.default_rng(0)
image = make_raster({"green": rng.random((70, 70)), "nir": rng.random((70, 70))})
model = load_model(find("ndwi-water"))
answer = model.predict([{"image": image}], model.scene_statistics([{"image": image}]))
assert answer.shape == (1, 1, 70, 70)
assert "torch" not in sys.modules, "torch was imported"
"""
    command = [sys.executable, "-c", script, str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
