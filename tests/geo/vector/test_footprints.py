"""Footprints as the user has them: any format and CRS, mended, and never lost in silence."""

import gzip
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from geo.errors import FootprintsInvalid
from geo.vector.area_of_interest import parse_area
from geo.vector.buildings import read_footprints

AREA = parse_area("15,45,15.1,45.1")
HOUSES = [box(15.01 + i / 100, 45.02, 15.012 + i / 100, 45.021) for i in range(4)]
BOW_TIE = Polygon([(15.05, 45.05), (15.06, 45.06), (15.06, 45.05), (15.05, 45.06)])
DRIVERS = {
    "geojson": "GeoJSON", "gpkg": "GPKG", "shp": "ESRI Shapefile", "fgb": "FlatGeobuf",
    "parquet": None,
}  # fmt: skip


def frame(geometries: list[Any], crs: str | None = "EPSG:4326", **columns: Any) -> gpd.GeoDataFrame:
    names = [f"house {i}" for i in range(len(geometries))]
    return gpd.GeoDataFrame({"name": names, **columns}, geometry=geometries, crs=crs)


def written(path: Path, features: gpd.GeoDataFrame) -> Path:
    driver = DRIVERS[path.suffix[1:]]
    if driver is None:
        features.to_parquet(path)
    else:
        features.to_file(path, driver=driver)
    return path


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("ending", DRIVERS)
def test_every_format_and_crs(tmp_path: Path, ending: str, crs: str) -> None:
    floors = [1, 2, 3, 4]
    path = written(tmp_path / f"x.{ending}", frame(HOUSES, floors=floors).to_crs(crs))
    found = read_footprints(path, AREA)
    order = np.argsort(shapely.get_x(shapely.centroid(found.geometries)))
    for geometry, expected in zip(found.geometries[order], HOUSES, strict=True):
        assert geometry.symmetric_difference(expected).area < 1e-9
    assert found.own["floors"].to_numpy()[order].tolist() == floors
    assert set(found.own.columns) == {"name", "floors"}
    assert found.notes == ()


def test_columns_stay_in_the_order_of_their_buildings(tmp_path: Path) -> None:
    away = box(20, 45, 20.1, 45.1)
    features = frame([away, HOUSES[0], Point(15.05, 45.05), HOUSES[1], BOW_TIE, None])
    found = read_footprints(written(tmp_path / "x.geojson", features), AREA)
    assert isinstance(found.own, pd.DataFrame) and not isinstance(found.own, gpd.GeoDataFrame)
    assert found.own["name"].tolist() == ["house 1", "house 3", "house 4"]
    assert found.own.index.tolist() == [0, 1, 2]
    assert found.geometries[0].equals(HOUSES[0]) and found.geometries[1].equals(HOUSES[1])
    assert found.notes == (
        "2 footprints of x.geojson are no polygons and were left out",
        "1 footprints of x.geojson crossed themselves and were mended",
        "1 footprints of x.geojson lie outside the area and were left out",
    )


def test_a_footprint_that_crosses_itself_is_mended(tmp_path: Path) -> None:
    path = written(tmp_path / "x.geojson", frame([BOW_TIE]))
    (geometry,) = read_footprints(path, AREA).geometries
    assert geometry.is_valid and isinstance(geometry, MultiPolygon)
    assert geometry.area == pytest.approx(0.01 * 0.01 / 2)


def test_heights_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "x.geojson", frame([shapely.force_3d(HOUSES[0], 7.0)]))
    (geometry,) = read_footprints(path, AREA).geometries
    assert not geometry.has_z


def test_all_geometries_are_valid_polygons(tmp_path: Path) -> None:
    spike = Polygon([(15.01, 45.01), (15.02, 45.01), (15.02, 45.02), (15.02, 45.01), (15.01, 45)])
    path = written(tmp_path / "x.gpkg", frame([MultiPolygon(HOUSES[:2]), BOW_TIE, spike]))
    geometries = read_footprints(path, AREA).geometries
    assert shapely.is_valid(geometries).all()
    assert {geometry.geom_type for geometry in geometries} <= {"Polygon", "MultiPolygon"}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (frame([Point(15.05, 45.05), LineString([(15, 45), (15.1, 45.1)])]), "holds no polygon"),
        (
            frame([box(20, 45, 20.1, 45.1)]),
            "no footprint of x.geojson .*20.0000 to 20.1.*15.0",
        ),
        (frame([box(45.02, 15.01, 45.03, 15.02)]), "swap longitude and latitude in one of them"),
    ],
)
def test_footprints_that_cannot_be_used_are_refused(
    tmp_path: Path, features: gpd.GeoDataFrame, message: str
) -> None:
    with pytest.raises(FootprintsInvalid, match=message):
        read_footprints(written(tmp_path / "x.geojson", features), AREA)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.geojson", None, "there is no file of footprints at"),
        ("empty.geojson", b"", "cannot be read as vector data"),
        ("half.geojson", b'{"type": "FeatureCollection", "feat', "cannot be read as vector data"),
        ("text.gpkg", b"not a database", "its first bytes are of another kind"),
        ("short.gpkg", b"SQLite format 3\0", "cannot be read as vector data"),
        ("bad.parquet", b"PAR1" + bytes(40), "cannot be read as vector data"),
        ("list.geojson", b"[]", "its first bytes are of another kind"),
        ("no.geojson", b'{"type": "FeatureCollection", "features": []}', "holds no feature"),
        ("x.kml", b"<?xml version='1.0'?><kml/>", "its first bytes are of another kind"),
        ("vrt.geojson", b"<OGRVRTDataSource/>", "its first bytes are of another kind"),
        ("table.csv", b"name,x\na,1\n", "no column of outlines in WKT"),
        ("half.csv", b'name,geometry\na,"POLYGON((1 2', "cannot be read as vector data"),
        (
            "half.csv.gz",
            gzip.compress(b"geometry\n" + 99 * b"x", mtime=0)[:30],
            "cannot be read as vector",
        ),
        ("half.geojsonl", b'{"type": "Feature", "geometry": null}\n{"ty', "cannot be read as"),
    ],
)
def test_files_that_hold_no_footprints_are_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FootprintsInvalid, match=rf"{name}.*{message}|{message}.*{name}"):
        read_footprints(tmp_path / name, AREA)


