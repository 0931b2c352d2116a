"""Each building once, whole, where the images show it, and with a reason where it has no grade."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox

from flows.reports.progress import QuietProgress
from geo.errors import NotAligned, NotOverlapping
from geo.raster.coregistration import BlockShift
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from geo.vector.area_of_interest import parse_area
from geo.vector.buildings import GRADES, read_footprints
from models.cards.suitability import require_gradable
from models.damage.buildings import Buildings, pair_of
from models.damage.grade_buildings import Graded, grade_all
from models.errors import InputsMismatch
from tests.models.damage.double import Double, double_card
from tests.models.damage.town import SIDE_PX, Town, image, make_town
from tests.rasters import UTM, WEST, north_up, scene_of

GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(step=0.5), UTM)
AREA = parse_area(shapely.geometry.mapping(GRID.extent.to_crs("EPSG:4326").geom))


def scenes(town: Town) -> list[Any]:
    said = {"sensor": "vhr-rgb"}
    return [scene_of(town.before, Phase.BEFORE, **said), scene_of(town.after, **said)]


def graded(town: Town, *, checked: bool = True, extra: Any = (), **card: Any) -> Graded:
    """Return the grades of a town, and of further outlines in the pixels of its grid."""
    double = Double(double_card(**card))
    outlines = Buildings.on(GRID, read_footprints(town.buildings, AREA).geometries).outlines
    return grade_all(
        double,
        pair_of(double.card, scenes(town), Preference.NEWEST),
        GRID,
        buildings=Buildings(np.array([*outlines, *extra], dtype=object)),
        checked=checked,
        progress=QuietProgress(),
    )


def answers(found: Graded) -> list[str]:
    return [str(word) for word in found.grades.columns()["damage_xbd"]]


def expected(town: Town) -> list[str]:
    return ["destroyed" if gone else "no-damage" for gone in town.destroyed]


def test_buildings_are_graded_wherever_the_windows_cut(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    whole = graded(town, window_px=2048, overlap_px=64)
    parts = graded(town, window_px=160, overlap_px=64)
    assert answers(whole) == answers(parts) == expected(town)
    np.testing.assert_array_equal(whole.grades.probabilities, parts.grades.probabilities)
    assert set(parts.grades.scenes) == {(("before",), ("after",))}
    assert GRADES == ("no-damage", "minor-damage", "major-damage", "destroyed")


@pytest.mark.parametrize(
    ("after", "footprints"), [((0, 0), (0, 0)), ((11, -7.5), (0, 0)), ((-6, 9), (13, 8))]
)
def test_a_shifted_image_and_shifted_footprints_change_no_grade(
    tmp_path: Path, after: tuple[float, float], footprints: tuple[float, float]
) -> None:
    town = make_town(tmp_path, after_moved=after, footprints_moved=footprints)
    found = graded(town)
    assert found.placement.after.median == pytest.approx(after, abs=0.3)
    assert found.placement.footprints.median == pytest.approx(footprints, abs=0.5)
    assert found.placement.moves_footprints
    assert answers(found) == expected(town)
    down, right = (0.5 * shift for shift in after)
    record = found.placement.as_json()["after"]
    assert (record["south_m"], record["east_m"]) == pytest.approx((down, right), abs=0.15)


def test_each_building_without_a_grade_says_why(tmp_path: Path) -> None:
    unseen = np.ones((SIDE_PX, SIDE_PX), bool)
    unseen[:120] = False
    town = make_town(tmp_path)
    with_hole = image(tmp_path / "hole" / "after.tif", _pixels(town.after), mask=unseen)
    town = Town(town.before, with_hole, town.buildings, town.destroyed)
    strange = [
        shapely.box(300, 300, 302, 302),  # two pixels
        shapely.box(-400, -400, -380, -380),  # outside of both images
        shapely.box(-2000, 100, 300, 200),  # a kilometre long
        shapely.box(500.1, 500.1, 500.3, 500.3),  # no pixel's centre
    ]
    reasons = graded(town, extra=strange).grades.reasons
    assert reasons[: len(town.destroyed)].count("no data after the event") == 22
    assert reasons[len(town.destroyed) :] == (
        "too small in the image",
        "no imagery before the event",
        "too large for one building",
        "too small in the image",
    )


def test_buildings_that_no_image_before_shows_are_no_fault_of_the_pair(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    away = image(tmp_path / "away.tif", _pixels(town.before),
                 transform=north_up(west=WEST + 1000, step=0.5))  # fmt: skip
    found = graded(Town(away, town.after, town.buildings, town.destroyed))
    assert set(found.grades.reasons) == {"no imagery before the event"}
    assert found.placement.notes() == (
        "no building lies where both images were observed, so none could be compared",
    )


def test_an_unsure_grade_is_none_and_keeps_its_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*images: Any, count: int) -> Any:
        return np.full((count, 4), 0.25, np.float32)

    monkeypatch.setattr(Double, "grade", torn)
    found = graded(make_town(tmp_path))
    assert set(found.grades.reasons) == {"grade uncertain"}
    columns = found.grades.columns()
    assert set(columns["damage_gra"]) == {"Not Analysed"}
    assert set(columns["confidence"]) == {None}
    assert set(columns["p_destroyed"]) == {25.0}


def test_images_of_two_places_are_not_compared(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    noise = np.random.default_rng(1).integers(1, 255, (3, SIDE_PX, SIDE_PX))
    town = Town(town.before, image(tmp_path / "other.tif", noise), town.buildings, town.destroyed)
    with pytest.raises(NotAligned, match=r"0 of 9 blocks .*--no-domain-check"):
        graded(town)
    notes = graded(town, checked=False).placement.notes()
    assert "could not be measured (0 of 9 blocks" in notes[0]


def test_what_no_shift_can_mend_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)

    def torn(*images: Any, reach_px: int, middle: tuple[float, float]) -> BlockShift:
        down, right = rng.uniform(-reach_px, reach_px, 2)
        return BlockShift(*middle, down, right, strength=9)

    monkeypatch.setattr("models.damage.alignment.block_shift", torn)
    with pytest.raises(NotAligned, match=r"of 9 blocks .* to 2 m, which no shift can mend"):
        graded(make_town(tmp_path), checked=False)


def test_imagery_that_is_too_coarse_or_elsewhere_is_refused(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    card = double_card()
    before, after = scenes(town)
    require_gradable(card, [before, after], AREA)
    coarse = image(tmp_path / "coarse.tif", _pixels(town.after)[:, ::4, ::4], step=2.0)
    with pytest.raises(InputsMismatch, match=r"pixels of 2 m, and double .* at most 1 m"):
        require_gradable(card, [before, scene_of(coarse, sensor="vhr-rgb")], AREA)
    away = image(tmp_path / "away.tif", _pixels(town.after),
                 transform=north_up(west=510_000, step=0.5))  # fmt: skip
    with pytest.raises(NotOverlapping, match="give a pair of one place"):
        require_gradable(card, [before, scene_of(away, sensor="vhr-rgb")], AREA)


def _pixels(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()
