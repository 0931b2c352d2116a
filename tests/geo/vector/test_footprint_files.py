"""Footprints as they are distributed: every column carried over, and only the area held."""

import gzip
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from pyarrow import parquet

from geo.errors import FootprintsInvalid
from geo.vector.area_of_interest import parse_area
from geo.vector.buildings import read_footprints
from geo.vector.layers import attach, rename_clashes

AREA = parse_area("15,45,15.1,45.1")
INSIDE = [shapely.box(15.01 + i / 100, 45.02, 15.012 + i / 100, 45.021) for i in range(4)]
AWAY = [shapely.box(20 + i / 100, 47, 20.005 + i / 100, 47.005) for i in range(3)]
EVERY = [*AWAY[:2], *INSIDE, AWAY[2]]


def osm(path: Path) -> Path:
    """As Overpass turbo exports it: points and lines among the polygons, names with colons."""
    features = [
        {"type": "Feature", "id": f"way/{n}", "geometry": shapely.geometry.mapping(outline),
         "properties": {"@id": f"way/{n}", "building": "yes", "addr:housenumber": "7a",
                        "building:levels": "2" if n else None}}
        for n, outline in enumerate([*EVERY, shapely.Point(15.05, 45.05)])
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def microsoft(path: Path) -> Path:
    """Its GeoJSON by lines, named .csv.gz or .geojsonl."""
    lines = [
        json.dumps({"type": "Feature", "properties": {"height": -1.0, "confidence": 0.9 + n / 100},
                    "geometry": shapely.geometry.mapping(outline)})
        for n, outline in enumerate(EVERY)
    ]  # fmt: skip
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def google(path: Path) -> Path:
    """A table with outlines in WKT."""
    table = pd.DataFrame(
        {
            "latitude": [outline.centroid.y for outline in EVERY],
            "longitude": [outline.centroid.x for outline in EVERY],
            "area_in_meters": [17.5 + n for n in range(len(EVERY))],
            "confidence": 0.8123,
            "geometry": [outline.wkt for outline in EVERY],
            "full_plus_code": [f"8FQ4XXXX+{n:03}" for n in range(len(EVERY))],
            "code": [f"{n:03}" for n in range(len(EVERY))],
        }
    )
    table.to_csv(path, index=False)
    return path


def overture(path: Path) -> Path:
    """GeoParquet with a box to search by, and nested columns."""
    boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), o.bounds, strict=True)) for o in EVERY]
    sources = [[{"dataset": "OpenStreetMap", "property": "", "confidence": None}]] * len(EVERY)
    names = [{"primary": f"house {n}", "common": [("de", f"Haus {n}")]} for n in range(len(EVERY))]
    named = pa.struct([("primary", pa.string()), ("common", pa.map_(pa.string(), pa.string()))])
    table = pa.table(
        {
            "id": [f"08b2-{n}" for n in range(len(EVERY))],
            "geometry": [shapely.to_wkb(outline) for outline in EVERY],
            "bbox": boxes,
            "version": pa.array([0] * len(EVERY), pa.int32()),
            "sources": sources,
            "names": pa.array(names, named),
            "num_floors": pa.array([None, 2, None, 3, None, 4, None], pa.int32()),
        }
    )
    covering = {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}}
    geo = {
        "version": "1.1.0", "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"],
                                 "bbox": [15.0, 45.0, 21.0, 48.0], "covering": covering}},
    }  # fmt: skip
    parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    return path


LAYOUTS = {
    "osm.geojson": osm,
    "microsoft.geojsonl": microsoft,
    "part-00001.c000.csv.gz": microsoft,
    "google.csv": google,
    "google.csv.gz": google,
    "overture.parquet": overture,
}


@pytest.fixture(params=[None, 3], ids=["few", "many"])
def many(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read whole, and as those that are too large for it; in parts of two."""
    if request.param is not None:
        monkeypatch.setattr("geo.vector.footprint_files.MANY", request.param)
        monkeypatch.setattr("geo.vector.footprint_files._CHUNK", 2)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_buildings_and_its_columns(tmp_path: Path, name: str) -> None:
    found = read_footprints(LAYOUTS[name](tmp_path / name), AREA)
    order = np.argsort(shapely.get_x(shapely.centroid(found.geometries)))
    for outline, expected in zip(found.geometries[order], INSIDE, strict=True):
        assert outline.symmetric_difference(expected).area < 1e-12
    assert any("lie outside the area and were left out" in note for note in found.notes)
    own, renamed = rename_clashes("built_up", found.own)
    carried = attach(pd.DataFrame({"x": range(4)}), own)
    assert len(carried) == 4
    texts = json.loads(carried.drop(columns="x").iloc[order].to_json(orient="records"))
    expected_columns = {
        "osm": {"building": "yes", "addr:housenumber": "7a"},
        "mic": {"height": -1.0, "confidence": 0.92},
        "par": {"height": -1.0, "confidence": 0.92},
        "goo": {"area_in_meters": 19.5, "confidence_src": 0.8123, "code": "002",
                "full_plus_code": "8FQ4XXXX+002"},
        "ove": {"id_src": "08b2-2", "version": 0, "num_floors": None},
    }[name[:3]]  # fmt: skip
    if name[:3] in ("mic", "par"):
        expected_columns = {"height": -1.0, "confidence_src": 0.92}
    assert {key: texts[0][key] for key in expected_columns} == expected_columns
    assert set(renamed) <= {"id", "confidence"}


def test_nested_columns_become_json(tmp_path: Path) -> None:
    found = read_footprints(overture(tmp_path / "x.parquet"), AREA)
    carried = attach(pd.DataFrame({"x": range(4)}), found.own.drop(columns="id"))
    assert json.loads(carried["sources"][0]) == [
        {"confidence": None, "dataset": "OpenStreetMap", "property": ""}
    ]
    assert json.loads(carried["names"][1]) == {"common": [["de", "Haus 3"]], "primary": "house 3"}
    # The box to search by says nothing that the outline does not.
    assert "bbox" not in carried


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", [*LAYOUTS, "x.gpkg", "x.fgb"])
def test_files_of_another_place_say_where_they_are(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in LAYOUTS:
        LAYOUTS[name](path)
    else:
        gpd.GeoDataFrame(geometry=EVERY, crs="EPSG:4326").to_crs("EPSG:32633").to_file(path)
    with pytest.raises(
        FootprintsInvalid, match=r"no footprint of .* lies in the area \(longitude -70"
    ):
        read_footprints(path, parse_area("-70,10,-69.9,10.1"))


def test_of_a_large_file_only_the_area_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geo.vector.footprint_files.MANY", 10)
    monkeypatch.setattr("geo.vector.footprint_files.MAX_FOOTPRINTS", 20)
    outlines = [shapely.box(30 + n / 50, 45, 30.01 + n / 50, 45.01) for n in range(200)]
    frame = gpd.GeoDataFrame({"n": range(200)}, geometry=outlines, crs="EPSG:4326")
    frame.to_file(tmp_path / "x.gpkg")
    frame.to_parquet(tmp_path / "x.parquet", write_covering_bbox=True, schema_version="1.1.0")
    area = parse_area("31,44.9,31.19,45.2")
    for name in ("x.gpkg", "x.parquet"):
        found = read_footprints(tmp_path / name, area)
        assert found.own["n"].tolist() == list(range(50, 60))
        assert found.notes == (f"190 footprints of {name} lie outside the area and were left out",)
        with pytest.raises(FootprintsInvalid, match="holds 200 footprints in the area"):
            read_footprints(tmp_path / name, parse_area("29,44,36,46"))
