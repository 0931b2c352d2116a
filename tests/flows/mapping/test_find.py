"""From request to plan: the same inputs have one product id, and any other input another."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from flows.config import Settings
from flows.mapping.plan import Plan, find_scenes, make_plan
from flows.request import make_request
from geo.errors import NotOverlapping, SourceInvalid, TimeUnknown
from geo.scenes.scene import Phase
from geo.vector.area_of_interest import parse_area
from models.errors import InputsMismatch, ModelUnknown, NoModelFits
from tests.rasters import WEST, decibels, north_up, picture, write_image

BEFORE = "S1A_IW_GRDH_1SDV_20190905T175505_20190905T175530_028888_034632_0001.tif"
AFTER = "S1A_IW_GRDH_1SDV_20190917T175506_20190917T175531_029063_034C5E_7C3F.tif"
BESIDE = "S1A_IW_GRDH_1SDV_20190917T175531_20190917T175556_029063_034C5E_1B2A.tif"
SETTINGS = Settings(models=None)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with a scene before, one after, and one beside that one."""
    for louder, (name, east) in enumerate(((BEFORE, 0), (AFTER, 0), (BESIDE, 400))):
        pixels = decibels(2, 60, 60) + louder / 10
        write_image(
            tmp_path / "archive" / name, pixels.astype(np.float32),
            descriptions=("VV", "VH"), transform=north_up(west=WEST + east),
        )  # fmt: skip
    return tmp_path / "archive"


def planned(archive: Path, **fields: Any) -> Plan:
    request = make_request(**{
        "event": "ebro", "hazard": "flood", "before": [str(archive / BEFORE)],
        "after": [str(archive / AFTER)],
    } | fields)  # fmt: skip
    return make_plan(request, find_scenes(request), SETTINGS)


def test_a_plan_of_two_radar_images(archive: Path) -> None:
    plan = planned(archive)
    assert [(s.id, s.phase) for s in plan.scenes] == [
        (BEFORE[:-4], Phase.BEFORE), (AFTER[:-4], Phase.AFTER),
    ]  # fmt: skip
    assert plan.choice.name == "flood-s1s2" and "first choice" in plan.choice.why
    assert tuple(plan.geobox.shape) == (64, 96)  # 60 x 60 pixels in blocks of the network
    assert (plan.min_area_m2, plan.simplify_m) == (1000, 10)
    assert plan.area.geometry.exterior.is_ccw
    assert re.fullmatch(r"[0-9a-f]{16}", plan.product_id)


def test_the_order_of_the_sources_and_the_folder_of_the_archive_change_nothing(
    archive: Path, tmp_path: Path
) -> None:
    both = [str(archive / AFTER), str(archive / BESIDE)]
    known = planned(archive, after=both)
    assert planned(archive, after=both[::-1]).product_id == known.product_id
    assert planned(archive, after=[*both, both[0]]).product_id == known.product_id
    assert (
        planned(archive, after=[str(archive / "S1A_*_20190917*.tif")]).product_id
        == known.product_id
    )
    elsewhere = tmp_path / "quite" / "another" / "place"
    shutil.copytree(archive, elsewhere)
    moved = [str(elsewhere / name) for name in (AFTER, BESIDE)]
    assert planned(elsewhere, after=moved, store=str(tmp_path)).product_id == known.product_id
    assert planned(archive, after=both, device="cpu").product_id == known.product_id


