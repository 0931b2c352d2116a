"""A pair of pictures and footprints to graded buildings, in one map run, and what is refused."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from flows.config import Settings
from flows.mapping.map_run import map_event
from flows.mapping.plan import find_scenes, make_plan
from flows.mapping.records import Published
from flows.reports.markdown import summary_markdown
from flows.reports.progress import QuietProgress
from flows.request import MapRequest, make_request
from geo.errors import TimeUnknown
from geo.raster.classify import Label
from geo.vector.schema import GRADE_PROBABILITIES
from models.errors import InputsMismatch, NoModelFits
from models.evaluation.score_product import grade_column, score_buildings
from tests.flows.passing import only_records
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import Town, make_town


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    return Settings(models=dark_is_destroyed(folder / "models" / "dark"))


@pytest.fixture(scope="module")
def town(folder: Path) -> Town:
    """A town whose image after lies 3 m further down and 2 m to the left."""
    return make_town(folder, after_moved=(6, -4))


def asked(town: Town, store: Path, **fields: Any) -> MapRequest:
    def picture(path: Path) -> dict[str, str]:
        return {"path": str(path), "sensor": "vhr-rgb"}

    return make_request(**{
        "event": "joplin", "hazard": "storm", "before": [picture(town.before)],
        "after": [picture(town.after)], "buildings": str(town.buildings), "store": str(store),
    } | fields)  # fmt: skip


@pytest.fixture(scope="module")
def published(town: Town, settings: Settings, folder: Path) -> Published:
    return map_event(asked(town, folder / "store"), settings, QuietProgress(), step=only_records)


def built_up(published: Published) -> gpd.GeoDataFrame:
    frame = gpd.read_file(published.folder / "layers" / "built_up.geojson")
    order = frame["name"].str.removeprefix("house ").astype(int)
    return frame.iloc[np.argsort(order)]


def test_every_building_has_its_grade_and_the_columns_of_the_user(
    published: Published, town: Town
) -> None:
    frame = built_up(published)
    grade = np.where(town.destroyed, "Destroyed", "No visible damage")
    assert frame["damage_gra"].tolist() == grade.tolist()
    assert set(frame["damage_xbd"]) == {"destroyed", "no-damage"}
    assert frame["confidence"].between(50, 100).all()
    assert frame["reason"].isna().all()
    assert frame[list(GRADE_PROBABILITIES)].sum(axis=1).between(99.5, 100.5).all()
    assert set(frame["or_src_id"]) == {"before"} and set(frame["dmg_src_id"]) == {"after"}
    assert frame["model"].str.startswith("dark-is-destroyed ").all()


def test_the_geopackage_holds_the_same(published: Published) -> None:
    packed = gpd.read_file(published.folder / "layers.gpkg", layer="built_up")
    plain = gpd.read_file(published.folder / "layers" / "built_up.geojson")
    assert packed["damage_gra"].tolist() == plain["damage_gra"].tolist()
    assert packed["p_destroyed"].tolist() == plain["p_destroyed"].tolist()


def test_the_summary_counts_the_grades_and_tells_the_shift(
    published: Published, town: Town
) -> None:
    summary = published.summary
    gone = int(town.destroyed.sum())
    assert summary.buildings == {
        "Destroyed": gone, "Damaged": 0, "Possibly damaged": 0,
        "No visible damage": len(town.destroyed) - gone, "Not Analysed": 0,
    }  # fmt: skip
    assert summary.buildings_not_analysed == {}
    assert "the image after lies 3.6 m (7.2 px) south-west" in " ".join(summary.notes)
    assert summary.observed_share == summary.analysed_share == 1
    said = summary_markdown(summary, product="here")
    assert f"| Destroyed | {gone} |" in said
    assert "No trace of the event" not in said
    record = json.loads((published.folder / "manifest.json").read_text())["alignment"]
    assert record["after"]["used"] and record["footprints"]["used"]


def test_what_was_seen_twice_is_compared_and_no_pixel_is_called_damaged(
    published: Published,
) -> None:
    with rasterio.open(published.folder / "rasters" / "class.tif") as raster:
        assert set(np.unique(raster.read())) <= {int(Label.COMPARED), int(Label.OUTSIDE)}
    assert not (published.folder / "rasters" / "probability.tif").exists()
    assert gpd.read_file(published.folder / "layers" / "observed_event.geojson").empty


def test_labels_score_it(published: Published, town: Town, tmp_path: Path) -> None:
    labels = gpd.read_file(town.buildings)
    labels["subtype"] = np.where(town.destroyed, "destroyed", "no-damage")
    labels.to_file(tmp_path / "labels.geojson")
    column = grade_column(tmp_path / "labels.geojson")
    assert column == "subtype"
    layer = published.folder / "layers" / "built_up.geojson"
    score = score_buildings(layer, tmp_path / "labels.geojson", column=column)
    assert score.as_json()["accuracy_buildings"] == 1


def test_two_empty_stores_get_the_same_layers(
    published: Published, town: Town, settings: Settings, tmp_path: Path
) -> None:
    again = map_event(asked(town, tmp_path), settings, QuietProgress())
    assert again.product_id == published.product_id
    for name in ("layers/built_up.geojson", "layers.gpkg", "summary.json", "map.png"):
        assert (again.folder / name).read_bytes() == (published.folder / name).read_bytes()


def test_footprints_are_asked_for(town: Town, settings: Settings, tmp_path: Path) -> None:
    for fields, error in (({}, NoModelFits), ({"model": "dark-is-destroyed"}, InputsMismatch)):
        request = asked(town, tmp_path, buildings=None, hazard="earthquake", **fields)
        with pytest.raises(error, match=r"footprints with --buildings"):
            make_plan(request, find_scenes(request), settings)


def test_another_resolution_is_refused(town: Town, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputsMismatch, match=r"at 0\.5 m, and --resolution says 2"):
        map_event(asked(town, tmp_path, resolution_m=2), settings, QuietProgress())
    assert not list(tmp_path.rglob("manifest.json"))


def test_before_that_comes_after_is_refused(town: Town, settings: Settings, tmp_path: Path) -> None:
    dated = {
        phase: [{"path": str(path), "sensor": "vhr-rgb", "taken": taken}]
        for phase, path, taken in (
            ("before", town.before, "2011-05-29"), ("after", town.after, "2009-07-01"),
        )
    }  # fmt: skip
    with pytest.raises(TimeUnknown, match="swap --before and --after"):
        map_event(asked(town, tmp_path / "store", **dated), settings, QuietProgress())


def test_a_flood_keeps_its_own_models(town: Town, settings: Settings, tmp_path: Path) -> None:
    request = asked(town, tmp_path, hazard="flood")
    assert make_plan(request, find_scenes(request), settings).choice.grader is None
