"""QGIS opens the product as its users do: every layer, its style by itself, the pixels right."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import shapely
from PIL import Image

from geo.export.styles import PERCENT_RAMP, THEMES, class_colours, rgb
from geo.raster.classify import NOTATION, REASONS, Label
from geo.vector.schema import LAYERS
from tests.flows.conftest import Demo

pytestmark = pytest.mark.qgis

PYTHON = "/usr/bin/python3"
"""QGIS's Python modules are those of the system."""


@dataclass(frozen=True)
class Opened:
    """What QGIS made of the demo's product."""

    told: dict[str, Any]
    product: Path
    pictures: Path

    def layer(self, name: str) -> gpd.GeoDataFrame:
        """Return a layer as geopandas reads it."""
        return gpd.read_file(self.product / "layers" / f"{name}.geojson")

    def picture(self, name: str) -> npt.NDArray[np.int16]:
        """Return what QGIS drew, (rows, cols, 3)."""
        with Image.open(self.pictures / f"{name}.png") as image:
            return np.asarray(image.convert("RGB")).astype(np.int16)


@pytest.fixture(scope="module")
def opened(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    pictures = tmp_path_factory.mktemp("pictures")
    script = Path(__file__).with_name("qgis_script.py")
    before = times(demo.product)
    done = subprocess.run(
        [PYTHON, script, demo.product, pictures],
        # A variable of our environment would lead the system's Python to our packages.
        env={"PATH": os.environ["PATH"], "HOME": str(pictures), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if "No module named 'qgis'" in done.stderr or not Path(PYTHON).exists():
        pytest.fail("QGIS is missing: apt-get install --no-install-recommends qgis python3-qgis")
    assert done.returncode == 0, done.stderr
    assert times(demo.product) == before, "looking at a product changed it"
    return Opened(json.loads(done.stdout), demo.product, pictures)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("source", ["geojson", "geopackage"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_opens_whole_and_styled(opened: Opened, source: str, name: str) -> None:
    found, layer, theme = opened.told[source][name], opened.layer(name), THEMES[name]
    assert found["valid"]
    assert found["crs"] == "EPSG:4326"
    assert found["features"] == found["read"] == len(layer)
    assert [field for field in found["fields"] if field != "fid"] == [
        column for column in layer.columns if column != "geometry"
    ]
    if theme.field is None:
        assert found["renderer"] == "singleSymbol"
        # QGIS's own choice is a solid fill of a random colour.
        assert found["fills"] == ["b_diagonal" if theme.symbols[0].hatched else "no"]
    else:
        assert found["renderer"] == "categorizedSymbol"
        assert found["symbols"] == {symbol.label: symbol.fill for symbol in theme.symbols}
        assert set(layer[theme.field]) <= set(found["symbols"])


@pytest.mark.parametrize("name", ["class", "probability", "observed"])
def test_a_raster_opens_in_its_place(opened: Opened, name: str) -> None:
    found = opened.told["rasters"][name]
    with rasterio.open(opened.product / "rasters" / f"{name}.tif") as raster:
        assert found["size"] == list(raster.shape)
        assert found["crs"] == f"EPSG:{raster.crs.to_epsg()}"
        assert found["nodata"] == raster.nodata
        assert found["bands"] == [
            f"Band {i}: {text}" for i, text in enumerate(raster.descriptions, 1)
        ]
    assert found["valid"]


def test_classes_have_their_names_and_colours(opened: Opened) -> None:
    found = opened.told["rasters"]["class"]
    colours = class_colours("Flooded area")
    names = {
        Label.UNAFFECTED: "Unaffected", Label.EVENT: "Flooded area", **NOTATION,
        **{label: f"Not analysed: {reason}" for label, reason in REASONS.items()},
    }  # fmt: skip
    assert found["renderer"] == "paletted"
    assert found["classes"] == {names[label]: [label, colour] for label, colour in colours.items()}


def test_classes_are_drawn_in_their_colours_pixel_by_pixel(opened: Opened) -> None:
    with rasterio.open(opened.product / "rasters" / "class.tif") as raster:
        labels = raster.read(1)
    wanted = np.full((256, 3), 255)
    for label, colour in class_colours("Flooded area").items():
        wanted[label] = rgb(colour)
    drawn = opened.picture("class")
    assert len(np.unique(labels)) > 4
    np.testing.assert_array_equal(drawn, wanted[labels])


def test_probability_is_drawn_as_a_ramp(opened: Opened) -> None:
    with rasterio.open(opened.product / "rasters" / "probability.tif") as raster:
        percent = raster.read(1)
    values, colours = list(PERCENT_RAMP), np.array([rgb(c) for c in PERCENT_RAMP.values()])
    wanted = np.stack([np.interp(percent, values, colours[:, i]) for i in range(3)], axis=2)
    wanted[percent == 255] = 255
    assert opened.told["rasters"]["probability"]["renderer"] == "singlebandpseudocolor"
    assert np.abs(opened.picture("probability") - wanted).max() <= 2


@pytest.mark.parametrize(
    ("layer", "notation"),
    [("observed_event", "Flooded area"), ("hydrography", "Reference water")],
)
def test_layers_are_drawn_in_their_colours(opened: Opened, layer: str, notation: str) -> None:
    frame = opened.layer(layer)
    widest = frame[frame["notation"] == notation].geometry.iloc[0]
    for polygon in frame[frame["notation"] == notation].geometry:
        widest = max(widest, polygon, key=lambda shape: shape.area)
    drawn = colour_at(opened, shapely.maximum_inscribed_circle(widest).coords[0])
    symbol = next(s for s in THEMES[layer].symbols if s.label == notation)
    fill = np.array(rgb(symbol.fill or ""))
    # On white.
    np.testing.assert_allclose(drawn, fill * symbol.opacity + 255 * (1 - symbol.opacity), atol=2)


def test_what_was_not_analysed_is_hatched_and_the_rest_is_white(opened: Opened) -> None:
    drawn = opened.picture("layers")
    blank = np.all(drawn == 255, axis=2)
    rows, cols = pixel_of(opened, opened.layer("not_analysed").geometry.iloc[0].bounds)
    part = blank[rows, cols]
    assert 0.3 < part.mean() < 0.95
    assert 0.5 < blank.mean() < 0.95


def colour_at(opened: Opened, lonlat: tuple[float, ...]) -> npt.NDArray[np.int16]:
    rows, cols = pixel_of(opened, (*lonlat[:2], *lonlat[:2]))
    colour: npt.NDArray[np.int16] = opened.picture("layers")[rows.start, cols.start]
    return colour


def pixel_of(opened: Opened, bounds: tuple[float, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a box in the picture, which QGIS centres on the extent."""
    west, south, east, north = opened.told["extent"]
    side = opened.picture("layers").shape[0]
    degrees = max(east - west, north - south) / side
    left = (west + east) / 2 - degrees * side / 2
    top = (south + north) / 2 + degrees * side / 2
    rows = slice(int((top - bounds[3]) / degrees), int((top - bounds[1]) / degrees) + 1)
    return rows, slice(int((bounds[0] - left) / degrees), int((bounds[2] - left) / degrees) + 1)