CHANGES: dict[str, dict[str, Any]] = {
    "event": {"event": "other"},
    "name": {"name": "Ebro"},
    "hazard": {"hazard": "storm"},
    "area": {"area": "15.001,45.146,15.004,45.149"},
    "model": {"model": "sar-change-vv"},
    "no model": {"model": "none"},
    "resolution": {"resolution_m": 20},
    "crs": {"crs": "EPSG:3035"},
    "smallest": {"min_area_m2": 500},
    "simplify": {"simplify_m": 0},
    "no before": {"before": []},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_other_input_is_another_product(archive: Path, change: str) -> None:
    assert planned(archive, **CHANGES[change]).product_id != planned(archive).product_id


def test_the_mask_of_clouds_is_an_input_of_optical_scenes_only(
    archive: Path, tmp_path: Path
) -> None:
    six = ("blue", "green", "red", "nir", "swir16", "swir22")
    pixels = np.full((6, 60, 60), 500, np.uint16)
    path = write_image(tmp_path / "optical.tif", pixels, descriptions=six)
    fields = {"after": [{"path": str(path), "sensor": "sentinel-2-l2a"}], "before": []}
    plan = planned(archive, **fields)
    assert [source.name for source in plan.clouds] == ["csmask-6b-l2a 1.0.0"]
    assert planned(archive, **fields, clouds="network").product_id == plan.product_id
    off = planned(archive, **fields, clouds="off")
    assert off.product_id != plan.product_id
    assert [source.name for source in off.clouds] == [None]
    radar = planned(archive)
    assert radar.clouds == ()
    assert planned(archive, clouds="off").product_id == radar.product_id


def test_a_network_of_clouds_maps_no_flood(archive: Path) -> None:
    with pytest.raises(InputsMismatch, match="csmask-6b-l2a finds clouds, not a flood"):
        planned(archive, model="csmask-6b-l2a")


def test_what_is_said_of_a_source_is_an_input(archive: Path) -> None:
    path, known = str(archive / AFTER), planned(archive).product_id
    for said in ({"taken": "2019-09-18"}, {"cloud_cover": 5}, {"bands": ["vh", "vv"]}):
        assert planned(archive, after=[{"path": path, **said}]).product_id != known


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_a_byte_of_a_scene_is_an_input(archive: Path, name: str) -> None:
    known = planned(archive).product_id
    data = bytearray((archive / name).read_bytes())
    data[-1] ^= 1  # the last bit of the last pixel
    (archive / name).write_bytes(data)
    assert planned(archive).product_id != known


def test_the_model_and_the_code_are_inputs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = planned(archive)
    ref = known.choice.ref
    assert ref is not None
    own = tmp_path / "own"
    shutil.copytree(ref.folder, own)
    card = (own / "card.json").read_text()
    assert planned(archive, model=str(own)).product_id == known.product_id
    (own / "card.json").write_text(card.replace('"version": "0.', '"version": "9.'))
    assert planned(archive, model=str(own)).product_id != known.product_id
    monkeypatch.setattr("flows.mapping.plan.code_digest", lambda: "other code")
    assert planned(archive).product_id != known.product_id


def test_buildings_are_an_input(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "houses.geojson"
    ids = []
    for floors in (1, 2, 2):
        house = shapely.box(15.001, 45.150, 15.002, 45.151)
        gpd.GeoDataFrame({"floors": [floors]}, geometry=[house], crs=4326).to_file(path)
        ids.append(planned(archive, buildings=str(path)).product_id)
    assert ids[0] != ids[1] == ids[2] != planned(archive).product_id


def test_before_and_after_that_are_swapped_are_refused(archive: Path) -> None:
    with pytest.raises(TimeUnknown, match=r"before comes after: .*20190917.* 2019-09-17T17:55:06Z"):
        planned(archive, before=[str(archive / AFTER)], after=[str(archive / BEFORE)])


def test_a_date_of_the_user_counts_for_the_order(archive: Path) -> None:
    told = {"path": str(archive / AFTER), "taken": "2019-09-01"}
    with pytest.raises(TimeUnknown, match="2019-09-01; swap --before and --after"):
        planned(archive, after=[told])


def test_images_without_a_date_are_in_the_order_that_is_said(archive: Path) -> None:
    for name, new in ((BEFORE, "old.tif"), (AFTER, "new.tif")):
        (archive / name).rename(archive / new)
    said = {"sensor": "sentinel-1-grd"}
    plan = planned(
        archive,
        before=[{"path": str(archive / "old.tif"), **said}],
        after=[{"path": str(archive / "new.tif"), **said}],
    )
    assert [scene.taken for scene in plan.scenes] == [None, None]


def test_one_image_is_not_before_and_after(archive: Path) -> None:
    shutil.copy(archive / AFTER, archive / "copy.tif")
    copy = {"path": str(archive / "copy.tif"), "sensor": "sentinel-1-grd", "taken": "2019-01-01"}
    with pytest.raises(TimeUnknown, match="was given as before and as after"):
        planned(archive, before=[copy])


@pytest.mark.parametrize("phase", ["before", "after"])
def test_images_beside_the_area_are_refused_with_both_extents(archive: Path, phase: str) -> None:
    far = write_image(
        archive / "far.tif", decibels(2, 20, 20), transform=north_up(west=WEST + 90_000),
        descriptions=("VV", "VH"),
    )  # fmt: skip
    spec = {"path": str(far), "sensor": "sentinel-1-grd"}
    message = (
        rf"the area \(longitude 15.00\d+ .*\) and the {phase} scenes \(longitude 16.1.*\) do not"
    )
    with pytest.raises(NotOverlapping, match=message):
        planned(archive, area="15.001,45.146,15.004,45.149", **{phase: [spec]})


def test_an_area_with_swapped_coordinates_is_told_so(archive: Path) -> None:
    with pytest.raises(NotOverlapping, match="with the two swapped; give longitude first"):
        planned(archive, area="45.146,15.001,45.149,15.004")


def test_an_image_beside_the_others_is_not_used_and_a_note_says_so(archive: Path) -> None:
    after = [str(archive / AFTER), str(archive / BESIDE)]
    plan = planned(archive, after=after, area="15.001,45.146,15.004,45.149")
    assert BESIDE[:-4] not in {scene.id for scene in plan.scenes}
    assert any(BESIDE[:-4] in note and "were not used" in note for note in plan.notes)


def test_the_area_of_several_images_is_all_of_them(archive: Path) -> None:
    plan = planned(archive, after=[str(archive / AFTER), str(archive / BESIDE)])
    assert tuple(plan.geobox.shape) == (64, 128)  # 60 x 100 pixels in blocks of the network
    footprints = [scene.footprint for scene in plan.scenes if scene.phase is Phase.AFTER]
    assert plan.area.geometry.equals_exact(
        parse_area(shapely.union_all(footprints).__geo_interface__).geometry, 1e-9
    )


def test_the_default_area_is_as_small_as_any(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / AFTER, decibels(2, 90, 90), transform=north_up(west=200_000, step=7000),
        descriptions=("VV", "VH"),
    )  # fmt: skip
    request = make_request(event="x", hazard="flood", after=[str(path)])
    with pytest.raises(Exception, match="at most 250,000 km2 can be mapped at once"):
        make_plan(request, find_scenes(request), SETTINGS)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"model": "no-such"}, ModelUnknown, "no model is named 'no-such'"),
        ({"model": "ndwi-water"}, InputsMismatch, "ndwi-water wants, after the event, sentinel-2"),
        ({"hazard": "wildfire"}, NoModelFits, "no model can map a wildfire here: nbr-change wants"),
        ({"after": ["nowhere"]}, SourceInvalid, "there is no file, folder or match at nowhere"),
    ],
)
def test_what_cannot_be_planned(
    archive: Path, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        planned(archive, **fields)


def test_a_hazard_without_a_model_is_looked_at(archive: Path) -> None:
    plan = planned(archive, hazard="earthquake")
    assert plan.choice.ref is None and plan.choice.name == "no model"


def test_a_scene_that_the_model_does_not_read_plays_no_part(archive: Path) -> None:
    photo = write_image(
        archive / "photo.tif", picture(3, 60, 60), colours=("red", "green", "blue"),
        transform=north_up(step=5),
    )  # fmt: skip
    plan = planned(archive, after=[str(archive / AFTER), str(photo)])
    assert plan.choice.name == "flood-s1s2"
    assert "photo" not in {scene.id for scene in plan.scenes}
    assert plan.geobox.resolution.x == 10
    assert any("flood-s1s2 does not read photo" in note for note in plan.notes)


def test_the_newest_or_the_least_cloudy_image_lays_the_grid(archive: Path) -> None:
    old = write_image(
        archive / "S1A_IW_GRDH_1SDV_20190911T175506.tif", decibels(2, 120, 120),
        descriptions=("VV", "VH"), transform=north_up(step=5),
    )  # fmt: skip
    after = [
        {"path": str(archive / AFTER), "cloud_cover": 50},
        {"path": str(old), "cloud_cover": 1},
    ]
    # A detector takes the image's own pixels, a network those that it learned from.
    fields = {"after": after, "model": "sar-change"}
    assert planned(archive, **fields).geobox.resolution.x == 10
    assert planned(archive, **fields, prefer="least-cloudy").geobox.resolution.x == 5


def test_times_are_those_of_the_names(archive: Path) -> None:
    assert [scene.taken for scene in planned(archive).scenes] == [
        datetime(2019, 9, 5, 17, 55, 5, tzinfo=UTC), datetime(2019, 9, 17, 17, 55, 6, tzinfo=UTC),
    ]  # fmt: skip
