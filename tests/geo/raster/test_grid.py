"""The grid of a request: the scene's own pixels where they can be kept, metres always."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.errors import AreaInvalid, MissingCRS
from geo.imagery.warp import pixel_offset
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.scene import Scene
from geo.vector.area_of_interest import AreaOfInterest, parse_area
from tests.rasters import NORTH, UTM, WEST, north_up, picture, scene_of, write_image

SCENE = "vhr-rgb"


def image(path: Path, *, rows: int = 60, cols: int = 80, **how: Any) -> Scene:
    return scene_of(write_image(path, picture(3, rows, cols), **how), sensor=SCENE)


def whole(scene: Scene) -> AreaOfInterest:
    return parse_area(scene.footprint.__geo_interface__)


@given(
    step=st.sampled_from([0.305176, 0.5, 0.6, 3.0, 10.0, 30.0]),
    west=st.floats(300_000, 700_000), north=st.floats(100_000, 8_900_000),
    rows=st.integers(4, 90), cols=st.integers(4, 90), zone=st.sampled_from([32601, 32633, 32760]),
)  # fmt: skip
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_footprint_of_a_projected_scene_has_its_own_rows_and_columns(
    tmp_path: Path, step: float, west: float, north: float, rows: int, cols: int, zone: int
) -> None:
    transform = north_up(west=west, north=north, step=step)
    scene = image(tmp_path / "x.tif", rows=rows, cols=cols, transform=transform, crs=f"EPSG:{zone}")
    box = lay_grid(whole(scene), [scene], GridChoice())
    assert tuple(box.shape) == (rows, cols)
    with rasterio.open(tmp_path / "x.tif") as dataset:
        assert pixel_offset(dataset, box) == (0, 0)


@given(
    west=st.integers(-40, 40), south=st.integers(-40, 40),
    cols=st.integers(1, 90), rows=st.integers(1, 90), block=st.sampled_from([1, 8, 32]),
)  # fmt: skip
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_areas_that_overlap_share_their_blocks(
    tmp_path: Path, west: int, south: int, cols: int, rows: int, block: int
) -> None:
    """Another area of the same pixels lies whole blocks away, and is as little larger as can be."""
    scene = image(tmp_path / "x.tif", rows=200, cols=200)
    grids = []
    for left, bottom in ((0, 0), (west, south)):
        corner = (WEST + 500 + 10 * left, NORTH - 1500 + 10 * bottom)
        metres = shapely.box(*corner, corner[0] + 10 * cols, corner[1] + 10 * rows)
        lonlat = rasterio.warp.transform_geom(UTM, "EPSG:4326", metres.__geo_interface__)
        box = lay_grid(parse_area(lonlat), [scene], GridChoice(block_px=block))
        assert all(side % block == 0 for side in box.shape)
        assert all(a - b < 2 * block for a, b in zip(box.shape, (rows, cols), strict=True))
        grids.append(box.affine)
    apart = (grids[0].c - grids[1].c) / 10, (grids[0].f - grids[1].f) / 10
    assert all(abs(step / block - round(step / block)) < 1e-6 for step in apart)


@pytest.mark.parametrize(("east", "south"), [(0, 0), (3.3, 7.1), (123.4, 66.6)])
def test_an_area_inside_is_snapped_to_the_pixels_of_the_scene(
    tmp_path: Path, east: float, south: float
) -> None:
    scene = image(tmp_path / "x.tif", transform=north_up(west=WEST + 5, north=NORTH + 2))
    corner = (WEST + 5 + east, NORTH + 2 - south)
    metres = shapely.box(corner[0], corner[1] - 200, corner[0] + 300, corner[1])
    lonlat = rasterio.warp.transform_geom(UTM, "EPSG:4326", metres.__geo_interface__)
    box = lay_grid(parse_area(lonlat), [scene], GridChoice())
    with rasterio.open(tmp_path / "x.tif") as dataset:
        assert pixel_offset(dataset, box) == (round(south / 10), round(east / 10))
    assert tuple(box.shape) == (20, 30)


def test_any_other_resolution_is_snapped_to_its_multiples(tmp_path: Path) -> None:
    scene = image(tmp_path / "x.tif", transform=north_up(west=WEST + 3, north=NORTH + 4))
    box = lay_grid(whole(scene), [scene], GridChoice(resolution_m=7.5))
    assert box.resolution.x == 7.5 == -box.resolution.y
    assert box.affine.c % 7.5 == pytest.approx(0, abs=1e-6)
    assert box.affine.f % 7.5 == pytest.approx(0, abs=1e-6)
    assert abs(box.shape[0] - 80) <= 1 and abs(box.shape[1] - 800 / 7.5) <= 1


@pytest.mark.parametrize(
    ("step_deg", "sensor", "expected_m"),
    [
        (8.98315e-5, "sentinel-2-l1c", 10.0),
        (4.4e-6, "vhr-rgb", 0.5),
        (1.83e-7, "drone-rgb", 0.02),
        (2.7e-4, "landsat-c1-sr", 30.0),
        (6.6e-6, "vhr-rgb", 0.73),
    ],
)
def test_a_scene_in_degrees_goes_to_utm_at_a_round_resolution(
    tmp_path: Path, step_deg: float, sensor: str, expected_m: float
) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (3, 150, 150)).astype(np.uint8)
    if sensor in ("sentinel-2-l1c", "landsat-c1-sr"):
        pixels = pixels.astype(np.uint16) * 16
    path = write_image(
        tmp_path / "x.tif", pixels, crs="EPSG:4326",
        transform=Affine(step_deg, 0, 15.2, 0, -step_deg, 45.1),
    )  # fmt: skip
    said = {"bands": ("red", "green", "blue"), "baseline": "02.13"}
    scene = scene_of(path, sensor=sensor, **said)
    box = lay_grid(whole(scene), [scene], GridChoice())
    assert box.crs is not None and box.crs.to_epsg() == 32633
    assert box.resolution.x == pytest.approx(expected_m)


@pytest.mark.parametrize(
    ("crs", "transform", "is_kept"),
    [
        (UTM, north_up(), True),
        ("EPSG:3035", north_up(west=4_500_000, north=2_500_000), True),
        ("EPSG:32633+5773", north_up(), True),
        ("EPSG:3857", north_up(west=1_670_000, north=5_640_000), False),
        ("EPSG:4087", north_up(west=1_670_000, north=5_000_000), False),
        ("EPSG:6933", north_up(west=1_447_000, north=5_200_000), False),
        ("EPSG:2263", north_up(west=980_000, north=200_000), False),  # feet
    ],
)
def test_only_metres_on_the_ground_are_kept(
    tmp_path: Path, crs: str, transform: Affine, is_kept: bool
) -> None:
    scene = image(tmp_path / "x.tif", crs=crs, transform=transform)
    area = whole(scene)
    box = lay_grid(area, [scene], GridChoice())
    assert box.crs is not None
    with rasterio.open(tmp_path / "x.tif") as dataset:
        assert (pixel_offset(dataset, box) == (0, 0)) == is_kept
    assert is_kept or f"EPSG:{box.crs.to_epsg()}" == area.utm_crs
    metres = box.footprint("EPSG:4326").geom
    ground_m2 = abs(Geod(ellps="WGS84").geometry_area_perimeter(metres)[0])
    cells_m2 = box.shape[0] * box.shape[1] * box.resolution.x**2
    assert cells_m2 == pytest.approx(ground_m2, rel=0.02)


@pytest.mark.parametrize("transform", [
    Affine(10, 0, WEST, 0, 10, NORTH),
    Affine.translation(WEST, NORTH) @ Affine.rotation(20) @ Affine.scale(10, -10),
    Affine(10, 0, WEST, 0, -12, NORTH),
])  # fmt: skip
def test_the_grid_is_north_up_with_square_pixels_whatever_the_scene(
    tmp_path: Path, transform: Affine
) -> None:
    scene = image(tmp_path / "x.tif", transform=transform)
    affine = lay_grid(whole(scene), [scene], GridChoice()).affine
    assert affine.b == affine.d == 0 < affine.a == -affine.e
    assert affine.a == pytest.approx(scene.gsd_m, rel=0.05)


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        ("EPSG:4326", "no metres there that are metres on the ground"),
        ("EPSG:3857", "no metres there that are metres on the ground"),
        ("ESRI:102100", "no metres there that are metres on the ground"),
        ("EPSG:2263", "no metres there that are metres on the ground"),
        ("EPSG:32618", "no metres there that are metres on the ground"),  # New York's
        ("EPSG:999999", "is not known"),
        ("the local one", "is not known"),
    ],
)
def test_a_crs_that_cannot_be_mapped_in_is_refused_with_one_that_can(
    tmp_path: Path, crs: str, message: str
) -> None:
    scene = image(tmp_path / "x.tif")
    with pytest.raises(MissingCRS, match=rf"--crs {crs} .*{message}.*EPSG:32633"):
        lay_grid(whole(scene), [scene], GridChoice(crs))


def test_a_crs_of_the_user_goes_before_that_of_the_scene(tmp_path: Path) -> None:
    scene = image(tmp_path / "x.tif")
    box = lay_grid(whole(scene), [scene], GridChoice("EPSG:3035"))
    assert box.crs is not None and box.crs.to_epsg() == 3035
    assert box.resolution.x == 10


def test_the_sharpest_file_of_the_first_scene_decides(tmp_path: Path) -> None:
    for band, step, size in (("B03", 10, 40), ("B11", 20, 20)):
        pixels = np.full((1, size, size), 500, np.uint16)
        write_image(tmp_path / "s2" / f"x_{band}.tif", pixels, transform=north_up(step=step))
    sharp = scene_of(tmp_path / "s2", sensor="sentinel-2-l1c", baseline="02.13")
    other = image(tmp_path / "x.tif", transform=north_up(step=0.5))
    assert lay_grid(whole(sharp), [sharp, other], GridChoice()).resolution.x == 10
    assert lay_grid(whole(sharp), [other, sharp], GridChoice()).resolution.x == 0.5


def test_a_grid_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    scene = image(tmp_path / "x.tif")
    area = parse_area("14,44,17,46")
    with pytest.raises(AreaInvalid, match=r"km2 at 0.5 m are \d+ x \d+ pixels, and at most"):
        lay_grid(area, [scene], GridChoice(resolution_m=0.5))


def test_an_area_smaller_than_a_pixel_has_one(tmp_path: Path) -> None:
    scene = image(tmp_path / "x.tif")
    box = lay_grid(parse_area("15.00201,45.1501,15.00203,45.15012"), [scene], GridChoice())
    assert tuple(box.shape) == (1, 1)


def test_fiji_is_not_as_wide_as_the_earth(tmp_path: Path) -> None:
    transform = Affine(50, 0, 815_000, 0, -50, 8_100_000)
    scene = image(tmp_path / "x.tif", crs="EPSG:32760", transform=transform, rows=200, cols=400)
    area = parse_area("179.99,-17.2,-179.95,-17.15")
    box = lay_grid(area, [scene], GridChoice())
    height, width = (side * 50 for side in box.shape)
    assert 5_000 < height < 6_500 and 6_000 < width < 7_500
    assert tuple(lay_grid(whole(scene), [scene], GridChoice()).shape) == (200, 400)


@pytest.mark.data
def test_the_grids_of_real_scenes(data_dir: Path) -> None:
    for name, said in (
        ("puerto_rico_maria/after.tif", {}),
        ("joplin_vhr/pre/tile_337-9136.tif", {}),
        ("coldsprings_fire/after.tif", {"sensor": "landsat-c1-sr"}),
        ("clouds_sentinel2/adwp_B0*.tif", {"sensor": "sentinel-2-l2a"}),
    ):
        scene = scene_of(data_dir / name, **said)
        box = lay_grid(whole(scene), [scene], GridChoice())
        with rasterio.open(scene.paths[0]) as dataset:
            assert tuple(box.shape) == dataset.shape
            assert pixel_offset(dataset, box) == (0, 0)
    chip = scene_of(data_dir / "sen1floods11" / "Spain_7370579_S1Hand.tif", sensor="sentinel-1-grd")
    box = lay_grid(whole(chip), [chip], GridChoice())
    assert (box.resolution.x, box.crs.to_epsg() if box.crs else None) == (10.0, 32630)
