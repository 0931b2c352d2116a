import json
from pathlib import Path

import pytest

from geo.scenes.scene import Phase
from geo.vector.hazards import Hazard
from models.cards.architecture import DetectorArchitecture
from models.cards.card import ModelCard
from models.cards.registry import CardRef, all_cards, find
from models.cards.selection import (
    PREFERENCE,
    PREFERENCE_UNDATED,
    TASKS_OF,
    matching,
)
from models.cards.suitability import Available, lacking, require_fit
from models.errors import InputsMismatch

RADAR = ("vv", "vh")
OPTICAL = ("blue", "green", "red", "nir", "swir16", "swir22")


def scenes(sensor, bands, phases=(Phase.BEFORE, Phase.AFTER)):
    return [Available(phase, sensor, bands) for phase in phases]


def detectors():
    """The shipped models but the networks, which come and go with their weights."""
    cards = all_cards()
    return [ref for ref in cards if isinstance(ref.card.architecture, DetectorArchitecture)]


def names(hazard, available, cards=None):
    found = matching(cards or detectors(), hazard=hazard, available=available)
    return [ref.card.name for ref in found.fits]


def test_every_shipped_model_of_a_hazard_has_a_place_in_both_orders():
    tasks = {task for several in TASKS_OF.values() for task in several}
    shipped = {ref.card.name for ref in all_cards() if ref.card.task in tasks}
    assert shipped <= set(PREFERENCE)
    assert sorted(PREFERENCE) == sorted(PREFERENCE_UNDATED)
    assert len(set(PREFERENCE)) == len(PREFERENCE)


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
    reasons = {ref.card.name: reason for ref, reason in found.misfits}
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


def test_a_users_model_goes_first(tmp_path, card_json):
    (tmp_path / "card.json").write_text(json.dumps(card_json()))
    available = scenes("sentinel-2-l2a", OPTICAL)
    assert names("flood", available, all_cards(tmp_path))[0] == "tiny"


def test_an_optional_slot_may_stay_empty(tmp_path, card_json):
    (tmp_path / "card.json").write_text(json.dumps(card_json()))
    card = find(tmp_path).card
    require_fit(card, scenes("sentinel-2-l2a", OPTICAL, [Phase.AFTER]))
    with pytest.raises(InputsMismatch, match="tiny wants, after the event"):
        require_fit(card, scenes("sentinel-2-l2a", OPTICAL, [Phase.BEFORE]))


OPTIONAL_FLOOD = [
    {
        "name": f"{sensor}-{phase}", "phase": phase, "bands": bands, "units": units,
        "sensors": sensors, "normalised_by": "scene", "required": False,
    }
    for sensor, sensors, bands, units in (
        ("s1", ["sentinel-1-grd", "sentinel-1-rtc"], ["vv"], "dB"),
        ("s2", ["sentinel-2-l1c", "sentinel-2-l2a"], ["swir16", "nir", "green"], "reflectance"),
    )
    for phase in ("before", "after")
]  # fmt: skip


def water_slot(sensors, bands, units):
    return [
        {
            "name": "image", "phase": "each", "sensors": sensors, "bands": bands, "units": units,
            "normalised_by": "scene",
        }
    ]  # fmt: skip


@pytest.fixture
def networks(card_json):
    """Cards with the names and the slots of the networks that are shipped, and the detectors."""
    slots = {
        "flood-s1s2": OPTIONAL_FLOOD,
        "water-multispectral": water_slot(
            ["sentinel-2-l1c", "sentinel-2-l2a", "landsat-c2-l2"], list(OPTICAL), "reflectance"
        ),
        "flood-rgb": water_slot(
            ["aerial-rgb", "aerial-rgbn", "drone-rgb"], ["red", "green", "blue"], "brightness 0-255"
        ),
    }
    tiny = card_json()["architecture"]
    cards = []
    for name, inputs in slots.items():
        flood = name == "flood-s1s2"
        bands = sum(len(entry["bands"]) for entry in inputs)
        changes = {
            "task": "flood-change" if flood else "water",
            "classes": [{"name": "flood" if flood else "water", "threshold": 0.5}],
            "architecture": tiny | {"in_channels": bands + len(inputs), "classes": 1},
        }
        cards.append(ModelCard.model_validate(card_json(name=name, inputs=inputs, **changes)))
    return [*(CardRef(card, Path()) for card in cards), *detectors()]


BEFORE, AFTER = [Phase.BEFORE], [Phase.AFTER]
S1, S2 = "sentinel-1-grd", "sentinel-2-l2a"


