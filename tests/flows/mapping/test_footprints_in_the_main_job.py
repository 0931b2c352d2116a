"""Footprints as they are distributed reach the layers of a product with all their columns."""

import json
from pathlib import Path

import geopandas as gpd
import pytest

from flows.config import Settings
from flows.mapping.map_run import map_event
from flows.reports.progress import QuietProgress
from flows.request import make_request
from tests.geo.vector.test_footprint_files import LAYOUTS
from tests.models.damage.town import Town, make_town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return make_town(tmp_path_factory.mktemp("town"))


CARRIED = {
    "osm.geojson": {"id_src": "way/3", "addr:housenumber": "7a", "building:levels": "2"},
    "part-00001.c000.csv.gz": {"height": -1.0},
    "google.csv.gz": {"full_plus_code": "8FQ4XXXX+003", "code": "003", "area_in_meters": 20.5},
    "overture.parquet": {"id_src": "08b2-3", "version": 0, "num_floors": 3},
}


@pytest.mark.parametrize("name", CARRIED)
def test_every_column_reaches_both_formats(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    houses = list(gpd.read_file(town.buildings).geometry)
    monkeypatch.setattr("tests.geo.vector.test_footprint_files.EVERY", houses[:7])
    published = map_event(
        make_request(
            event="x", hazard="storm", model="none", store=str(tmp_path / "store"),
            before=[{"path": str(town.before), "sensor": "vhr-rgb"}],
            after=[{"path": str(town.after), "sensor": "vhr-rgb"}],
            buildings=str(LAYOUTS[name](tmp_path / name)),
        ),
        Settings(),
        QuietProgress(),
    )  # fmt: skip
    packed = gpd.read_file(published.folder / "layers.gpkg", layer="built_up")
    plain = json.loads((published.folder / "layers" / "built_up.geojson").read_text())
    assert len(packed) == len(plain["features"]) == 7
    for frame in (packed, gpd.GeoDataFrame.from_features(plain["features"])):
        (row,) = frame[frame.geometry.centroid.within(houses[3])].to_dict("records")
        assert {key: row[key] for key in CARRIED[name]} == CARRIED[name]
    if name == "overture.parquet":
        assert json.loads(row["sources"])[0]["dataset"] == "OpenStreetMap"
    renamed = [note for note in published.summary.notes if "_src" in note]
    assert bool(renamed) is any(key.endswith("_src") for key in [*CARRIED[name], *row])
