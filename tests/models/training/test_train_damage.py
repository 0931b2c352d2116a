"""A siamese network that is trained on buildings and their grades, in squares of one tile."""

import csv

import pytest
import torch

from flows.reports.progress import QuietProgress
from models.cards.registry import find
from models.damage.grader import Finder
from models.datasets.xbd import open_xbd
from models.evaluation.evaluate import evaluate_damage
from models.inference.model import load_model
from models.training.config import TrainingConfig
from models.training.train import open_data, train
from tests.models.damage.made import town, write_xbd
from tests.models.training.plans import plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
torch.set_num_threads(1)


def config(root, **changes):
    fields = plan(root)
    slots = [
        {"name": phase, "phase": phase, "sensors": ["vhr-rgb"], "bands": ["red", "green", "blue"],
         "units": "brightness 0-255"}
        for phase in ("before", "after")
    ]  # fmt: skip
    card = fields["card"] | {
        "name": "tiny-damage",
        "task": "damage",
        "finding": "building",
        "grades": ["minor_damage", "damaged", "destroyed"],
        "architecture": fields["card"]["architecture"]
        | {"in_channels": 6, "classes": 4, "availability_channels": False, "siamese": True},
        "inputs": slots,
        "resolution_m": 0.5,
    }
    return TrainingConfig.model_validate(
        fields
        | {
            "card": card,
            "data": {"kind": "xbd", "root": str(root), "folds": 4, "block_px": 32},
            "optimiser": {
                "epochs": 2,
                "batch": 4,
                "examples": 40,
                "learning_rate": 5e-3,
                "average": 0.8,
            },
            "augmentation": {"centred": 0.8, "shift_px": 1},
            "loss": {"balanced": True},
            "subsets": [],
            "tile_px": 64,
        }
        | changes
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = write_xbd(
        tmp_path_factory.mktemp("xbd"), "a-storm_00000001", town(side=4, unclassified=0)
    )
    out = tmp_path_factory.mktemp("out")
    train(config(root), out=out, progress=QuietProgress())
    return root, out


def test_the_card_has_a_class_and_a_temperature_for_each_grade(trained):
    card = find(trained[1]).card
    assert card.class_names == ("building", "minor_damage", "damaged", "destroyed")
    assert [entry.threshold for entry in card.classes[1:]] == [0.5] * 3
    assert len(card.calibration.parameters.temperature) == 4
    assert card.calibration.fitted_on == (
        "xbd all, fold 0 of 4 in squares of 32 px, never trained on"
    )
    # No split of the set was left out as a whole.
    assert card.training.left_out is None
    assert card.training.tiles == 1


def test_an_epoch_goes_over_one_tile_again_and_says_what_of_the_grades_it_found(trained):
    with (trained[1] / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    for name in ("building", "minor_damage", "damaged", "destroyed"):
        column = "iou before + after" if name == "building" else f"iou {name}"
        assert 0 <= float(rows[-1][column]) <= 1


def test_what_was_trained_grades_buildings_and_is_scored_with_and_without_footprints(trained):
    root, out = trained
    grader = load_model(find(out), "grades", device="cpu")
    assert isinstance(grader, Finder)
    scores = evaluate_damage(grader, open_xbd(root), progress=QuietProgress()).as_json()
    assert scores["buildings"] == scores["buildings_graded"] == 16
    # Bright roofs, rough where damaged: two epochs are enough to see them.
    assert scores["f1_localisation"] > 0.6
    assert scores["auc_damaged"] > 0.6
    assert scores["note"] is None


def test_additional_data_is_for_training_only(tmp_path):
    """Its name and its bytes are on the card."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_xbd(first, "a-storm_00000000", town(side=3))
    write_xbd(second, "a-fire_00000000", town(1, side=3))
    data = {"kind": "xbd", "root": str(first), "folds": 4, "block_px": 32}
    more = data | {"additional": [{"kind": "xbd", "root": str(second)}], "repeat": 2}
    opened = [open_data(config(first, data=fields), QuietProgress()) for fields in (data, more)]
    alone, both = opened
    assert [len(one.training) for one in opened] == [1, 3]
    assert [one.tiles for one in opened] == [1, 2]
    assert [len(one.validation) for one in opened] == [1, 1]
    known = [[bool(tile.known[0].all()) for tile in map(one.training.__getitem__, range(n))]
             for one, n in ((alone, 1), (both, 3))]  # fmt: skip
    assert known == [[False], [False, False, True]]
    assert both.card.trained_on == f"{alone.card.trained_on}, and xbd second"
    assert both.card.inputs == alone.card.inputs
    assert both.data_sha256 != alone.data_sha256
    with pytest.raises(IndexError):
        both.training[3]
