"""`train` and `evaluate`, as a user runs them."""

import json
from pathlib import Path

import pytest

from flows.cli.app import run
from models.cards.registry import find
from tests.aftermap import aftermap
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Prefect's home for this file."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config and, beside it, the data that it names."""
    folder = tmp_path_factory.mktemp("training")
    numbers = [20 * group + 1 for group in range(4)]
    write_ombria(write_ombria(folder / "tiles", numbers), [501, 502], split="test")
    fields = plan(Path("tiles"), optimiser={"epochs": 1, "batch": 4})
    (folder / "config.json").write_text(json.dumps(fields))
    return folder


@pytest.fixture(scope="module")
def trained(folder, home):
    """What `train` printed, and where the model is; through Prefect."""
    out = folder / "model"
    done = aftermap("train", folder / "config.json", "--out", out, "--json", home=home)
    assert done.status == 0, done.err
    return done, out


@pytest.mark.flow
def test_train_prints_the_model_and_tells_its_progress(trained):
    done, out = trained
    assert done.json["model"] == "tiny-flood"
    assert done.json["digest"] == find(out).card.digest
    assert [score["dataset"] for score in done.json["scores"]] == ["ombria", "ombria"]
    assert "epoch 1 of 1: " in done.err


def scored(model, folder, *more):
    """Return the options of `evaluate` on the test tiles."""
    root = ["--dataset", "ombria", "--root", folder / "tiles", "--split", "test"]
    return [str(part) for part in ("evaluate", "--model", model, *root, *more)]


DROPPED = ("--drop", "s1-before", "--drop", "s2-before", "--json")


@pytest.mark.flow
def test_evaluate_prints_one_object_with_prefect_and_without(trained, folder, home, capsys):
    _, out = trained
    done = aftermap(*scored(out, folder, *DROPPED), home=home)
    assert done.status == 0, done.err
    scores = done.json
    assert scores["n"] == 2
    assert scores["pixels"] == 2 * 32 * 32
    assert scores["inputs"] == ["s1-after", "s2-after"]
    assert {"iou", "precision", "recall", "f1", "iou_per_tile_mean", "ece"} <= scores.keys()
    assert scores["digest"] == find(out).card.digest
    assert run(scored(out, folder, *DROPPED, "--direct")) == 0
    assert json.loads(capsys.readouterr().out) == scores


def test_evaluate_prints_a_table(folder, capsys):
    assert run(scored("sar-change-vv", folder, "--direct", "--quiet")) == 0
    out, err = capsys.readouterr()
    assert "iou_per_tile_mean" in out
    assert not err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "valid"], "ombria has the splits train, test, not 'valid'"),
        (["--drop", "s3"], "s3 cannot be dropped"),
        (["--model", "nothing"], "no model is named 'nothing'"),
        (["--root", "nowhere"], "there is no folder nowhere"),
        (["--device", "tpu"], "is not valid: device"),
        (["--dataset", "pairs", "--sensor", "x"], "no sensor 'x'"),
        (["--dataset", "coco"], "'coco' is not one of"),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, options, said):
    assert run(scored("sar-change-vv", folder, *options, "--direct")) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_config_that_is_not_there_is_one_sentence(tmp_path, capsys):
    arguments = ["train", tmp_path / "no.toml", "--out", tmp_path, "--direct"]
    assert run([str(argument) for argument in arguments]) == 2
    assert "no.toml cannot be read" in capsys.readouterr().err