@pytest.mark.parametrize("ending", DRIVERS)
def test_a_truncated_file_gives_its_footprints_or_an_error(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"x.{ending}", frame(HOUSES))
    data = path.read_bytes()
    for length in np.linspace(1, len(data) - 2, 12).astype(int):
        path.write_bytes(data[:length])
        try:
            found = read_footprints(path, AREA)
        except FootprintsInvalid as error:
            assert path.name in str(error)
        else:
            assert len(found.geometries) == len(HOUSES)


def test_footprints_without_a_crs_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "x.shp", frame(HOUSES))
    (tmp_path / "x.prj").unlink()
    with pytest.raises(FootprintsInvalid, match=r"x.shp has no CRS"):
        read_footprints(tmp_path / "x.shp", AREA)


def test_a_table_without_geometry_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(FootprintsInvalid, match="cannot be read as vector data"):
        read_footprints(tmp_path / "x.parquet", AREA)


def test_one_of_several_layers_is_not_chosen_in_silence(tmp_path: Path) -> None:
    for layer in ("before", "after"):
        frame(HOUSES).to_file(tmp_path / "x.gpkg", layer=layer, driver="GPKG")
    with pytest.raises(FootprintsInvalid, match=r"2 layers \(before, after\); keep one"):
        read_footprints(tmp_path / "x.gpkg", AREA)


def test_geojson_may_begin_with_a_mark_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    path.write_bytes(b"\xef\xbb\xbf \n" + frame(HOUSES).to_json().encode())
    assert len(read_footprints(path, AREA).geometries) == 4


@pytest.mark.parametrize("ending", ["geojson", "shp"])
def test_the_digest_is_that_of_outlines_and_columns(tmp_path: Path, ending: str) -> None:
    def digest(**columns: Any) -> str:
        path = written(tmp_path / f"x.{ending}", frame(HOUSES, **columns))
        return read_footprints(path, AREA).sha256

    known = digest(floors=[1, 2, 3, 4])
    assert digest(floors=[1, 2, 3, 4]) == known
    assert digest(floors=[1, 2, 3, 5]) != known


def test_a_building_on_the_edge_of_the_area_stays_whole(tmp_path: Path) -> None:
    edge = box(14.999, 45.05, 15.001, 45.051)
    path = written(tmp_path / "x.geojson", frame([edge]))
    (geometry,) = read_footprints(path, AREA).geometries
    assert geometry.equals(edge)


@pytest.mark.data
def test_the_buildings_of_joplin(data_dir: Path) -> None:
    path = data_dir / "joplin_vhr" / "buildings.geojson"
    found = read_footprints(path, parse_area("-94.52,37.05,-94.47,37.09"))
    total = len(json.loads(path.read_text())["features"])
    assert 1000 < len(found.geometries) == len(found.own) <= total


def test_footprints_that_repeat_are_counted_once(tmp_path: Path) -> None:
    turned = Polygon([*HOUSES[0].exterior.coords[2:-1], *HOUSES[0].exterior.coords[:3]])
    found = read_footprints(
        written(tmp_path / "x.geojson", frame([HOUSES[0], HOUSES[1], turned, HOUSES[0]])), AREA
    )
    assert found.own["name"].tolist() == ["house 0", "house 1"]
    assert found.notes == (
        "2 footprints of x.geojson repeat others and were counted once, with the columns of the "
        "first",
    )


def test_metres_that_are_called_degrees_are_refused(tmp_path: Path) -> None:
    metres = frame(HOUSES).to_crs("EPSG:32633").set_crs("EPSG:4326", allow_override=True)
    path = written(tmp_path / "x.gpkg", metres)
    with pytest.raises(FootprintsInvalid, match=r"are degrees \(EPSG:4326\).*which are metres"):
        read_footprints(path, AREA)


def test_degrees_that_are_called_metres_are_refused(tmp_path: Path) -> None:
    degrees = frame(HOUSES).set_crs("EPSG:32633", allow_override=True)
    path = written(tmp_path / "x.gpkg", degrees)
    with pytest.raises(FootprintsInvalid, match=r"are metres \(EPSG:32633\).*as in degrees"):
        read_footprints(path, AREA)


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "geojson"])
def test_too_many_footprints_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = written(tmp_path / f"x.{ending}", frame(HOUSES))
    monkeypatch.setattr("geo.vector.footprint_files.MAX_FOOTPRINTS", 3)
    monkeypatch.setattr(gpd, "read_file", None)
    monkeypatch.setattr(gpd, "read_parquet", None)
    with pytest.raises(
        FootprintsInvalid, match="holds 4 footprints in the area, and at most 3 are taken"
    ):
        read_footprints(path, AREA)
