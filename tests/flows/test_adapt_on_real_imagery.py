"""A regression trained on one tile of Joplin is adapted to labels of the other, by command line."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest

from flows.cli.app import run
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD
from models.cards.registry import find
from tests.aftermap import aftermap
from tests.benchmarks.learning_curve import PLAN

pytestmark = pytest.mark.data

LABELS = 50
_GRA = dict(zip(DAMAGE_XBD, DAMAGE_GRA, strict=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def parent(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression trained on tile 00000000 alone."""
    folder = tmp_path_factory.mktemp("parent")
    plan = PLAN.read_text().replace('split = "all"', 'split = "00000000"')
    (folder / "plan.toml").write_text(plan)
    said = ["train", folder / "plan.toml", "--root", data_dir / "joplin_xbd", "--out", folder]
    assert run([*map(str, said), "--direct", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def labels(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of the tile 00000002 in UTM: all buildings, some with a grade, and the others' grades.

    As somebody in QGIS would, `damage_gra` is written beside fifty outlines and left empty beside
    the rest.
    """
    name = "joplin-tornado_00000002_post_disaster_labels.geojson"
    frame = gpd.read_file(data_dir / "joplin_xbd" / name).to_crs("EPSG:26915")
    frame["damage_gra"] = frame["subtype"].map(_GRA)
    frame = frame.drop(columns="subtype")
    graded = np.flatnonzero(frame["damage_gra"] != "Not Analysed")
    chosen = np.random.default_rng(1).permutation(graded)[:LABELS]
    rest = frame.drop(index=chosen)
    folder = tmp_path_factory.mktemp("labels")
    rest[rest["damage_gra"] != "Not Analysed"].to_file(folder / "rest.geojson")
    frame.loc[rest.index, "damage_gra"] = None
    frame.to_file(folder / "labels.gpkg", layer="labels")
    return folder / "labels.gpkg", folder / "rest.geojson"


def pair(data_dir: Path) -> list[str]:
    name = data_dir / "joplin_xbd" / "joplin-tornado_00000002"
    return ["--before", f"{name}_pre_disaster.tif", "--after", f"{name}_post_disaster.tif"]


def on_the_rest(
    model: Path, labels: tuple[Path, Path], imagery: list[str], store: Path, home: Path
) -> dict[str, Any]:
    """Map the tile with a model, and score the buildings that gave no label."""
    buildings, rest = labels
    mapped = aftermap(
        "map", "--event", "joplin", "--hazard", "storm", *imagery, "--buildings", buildings,
        "--model", model, "--store", store, "--json", "--direct", home=home,
    )  # fmt: skip
    assert mapped.status == 0, mapped.err
    done = aftermap("score", mapped.json["product"], "--truth", rest, home=home)
    assert done.status == 0, done.err
    scores: dict[str, Any] = done.json
    return scores


def test_fifty_labels_are_predicted_better_and_the_other_fifty_no_worse(
    data_dir: Path, parent: Path, labels: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    out, imagery = tmp_path / "new", pair(data_dir)
    done = aftermap(
        "adapt", "--model", parent, "--labels", labels[0], *imagery, "--out", out, "--json",
        "--direct", home=home,
    )  # fmt: skip
    assert done.status == 0, done.err
    said = done.json
    print(done.out)
    assert said["helped"]
    # One of the fifty, a shed, is too small to be judged.
    assert sum(said["labels"]["counts"].values()) == LABELS - 1
    assert said["parent"]["digest"] == find(parent).card.digest
    assert find(out).card.adaptation is not None
    before, after = (
        on_the_rest(model, labels, imagery, tmp_path / model.name, home) for model in (parent, out)
    )
    print(before, after)
    assert before["buildings"] == after["buildings"] == 50
    assert after["macro_f1_four"] >= before["macro_f1_four"]
    assert after["accuracy_buildings"] >= before["accuracy_buildings"]
    (loss,) = (score for score in said["scores"] if score["measure"] == "log_loss")
    assert loss["adapted"] < loss["parent"]
