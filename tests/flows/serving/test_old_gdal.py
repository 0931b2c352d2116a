"""The product in other hands: Debian's GDAL, the rules of RFC 7946, SQLite, STAC."""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import pystac
import pytest
import rasterio

from geo.vector.schema import LAYERS, FieldType
from tests.flows.conftest import Demo

TYPES = {
    FieldType.TEXT: {"String", "DateTime"},
    FieldType.INTEGER: {"Integer", "Integer64"},
    FieldType.REAL: {"Real"},
}
"""GDAL takes a text that looks like a time for one."""


def old_gdal(*command: object) -> str:
    """Return what a program of Debian's gdal-bin prints; it warns of nothing."""
    program = shutil.which(str(command[0]), path="/usr/bin")
    if program is None:
        pytest.fail("Debian's GDAL is missing: apt-get install --no-install-recommends gdal-bin")
    # A variable of our environment would lead it to the files of our own, newer GDAL.
    environment = {"PATH": "/usr/bin", "GDAL_PAM_ENABLED": "NO"}
    done = subprocess.run(
        [program, *map(str, command[1:])],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def layer(demo: Demo, name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(demo.product / "layers" / f"{name}.geojson")


@pytest.mark.parametrize("name", LAYERS)
def test_old_gdal_reads_every_layer_in_both_formats(demo: Demo, name: str, unchanged: None) -> None:
    wanted = layer(demo, name)
    for source in (demo.product / "layers" / f"{name}.geojson", demo.product / "layers.gpkg"):
        told = old_gdal("ogrinfo", "-ro", "-so", source, name)
        assert f"Feature Count: {len(wanted)}\n" in told
        assert 'GEOGCRS["WGS 84"' in told
        assert re.search(r"^Geometry: .*Polygon$", told, re.MULTILINE)
        fields = dict(re.findall(r"^(\w+): (\w+) \(\d+\.\d+\)", told, re.MULTILINE))
        for field in LAYERS[name].fields:
            # A column of GeoJSON that is null throughout has no type.
            if field.nullable and wanted[field.name].isna().all():
                continue
            assert fields[field.name] in TYPES[field.kind], field.name
        column = "geometry" if source.suffix == ".geojson" else "geom"
        sums = old_gdal(
            "ogrinfo", "-ro", "-q", "-dialect", "SQLite", "-sql",
            f"SELECT SUM(area_ha) AS ha, SUM(ST_IsValid({column})) AS valid FROM {name}", source,
        )  # fmt: skip
        found = {key: float(value) for key, value in re.findall(r"(\w+) \(\w+\) = (\S+)", sums)}
        assert found["valid"] == len(wanted)
        assert found["ha"] == pytest.approx(wanted["area_ha"].sum(), rel=1e-9)


@pytest.mark.parametrize("name", ["class", "probability", "observed"])
def test_old_gdal_reads_every_raster(demo: Demo, name: str, unchanged: None) -> None:
    path = demo.product / "rasters" / f"{name}.tif"
    told = json.loads(old_gdal("gdalinfo", "-json", "-checksum", path))
    with rasterio.open(path) as raster:
        assert told["size"] == [raster.width, raster.height]
        assert tuple(told["geoTransform"]) == raster.transform.to_gdal()
        assert told["stac"]["proj:epsg"] == raster.crs.to_epsg()
        for number, band in enumerate(told["bands"], 1):
            assert band["checksum"] == raster.checksum(number)
            assert band["description"] == raster.descriptions[number - 1]
            assert band["noDataValue"] == raster.nodata
            assert band["block"] == [512, 512]
            assert len(band["overviews"]) == len(raster.overviews(number)) > 0
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"


def test_old_gdal_names_the_classes(demo: Demo) -> None:
    path = demo.product / "rasters" / "class.tif"
    told = old_gdal("gdalinfo", "--config", "GDAL_PAM_ENABLED", "YES", path)
    assert "    2: Flooded area\n" in told
    assert "   12: Not analysed: cloud\n" in told


def rings_of(feature: dict[str, Any]) -> Iterator[tuple[bool, list[list[float]]]]:
    """Yield whether a ring is an exterior one, and its positions."""
    geometry = feature["geometry"]
    assert geometry["type"] in ("Polygon", "MultiPolygon")
    assert set(geometry) == {"type", "coordinates"}
    many = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for polygon in many:
        yield from ((number == 0, ring) for number, ring in enumerate(polygon))


def twice_area(ring: list[list[float]]) -> float:
    """Return twice the signed area of a ring, positive where it runs counter-clockwise."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("name", LAYERS)
def test_geojson_is_what_rfc_7946_asks(demo: Demo, name: str) -> None:
    text = (demo.product / "layers" / f"{name}.geojson").read_text(encoding="utf-8")
    collection = json.loads(text, parse_constant=refuse)
    assert set(collection) == {"type", "bbox", "features"}
    assert collection["type"] == "FeatureCollection"
    positions = []
    for feature in collection["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert feature["id"] == feature["properties"]["id"]
        for exterior, ring in rings_of(feature):
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert (twice_area(ring) > 0) == exterior
            positions += ring
    assert all(len(position) == 2 for position in positions)
    lons, lats = zip(*positions, strict=True)
    assert collection["bbox"] == [min(lons), min(lats), max(lons), max(lats)]
    # Section 11.2: more decimals than the pixels know would be false.
    assert not re.search(r"\[-?\d+\.\d{8,}|,-?\d+\.\d{8,}\]", text)
    ids = [feature["id"] for feature in collection["features"]]
    assert len(set(ids)) == len(ids) > 0


def test_the_geopackage_is_sound_to_sqlite(demo: Demo, unchanged: None) -> None:
    path = demo.product / "layers.gpkg"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
        tables = database.execute(
            "SELECT table_name, srs_id FROM gpkg_contents WHERE data_type = 'features'"
        ).fetchall()
    assert {*tables} == {(name, 4326) for name in LAYERS}


def test_the_catalogue_of_the_store_is_valid_stac_and_leads_to_every_file(demo: Demo) -> None:
    catalog = pystac.Catalog.from_file(demo.store / "catalog.json")
    (item,) = catalog.get_items(recursive=True)
    # Against the schemas that pystac brings along.
    for part in (catalog, *catalog.get_collections(), item):
        assert part.validate()
    assert item.id == demo.result["product_id"]
    found = {Path(str(asset.get_absolute_href())) for asset in item.assets.values()}
    files = {path for path in demo.product.rglob("*") if path.is_file()}
    own = {demo.product / name for name in ("item.json", "manifest.json")}
    assert found <= files
    assert files - found <= own
