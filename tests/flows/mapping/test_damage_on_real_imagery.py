"""Real pairs and footprints to graded buildings, through the command line."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from geo.vector.schema import DAMAGE_GRA
from tests.aftermap import Ran, aftermap, within

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def ran(event: str, *arguments: object, store: Path, home: Path) -> Ran:
    return within(
        "map", "--event", event, "--hazard", "storm", *arguments, "--store", store, "--json",
        "--direct", home=home,
    )  # fmt: skip


def mapped(event: str, *arguments: object, store: Path, home: Path) -> dict[str, Any]:
    done = ran(event, *arguments, store=store, home=home)
    assert done.status == 0, done.err
    result: dict[str, Any] = done.json
    return result


@pytest.fixture(scope="module")
def joplin(data_dir: Path, store: Path, home: Path) -> dict[str, Any]:
    """Ten tiles in two CRSs and 2,823 footprints, in one command."""
    folder = data_dir / "joplin_vhr"
    box = gpd.read_file(folder / "buildings.geojson").total_bounds
    return mapped(
        "joplin-vhr", "--area", ",".join(map(str, box)),
        "--before", folder / "pre", "--after", folder / "post",
        "--buildings", folder / "buildings.geojson", store=store, home=home,
    )  # fmt: skip


def test_the_buildings_of_joplin_are_graded_by_themselves(joplin: dict[str, Any]) -> None:
    summary = joplin["summary"]
    assert summary["model"]["name"].startswith("damage-")
    frame = gpd.read_file(Path(joplin["product"]) / "layers" / "built_up.geojson")
    packed = gpd.read_file(Path(joplin["product"]) / "layers.gpkg", layer="built_up")
    assert len(frame) == len(packed) == sum(summary["buildings"].values()) == 2823
    assert {"release", "capture_dates_range"} <= set(frame.columns)
    assert summary["buildings"]["Destroyed"] > 100
    # The images before cover half of those after, and a part of the footprints.
    unseen = frame[frame["damage_gra"] == DAMAGE_GRA[-1]]["reason"]
    assert unseen.value_counts().idxmax() == "no imagery before the event"


def test_the_footprints_of_joplin_lie_metres_off_and_are_followed(
    joplin: dict[str, Any],
) -> None:
    notes = " ".join(joplin["summary"]["notes"])
    assert "the footprints lie 2." in notes and "north-west" in notes
    assert "out of the model's domain" not in notes


def test_graded_polygons_are_scored_against_the_labels(
    data_dir: Path, store: Path, home: Path
) -> None:
    name = data_dir / "joplin_xbd" / "joplin-tornado_00000002"
    labels = f"{name}_post_disaster_labels.geojson"
    product = mapped(
        "joplin-xbd", "--before", f"{name}_pre_disaster.tif", "--after",
        f"{name}_post_disaster.tif", "--buildings", labels, store=store, home=home,
    )  # fmt: skip
    assert "out of the model's domain" not in " ".join(product["summary"]["notes"])
    done = aftermap("score", product["product"], "--truth", labels, home=home)
    assert done.status == 0, done.err
    print(done.out)
    assert done.json["matched"] == done.json["buildings"] == 100
    # It learned from this tile among others: this is a check of the way, not of the model.
    assert done.json["auc_damaged"] > 0.85


def test_puerto_rico_says_how_far_its_images_lie_apart(
    data_dir: Path, store: Path, home: Path, tmp_path: Path
) -> None:
    folder = data_dir / "puerto_rico_maria"
    pair = ("--before", folder / "before.tif", "--after", folder / "after.tif", "--sensor",
            "aerial-rgb")  # fmt: skip
    said = ran("maria", *pair, store=store, home=home)
    assert said.status == 2
    assert "footprints with --buildings" in said.err
    (tmp_path / "three.geojson").write_text(houses(HOUSES_PX[:3]).to_json())
    product = mapped(
        "maria", *pair, "--buildings", tmp_path / "three.geojson", store=store, home=home
    )
    notes = " ".join(product["summary"]["notes"])
    # By eye, too: the orange roof and the pool lie 4 to 6 m further north after the storm.
    assert "the image after lies 5." in notes and "north" in notes
    assert "3 buildings are too few to tell whether damage-features knows" in notes


HOUSES_PX = [
    (185, 31), (153, 75), (268, 79), (118, 111), (82, 136), (225, 103), (302, 131), (205, 146),
    (235, 161), (288, 166), (187, 173), (150, 226), (172, 206), (55, 229), (24, 266), (128, 253),
    (110, 279), (85, 305), (228, 253), (266, 291), (305, 256), (215, 306), (243, 303),
]  # fmt: skip
"""Middles of houses of puerto_rico_maria before the storm, by eye: column and row, half metres."""


def houses(places: list[tuple[int, int]]) -> gpd.GeoDataFrame:
    """Return squares of 12 m around places, in longitude and latitude."""
    at = [(796_698 + col / 2, 2_028_907.5 - row / 2) for col, row in places]
    squares = [shapely.box(x - 6, y - 6, x + 6, y + 6) for x, y in at]
    return gpd.GeoDataFrame(geometry=squares, crs="EPSG:32619").to_crs("EPSG:4326")


def test_houses_unlike_those_of_joplin_are_not_graded(
    data_dir: Path, store: Path, home: Path, tmp_path: Path
) -> None:
    folder, outlines = data_dir / "puerto_rico_maria", tmp_path / "houses.geojson"
    outlines.write_text(houses(HOUSES_PX).to_json())
    asked = ("--before", folder / "before.tif", "--after", folder / "after.tif", "--sensor",
             "aerial-rgb", "--buildings", outlines, "--model", "damage-features")  # fmt: skip
    summary = mapped("far", *asked, store=store, home=home)["summary"]
    assert summary["buildings_not_analysed"] == {"out of the model's domain": len(HOUSES_PX)}
    assert [entry["reason"] for entry in summary["not_analysed"]] == ["out of the model's domain"]
    assert summary["analysed_share"] == 0
    assert any("the buildings are out of the model's domain" in note for note in summary["notes"])
    believed = mapped("far", *asked, "--no-domain-check", store=store, home=home)["summary"]
    assert believed["buildings"]["Not Analysed"] < len(HOUSES_PX) / 2
    assert any("domain check was turned off" in note for note in believed["notes"])
