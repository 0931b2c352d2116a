"""`evaluate` with several models and `page`, as a user runs them."""

import json
from pathlib import Path

import pytest
import torch

from flows.cli.app import run
from models.cards.card import read_card
from models.cards.registry import find
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
# Two threads on two busy cores wait for each other far longer than these networks compute.
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the data."""
    folder = tmp_path_factory.mktemp("training")
    write_ombria(folder / "tiles", [20 * group + 1 for group in range(4)])
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """A training, the same with another seed, and the same with another fold left out."""
    fields = plan(Path("tiles"), optimiser={"epochs": 1, "batch": 4})
    other_fold = {"data": {**fields["data"], "fold": 1}}
    made = {}
    for name, change in {"first": {}, "seed": {"seed": 4}, "fold": other_fold}.items():
        config, made[name] = folder / f"{name}.json", folder / name
        config.write_text(json.dumps(fields | change))
        arguments = ["train", config, "--out", made[name], "--direct", "--quiet"]
        assert run([str(argument) for argument in arguments]) == 0
    return made


def on_what_was_left_out(folder, *models):
    """Return the options of `evaluate` on what each card says was left out."""
    named = [part for model in models for part in ("--model", model)]
    root = ["--dataset", "ombria", "--root", folder / "tiles", "--split", "left-out"]
    return [str(part) for part in ("evaluate", *named, *root, "--by", "group", "--direct")]


def test_models_of_several_folds_are_scored_together(trained, folder, capsys):
    """What one training left out is in its card; the pixels of all of them are pooled."""
    out = trained["first"]
    assert run([*on_what_was_left_out(folder, out, trained["fold"]), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [one["split"] for one in scores["each"]] == ["train-fold-0-of-3", "train-fold-1-of-3"]
    assert scores["n"] == sum(one["n"] for one in scores["each"]) == 3
    assert sorted(row["group"] for row in scores["groups"]) == ["000", "001", "003"]
    one = find(out).card
    assert one.training.left_out == "train-fold-0-of-3"
    # A training counts logits in bins, and those of a network that learned one epoch lie close
    # together: a bin at the threshold holds some hundredths of the pixels.
    assert scores["each"][0]["iou"] == pytest.approx(one.scores[0].value, abs=0.03)
    assert run([*on_what_was_left_out(folder, out, trained["seed"])]) == 0
    assert "iou_spread" in capsys.readouterr().out


PAGE = """
about = "Learned from made tiles."
not_for = ["Anything."]

[[sets]]
name = "Made tiles"
kind = "ombria"
folder = "tiles"
split = "left-out"
about = "Made."
groups = "a block of numbers"
origin = "this test"
licence = "none"
"""


def test_a_page_is_written_beside_its_card(trained, folder, tmp_path, capsys):
    (tmp_path / "page.toml").write_text(PAGE)
    fixed = ["page", "--model", trained["first"], "--root", folder]
    written = [*fixed, "--plan", tmp_path / "page.toml", "--out", tmp_path, "--quiet"]
    assert run([str(part) for part in written]) == 0
    assert capsys.readouterr().out == f"page: {tmp_path / 'README.md'}\n"
    iou = read_card(tmp_path / "card.json").scores[0]
    assert f" {iou.value:.3f} " in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--plan", "no.toml"], "no.toml cannot be read"),
        (["--root", "nowhere"], "there is no folder nowhere/tiles"),
    ],
)
def test_a_page_that_cannot_be_made_is_one_sentence(
    trained, folder, tmp_path, capsys, options, said
):
    (tmp_path / "page.toml").write_text(PAGE)
    fixed = [
        "page",
        "--model",
        trained["first"],
        "--root",
        folder,
        "--plan",
        tmp_path / "page.toml",
    ]
    asked = [*fixed, "--out", tmp_path, *options]
    assert run([str(part) for part in asked]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
