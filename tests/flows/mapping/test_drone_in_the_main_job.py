"""Drone orthophotos through the command line, made and real: what is seen lies where it belongs."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.features import geometry_mask
from shapely.geometry import Point, Polygon

from flows.cli.app import run
from geo.store.store import LocalStore
from tests.rasters import NORTH, UTM, WEST, write_image

SIDE_PX, PIXEL_M, RADIUS_M = 800, 0.05, 15.0
TURNED = Affine.translation(WEST, NORTH) @ Affine.rotation(25) @ Affine.scale(PIXEL_M, -PIXEL_M)
CENTRE = Point(TURNED @ (SIDE_PX / 2, SIDE_PX / 2))


def ortho(path: Path) -> Path:
    """Write a turned orthophoto of 5 cm that shows a disc of 15 m, and is transparent around it."""
    rng = np.random.default_rng(3)
    disc = ~geometry_mask([CENTRE.buffer(RADIUS_M)], (SIDE_PX, SIDE_PX), TURNED)
    colours = rng.integers(30, 220, (3, SIDE_PX // 10, SIDE_PX // 10)).repeat(10, 1).repeat(10, 2)
    pixels = np.concatenate([colours * disc, 255 * disc[None]]).astype(np.uint8)
    return write_image(
        path, pixels, transform=TURNED, photometric="rgb", alpha="yes", tiled=True,
        blockxsize=256, blockysize=256, compress="deflate",
    )  # fmt: skip


def mapped(after: Path, store: Path, *more: object, capsys: Any) -> tuple[Path, dict[str, Any]]:
    """Map a flood, and return the product and its summary."""
    options = ("--event", "drone", "--hazard", "flood", "--direct", "--quiet", "--json")
    words = ("map", *options, "--after", after, "--store", store, *more)
    capsys.readouterr()
    assert run([str(word) for word in words]) == 0, capsys.readouterr().err
    (product,) = LocalStore(store).products("drone")
    return product.folder, json.loads(capsys.readouterr().out)["summary"]


def test_polygons_of_a_turned_orthophoto_lie_where_they_belong(tmp_path: Path, capsys: Any) -> None:
    folder, summary = mapped(
        ortho(tmp_path / "ortho.tif"), tmp_path / "store", "--model", "none",
        "--resolution", "0.25", capsys=capsys,
    )  # fmt: skip
    unseen = gpd.read_file(folder / "layers" / "not_analysed.geojson").to_crs(UTM)
    corners = [TURNED @ c for c in ((0, 0), (0, SIDE_PX), (SIDE_PX, SIDE_PX), (SIDE_PX, 0))]
    truth = Polygon(corners).difference(CENTRE.buffer(RADIUS_M))
    found = unseen[unseen["reason"] == "no data"].union_all()
    overlap = found.intersection(truth).area / found.union(truth).area
    assert overlap > 0.97
    assert summary["observed_share"] < 0.5


def test_a_tile_tree_is_mapped_and_what_it_lacks_is_not_analysed(
    tmp_path: Path, capsys: Any
) -> None:
    rng = np.random.default_rng(4)
    for x, y in ((10, 10), (10, 11), (11, 11)):
        path = tmp_path / "town" / "20" / str(2**19 + x) / f"{2**19 - 4000 + y}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(30, 220, (256, 256, 3), np.uint8)).save(path)
    _, summary = mapped(
        tmp_path / "town", tmp_path / "store", "--model", "none", "--resolution", "1",
        capsys=capsys,
    )  # fmt: skip
    (scene,) = summary["scenes"]
    assert scene["id"] == "town"
    assert summary["observed_share"] == pytest.approx(0.75, abs=0.02)


def test_a_world_file_asks_for_a_crs_and_takes_it(tmp_path: Path, capsys: Any) -> None:
    image = tmp_path / "x.jpg"
    Image.fromarray(np.random.default_rng(5).integers(30, 220, (200, 200, 3), np.uint8)).save(image)
    (tmp_path / "x.jgw").write_text(f"0.1\n0\n0\n-0.1\n{WEST}\n{NORTH}\n")
    words = ("map", "--event", "drone", "--hazard", "flood", "--direct", "--quiet", "--model",
             "none", "--after", image, "--store", tmp_path / "store")  # fmt: skip
    assert run([str(word) for word in words]) == 2
    assert "--source-crs" in capsys.readouterr().err
    folder, _ = mapped(
        image, tmp_path / "store", "--model", "none", "--source-crs", UTM, capsys=capsys
    )
    frame = gpd.read_file(folder / "layers" / "image_footprint.geojson").to_crs(UTM)
    bounds = (WEST - 0.05, NORTH - 19.95, WEST + 19.95, NORTH + 0.05)
    np.testing.assert_allclose(frame.total_bounds, bounds, atol=0.02)


@pytest.mark.data
def test_a_real_drone_tile_is_mapped_by_the_network_for_drones(
    data_dir: Path, tmp_path: Path, capsys: Any
) -> None:
    path = data_dir / "opencities_drone" / "665946_tile_920.tif"
    folder, summary = mapped(path, tmp_path / "store", capsys=capsys)
    assert summary["model"]["name"] == "flood-rgb"
    assert any("was mapped at 0.2 m" in note for note in summary["notes"])
    with rasterio.open(path) as dataset:
        opaque = (dataset.read(4) >= 128) & (dataset.read([1, 2, 3]) > 0).any(axis=0)
    assert summary["observed_share"] == pytest.approx(opaque.mean(), abs=0.02)
    with rasterio.open(folder / "rasters" / "class.tif") as product:
        assert product.res == (0.2, 0.2)
