"""`adapt`, as a user runs it: labels in, a model out that maps."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest

from flows.cli.app import run
from models.cards.registry import find
from tests.aftermap import aftermap
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import Town, make_town
from tests.rasters import UTM


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright is destroyed, which is wrong."""
    folder = tmp_path_factory.mktemp("model")
    card = json.loads((dark_is_destroyed(folder) / "card.json").read_text())
    card["architecture"]["damaged"]["coefficients"] = [1]
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def labels(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve houses of the town, as QGIS saves what somebody wrote beside their outlines."""
    frame = gpd.read_file(town.buildings)
    frame["damage_gra"] = ["Destroyed" if gone else "No visible damage" for gone in town.destroyed]
    frame.loc[12:, "damage_gra"] = None
    path = tmp_path_factory.mktemp("labels") / "labels.gpkg"
    frame.to_crs(UTM).to_file(path, layer="labels")
    return path


def pair(town: Town) -> list[str]:
    return ["--before", str(town.before), "--after", str(town.after), "--sensor", "vhr-rgb"]


def arguments(town: Town, model: object, labels: object, out: object, *more: str) -> list[str]:
    said = ["adapt", "--model", model, "--labels", labels, "--out", out, *pair(town), *more]
    return [str(part) for part in said]


@pytest.mark.flow
def test_the_model_maps_right_away(
    town: Town, model: Path, labels: Path, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new"
    done = aftermap(*arguments(town, model, labels, out, "--json"), home=home)
    assert done.status == 0, done.err
    said: dict[str, Any] = done.json
    assert said["helped"] is True
    assert said["stage"] == "regression"
    assert said["parent"]["digest"] == find(model).card.digest
    assert said["labels"]["counts"] == {"no-damage": 8, "destroyed": 4}
    assert said["labels"]["skipped"] == {"without a label": len(town.destroyed) - 12}
    loss = next(score for score in said["scores"] if score["measure"] == "log_loss")
    assert loss["adapted"] < loss["parent"]
    assert said["digest"] == find(out).card.digest
    shown = aftermap("models", out, home=home)
    assert shown.json["adaptation"]["labels"]["sha256"] == said["labels"]["sha256"]
    mapped = aftermap(
        "map", "--event", "town", "--hazard", "storm", *pair(town), "--buildings", town.buildings,
        "--model", out, "--store", tmp_path / "store", "--json", "--direct", home=home,
    )  # fmt: skip
    assert mapped.status == 0, mapped.err
    layer = gpd.read_file(Path(mapped.json["product"]) / "layers" / "built_up.geojson")
    assert layer["model"].iloc[0].startswith("dark-is-destroyed-adapted ")
    found = (layer.set_index("name")["damage_gra"] == "Destroyed").to_dict()
    right = [found[f"house {n}"] == gone for n, gone in enumerate(town.destroyed)]
    assert sum(right) > 0.9 * len(right)


def test_the_scores_of_both_are_printed_side_by_side(
    town: Town, model: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(town, model, labels, tmp_path / "new", "--direct", "--quiet")) == 0
    out, err = capsys.readouterr()
    assert not err
    for said in ("dark-is-destroyed", "adapted", "log loss", "AUC, damaged", "12 labels: 8"):
        assert said in out
    assert "it predicts held-out labels better (leave-one-out)" in out


def test_labels_of_some_of_the_given_buildings_are_enough(
    town: Town, model: Path, labels: Path, tmp_path: Path
) -> None:
    """The same neighbours, hence the same model, as from a file that holds all of them."""
    few = gpd.read_file(labels)
    few[few["damage_gra"].notna()].to_file(tmp_path / "few.gpkg", layer="labels")
    given = ["--buildings", str(town.buildings), "--direct", "--quiet"]
    assert run(arguments(town, model, tmp_path / "few.gpkg", tmp_path / "a", *given)) == 0
    assert run(arguments(town, model, labels, tmp_path / "b", "--direct", "--quiet")) == 0
    one, other = (find(tmp_path / name).card for name in "ab")
    assert one.adaptation is not None and other.adaptation is not None
    assert one.architecture == other.architecture
    assert one.adaptation.scores == other.adaptation.scores
    assert one.adaptation.labels.buildings_sha256 is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "ndwi-water"], "ndwi-water is a detector for water and cannot be adapted"),
        (["--model", "nothing"], "no model is named 'nothing'"),
        (["--labels", "nowhere.gpkg"], "there is no file of labels at nowhere.gpkg"),
        (["--name", "flood-rgb"], "a shipped model is named 'flood-rgb'"),
        (["--device", "tpu"], "is not valid: device"),
        (["--name", "Big Name"], "is not valid: name"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    town: Town, model: Path, labels: Path, tmp_path: Path, options: list[str], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "new"
    assert run(arguments(town, model, labels, out, *options, "--direct", "--quiet")) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not out.exists()


def test_without_imagery_after_the_event_there_is_nothing_to_learn(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["adapt", "--model", "damage-features", "--labels", str(labels), "--out", str(tmp_path)]
    assert run([*said, "--direct"]) == 2
    assert "--after must be given" in capsys.readouterr().err
