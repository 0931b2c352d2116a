"""Bad pairs, colours, footprints and labels get one clear sentence; nothing is published."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from flows.cli.app import run
from tests.flows.cli.test_cli_bad_input import one_sentence
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import Town, image, make_town
from tests.rasters import north_up

SENSOR = ("--sensor", "vhr-rgb")
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dark_is_destroyed(tmp_path_factory.mktemp("model"))


@pytest.fixture
def refused(town: Town, model: Path, tmp_path: Path, capsys: Any) -> Refused:
    """Runs `map` with another before, after or footprints, and returns its sentence."""

    def check(*more: object, **other: Path) -> str:
        asked = {"before": town.before, "after": town.after, "buildings": town.buildings} | other
        files = [word for name, path in asked.items() for word in (f"--{name}", path)]
        options = ["--event", "x", "--hazard", "storm", "--direct", "--quiet", "--model", model]
        words = ["map", *options, *files, *(more or SENSOR), "--store", tmp_path / "store"]
        assert run([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert not list((tmp_path / "store").rglob("manifest.json"))
        return one_sentence(err)

    return check


def pixels(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_pairs_that_cannot_be_compared(refused: Refused, town: Town, tmp_path: Path) -> None:
    dates = ("--before-date", "2011-05-29", "--after-date", "2009-07-01")
    assert "swap --before and --after" in refused(*SENSOR, *dates)
    assert "was given as before and as after" in refused(after=town.before)
    seen = pixels(town.after)
    away = image(tmp_path / "away.tif", seen, transform=north_up(west=510_000, step=0.5))
    assert "do not overlap" in refused("--area", "15,45.15,15.001,45.155", *SENSOR, after=away)
    assert "the before scenes (longitude 15.1" in refused(before=away)
    beside = image(tmp_path / "beside.tif", seen, transform=north_up(west=500_200, step=0.5))
    left = ("--area", "15,45.15,15.004,45.155", *SENSOR)
    gap = image(tmp_path / "gap.tif", seen[:, :, :300])
    assert "give a pair of one place" in refused(*left, before=gap, after=beside)
    coarse = image(tmp_path / "coarse.tif", seen[:, ::8, ::8], step=4)
    assert "has pixels of 4 m" in (said := refused(after=coarse)) and "at most 1 m" in said
    noise = np.random.default_rng(1).integers(1, 255, seen.shape)
    other = image(tmp_path / "other.tif", noise)
    assert "whether the images before and after are co-registered cannot be measured" in refused(
        after=other
    )


def test_pictures_in_other_colours(refused: Refused, town: Town, tmp_path: Path) -> None:
    seen = pixels(town.after)
    grey = image(tmp_path / "grey.tif", np.repeat(seen[:1], 3, axis=0))
    assert "grey is grey: its bands red, green and blue hold the same" in refused(after=grey)
    plants = np.stack([0.5 * seen[0] + 120, 0.3 * seen[0] + 10, 0.3 * seen[0] + 40])
    infrared = image(tmp_path / "infrared.tif", plants)
    assert "--bands nir,red,green" in refused(before=infrared)
    one = image(tmp_path / "one.tif", seen[:1], photometric="MINISBLACK")
    assert "one.tif has one band, a grey picture" in refused(after=one)


FOOTPRINTS: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "metres called degrees": (
        lambda f: f.to_crs("EPSG:32633").set_crs("EPSG:4326", allow_override=True),
        ["are degrees (EPSG:4326)", "which are metres", "right CRS"],
    ),
    "degrees called metres": (
        lambda f: f.set_crs("EPSG:32633", allow_override=True),
        ["are metres (EPSG:32633)", "as in degrees", "right CRS"],
    ),
    "another zone": (
        lambda f: f.to_crs("EPSG:32633").set_crs("EPSG:32634", allow_override=True),
        ["no footprint of x.gpkg (longitude 21.0", "lies in the area (longitude 15.0"],
    ),
    "swapped axes": (
        lambda f: f.set_geometry(f.geometry.transform(lambda xy: np.asarray(xy)[:, ::-1])),
        ["lies in the area", "swap longitude and latitude in one of them"],
    ),
    "points": (lambda f: f.set_geometry(f.geometry.centroid), ["x.gpkg holds no polygon"]),
    "nothing": (lambda f: f.iloc[:0], ["x.gpkg holds no feature with a geometry"]),
}


@pytest.mark.filterwarnings("ignore:Geometry is in a geographic CRS")
@pytest.mark.parametrize("name", FOOTPRINTS)
def test_footprints_that_lie_elsewhere(
    refused: Refused, town: Town, tmp_path: Path, name: str
) -> None:
    change, words = FOOTPRINTS[name]
    change(gpd.read_file(town.buildings)).to_file(tmp_path / "x.gpkg")
    said = refused(buildings=tmp_path / "x.gpkg")
    assert [word for word in words if word not in said] == [], said


def test_footprints_beyond_number(
    refused: Refused, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geo.vector.footprint_files.MAX_FOOTPRINTS", 50)
    said = refused()
    assert "holds 121 footprints in the area, and at most 50 are taken" in said
    assert "there is no file of footprints at" in refused(buildings=town.buildings / "x")


def test_footprints_that_are_broken_or_repeat_are_graded_once_and_it_is_said(
    town: Town, model: Path, tmp_path: Path, capsys: Any
) -> None:
    frame = gpd.read_file(town.buildings)
    corners = shapely.get_coordinates(frame.geometry[0])
    crossed = shapely.Polygon(corners[[0, 2, 1, 3]])
    odd = gpd.GeoDataFrame(geometry=[*frame.geometry, frame.geometry[5], crossed], crs="EPSG:4326")
    odd.to_file(tmp_path / "x.geojson")
    words = ["map", "--event", "x", "--hazard", "storm", "--direct", "--quiet", "--model", model,
             "--before", town.before, "--after", town.after, "--buildings", tmp_path / "x.geojson",
             *SENSOR, "--store", tmp_path / "store"]  # fmt: skip
    assert run([str(word) for word in words]) == 0
    said = capsys.readouterr().out
    assert "1 footprints of x.geojson crossed themselves and were mended" in said
    assert "1 footprints of x.geojson repeat others and were counted once" in said
    (layer,) = (tmp_path / "store").rglob("built_up.geojson")
    assert len(gpd.read_file(layer)) == len(frame) + 1


def test_labels_that_fit_no_building_and_one_grade_only(
    town: Town, model: Path, tmp_path: Path, capsys: Any
) -> None:
    words = ["map", "--event", "x", "--hazard", "storm", "--direct", "--quiet", "--model", model,
             "--before", town.before, "--after", town.after, "--buildings", town.buildings,
             *SENSOR, "--store", tmp_path / "store"]  # fmt: skip
    assert run([str(word) for word in words]) == 0
    capsys.readouterr()
    (product,) = (tmp_path / "store" / "events" / "x" / "products").iterdir()
    labels = gpd.read_file(town.buildings).assign(subtype="destroyed")
    away = labels.set_geometry(labels.geometry.translate(0.1))
    for truth, sentence in (
        (away, ["no building of labels.gpkg is among the 121 of the product"]),
        (labels.assign(subtype="broken"), ["has a grade in subtype", "minor-damage"]),
        (labels.drop(columns="subtype"), ["maps no pixels", "a column damage_xbd, subtype"]),
    ):  # fmt: skip
        truth.to_file(tmp_path / "labels.gpkg")
        assert run(["score", str(product), "--truth", str(tmp_path / "labels.gpkg")]) == 2
        said = one_sentence(capsys.readouterr().err)
        assert [word for word in sentence if word not in said] == [], said
    labels.to_file(tmp_path / "labels.gpkg")
    assert run(["score", str(product), "--truth", str(tmp_path / "labels.gpkg")]) == 0
    assert '"auc_damaged": null' in capsys.readouterr().out
