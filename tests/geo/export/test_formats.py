"""One table of formats decides what is written, listed, catalogued and served."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from starlette.testclient import TestClient

from flows.serving.serve import app
from geo.export.cog import PROBABILITY, RasterKind, RowBandWriter, class_kind
from geo.export.formats import (
    FORMATS,
    Format,
    Layers,
    files_of_product,
    format_of,
    write_layers,
    write_rasters,
)
from geo.raster.classify import Label
from geo.store.stac import write_item
from geo.store.store import LocalStore

FLOOD = class_kind("Flooded area")
README = Path(__file__).parents[3] / "geo" / "README.md"


def scratch(folder: Path, kind: RasterKind, *, bands: int = 1) -> tuple[Path, RasterKind]:
    path = folder / f"{kind.name}.scratch.tif"
    grid = GeoBox((20, 30), Affine(10, 0, 500_000, 0, -10, 4_400_000), "EPSG:32630")
    with RowBandWriter(path, geobox=grid, kind=kind, bands=bands) as writer:
        writer.write(np.full((bands, 20, 30), 2, np.uint8))
    return path, kind


def publish(store: LocalStore, layers: Layers) -> Path:
    """Return the folder of a published product with these layers and two rasters."""
    with store.workspace("valencia-2024", "p1") as workspace:
        write_layers(workspace.folder, layers)
        rasters = [
            scratch(workspace.scratch, FLOOD),
            scratch(workspace.scratch, PROBABILITY, bands=2),
        ]
        write_rasters(workspace.folder, rasters)
        (workspace.folder / "summary.json").write_text("{}")
        write_item(
            workspace.folder, event_id="valencia-2024", product_id="p1", area=None, bounds=None,
            times=[], undated=datetime(2024, 11, 1, tzinfo=UTC), properties={},
        )  # fmt: skip
        return store.publish(workspace, {}).product.folder


@pytest.fixture
def flatgeobuf(monkeypatch: pytest.MonkeyPatch) -> Format:
    """A new output format: one entry."""

    def write(layers: Layers, path: Path) -> None:
        (layer,) = layers.values()
        pyogrio.write_dataframe(layer, path, driver="FlatGeobuf")

    new = Format(
        "layers/{name}.fgb", "FlatGeobuf", "application/flatgeobuf", "data", write, read_whole=False
    )
    monkeypatch.setitem(FORMATS, "flatgeobuf", new)
    return new


@pytest.mark.usefixtures("flatgeobuf")
def test_a_new_format_is_written_catalogued_and_served(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    store = LocalStore(tmp_path / "store")
    folder = publish(store, layers)
    written = pyogrio.read_dataframe(folder / "layers" / "built_up.fgb")
    assert len(written) == len(layers["built_up"])

    assets = json.loads((folder / "item.json").read_text())["assets"]
    assert assets["layers-built_up-fgb"]["type"] == "application/flatgeobuf"
    assert assets["layers-built_up-fgb"]["roles"] == ["data"]
    assert assets["built_up"]["href"] == "./layers/built_up.geojson"

    with TestClient(app(store.root)) as client:
        reply = client.get("/events/valencia-2024/products/p1/layers/built_up.fgb")
        assert reply.headers["content-type"] == "application/flatgeobuf"
        assert "events/valencia-2024/products/p1/layers/built_up.fgb" in client.get("/").text


def test_every_file_of_a_product_is_of_a_format_and_an_asset(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    folder = publish(LocalStore(tmp_path), layers)
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {file.path for file in files_of_product(folder)} == there
    assets = json.loads((folder / "item.json").read_text())["assets"]
    assert {asset["href"] for asset in assets.values()} == {f"./{n}" for n in there - {"item.json"}}
    for asset in assets.values():
        known = format_of(asset["href"].removeprefix("./"))
        assert known is not None
        assert (asset["type"], asset["roles"]) == (known.media_type, [known.role])


def test_the_styles_of_a_product(tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]) -> None:
    names = ("observed_event", "built_up")
    write_layers(tmp_path, {name: layers[name] for name in names})
    found = {path for path in _files(tmp_path) if "styles" in path or path.endswith("qml")}
    assert found == {
        "styles/maplibre.json",
        *(f"styles/{name}.{end}" for name in names for end in ("qml", "sld")),
        *(f"layers/{name}.qml" for name in names),
    }


def test_a_raster_of_codes_names_and_colours_them_for_gdal_and_qgis(tmp_path: Path) -> None:
    write_rasters(tmp_path, [scratch(tmp_path, FLOOD)])
    names = (tmp_path / "rasters" / "class.tif.aux.xml").read_text()
    assert "<Category>Flooded area</Category>" in names
    assert names.count("<Category>") == max(Label) + 1
    entries = ElementTree.parse(tmp_path / "rasters" / "class.qml").iter("paletteEntry")
    assert {int(entry.get("value", "")): entry.get("label") for entry in entries} == {
        label: FLOOD.categories[label] for label in Label if label is not Label.OUTSIDE
    }


def test_a_raster_without_codes_has_no_file_of_names(tmp_path: Path) -> None:
    plain = dataclasses.replace(PROBABILITY, ramp={})
    write_rasters(tmp_path, [scratch(tmp_path, plain)])
    assert [path.name for path in (tmp_path / "rasters").iterdir()] == ["probability.tif"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("layers/built_up.geojson", "geojson"),
        ("layers.gpkg", "geopackage"),
        ("rasters/class.tif", "cog"),
        ("rasters/class.tif.aux.xml", "categories"),
        ("rasters/class.qml", "raster-qml"),
        ("layers/class.qml", "layer-qml"),
        ("overlays/DJI_0001.jpg", "overlay"),
        ("manifest.json", "manifest"),
        ("layers/a/b.geojson", None),
        ("layers/.tmp.geojson", None),
        ("layers/built_up.geojson.bak", None),
        ("notes.txt", None),
    ],
)
def test_a_path_has_one_format(path: str, name: str | None) -> None:
    found = [key for key, known in FORMATS.items() if known.name_in(path) is not None]
    assert found == ([name] if name else [])
    assert format_of(path) is (FORMATS[name] if name else None)


def test_the_documentation_lists_every_format() -> None:
    rows = [f"| `{f.path}` | {f.title} | {f.media_type} |" for f in FORMATS.values()]
    assert "\n".join(rows) in README.read_text()


def _files(folder: Path) -> Iterator[str]:
    return (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
