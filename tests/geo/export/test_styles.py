"""Every value that a layer can hold has a symbol, in every style, and they can be told apart."""

import itertools
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from geo.export.formats import write_layers
from geo.export.styles import THEMES, class_colours, maplibre, qml, rgb, sld
from geo.raster.classify import Label
from geo.vector.schema import LAYERS

SLD = "{http://www.opengis.net/sld}"
OGC = "{http://www.opengis.net/ogc}"

EYES = {
    "most": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; on linear RGB.
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def values_of(layer: str) -> set[object]:
    field = next(f for f in LAYERS[layer].fields if f.name == THEMES[layer].field)
    return set(field.values)


def test_every_layer_has_a_theme_and_every_value_a_symbol() -> None:
    assert set(THEMES) == set(LAYERS)
    for theme in THEMES.values():
        if theme.field is None:
            assert len(theme.symbols) == 1
        else:
            assert {symbol.label for symbol in theme.symbols} == values_of(theme.layer)


@pytest.mark.parametrize("name", LAYERS)
def test_qml_has_a_symbol_a_category(name: str) -> None:
    root = ET.fromstring(qml(THEMES[name]))
    assert root.tag == "qgis"
    renderer = root.find("renderer-v2")
    assert renderer is not None
    symbols = {symbol.get("name") for symbol in renderer.iterfind("symbols/symbol")}
    categories = renderer.findall("categories/category")
    if THEMES[name].field is None:
        assert renderer.get("type") == "singleSymbol"
        assert symbols == {"0"}
    else:
        assert renderer.get("attr") == THEMES[name].field
        assert {category.get("value") for category in categories} == values_of(name)
        assert {category.get("symbol") for category in categories} == symbols


@pytest.mark.parametrize("name", LAYERS)
def test_sld_has_a_rule_a_value(name: str) -> None:
    root = ET.fromstring(sld(THEMES[name]).encode())
    assert root.tag == f"{SLD}StyledLayerDescriptor"
    assert root.get("version") == "1.0.0"
    rules = list(root.iter(f"{SLD}Rule"))
    assert len(rules) == len(THEMES[name].symbols)
    if THEMES[name].field is not None:
        assert {rule.findtext(f".//{OGC}Literal") for rule in rules} == values_of(name)
        fields = {rule.findtext(f".//{OGC}PropertyName") for rule in rules}
        assert fields == {THEMES[name].field}


def test_maplibre_draws_each_layer_from_the_geojson_of_the_product(
    tmp_path: Path, layers: dict[str, gpd.GeoDataFrame]
) -> None:
    write_layers(tmp_path, layers)
    style = json.loads((tmp_path / "styles" / "maplibre.json").read_text())
    assert style["version"] == 8
    assert set(style["sources"]) == set(LAYERS)
    for source in style["sources"].values():
        assert (tmp_path / source["data"]).exists()
    drawn = [layer["source"] for layer in style["layers"] if layer["type"] != "background"]
    assert list(dict.fromkeys(drawn)) == list(THEMES)
    assert len({layer["id"] for layer in style["layers"]}) == len(style["layers"])


def test_maplibre_matches_every_value() -> None:
    layers = {layer["id"]: layer for layer in maplibre(list(LAYERS))["layers"]}
    _, by, *pairs = layers["built_up-fill"]["paint"]["fill-color"]
    assert by == ["get", "damage_gra"]
    assert dict(zip(pairs[::2], pairs[1::2], strict=False))["Destroyed"] == "#b2182b"
    dashes = layers["hydrography-dashes"]
    assert dashes["filter"][2] == ["literal", ["Reference water, receded"]]


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("names", [("built_up",), ("observed_event", "hydrography")])
def test_fills_can_be_told_apart(eyes: str, names: tuple[str, ...]) -> None:
    """A difference of 10 (CIEDE2000) is plain at a glance."""
    fills = [symbol.fill for name in names for symbol in THEMES[name].symbols]
    colours = [seen(fill, EYES[eyes]) for fill in fills if fill is not None]
    distances = [deltaE_ciede2000(a, b) for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 10


def seen(colour: str, matrix: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return a colour in CIELAB as somebody sees it."""
    stored = np.array(rgb(colour)) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(np.asarray(matrix) @ linear, 0, 1)
    shown = np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)
    return rgb2lab(shown)


@pytest.mark.parametrize("notation", LAYERS["observed_event"].notations)
def test_the_class_raster_has_a_colour_a_label(notation: str) -> None:
    colours = class_colours(notation)
    assert set(colours) == set(Label) - {Label.OUTSIDE}
    event = next(s for s in THEMES["observed_event"].symbols if s.label == notation)
    assert colours[Label.EVENT] == event.fill
