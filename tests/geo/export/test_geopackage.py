"""One GeoPackage with every layer and its style, whole, typed, and the same every time."""

import hashlib
import resource
import shutil
import sqlite3
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely

from geo.errors import StoreError
from geo.export.geopackage import write_geopackage
from geo.export.styles import THEMES, qml, sld
from geo.vector.schema import LAYERS, FieldType

TYPES = {FieldType.TEXT: "TEXT", FieldType.INTEGER: "INTEGER", FieldType.REAL: "REAL"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, layers: dict[str, gpd.GeoDataFrame]) -> Path:
    path = tmp_path_factory.mktemp("package") / "layers.gpkg"
    write_geopackage(layers, path)
    return path


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_comes_back(
    package: Path, layers: dict[str, gpd.GeoDataFrame], name: str
) -> None:
    read = pyogrio.read_dataframe(package, layer=name)
    wanted = layers[name]
    assert list(read.columns) == list(wanted.columns)
    assert read.crs.to_epsg() == 4326
    assert len(read) == len(wanted)
    assert shapely.equals(read.geometry.to_numpy(), wanted.geometry.to_numpy()).all()
    for column in wanted.columns.drop("geometry"):
        null = wanted[column].isna()
        assert (read[column].isna() == null).all()
        assert read[column][~null].tolist() == wanted[column][~null].tolist()


@pytest.mark.parametrize("name", LAYERS)
def test_columns_have_the_types_of_the_schema(package: Path, name: str) -> None:
    with closing(sqlite3.connect(package)) as database:
        found = {row[1]: row[2] for row in database.execute(f"PRAGMA table_info({name})")}
    assert found["geom"] == "MULTIPOLYGON"
    for field in LAYERS[name].fields:
        assert found[field.name] == TYPES[field.kind]


def test_it_is_a_sound_geopackage_1_3_without_a_log(package: Path) -> None:
    assert [path.name for path in package.parent.iterdir()] == ["layers.gpkg"]
    with closing(sqlite3.connect(package)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA user_version").fetchone() == (10300,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        contents = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
    assert contents == {**dict.fromkeys(LAYERS, "features"), "layer_styles": "attributes"}


def test_the_styles_lie_inside_as_default(package: Path) -> None:
    with closing(sqlite3.connect(package)) as database:
        rows = database.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, styleSLD, useAsDefault, "
            "update_time FROM layer_styles"
        ).fetchall()
    assert {row[0] for row in rows} == set(LAYERS)
    for name, column, qml_text, sld_text, default, date in rows:
        assert (column, default, date) == ("geom", 1, "2000-01-01T00:00:00.000Z")
        assert qml_text == qml(THEMES[name])
        assert sld_text == sld(THEMES[name])


def test_written_twice_it_is_the_same(
    package: Path, layers: dict[str, gpd.GeoDataFrame], tmp_path: Path
) -> None:
    write_geopackage(layers, tmp_path / "other.gpkg")
    digests = {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (package, tmp_path / "other.gpkg")
    }
    assert len(digests) == 1
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None


def test_a_copy_that_cannot_be_written_to_opens(package: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(package, tmp_path / "copy.gpkg"))
    before = copy.read_bytes()
    copy.chmod(0o444)
    tmp_path.chmod(0o555)
    assert len(pyogrio.read_dataframe(copy, layer="observed_event")) == 7
    assert copy.read_bytes() == before
    tmp_path.chmod(0o755)


def _write_with_little_room(layers: dict[str, gpd.GeoDataFrame], folder: Path, size: int) -> None:
    """Exit 0 where every limit below the size fails with one sentence and leaves no file."""
    for room in (100, 5_000, 60_000, 100_000, size - 4096, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        with pytest.raises(StoreError, match=r"x\.gpkg could not be written .* free space"):
            write_geopackage(layers, folder / "x.gpkg")
        assert not list(folder.iterdir())


def test_a_disk_that_fills_leaves_no_file(
    package: Path, layers: dict[str, gpd.GeoDataFrame], tmp_path: Path
) -> None:
    arguments = (layers, tmp_path, package.stat().st_size)
    child = get_context("forkserver").Process(
        target=_write_with_little_room, args=arguments, daemon=True
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
