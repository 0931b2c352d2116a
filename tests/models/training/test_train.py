import csv

import pytest
import torch
from safetensors.torch import load_file

import models.training.loop as loop
from flows.reports.progress import QuietProgress
from models.cards.registry import find
from models.datasets.catalog import Kind, open_set
from models.errors import InputsMismatch, TrainingInvalid
from models.evaluation.evaluate import evaluate
from models.inference.model import load_model
from models.training.config import at_root
from models.training.loop import NAME
from models.training.train import train
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import config, plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
# Two threads on two busy cores wait for each other far longer than these networks compute.
torch.set_num_threads(1)


class Killed(BaseException):
    """As by a signal."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Twelve tiles in six groups: eight to learn from, four left out."""
    numbers = [20 * group + number for group in range(6) for number in (1, 2)]
    folder = write_ombria(tmp_path_factory.mktemp("ombria"), numbers)
    return write_ombria(folder, [501, 502], split="test")


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """A training that was not interrupted: its config and its folder."""
    out = tmp_path_factory.mktemp("out")
    train(config(root), out=out, progress=QuietProgress())
    return config(root), out


def test_the_card_names_its_training_and_loads(trained):
    plan, out = trained
    card = find(out).card
    assert card.training.config_sha256 == plan.digest
    assert (card.training.epochs, card.training.tiles, card.training.seed) == (2, 8, 3)
    assert card.training.energy_wh is None
    assert card.trained_on == "ombria train without fold 0 of 3"
    assert [score.n for score in card.scores] == [4, 4]
    assert card.calibration.parameters.temperature[0] > 0
    assert [entry.normalised_by for entry in card.inputs] == ["scene", "scene", "card"]
    optical = card.inputs[2]
    assert optical.mean == pytest.approx(
        [band.mean for band in optical.training_statistics], abs=1e-5
    )
    load_model(find(out), device="cpu")


def test_the_log_has_a_row_an_epoch(trained):
    with (trained[1] / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["iou s1-after"]) <= 1 for row in rows)
    # Two epochs of a few random crops need not bring the loss down; it must be a number.
    assert all(0 < float(row["loss"]) < 10 for row in rows)


def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(
    trained, tmp_path, monkeypatch
):
    plan, whole = trained
    steps = 0

    def dying(*args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == 4:  # in the second epoch
            raise Killed
        return step(*args, **kwargs)

    step = loop.train_epoch.__globals__["_step"]
    monkeypatch.setitem(loop.train_epoch.__globals__, "_step", dying)
    with pytest.raises(Killed):
        train(plan, out=tmp_path, progress=QuietProgress())
    monkeypatch.undo()
    assert not (tmp_path / "card.json").exists()
    train(plan, out=tmp_path, progress=QuietProgress())
    for name, tensor in load_file(whole / "weights.safetensors").items():
        torch.testing.assert_close(
            load_file(tmp_path / "weights.safetensors")[name], tensor, rtol=0, atol=0
        )
    one, other = find(whole).card, find(tmp_path).card
    assert one.scores == other.scores
    assert one.calibration == other.calibration


def test_another_seed_gives_other_weights(trained, root, tmp_path):
    train(config(root, seed=4), out=tmp_path, progress=QuietProgress())
    name = "segmentation_head.0.weight"
    one, other = (
        load_file(folder / "weights.safetensors")[name] for folder in (trained[1], tmp_path)
    )
    assert not torch.equal(one, other)


def test_the_scores_of_the_card_are_those_of_the_evaluation(trained, root):
    """Two ways to the same figure: the loop's validation, and the model as a map loads it."""
    _, out = trained
    ref = find(out)
    left_out = open_set(Kind.OMBRIA, root, split="train-fold-0-of-3")
    model = load_model(ref, device="cpu")
    for drop, score in zip(((), ("s1-before", "s2-after")), ref.card.scores, strict=True):
        found = evaluate(model, left_out, drop=drop, progress=QuietProgress())
        # Tiles are kept at half precision while training.
        assert found.scores.pooled.iou == pytest.approx(score.value, abs=0.005)


def test_a_checkpoint_of_another_training_is_refused(trained, root):
    _, out = trained
    with pytest.raises(TrainingInvalid, match="is of a training whose config has the sha256"):
        train(config(root, seed=9), out=out, progress=QuietProgress())


def test_a_checkpoint_of_other_data_is_refused(trained, tmp_path):
    plan, out = trained
    other = write_ombria(tmp_path, [20 * group + 1 for group in range(6)])
    with pytest.raises(TrainingInvalid, match="whose data has the sha256"):
        train(at_root(plan, other), out=out, progress=QuietProgress())


def test_a_damaged_checkpoint_is_refused(root, tmp_path):
    (tmp_path / NAME).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(TrainingInvalid, match=r"cannot be read .* remove it to start again"):
        train(config(root), out=tmp_path, progress=QuietProgress())


def test_data_without_what_the_card_wants_is_refused(root, tmp_path):
    fields = plan(root)
    for entry in fields["card"]["inputs"]:
        entry["required"] = True
    fields["card"]["inputs"][0]["bands"] = ["vh"]
    wrong = type(config(root)).model_validate(fields)
    with pytest.raises(InputsMismatch, match="sentinel-1-grd with the bands vh for s1-before"):
        train(wrong, out=tmp_path, progress=QuietProgress())
