"""What is written is RFC 7946, is what the layer holds, and is the same every time."""

import json
import math
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely

from geo.errors import StoreError
from geo.export.geojson import write_geojson
from geo.vector.hazards import Hazard
from geo.vector.layers import Provenance, build_layer
from geo.vector.schema import LAYERS

COMMON = Provenance("e", Hazard.FLOOD, "p", None)


def strict(path: Path) -> Any:
    """Parse as JSON itself has it: Python also takes NaN and infinities."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def area(geometry: shapely.Geometry) -> gpd.GeoDataFrame:
    return build_layer(
        "area_of_interest", geometries=[geometry], common=COMMON, columns={"area_ha": 1}
    )


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_is_what_rfc_7946_asks(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame], name: str
) -> None:
    layer = layers[name]
    write_geojson(layer, tmp_path / "a.geojson")
    collection = strict(tmp_path / "a.geojson")
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    assert len(collection["features"]) == len(layer)
    for feature, row in zip(collection["features"], layer.itertuples(), strict=True):
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["id"] == feature["properties"]["id"] == row.id
        geometry = shapely.geometry.shape(feature["geometry"])
        assert geometry.is_valid
        assert geometry.equals_exact(row.geometry)
        for part in shapely.get_parts(geometry):
            assert part.exterior.is_ccw
            assert not any(ring.is_ccw for ring in part.interiors)
    if len(layer):
        assert collection["bbox"] == layer.total_bounds.tolist()
    else:
        assert "bbox" not in collection


def test_properties_are_what_the_layer_holds(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    layer = layers["built_up"]
    write_geojson(layer, tmp_path / "a.geojson")
    features = strict(tmp_path / "a.geojson")["features"]
    assert list(features[0]["properties"]) == list(layer.columns.drop("geometry"))
    for feature, (_, row) in zip(features, layer.iterrows(), strict=True):
        for name, value in feature["properties"].items():
            held = row[name]
            if pd.isna(held) or (isinstance(held, float) and math.isinf(held)):
                assert value is None
            else:
                assert value == held
                assert isinstance(value, bool) == isinstance(held, bool)


def test_coordinates_have_at_most_seven_decimals(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    layer = area(shapely.Point(-0.376, 39.47).buffer(0.123456789, quad_segs=64))
    write_geojson(layer, tmp_path / "a.geojson")
    written = json.loads((tmp_path / "a.geojson").read_text(), parse_float=str)
    texts = [text for ring in written["features"][0]["geometry"]["coordinates"] for text in ring]
    assert max(len(number.partition(".")[2]) for pair in texts for number in pair) == 7
    assert not any("e" in number for pair in texts for number in pair)


@pytest.mark.parametrize("name", ["observed_event", "built_up", "hydrography"])
def test_gdal_reads_it_back(tmp_path: Path, layers: dict[str, gpd.GeoDataFrame], name: str) -> None:
    write_geojson(layers[name], tmp_path / "a.geojson")
    read = pyogrio.read_dataframe(tmp_path / "a.geojson")
    assert len(read) == len(layers[name])
    if len(read):
        assert read.crs.to_epsg() == 4326
        assert read["id"].tolist() == layers[name]["id"].tolist()
        assert read["area_ha"].tolist() == layers[name]["area_ha"].tolist()
        assert shapely.equals(read.geometry.to_numpy(), layers[name].geometry.to_numpy()).all()


def test_more_features_than_a_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    write_geojson(layers["observed_event"], tmp_path / "a.geojson")
    monkeypatch.setattr("geo.export.geojson._CHUNK", 2)
    write_geojson(layers["observed_event"], tmp_path / "b.geojson")
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()


def test_the_box_of_an_area_across_the_antimeridian_runs_over_it(tmp_path: Path) -> None:
    """RFC 7946, section 5.2: the box of Fiji has a west greater than its east."""
    fiji = shapely.MultiPolygon(
        [shapely.box(177, -20, 180, -16), shapely.box(-180, -19, -178, -15)]
    )
    write_geojson(area(fiji), tmp_path / "a.geojson")
    assert strict(tmp_path / "a.geojson")["bbox"] == [177, -20, -178, -15]


def test_the_box_of_an_area_around_a_pole_is_all_longitudes(tmp_path: Path) -> None:
    write_geojson(area(shapely.box(-180, -90, 180, -80)), tmp_path / "a.geojson")
    assert strict(tmp_path / "a.geojson")["bbox"] == [-180, -90, 180, -80]


def test_a_folder_that_is_not_there_is_said(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    with pytest.raises(StoreError, match=r"nowhere/a\.geojson could not be written"):
        write_geojson(layers["built_up"], tmp_path / "nowhere" / "a.geojson")
