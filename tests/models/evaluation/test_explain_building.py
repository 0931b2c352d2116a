"""Why a building has its grade: the same probabilities again, and the terms that they come from."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from scipy.special import expit

from flows.reports.progress import QuietProgress
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from geo.vector.area_of_interest import parse_area
from geo.vector.buildings import GRADES, read_footprints
from models.cards.registry import find
from models.damage.buildings import Buildings, pair_of
from models.damage.grade_buildings import grade_all
from models.errors import InputsMismatch
from models.evaluation.explain import explain_building
from models.inference.model import load_model
from tests.models.damage.town import SIDE_PX, make_town
from tests.rasters import UTM, north_up, scene_of

GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(step=0.5), UTM)
AREA = parse_area(shapely.geometry.mapping(GRID.extent.to_crs("EPSG:4326").geom))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Both images of a town, the one after shifted, and its buildings."""
    made = make_town(tmp_path_factory.mktemp("town"), after_moved=(6, -4))
    phases = ((made.before, Phase.BEFORE), (made.after, Phase.AFTER))
    scenes = [scene_of(path, phase, sensor="vhr-rgb") for path, phase in phases]
    outlines = list(read_footprints(made.buildings, AREA).geometries)
    buildings = Buildings.on(GRID, np.array(outlines, dtype=object))
    speck = shapely.box(300.1, 300.1, 300.3, 300.3)
    return scenes, Buildings(np.array([*buildings.outlines, speck], dtype=object))


def explained(name, town, index, **how):
    scenes, buildings = town
    grader = load_model(find(name), "grades", device="cpu")
    pair = pair_of(grader.card, scenes, Preference.NEWEST)
    return explain_building(grader, pair, GRID, buildings, index, progress=QuietProgress(), **how)


def test_a_building_is_graded_again_as_the_product_has_it(town):
    scenes, buildings = town
    grader = load_model(find("damage-features"), "grades")
    pair = pair_of(grader.card, scenes, Preference.NEWEST)
    graded = grade_all(
        grader, pair, GRID, buildings=buildings, checked=False, progress=QuietProgress()
    )
    found = explained("damage-features", town, 40, checked=False)
    published = graded.grades.probabilities[40]
    np.testing.assert_allclose(list(found.probabilities.values()), published, atol=1e-6)
    assert list(found.probabilities) == list(GRADES)
    assert found.grade == GRADES[int(published.argmax())]
    assert found.before.valid.shape == found.after.valid.shape == found.outline.shape
    area = shapely.area(buildings.outlines[40])
    assert found.outline.sum() == pytest.approx(area, rel=0.05)


def test_a_regression_is_explained_by_what_each_feature_adds(town):
    found = explained("damage-features", town, 40)
    terms = found.contributions
    assert terms is not None and found.features == terms.features
    assert len(found.features) == 24
    total = terms.intercepts["damaged"] + sum(
        feature.contributions["damaged"] for feature in found.features
    )
    assert total == pytest.approx(terms.logits["damaged"])
    damaged = found.probabilities["major-damage"] + found.probabilities["destroyed"]
    assert damaged == pytest.approx(expit(total), abs=1e-6)


def test_a_network_is_explained_by_what_each_image_adds(town):
    found = explained("damage-vhr", town, 40)
    assert [each.image for each in found.attributions] == ["before", "after"]
    assert all(each.pixels.shape == found.outline.shape for each in found.attributions)
    assert list(found.attributions[1].bands) == ["red", "green", "blue"]
    check = found.completeness
    assert check is not None
    moved = check.log_odds - check.at_baseline
    assert sum(each.total for each in found.attributions) == pytest.approx(check.attributed)
    assert check.gap == pytest.approx(0, abs=0.15 * abs(moved) + 0.1)


def test_a_building_without_a_grade_is_not_explained(town):
    _, buildings = town
    with pytest.raises(InputsMismatch, match=r"no grade; its field reason says why"):
        explained("damage-features", town, len(buildings) - 1)


@pytest.mark.data
def test_rubble_and_likeness_decide_of_destroyed_houses_in_joplin(data_dir):
    name = data_dir / "joplin_xbd" / "joplin-tornado_00000002"
    files = ((f"{name}_pre_disaster.tif", Phase.BEFORE), (f"{name}_post_disaster.tif", Phase.AFTER))
    scenes = [scene_of(Path(path), phase, sensor="vhr-rgb") for path, phase in files]
    labels = gpd.read_file(f"{name}_post_disaster_labels.geojson")
    grid = GeoBox.from_bbox(labels.to_crs("EPSG:26915").total_bounds, "EPSG:26915", resolution=0.5)
    buildings = Buildings.on(grid, labels.geometry.to_numpy())
    grader = load_model(find("damage-features"), "grades")
    pair = pair_of(grader.card, scenes, Preference.NEWEST)
    progress = QuietProgress()
    graded = grade_all(grader, pair, grid, buildings=buildings, checked=True, progress=progress)
    destroyed = (labels["subtype"] == "destroyed").to_numpy()
    surest = np.nan_to_num(graded.grades.probabilities[:, 3]) * destroyed
    index = int(surest.argmax())
    found = explain_building(grader, pair, grid, buildings, index, progress=progress)
    assert found.grade == "destroyed"
    assert found.probabilities["destroyed"] == pytest.approx(surest[index], abs=1e-6)
    assert sum(feature.contributions["damaged"] for feature in found.features) > 0
    by_name = {feature.feature: feature for feature in found.features}
    assert by_name["likeness-near"].contributions["damaged"] > 0
    assert by_name["likeness-near"].after < by_name["likeness-near"].mean
