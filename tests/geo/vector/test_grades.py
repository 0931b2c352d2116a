"""Probabilities of grades to the columns of `built_up`."""

import numpy as np
import pytest
from shapely.geometry import box

from geo.vector.buildings import BuildingGrades, ungraded
from geo.vector.hazards import Hazard
from geo.vector.layers import Provenance, build_layer
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES, UNSURE

NOWHERE = ((), ())


def grades(*rows: tuple[float, float, float, float], reasons: list[str | None]) -> BuildingGrades:
    return BuildingGrades(
        np.array(rows, np.float32), tuple(reasons), tuple(NOWHERE for _ in reasons)
    )


def test_each_grade_has_its_word_in_both_scales() -> None:
    sure = np.where(np.eye(4) > 0, 0.91, 0.03)
    columns = grades(*map(tuple, sure), reasons=[None] * 4).columns()
    assert columns["damage_xbd"] == ["no-damage", "minor-damage", "major-damage", "destroyed"]
    assert columns["damage_gra"] == [
        "No visible damage", "Possibly damaged", "Damaged", "Destroyed",
    ]  # fmt: skip
    assert columns["confidence"] == [91] * 4
    assert columns["p_destroyed"] == pytest.approx([3, 3, 3, 91])


def test_a_building_without_a_grade_is_not_analysed_and_says_why() -> None:
    nothing = (np.nan,) * 4
    columns = grades(nothing, (0.3, 0.3, 0.2, 0.2), reasons=["cloud after the event", UNSURE])
    told = columns.columns()
    assert told["damage_gra"] == ["Not Analysed"] * 2
    assert told["damage_xbd"] == ["un-classified"] * 2
    assert told["confidence"] == [None, None]
    assert told["p_no_damage"][0] is None
    assert told["p_no_damage"][1] == pytest.approx(30)


@pytest.mark.parametrize("kind", ["graded", "ungraded"])
def test_the_columns_fit_the_schema(kind: str) -> None:
    made = grades((0.7, 0.1, 0.1, 0.1), reasons=[None]) if kind == "graded" else ungraded(1)
    nothing = ("observed_at", "or_src_id", "dmg_src_id", "sensor", "sensor_gsd")
    layer = build_layer(
        "built_up",
        geometries=[box(15, 45, 15.001, 45.001)],
        common=Provenance("joplin", Hazard.STORM, "p", "damage-features 0"),
        columns={**dict.fromkeys(nothing), "area_ha": [0.1], **made.columns()},
    )
    row = layer.iloc[0]
    assert row["damage_gra"] in DAMAGE_GRA and row["damage_xbd"] in DAMAGE_XBD
    assert (row["reason"] is None) == (kind == "graded")
    assert layer[list(GRADE_PROBABILITIES)].dtypes.eq("float64").all()
