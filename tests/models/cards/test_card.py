import json

import pytest
from pydantic import ValidationError

from models.cards.card import ModelCard, read_card
from models.cards.registry import all_cards
from models.errors import CardInvalid


def changed(card, path, value):
    """Return a card with one value replaced, its place given as keys and indices."""
    card = json.loads(json.dumps(card))
    place = card
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return card


WRONG = [
    (("inputs", 0, "sensors"), ["sentinel-9"], "no sensor sentinel-9"),
    (("inputs", 0, "bands"), ["nir", "thermal"], "sentinel-2-l2a has no band thermal"),
    (("inputs", 0, "bands"), ["nir", "nir"], "named twice"),
    (("inputs", 0, "units"), "dB", "sentinel-2-l2a comes in reflectance, the card says dB"),
    (("inputs", 0, "mean"), [0.1], "1 values in mean, 2 bands"),
    (("inputs", 0, "std"), [0.1, 0.0], "greater than 0"),
    (("inputs", 0, "std"), None, "needs mean and std"),
    (("inputs", 1, "name"), "s2-before", "input s2-before is there more than once"),
    (("inputs", 0, "phase"), "each", "belong to the task water"),
    (("classes", 1, "name"), "burnt", "the task flood-change has the class flood"),
    (("classes", 1, "name"), "flood", "class flood is there more than once"),
    (("classes", 0, "threshold"), 1.0, "less than 1"),
    (("architecture", "in_channels"), 4, "the inputs make 6 channels, not 4"),
    (("architecture", "classes"), 3, "the network has 3 classes, not 2"),
    (("architecture", "decoder_options"), {"encoder_weights": "imagenet"}, "may not set"),
    (("weights_sha256",), None, "needs weights_sha256"),
    (("weights_sha256",), "abc", "match pattern"),
    (("overlap_px",), 200, "at most half fits"),
    (("name",), "../evil", "match pattern"),
    (("calibration",), {"method": "temperature", "parameters": {"temperature": [1.0]},
                        "fitted_on": "x", "ece": 0.01}, "1 temperatures, 2 classes"),
    (("inputs", 1, "phase"), "before", "no input is of after the event"),
    (("inputs", 0, "backscatter"), "sigma0", "backscatter is of radar, the input is in refle"),
    (("inputs", 0, "speckle"), {"window_px": 5, "looks": 4.4}, "speckle is of radar"),
    (("architecture", "symmetries"), 3, "Input should be 1, 2, 4 or 8"),
    (("unheard_of",), 1, "Extra inputs are not permitted"),
    (("limits",), [], "at least 1 item"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_a_card_that_contradicts_itself_is_refused_in_one_sentence(
    tmp_path, card_json, path, value, said
):
    file = tmp_path / "card.json"
    file.write_text(json.dumps(changed(card_json(), path, value)))
    with pytest.raises(CardInvalid) as caught:
        read_card(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": NaN}', "\x00\xff"])
def test_what_is_no_card_is_refused(tmp_path, text):
    file = tmp_path / "card.json"
    file.write_text(text)
    with pytest.raises(CardInvalid, match="is not valid"):
        read_card(file)


def test_a_missing_card_is_refused(tmp_path):
    with pytest.raises(CardInvalid, match="cannot be read"):
        read_card(tmp_path / "card.json")


def test_a_detector_takes_the_bands_of_its_method_and_no_others():
    card = next(ref.card for ref in all_cards() if ref.card.name == "ndwi-water")
    other = changed(card.model_dump(mode="json"), ("inputs", 0, "bands"), ["green", "swir16"])
    with pytest.raises(ValidationError, match="needs the bands green, nir"):
        ModelCard.model_validate(other)
    margin = changed(card.model_dump(mode="json"), ("architecture", "margin_px"), 4)
    with pytest.raises(ValidationError, match="needs twice that"):
        ModelCard.model_validate(margin)


def test_the_digest_follows_the_content_and_not_its_layout(tmp_path, card_json):
    file = tmp_path / "card.json"
    card = card_json()
    file.write_text(json.dumps(card, indent=4))
    first = read_card(file).digest
    file.write_text(json.dumps(dict(reversed(card.items()))))
    assert read_card(file).digest == first
    for path, value in [
        (("weights_sha256",), "1" * 64),
        (("classes", 0, "threshold"), 0.4),
        (("inputs", 1, "mean"), [0.1, 0.25]),
    ]:
        assert ModelCard.model_validate(changed(card, path, value)).digest != first


def test_a_card_survives_a_round_trip(card_json):
    card = ModelCard.model_validate(card_json())
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
