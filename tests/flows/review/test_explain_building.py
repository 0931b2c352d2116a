"""`aftermap explain` of a building: its grade taken apart into what each feature adds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.cli.app import run
from geo.store.store import LocalStore
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import Town, make_town

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explained-building")


@pytest.fixture(scope="module")
def town(folder: Path) -> Town:
    """A town whose image after lies 3 m further down and 2 m to the left."""
    return make_town(folder, after_moved=(6, -4))


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    dark_is_destroyed(folder / "models" / "dark")
    return folder / "models" / "dark"


def mapped(town: Town, store: Path, *options: object) -> Path:
    words = (
        "map", "--event", "joplin", "--hazard", "storm", "--sensor", "vhr-rgb",
        "--before", town.before, "--after", town.after, "--buildings", town.buildings,
        "--store", store, "--direct", "--quiet", *options,
    )  # fmt: skip
    assert run([str(word) for word in words]) == 0
    (product,) = LocalStore(store).products("joplin")
    return product.folder


@pytest.fixture(scope="module")
def product(town: Town, model: Path, folder: Path) -> Path:
    return mapped(town, folder / "store", "--model", model)


def building(product: Path, grade: str) -> dict[str, Any]:
    features = json.loads((product / "layers" / "built_up.geojson").read_text())["features"]
    found = [each["properties"] for each in features if each["properties"]["damage_gra"] == grade]
    return dict(found[0])


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    def execute(product: Path, feature: str, *options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        words = ("explain", product, feature, "--out", tmp_path / "why.png", "--quiet", *options)
        status = run([str(word) for word in words])
        return status, *capsys.readouterr()

    return execute


@pytest.mark.parametrize("grade", ["Destroyed", "No visible damage"])
def test_a_grade_is_the_sum_of_what_its_features_add(
    product: Path, explain: Explain, tmp_path: Path, grade: str
) -> None:
    published = building(product, grade)
    status, out, err = explain(product, published["id"], "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["damage_gra"] == grade
    assert found["grade"] == published["damage_xbd"]
    probability = found["probabilities"]["destroyed"]
    assert 100 * probability == pytest.approx(published["p_destroyed"], abs=1)
    for name, logit in found["logits"].items():
        added = sum(feature["contributions"][name] for feature in found["features"])
        assert found["intercepts"][name] + added == pytest.approx(logit, abs=1e-6)
    assert "no model" not in err
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500


def test_people_get_the_features_that_add_most(product: Path, explain: Explain) -> None:
    status, out, err = explain(product, building(product, "Destroyed")["id"])
    assert status == 0, err
    assert "adds to the log odds of damage" in out
    assert "Destroyed; computed again: destroyed (" in out


def test_a_building_that_no_grader_graded_says_its_reason(
    town: Town, folder: Path, explain: Explain
) -> None:
    product = mapped(town, folder / "looked-at", "--model", "none")
    status, _, err = explain(product, building(product, "Not Analysed")["id"])
    assert status == 2
    assert "was made without a model; nothing can be explained" in err
