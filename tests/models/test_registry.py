import json
import subprocess
import sys
from pathlib import Path

import pytest

from geo.scene import Phase
from geo.schema import Hazard
from models.errors import InputsMismatch, ModelUnknown, NameTaken
from models.registry import (
    PREFERENCE,
    TASKS_OF,
    Available,
    all_cards,
    find,
    matching,
    require_fit,
)

RADAR = ("vv", "vh")
OPTICAL = ("blue", "green", "red", "nir", "swir16", "swir22")


def scenes(sensor, bands, phases=(Phase.BEFORE, Phase.AFTER)):
    return [Available(phase, sensor, bands) for phase in phases]


def names(hazard, available):
    return [ref.card.name for ref in matching(all_cards(), hazard=hazard, available=available).fits]


def test_every_shipped_model_has_a_place_in_the_order():
    assert sorted(PREFERENCE) == [ref.card.name for ref in all_cards()]


@pytest.mark.parametrize("ref", all_cards(), ids=lambda ref: ref.card.name)
def test_every_shipped_model_says_what_it_is(ref):
    assert ref.folder.name == ref.card.name
    assert (ref.folder / "README.md").read_text().startswith(f"# {ref.card.name}\n")
    assert ref.card.calibration is not None or any(
        "confidence is not calibrated" in limit for limit in ref.card.limits
    )


@pytest.mark.parametrize(
    ("hazard", "available", "wanted"),
    [
        ("flood", scenes("sentinel-1-grd", RADAR),
         ["sar-change", "sar-change-vv", "sar-water", "sar-water-vv"]),
        ("flood", scenes("sentinel-1-rtc", ("vv",)), ["sar-change-vv", "sar-water-vv"]),
        ("flood", scenes("sentinel-1-grd", RADAR, [Phase.AFTER]), ["sar-water", "sar-water-vv"]),
        ("flood", scenes("sentinel-1-grd", RADAR, [Phase.BEFORE]), []),
        ("flood", scenes("sentinel-2-l2a", OPTICAL), ["mndwi-water", "ndwi-water"]),
        ("flood", scenes("sentinel-2-l2a", ("green", "nir")), ["ndwi-water"]),
        ("flood", scenes("aerial-rgbn", ("red", "green", "blue", "nir")), ["ndwi-picture-water"]),
        ("storm", scenes("vhr-rgb", ("red", "green", "blue")), []),
        ("wildfire", scenes("landsat-c2-l2", OPTICAL), ["nbr-change", "ndvi-change"]),
        ("wildfire", scenes("landsat-c1-sr", ("red", "nir")), ["ndvi-change"]),
        ("wildfire", scenes("landsat-c1-sr", ("red", "nir"), [Phase.AFTER]), []),
        ("earthquake", scenes("sentinel-1-grd", RADAR), []),
    ],
)  # fmt: skip
def test_the_models_that_fit_come_in_order_of_preference(hazard, available, wanted):
    assert names(hazard, available) == wanted


def test_every_model_either_fits_or_says_why_not_with_both_sides():
    available = scenes("sentinel-2-l2a", ("green", "nir"))
    found = matching(all_cards(), hazard="flood", available=available)
    assert len(found.fits) + len(found.misfits) == len(all_cards())
    reasons = {misfit.ref.card.name: misfit.reason for misfit in found.misfits}
    assert reasons["mndwi-water"] == (
        "mndwi-water wants, after the event, sentinel-2-l1c or sentinel-2-l2a or landsat-c2-l2 or "
        "landsat-c1-sr with the bands green, swir16; there is sentinel-2-l2a (green, nir)"
    )
    assert reasons["nbr-change"] == (
        "nbr-change is for burnt; the task of the hazard flood is flood-change or water"
    )


def test_no_image_is_said_so():
    card = find("sar-water").card
    with pytest.raises(InputsMismatch, match="there is no image"):
        require_fit(card, scenes("sentinel-1-grd", RADAR, [Phase.BEFORE]))
    require_fit(card, scenes("sentinel-1-grd", RADAR, [Phase.AFTER]))


def test_tasks_are_known_for_every_hazard():
    assert set(TASKS_OF) == set(Hazard)


def test_a_users_model_is_found_by_name_and_by_path_and_goes_first(tmp_path, card_json):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps(card_json()))
    for extra in (tmp_path, folder):
        assert find("tiny", extra=extra).folder == folder
        assert "tiny" in [ref.card.name for ref in all_cards(extra)]
    assert find(folder).card.name == "tiny"
    available = scenes("sentinel-2-l2a", OPTICAL)
    fits = matching(all_cards(tmp_path), hazard="flood", available=available).fits
    assert [ref.card.name for ref in fits] == ["tiny", "mndwi-water", "ndwi-water"]


def test_an_optional_slot_may_stay_empty(tmp_path, card_json):
    (tmp_path / "card.json").write_text(json.dumps(card_json()))
    card = find(tmp_path).card
    require_fit(card, scenes("sentinel-2-l2a", OPTICAL, [Phase.AFTER]))
    with pytest.raises(InputsMismatch, match="tiny wants, after the event"):
        require_fit(card, scenes("sentinel-2-l2a", OPTICAL, [Phase.BEFORE]))


def test_a_name_is_taken_once(tmp_path, card_json):
    (tmp_path / "card.json").write_text(json.dumps(card_json(name="sar-water")))
    with pytest.raises(NameTaken, match="two models are named 'sar-water'"):
        all_cards(tmp_path)


def test_an_unknown_model_names_those_that_exist(tmp_path):
    with pytest.raises(ModelUnknown, match="the models are mndwi-water, nbr-change"):
        find("resnet")
    with pytest.raises(ModelUnknown, match=r"holds no card\.json"):
        all_cards(tmp_path)


def test_a_detector_maps_without_torch():
    """Torch takes seconds and a gigabyte; a laptop with detectors pays for neither."""
    script = """
import sys
import numpy as np
from models.predict import load
from models.registry import find
sys.path.insert(0, sys.argv[1])
from conftest import make_raster
rng = np.random.default_rng(0)
image = make_raster({"green": rng.random((70, 70)), "nir": rng.random((70, 70))})
model = load(find("ndwi-water"))
answer = model.predict([{"image": image}], model.survey([{"image": image}]))
assert answer.shape == (1, 1, 70, 70)
assert "torch" not in sys.modules, "torch was imported"
"""
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