@pytest.mark.parametrize(
    ("available", "wanted"),
    [
        # Whatever can tell flood from water that was there goes first, the widest of them first.
        (scenes(S1, RADAR) + scenes(S2, OPTICAL), "flood-s1s2"),
        (scenes(S1, RADAR), "flood-s1s2"),
        (scenes(S2, OPTICAL), "flood-s1s2"),
        (scenes(S2, OPTICAL, BEFORE) + scenes(S1, ("vv",), AFTER), "flood-s1s2"),
        (scenes("landsat-c2-l2", OPTICAL) + scenes(S1, RADAR, AFTER), "water-multispectral"),
        (scenes(S2, ("green", "nir")) + scenes(S1, RADAR, AFTER), "ndwi-water"),
        # With nothing before, all water is looked for.
        (scenes(S2, OPTICAL, AFTER), "water-multispectral"),
        (scenes(S2, OPTICAL, AFTER) + scenes(S1, RADAR, AFTER), "water-multispectral"),
        (scenes(S2, ("green", "nir", "swir16"), AFTER), "mndwi-water"),
        (scenes(S1, RADAR, AFTER), "sar-water"),
        (scenes("landsat-c2-l2", OPTICAL, AFTER), "water-multispectral"),
        (scenes(S2, ("green", "nir"), AFTER), "ndwi-water"),
        # The near infrared shows water better than colours do.
        (scenes("aerial-rgbn", ("red", "green", "blue", "nir")), "ndwi-picture-water"),
        (scenes("drone-rgb", ("red", "green", "blue")), "flood-rgb"),
    ],
)
def test_the_network_is_chosen_by_what_the_sources_offer(networks, available, wanted):
    assert names("flood", available, networks)[0] == wanted
    assert names("flood", available[::-1], networks[::-1])[0] == wanted


def test_images_before_alone_fill_no_model(networks):
    """An after image of another sensor is no reason to map by what was there before."""
    available = scenes(S1, RADAR, BEFORE) + scenes("vhr-rgb", ("red", "green", "blue"), AFTER)
    assert names("flood", available, networks) == []
    card = networks[0].card
    with pytest.raises(InputsMismatch, match=r"wants, after the event, .* there is vhr-rgb"):
        require_fit(card, available)


def test_the_slot_that_nearly_fits_says_what_is_missing(networks):
    with pytest.raises(InputsMismatch) as caught:
        require_fit(networks[0].card, scenes(S2, ("green", "nir"), AFTER))
    assert str(caught.value) == (
        "flood-s1s2 wants, after the event, sentinel-2-l1c or sentinel-2-l2a with the bands "
        "swir16, nir, green; there is sentinel-2-l2a (green, nir)"
    )


def test_what_a_network_does_without_is_said(networks):
    card = networks[0].card
    everything = scenes(S1, RADAR) + scenes(S2, OPTICAL)
    assert lacking(card, everything) == ()
    assert lacking(card, everything[:3]) == (
        "mapped without Sentinel-2 after the event: flood-s1s2 wants, after the event, "
        "sentinel-2-l1c or sentinel-2-l2a with the bands swir16, nir, green; there is "
        "sentinel-1-grd (vv, vh)",
    )
    assert lacking(card, scenes(S1, ("vv",), AFTER))[0] == (
        "mapped without Sentinel-1 before the event: flood-s1s2 wants, before the event, "
        "sentinel-1-grd or sentinel-1-rtc with the bands vv; there is no image"
    )


@pytest.mark.parametrize(
    ("wants", "there", "fits"),
    [
        (None, "sigma0", True),
        (None, None, True),
        ("gamma0", "gamma0", True),
        ("gamma0", "sigma0", False),
        ("gamma0", None, False),
    ],
)
def test_backscatter_is_what_the_card_wants_or_is_refused(card_json, wants, there, fits):
    inputs = [entry | {"backscatter": wants} for entry in OPTIONAL_FLOOD[:2]]
    architecture = card_json()["architecture"] | {"in_channels": 4}
    card = ModelCard.model_validate(card_json(inputs=inputs, architecture=architecture))
    available = [Available(Phase.AFTER, S1, RADAR, there)]
    if fits:
        require_fit(card, available)
        return
    with pytest.raises(InputsMismatch) as caught:
        require_fit(card, available)
    assert str(caught.value) == (
        "tiny wants, after the event, sentinel-1-grd or sentinel-1-rtc with the bands vv in "
        f"gamma0; there is sentinel-1-grd (vv, vh in {there or 'sigma0 or gamma0'}); give images "
        "in gamma0, or say --backscatter if they are"
    )


def test_a_model_is_taken_unasked_only_for_its_hazards():
    ref = find("ndwi-picture-water")
    card = ref.card.model_copy(update={"hazards": (Hazard.FLOOD, Hazard.TSUNAMI)})
    shelf = [CardRef(card, ref.folder)]
    pictures = scenes("aerial-rgbn", ("red", "green", "blue", "nir"))
    assert names(Hazard.FLOOD, pictures, shelf) == ["ndwi-picture-water"]
    [(_, reason)] = matching(shelf, hazard=Hazard.STORM, available=pictures).misfits
    assert reason == (
        "ndwi-picture-water is taken unasked for flood and tsunami only; name it with --model to "
        "use it for a storm"
    )
    require_fit(card, pictures)


@pytest.mark.parametrize("hazard", list(Hazard))
def test_a_grader_of_buildings_is_never_taken_for_pixels(hazard):
    pictures = scenes("vhr-rgb", ("red", "green", "blue"))
    found = matching(all_cards(), hazard=hazard, available=pictures)
    assert "damage-features" not in [ref.card.name for ref in found.fits]
    [reason] = [why for ref, why in found.misfits if ref.card.name == "damage-features"]
    lacks = "grades buildings: give footprints with --buildings"
    wants = "is for damage; the task of the hazard flood" if hazard is Hazard.FLOOD else lacks
    assert reason.startswith(f"damage-features {wants}")
    graded = matching(all_cards(), hazard=hazard, available=pictures, buildings=True)
    taken = [ref.card.name for ref in graded.fits][:1] == ["damage-features"]
    assert taken == (hazard is not Hazard.FLOOD)
