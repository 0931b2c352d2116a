"""The synthetic landscape: its truth holds, its images look right, its files are read."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from rasterio.warp import transform_bounds
from scipy import ndimage
from skimage.segmentation import flood

from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase
from geo.scenes.source import Source
from geo.synthetic import (
    BANDS,
    FLOODED_SHARE,
    PIXEL_M,
    Cover,
    Ground,
    Landscape,
    LandscapeFiles,
    Truth,
    make_ground,
    make_landscape,
    write_landscape,
)
from geo.vector.area_of_interest import parse_area

SIZE = 512


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return make_landscape(1, size=SIZE)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return make_ground(1, size=SIZE)


@pytest.fixture(scope="module")
def files(landscape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> LandscapeFiles:
    return write_landscape(landscape, tmp_path_factory.mktemp("landscape"))


def reflectance(landscape: Landscape, band: str, *, after: bool) -> np.ndarray:
    stored = landscape.optical_after if after else landscape.optical_before
    return (stored[BANDS.index(band)].astype(float) - 1000) / 10000


def overlap(found: np.ndarray, truth: np.ndarray, *, seen: np.ndarray) -> float:
    """Intersection over union where it was seen."""
    return float((found & truth & seen).sum() / ((found | truth) & seen).sum())


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def content(seed: int, name: str) -> list[bytes]:
        files = write_landscape(make_landscape(seed, size=256), tmp_path / name)
        paths = (*files.before, *files.after, files.truth, files.buildings, files.area)
        return [path.read_bytes() for path in paths]

    one, other = content(5, "one"), content(6, "other")
    assert one == content(5, "again")
    assert all(a != b for a, b in zip(one[:-1], other[:-1], strict=True))
    assert one[-1] == other[-1]  # the area does not depend on the seed


@pytest.mark.parametrize("seed", [0, 2, 3, 11])
def test_every_seed_has_a_river_a_town_and_a_flood(seed: int) -> None:
    ground = make_ground(seed, size=384)
    shares = np.bincount(ground.truth.ravel(), minlength=3) / ground.truth.size
    assert set(np.unique(ground.truth)) == set(Truth)
    assert 0.6 * FLOODED_SHARE < shares[Truth.FLOODED] < 1.1 * FLOODED_SHARE
    assert 0.008 < shares[Truth.PERMANENT_WATER] < 0.06
    # The river leads from the western edge to the eastern.
    river, _ = ndimage.label(ground.cover == Cover.RIVER, np.ones((3, 3)))
    assert set(river[:, 0]) & set(river[:, -1]) - {0}
    town = ground.built > 0
    assert 0.03 < (ground.truth[town] == Truth.FLOODED).mean() < 0.8
    assert {*Cover} == set(np.unique(ground.cover))


def test_the_flood_is_what_the_river_reaches(ground: Ground) -> None:
    """Another implementation: one flood fill from the river, scikit-image's."""
    wet = (ground.depth_m > 0) | ground.permanent
    seed = tuple(np.argwhere(ground.cover == Cover.RIVER)[0])
    reached = flood(wet.astype(int), seed, connectivity=1)
    # A lake of its own is the only water that the river does not reach.
    assert set(np.unique(ground.cover[wet & ~reached])) <= {Cover.LAKE}
    assert not (ground.depth_m[ground.permanent] > 0).any()


def test_the_radar_images_look_like_radar(landscape: Landscape, ground: Ground) -> None:
    vv, vh = landscape.radar_before
    assert np.isfinite(landscape.radar_before).all()
    assert -13 < np.median(vv) < -9 and -21 < np.median(vh) < -15
    lake = ndimage.binary_erosion(ground.cover == Cover.LAKE, iterations=2)
    power = 10 ** (vv[lake] / 10)
    assert 2.5 < power.mean() ** 2 / power.var() < 7  # equivalent number of looks
    for cover, low, high in ((Cover.RIVER, -21, -17), (Cover.FOREST, -12, -8)):
        assert low < np.median(vv[ground.cover == cover]) < high


def test_radar_sees_open_water_dark(landscape: Landscape, ground: Ground) -> None:
    after, before = landscape.radar_after[0], landscape.radar_before[0]
    seen = np.isfinite(after)
    assert (np.isnan(landscape.radar_after) == ~seen).all()
    assert 0.01 < 1 - seen.mean() < 0.1 and not seen[-1, 0]
    change = after - before
    wet = (ground.truth == Truth.FLOODED) & seen
    assert np.median(change[wet & (ground.submerged == 1)]) < -4
    assert np.median(change[wet & (ground.built > 0.3)]) > -2
    assert abs(np.median(change[(ground.truth == Truth.DRY) & seen])) < 0.7


def test_the_optical_images_look_like_sentinel_2(landscape: Landscape, ground: Ground) -> None:
    for stored in (landscape.optical_before, landscape.optical_after):
        pixels = stored[:-1][:, stored[0] > 0]
        assert pixels.min() >= 1000 and pixels.max() < 12000
    red, nir = (reflectance(landscape, band, after=False) for band in ("B04", "B08"))
    ndvi = (nir - red) / (nir + red)
    assert np.median(ndvi[ground.cover == Cover.FOREST]) > 0.7
    assert np.median(ndvi[ground.cover == Cover.BARE]) < 0.35
    assert np.median(ndvi[ground.cover == Cover.LAKE]) < 0
    # Bands of 20 m come on pixels of 10 m.
    coarse = landscape.optical_before[4:]
    assert (coarse[:, ::2, ::2] == coarse[:, 1::2, 1::2]).all()


