"""GeoPackage: every layer of a product in one file, with its style; the same bytes every time."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas as gpd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from geo.export.styles import THEMES, qml, sld
from geo.store.atomic_io import making
from geo.vector.schema import LAYERS

_DATE = "2000-01-01T00:00:00.000Z"
"""Stands where the format asks when a table was changed: the manifest holds the clock."""

_STYLES_TABLE = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT, f_table_schema TEXT,
  f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT, update_time DATETIME)
"""  # as QGIS makes it: it applies the default style of a layer by itself


def write_geopackage(layers: Mapping[str, gpd.GeoDataFrame], path: Path) -> None:
    """Write layers of `geo.vector.layers` into one new GeoPackage 1.3, EPSG:4326, styles inside.

    Geometries are MultiPolygons; times are text, ISO 8601, as in GeoJSON. There is no
    write-ahead log, so a copy that cannot be written to opens.
    """
    with making(path, DataSourceError, DataLayerError, FeatureError, sqlite3.Error):
        with _fixed_date():
            for name, layer in layers.items():
                _add_layer(path, name, layer)
        with closing(sqlite3.connect(path)) as database, database:
            _add_styles(database, list(layers))
        _check(path, {name: len(layer) for name, layer in layers.items()})


def _add_layer(path: Path, name: str, layer: gpd.GeoDataFrame) -> None:
    pyogrio.write_dataframe(
        layer,
        path,
        driver="GPKG",
        layer=name,
        geometry_type="MultiPolygon",
        promote_to_multi=True,
        dataset_options=None if path.exists() else {"VERSION": "1.3"},
        layer_options={
            "IDENTIFIER": LAYERS[name].title,
            "DESCRIPTION": LAYERS[name].what,
            "GEOMETRY_NAME": "geom",
        },
    )


def _add_styles(database: sqlite3.Connection, names: list[str]) -> None:
    database.execute(_STYLES_TABLE)
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
        (_DATE,),
    )
    database.executemany(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
        "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
        "update_time) VALUES ('', '', ?, 'geom', ?, ?, ?, 1, ?, '', ?)",
        [
            (name, name, qml(THEMES[name]), sld(THEMES[name]), LAYERS[name].what, _DATE)
            for name in names
        ],
    )


def _check(path: Path, counts: Mapping[str, int]) -> None:
    """Raise where the file is damaged or holds other numbers of features."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        for name, wanted in counts.items():
            (found,) = database.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            if found != wanted:
                raise sqlite3.DatabaseError(f"{name} holds {found} features of {wanted}")


@contextmanager
def _fixed_date() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
