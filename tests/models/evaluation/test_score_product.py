"""Graded buildings against labels: each label with the building that covers most of it."""

from pathlib import Path

import geopandas as gpd
import pytest
from shapely.affinity import translate
from shapely.geometry import box

from geo.errors import NotOverlapping
from geo.vector.schema import GRADE_PROBABILITIES
from models.errors import ReferenceInvalid
from models.evaluation.score_product import grade_column, score_buildings

HOUSES = [box(k * 0.001, 0, k * 0.001 + 0.0004, 0.0004) for k in range(5)]
WORDS = ["no-damage", "minor-damage", "major-damage", "destroyed", "un-classified"]


def layer(path: Path, words: list[str], column: str, *, moved: float = 0) -> Path:
    houses = [translate(house, xoff=moved) for house in HOUSES]
    columns = {column: words}
    for k, name in enumerate(GRADE_PROBABILITIES):
        columns[name] = [85 if word == WORDS[k] else 5 for word in words]
    gpd.GeoDataFrame(columns, geometry=houses, crs="EPSG:4326").to_file(path)
    return path


@pytest.mark.parametrize("column", ["subtype", "damage_xbd"])
def test_right_answers_score_one(tmp_path: Path, column: str) -> None:
    found = layer(tmp_path / "built_up.geojson", WORDS, "damage_xbd", moved=0.0001)
    truth = layer(tmp_path / "truth.geojson", WORDS, column)
    assert grade_column(truth) == column
    score = score_buildings(found, truth, column=column).as_json()
    assert score["buildings"] == score["matched"] == score["graded"] == 4
    assert score["auc_damaged"] == score["macro_f1_four"] == score["accuracy_buildings"] == 1


def test_a_building_without_a_grade_counts_as_wrong(tmp_path: Path) -> None:
    answers = ["no-damage", "un-classified", "destroyed", "destroyed", "destroyed"]
    found = layer(tmp_path / "built_up.geojson", answers, "damage_xbd")
    truth = layer(tmp_path / "truth.geojson", WORDS, "subtype")
    score = score_buildings(found, truth, column="subtype").as_json()
    assert (score["matched"], score["graded"]) == (4, 3)
    assert score["accuracy_buildings"] == 0.5
    assert score["confusion"]["major-damage"]["destroyed"] == 1
    assert score["confusion"]["minor-damage"]["un-classified"] == 1


def test_labels_that_fit_no_building_or_hold_no_grade_are_refused(tmp_path: Path) -> None:
    found = layer(tmp_path / "built_up.geojson", WORDS, "damage_xbd")
    away = layer(tmp_path / "away.geojson", WORDS, "subtype", moved=0.5)
    with pytest.raises(NotOverlapping, match=r"no building of away\.geojson is among the 5"):
        score_buildings(found, away, column="subtype")
    strange = layer(tmp_path / "strange.geojson", ["broken"] * 5, "subtype")
    with pytest.raises(ReferenceInvalid, match="has a grade in subtype; the grades are no-damage"):
        score_buildings(found, strange, column="subtype")
    assert grade_column(layer(tmp_path / "plain.geojson", WORDS, "name")) is None