def test_a_cloud_and_its_shadow_are_in_the_second_image_only(landscape: Landscape) -> None:
    scene = landscape.optical_after[-1]
    assert set(np.unique(landscape.optical_before[-1])) == {4, 5, 6}
    assert set(np.unique(scene)) == {0, 3, 4, 5, 6, 8, 9}
    cloud, shadow = scene >= 8, scene == 3
    assert 0.005 < cloud.mean() < 0.15 and 0.005 < shadow.mean() < 0.15
    blue = reflectance(landscape, "B02", after=True)
    assert np.median(blue[scene == 9]) > 0.4
    # The sun stands in the south-southeast at ten o'clock: the shadow falls to the other side.
    (cloud_row, cloud_col), (shadow_row, shadow_col) = (
        np.argwhere(mask).mean(axis=0) for mask in (cloud, shadow)
    )
    assert shadow_row < cloud_row - 40 and shadow_col < cloud_col - 10
    assert (scene == 0).mean() > 0.01
    assert ((landscape.optical_after == 0).all(axis=0) == (scene == 0)).all()


def test_the_flood_is_neither_easy_nor_hopeless(landscape: Landscape) -> None:
    water, flooded = landscape.truth > 0, landscape.truth == Truth.FLOODED
    green, nir = (reflectance(landscape, band, after=True) for band in ("B03", "B08"))
    clear = np.isin(landscape.optical_after[-1], (4, 5, 6))
    assert 0.45 < overlap(green > nir, water, seen=clear) < 0.85
    seen = np.isfinite(landscape.radar_after[0])
    before, after = (
        ndimage.uniform_filter(np.nan_to_num(10 ** (vv / 10)), 3)
        for vv in (landscape.radar_before[0], landscape.radar_after[0])
    )
    assert 0.45 < overlap(after < before / 2, flooded, seen=seen) < 0.85


def test_buildings_stand_on_the_map_apart_and_out_of_the_water(
    landscape: Landscape, ground: Ground
) -> None:
    shapes = np.array(landscape.buildings)
    assert len(shapes) > 300
    assert (
        shapely.is_valid(shapes).all() and shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    )
    footprint = transform_bounds(landscape.geobox.crs, "EPSG:4326", *landscape.geobox.boundingbox)
    assert shapely.within(shapes, shapely.box(*footprint)).all()
    pairs = shapely.STRtree(shapes).query(shapes, predicate="overlaps")
    assert pairs.size == 0
    on_pixels = shapely.polygons(ground.corners_m / PIXEL_M)
    covered = rasterize(on_pixels, out_shape=ground.truth.shape)
    assert not (covered.astype(bool) & ground.permanent).any()
    assert ground.built.sum() == pytest.approx(shapely.area(on_pixels).sum(), rel=0.01)


def test_the_files_are_read_as_the_providers(files: LandscapeFiles) -> None:
    taken = {}
    for phase, paths in ((Phase.BEFORE, files.before), (Phase.AFTER, files.after)):
        radar, optical = (scenes_of(Source(str(path)), phase)[0] for path in paths)
        assert radar.sensor_name == "sentinel-1-grd" and radar.bands == ("vv", "vh")
        assert optical.sensor_name == "sentinel-2-l2a" and optical.offset == -1000
        assert optical.bands == ("blue", "green", "red", "nir", "swir16", "swir22", "scl")
        taken[phase] = radar.taken, optical.taken
    assert max(taken[Phase.BEFORE]) < min(taken[Phase.AFTER])


def test_the_files_hold_the_landscape(landscape: Landscape, files: LandscapeFiles) -> None:
    radar, optical = files.after
    stored = {
        radar: landscape.radar_after,
        optical: landscape.optical_after,
        files.truth: landscape.truth[None],
    }
    for path, pixels in stored.items():
        with rasterio.open(path) as image:
            np.testing.assert_array_equal(image.read(), pixels)
            assert GeoBox(image.shape, image.transform, image.crs) == landscape.geobox
            assert image.block_shapes[0] == (256, 256) and image.overviews(1) == [2, 4, 8]
            assert image.profile["compress"] == "deflate"
            assert "not an observation" in image.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    with rasterio.open(optical) as image:
        assert image.nodata == 0 and image.descriptions == BANDS
    with rasterio.open(radar) as image:
        assert np.isnan(image.nodata) and image.descriptions == ("VV", "VH")
        assert (image.dataset_mask() > 0).mean() == np.isfinite(landscape.radar_after[0]).mean()


def test_the_area_leaves_the_images_a_little(landscape: Landscape, files: LandscapeFiles) -> None:
    area = parse_area(files.area).projected("EPSG:32633")
    inside = area.intersection(landscape.geobox.extent.geom).area / area.area
    assert 0.95 < inside < 0.99
    buildings = json.loads(files.buildings.read_text())["features"]
    assert len(buildings) == len(landscape.buildings)


@pytest.mark.parametrize("size", [255, 257, 0])
def test_a_size_that_cannot_be_made_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="even number from 256"):
        make_landscape(1, size=size)
