import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import load

from flows.reports.progress import QuietProgress
from models.adaptation.adapt_network import adapt_network
from models.cards.registry import CardRef, find
from models.errors import InputsMismatch
from models.networks.network import NetworkModel
from tests.models.adaptation.made_tuning import alternating, save, tile, water_card
from tests.models.damage.test_network import damage_card

torch.set_num_threads(1)
HEAD = {"segmentation_head.0.weight", "segmentation_head.0.bias"}


@pytest.fixture
def parent(tmp_path):
    return save(tmp_path / "parent", water_card(symmetries=2))


def adapted(ref, tiles):
    return adapt_network(ref, tiles, device="cpu", progress=QuietProgress())


def answers_of(card, content, folder, one):
    """The mean probability of each square of a tile by the network as it is loaded."""
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(content)
    model = NetworkModel.load(CardRef(card, folder), card.architecture, device="cpu")
    likely = model.probabilities(one.tile.channels[None].float().numpy())[0]
    numbers = np.unique(one.polygons)[1:]
    return np.array([[part[one.polygons == k].mean() for part in likely] for k in numbers])


def test_the_last_convolution_learns_and_is_what_the_content_holds(parent, tmp_path):
    one = tile(alternating(10))
    tuned = adapted(parent, [one])
    before, after = load(parent.weights.read_bytes()), load(tuned.content)
    assert tuned.stage == "head"
    assert tuned.groups == 10
    assert {name for name in before if not torch.equal(before[name], after[name])} == HEAD
    assert {name: part.dtype for name, part in after.items()} == {
        name: part.dtype for name, part in before.items()
    }
    assert tuned.card.weights_sha256 == hashlib.sha256(tuned.content).hexdigest()
    assert tuned.card.classes == parent.card.classes
    assert "10 label polygons, each by a network that" in tuned.card.calibration.fitted_on
    said = answers_of(tuned.card, tuned.content, tmp_path / "child", one)
    yes = np.arange(10) % 2 == 0
    assert said[yes].min() > said[~yes].max()
    # What was left out is answered almost as well as what was learned.
    assert np.abs(said - tuned.adapted).mean() < 0.2


def test_the_answers_of_the_parent_are_those_of_its_network(parent, tmp_path):
    one = tile(alternating(6))
    tuned = adapted(parent, [one])
    content = parent.weights.read_bytes()
    said = answers_of(parent.card, content, tmp_path / "again", one)
    np.testing.assert_allclose(tuned.parent, said, atol=1e-5)


def test_the_same_labels_give_the_same_bytes(parent):
    tiles = [tile(alternating(6)), tile(alternating(5), first=7, seed=1)]
    assert adapted(parent, tiles).content == adapted(parent, tiles).content


def test_a_parent_that_knows_it_already_is_kept_bit_for_bit(parent):
    once = adapted(parent, [tile(alternating(12))])
    folder = parent.folder
    (folder / "weights.safetensors").write_bytes(once.content)
    sure = CardRef(_colder(once.card), folder)
    twice = adapted(sure, [tile(alternating(12), seed=2)])
    assert twice.stage == "none"
    assert twice.content == once.content
    assert twice.card == sure.card
    np.testing.assert_array_equal(twice.adapted, twice.parent)


def _colder(card):
    """A card whose network is surer of itself."""
    parameters = card.calibration.parameters.model_copy(update={"temperature": (0.02,)})
    calibration = card.calibration.model_copy(update={"parameters": parameters})
    return card.model_copy(update={"calibration": calibration})


def test_two_labels_that_differ_are_too_few(parent):
    tuned = adapted(parent, [tile(alternating(2))])
    assert tuned.stage == "none"
    assert tuned.content == parent.weights.read_bytes()


def test_a_polygon_that_was_not_seen_has_no_answer(parent):
    one = tile(alternating(6))
    one.tile.seen[:, one.polygons == 3] = False
    tuned = adapted(parent, [one])
    assert np.flatnonzero(np.isnan(tuned.adapted[:, 0])).tolist() == [2]
    assert np.flatnonzero(np.isnan(tuned.parent[:, 0])).tolist() == [2]


def test_grades_learn_and_the_building_stays(tmp_path):
    grader = save(tmp_path, damage_card())
    # Every building is one, every other one is damaged, and nobody said whether it is destroyed.
    answers = [[True, damaged, damaged, None] for [damaged] in alternating(12)]
    tuned = adapted(grader, [tile(answers, bright=1, channels=6, slots=2)])
    before, after = load(grader.weights.read_bytes()), load(tuned.content)
    changed = [
        not torch.equal(*rows)
        for rows in zip(
            *(part["segmentation_head.0.weight"] for part in (before, after)), strict=True
        )
    ]
    assert tuned.stage == "head"
    assert changed == [False, True, True, False]
    assert (np.diff(tuned.adapted[:, 1:], axis=1) <= 0).all()
    np.testing.assert_allclose(tuned.adapted[:, 0], tuned.parent[:, 0], rtol=1e-12)


def test_all_weights_learn_from_enough_labels_and_batch_statistics_stay(parent, monkeypatch):
    _whatever_it_is_worth(monkeypatch)
    tiles = [tile(alternating(12)), tile(alternating(12), first=13, seed=1)]
    tuned = adapted(parent, tiles)
    before, after = load(parent.weights.read_bytes()), load(tuned.content)
    assert (tuned.stage, tuned.groups) == ("all", 5)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved > HEAD
    assert not [name for name in moved if "running" in name or "num_batches" in name]
    assert np.isfinite(tuned.adapted).all()
    assert adapted(parent, tiles).content == tuned.content


def _whatever_it_is_worth(monkeypatch):
    """Take three steps, and keep what they make of the weights."""
    monkeypatch.setattr("models.tuning.trial.STEPS", 3)
    monkeypatch.setattr("models.tuning.learn.STEPS", 3)
    monkeypatch.setattr("models.adaptation.trial.beats", lambda one, other: True)


def test_all_weights_are_not_tried_on_few_labels(parent, monkeypatch):
    _whatever_it_is_worth(monkeypatch)
    assert adapted(parent, [tile(alternating(16)), tile([[True]] * 9, first=17)]).stage == "all"
    assert adapted(parent, [tile(alternating(16))]).stage == "head"
    few = [*alternating(8), *[[True]] * 8]
    assert adapted(parent, [tile(few), tile([[True]] * 9, first=17)]).stage == "head"


@pytest.mark.parametrize(
    ("tiles", "said"),
    [
        ([tile([[True]] * 4)], "4 label polygons that the imagery shows say the same of each of"),
        ([], "of 0 0 lie in none and 0 in several"),
        ([tile(alternating(3), first=2)], "of 4 1 lie in none and 0 in several"),
        ([tile(alternating(3)), tile(alternating(3))], "of 3 0 lie in none and 3 in several"),
    ],
)
def test_labels_that_cannot_be_learned_are_one_sentence(parent, tiles, said):
    with pytest.raises(InputsMismatch, match=said):
        adapted(parent, tiles)


def test_a_polygon_has_one_label(parent):
    one = tile(alternating(4))
    one.tile.target[0, 5, 5] = False
    with pytest.raises(InputsMismatch, match="give a polygon one label"):
        adapted(parent, [one])


def test_only_networks_learn_on():
    with pytest.raises(InputsMismatch, match="ndwi-water is a detector and no network"):
        adapted(find("ndwi-water"), [tile(alternating(4))])
