"""Real pairs and footprints to graded buildings, through the command line."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest

from geo.schema import DAMAGE_GRA
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


def test_graded_polygons_are_scored_against_the_labels(
    data_dir: Path, store: Path, home: Path
) -> None:
    name = data_dir / "joplin_xbd" / "joplin-tornado_00000002"
    labels = f"{name}_post_disaster_labels.geojson"
    product = mapped(
        "joplin-xbd", "--before", f"{name}_pre_disaster.tif", "--after",
        f"{name}_post_disaster.tif", "--buildings", labels, store=store, home=home,
    )  # fmt: skip
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
    houses = gpd.GeoDataFrame(geometry=gpd.points_from_xy(
        [796_750, 796_790, 796_820], [2_028_800, 2_028_840, 2_028_870]).buffer(6),
        crs="EPSG:32619")  # fmt: skip
    houses.to_crs("EPSG:4326").to_file(tmp_path / "houses.geojson")
    product = mapped(
        "maria", *pair, "--buildings", tmp_path / "houses.geojson", store=store, home=home
    )
    notes = " ".join(product["summary"]["notes"])
    # By eye, too: the orange roof and the pool lie 4 to 6 m further north after the storm.
    assert "the image after lies 5." in notes and "north" in notes
    assert "how far the footprints lie from the image could not be measured" in notes
