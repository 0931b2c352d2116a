import dataclasses

import numpy as np
import pytest
import torch

from models.adaptation import trial as learn
from models.adaptation.label_tiles import Opened, PolygonLabels
from models.adaptation.trial import Exercise, learned_on
from models.networks.network import NetworkModel
from tests.models.adaptation.made_tuning import alternating, save, tile, water_card

torch.set_num_threads(1)
CLASSES = 2
POLYGONS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    card = water_card(classes=CLASSES)
    card |= {
        "task": "cloud", "resolution_m": 10.0, "calibration": None,
        "classes": [{"name": name, "threshold": 0.5} for name in ("cloud", "cloud_shadow")],
    }  # fmt: skip
    ref = save(tmp_path_factory.mktemp("two"), card)
    return NetworkModel.load(ref, ref.card.architecture, device="cpu")


@pytest.fixture
def opened(model):
    return Opened.of(model)


@pytest.fixture
def exercise(model, opened):
    tiles = (tile([[says, None] for [says] in alternating(POLYGONS)]),)
    labels = PolygonLabels.of(model.card, tiles, seed=0)
    before = tuple(opened.logits(one.tile) for one in tiles)
    return Exercise(tiles, labels, np.array([True, False]), before, torch.ones(CLASSES, 1, 1))


def after(opened, exercise, *, learners=None, seed=0):
    chosen = np.ones(POLYGONS, bool) if learners is None else learners
    return learned_on(opened, exercise, learners=chosen, seed=seed, advance=lambda _: None)


def parameters(opened):
    return torch.cat([part.detach().flatten() for part in opened.network.parameters()])


@pytest.fixture(autouse=True)
def _fewer_and_larger_steps(monkeypatch):
    monkeypatch.setattr(learn, "STEPS", 6)
    monkeypatch.setattr(learn, "_RATE", 3e-3)


def test_it_learns_and_leaves_what_it_was_given(opened, exercise):
    old = parameters(opened).clone()
    buffers = [part.clone() for part in opened.network.buffers()]
    moved = after(opened, exercise)
    assert torch.equal(parameters(opened), old)
    assert not torch.equal(parameters(moved), old)
    assert all(map(torch.equal, buffers, moved.network.buffers()))
    one = exercise.tiles[0]
    yes, no = (one.tile.target[0], one.tile.known[0] & ~one.tile.target[0])
    apart = [net.logits(one.tile)[0] for net in (opened, moved)]
    before, now = (float(said[yes].mean() - said[no].mean()) for said in apart)
    assert now > before + 0.1


def test_the_same_seed_gives_the_same_weights(opened, exercise):
    assert torch.equal(*(parameters(after(opened, exercise)) for _ in range(2)))
    other = after(opened, exercise, seed=1)
    assert not torch.equal(parameters(after(opened, exercise)), parameters(other))


def test_what_a_polygon_that_is_left_out_says_changes_nothing(opened, exercise):
    learners = np.arange(POLYGONS) != 4
    turned = exercise.labels.answers.copy()
    turned[4, 0] = 1 - turned[4, 0]
    labels = dataclasses.replace(exercise.labels, answers=turned)
    others = dataclasses.replace(exercise, labels=labels)
    both = [parameters(after(opened, each, learners=learners)) for each in (exercise, others)]
    assert torch.equal(*both)
    assert not torch.equal(both[0], parameters(after(opened, others)))


def test_the_weights_are_drawn_back_to_where_they_began(opened, exercise, monkeypatch):
    old, free = parameters(opened), parameters(after(opened, exercise))
    monkeypatch.setattr(learn, "_PULL", 0.5)
    assert (parameters(after(opened, exercise)) - old).norm() < 0.7 * (free - old).norm()
    monkeypatch.setattr(learn, "_PULL", 1.0)
    torch.testing.assert_close(parameters(after(opened, exercise)), old)


def test_a_class_without_labels_stays_where_it_was(opened, exercise, monkeypatch):
    monkeypatch.setattr(learn, "STEPS", 20)
    # What nobody keeps where it was: no label says anything of it either.
    free = dataclasses.replace(exercise, learned=np.array([True, True]))
    one = exercise.tiles[0].tile
    old, kept, drifted = (
        torch.sigmoid(network.logits(one)[1])
        for network in (opened, after(opened, exercise), after(opened, free))
    )
    assert (kept - old).abs().mean() < 0.6 * (drifted - old).abs().mean()
