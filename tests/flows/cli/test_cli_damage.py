"""`train` and `evaluate` of a regression on buildings, as a user runs them."""

import json

import pytest

from flows.cli.app import run
from models.cards.registry import find
from models.damage.grader import GRADES
from tests.models.damage.made import plan, town, write_xbd
from tests.models.datasets.made import write_ombria

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def toml(fields):
    """Return plain fields and one table as TOML."""
    tables = {name: value for name, value in fields.items() if isinstance(value, dict)}
    lines = [f"{k} = {json.dumps(v)}" for k, v in fields.items() if k not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan and, beside it, the tiles that it names."""
    folder = tmp_path_factory.mktemp("damage")
    for seed in (1, 2):
        write_xbd(folder / "tiles", f"made-storm_0000000{seed}", town(seed))
    fields = plan("tiles").model_dump(mode="json")
    (folder / "plan.toml").write_text(toml(fields))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    """The folder of what `train` made of the plan."""
    out = folder / "model"
    arguments = ["train", folder / "plan.toml", "--out", out, "--direct", "--quiet", "--json"]
    assert run([str(argument) for argument in arguments]) == 0
    return out


def scored(model, folder, *more):
    """Return the options of `evaluate` on the second tile."""
    root = ["--dataset", "xbd", "--root", folder / "tiles", "--split", "00000002", "--direct"]
    return [str(part) for part in ("evaluate", "--model", model, *root, "--quiet", *more)]


def test_evaluate_prints_one_object(model, folder, capsys):
    assert run(scored(model, folder, "--json")) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["dataset"] == "xbd"
    assert scores["digest"] == find(model).card.digest
    assert (scores["n"], scores["buildings"], scores["buildings_graded"]) == (1, 48, 48)
    assert (scores["f1_localisation"], scores["xview2"]) == (None, None)
    assert "footprints that it is given" in scores["note"]
    assert list(scores["f1_per_grade"]) == list(GRADES)
    for name in ("auc_damaged", "macro_f1_two", "macro_f1_four", "accuracy_buildings"):
        assert scores[name] > 0.9
    assert scores["ece"] < 0.2


def test_evaluate_prints_a_table(model, folder, capsys):
    assert run(scored(model, folder)) == 0
    assert "auc_damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "moon"], "xbd has the splits and events all, made-storm, tiles"),
        (["--split", "left-out"], "does not say what it left out"),
        (["--drop", "before"], "xbd is scored with one model, all its images and no --by"),
        (["--by", "tile"], "give --model once and neither --drop nor --by"),
        (["--model", "ndwi-water"], "give --model once"),
    ],
)
def test_bad_input_is_one_sentence(model, folder, capsys, options, said):
    assert run(scored(model, folder, *options)) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_model_of_pixels_is_not_scored_on_grades_nor_the_reverse(model, folder, capsys, tmp_path):
    assert run(scored("ndwi-water", folder)) == 2
    assert "ndwi-water is for water and grades no buildings" in capsys.readouterr().err
    write_ombria(tmp_path, [1], split="test")
    root = ["--dataset", "ombria", "--root", tmp_path, "--split", "test", "--direct", "--quiet"]
    assert run([str(part) for part in ("evaluate", "--model", model, *root)]) == 2
    assert "grades buildings and maps no pixels" in capsys.readouterr().err


def test_a_plan_that_is_wrong_is_one_sentence(folder, capsys, tmp_path):
    text = (folder / "plan.toml").read_text().replace("least_px = 30", 'least_px = "few"')
    (tmp_path / "plan.toml").write_text(text)
    arguments = ["train", tmp_path / "plan.toml", "--out", tmp_path / "out", "--direct"]
    assert run([str(argument) for argument in arguments]) == 2
    assert "plan.toml: least_px: Input should be a valid integer" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
