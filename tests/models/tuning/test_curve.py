import numpy as np
import pytest
import torch
from shapely import box

from models.data.xbd import DamageTile
from models.network import NetworkModel
from models.training.tiles import Tile
from models.tuning.curve import Pupil
from models.tuning.opened import Opened
from models.tuning.places import SQUARE_PX, halves, town
from tests.models.conftest import make_raster
from tests.models.tuning.made import save, water_card

torch.set_num_threads(1)
ROWS, COLS = 64, 160


@pytest.fixture
def river():
    """Water in the upper rows, brighter."""
    target = np.zeros((1, ROWS, COLS), bool)
    target[0, :29] = True
    known = np.ones_like(target)
    known[0, :, :4] = False
    pixels = np.random.default_rng(0).normal(0, 0.3, (3, ROWS, COLS)) + np.where(target, 1.5, -1.5)
    parts = torch.ones(1, ROWS, COLS) > 0, torch.tensor(target), torch.tensor(known)
    return Tile(torch.tensor(pixels).half(), *parts)


def test_a_half_gives_squares_of_one_answer_and_the_other_is_scored(river):
    place = halves(river, "river", threshold=0.5)
    target, known = river.target[0].numpy(), river.known[0].numpy()
    assert (place.polygons[:, COLS // 2 :] == 0).all()
    drawn = place.draw(5, np.random.default_rng(1))
    chosen = [target[place.polygons == number] for number in drawn]
    assert all(len(said) == SQUARE_PX**2 and said.min() == said.max() for said in chosen)
    assert sum(said[0] for said in chosen) == 2
    assert known[place.polygons > 0].all()
    assert place.draw(1000, np.random.default_rng(1)) is None
    assert place.score(target[None].astype(np.float32), drawn) == {
        "iou": 1.0,
        "balanced_accuracy": 1.0,
    }
    nothing = place.score(np.zeros((1, ROWS, COLS), np.float32), drawn)
    assert nothing == {"iou": 0.0, "balanced_accuracy": 0.5}


def test_a_town_is_scored_by_the_buildings_that_gave_no_label(river):
    polygons = np.array([box(x, 10, x + 8, 20) for x in range(0, 60, 10)], dtype=object)
    grades = np.array([1, 2, 255, 3, 4, 4], np.uint8)
    image = make_raster(dict.fromkeys(("red", "green", "blue"), np.zeros((ROWS, COLS))))
    tile = DamageTile("t", "e", image, image, np.zeros((ROWS, COLS), np.uint8), polygons, grades)
    place = town(river, tile)
    # The building without a grade gives no label, and the others are numbered without it.
    assert sorted(np.unique(place.polygons)) == [0, 1, 2, 3, 4, 5]
    truth = np.array([0, 1, 2, 3, 4, 4])[place.polygons]
    said = np.stack([truth > 0, truth > 1, truth > 2, truth > 3]).astype(np.float32)
    assert place.score(said, np.array([1])) == pytest.approx(
        {"auc_damaged": 1.0, "macro_f1_two": 1.0, "macro_f1_four": 1.0}
    )
    # Without the first two only damaged ones are left: nothing tells them apart.
    assert place.score(said, np.array([1, 2]))["auc_damaged"] is None


def test_labels_of_one_half_are_worth_something_on_the_other(river, tmp_path, monkeypatch):
    monkeypatch.setattr("models.tuning.curve.LABELS", (6, 1000))
    ref = save(tmp_path, water_card())
    opened = Opened.of(NetworkModel.load(ref, ref.card.architecture, device="cpu"))
    pupil = Pupil.at(opened, ref.card, halves(river, "river", threshold=0.4))
    points = list(pupil.points(draws=2, every_weight=False))
    assert [(point.labels, point.stage) for point in points] == [(6, "head")] * 2
    for point in points:
        assert point.after["balanced_accuracy"] > point.before["balanced_accuracy"] + 0.2
