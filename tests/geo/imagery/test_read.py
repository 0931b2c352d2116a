"""Scenes onto grids: exact where pixels are shared, right where they are not, honest elsewhere."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform
from rasterio.windows import Window

from geo.errors import BandsMissing, SceneUnreadable
from geo.imagery import warp as placement
from geo.imagery.reader import Masking, SceneReader
from geo.imagery.warp import block_mean, pixel_offset
from geo.raster.classify import Label
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.scene import Scene
from geo.scenes.sensors import Units
from geo.vector.area_of_interest import parse_area
from tests.rasters import (
    NORTH,
    UTM,
    WEST,
    counts,
    decibels,
    north_up,
    picture,
    scene_of,
    smooth,
    write_image,
)

SAME = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLAIN = {"sensor": "vhr-rgb"}
RAMP = {"sensor": "sentinel-2-l1c", "units": Units.REFLECTANCE, "bands": ("red",)}


def grid(
    rows: int, cols: int, *, west: float = WEST, north: float = NORTH, step: float = 10,
    crs: str = UTM,
) -> GeoBox:  # fmt: skip
    return GeoBox((rows, cols), north_up(west=west, north=north, step=step), crs)


def read(scene: Scene, geobox: GeoBox, *bands: str) -> tuple[np.ndarray, np.ndarray]:
    pixels, reason = SceneReader(scene, bands or scene.bands).read(geobox)
    assert pixels.dtype == np.float32 and reason.dtype == np.uint8
    np.testing.assert_array_equal(np.isfinite(pixels).all(axis=0), reason == 0)
    np.testing.assert_array_equal(np.isnan(pixels).any(axis=0), reason != 0)
    return pixels, reason


def ramp(x: Any, y: Any) -> Any:
    """Reflectance as a plane over UTM coordinates: bilinear keeps it, a shift of d m is 1e-5 d."""
    return 0.4 + 1e-5 * (np.asarray(x) - WEST) + 2e-5 * (np.asarray(y) - NORTH)


def centres(affine: Affine, rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    row, col = np.mgrid[0:rows, 0:cols] + 0.5
    return affine.a * col + affine.b * row + affine.c, affine.d * col + affine.e * row + affine.f


def ramp_image(path: Path, affine: Affine, *, crs: str = UTM, size: int = 120, **how: Any) -> Scene:
    """Write the plane as it is seen at the pixel centres of any grid."""
    xs, ys = centres(affine, size, size)
    if crs != UTM:
        xs, ys = Transformer.from_crs(crs, UTM, always_xy=True).transform(xs, ys)
    write_image(path, ramp(xs, ys).astype(np.float32)[None], transform=affine, crs=crs, **how)
    return scene_of(path, **RAMP)


def assert_is_ramp(pixels: np.ndarray, geobox: GeoBox, *, within_m: float) -> None:
    error = pixels[0] - ramp(*centres(geobox.affine, *geobox.shape))
    assert np.nanmax(np.abs(error)) < within_m * 1e-5


# --- the file's own pixels -------------------------------------------------------------------


@given(
    row=st.integers(-30, 60), col=st.integers(-30, 60), rows=st.integers(1, 70),
    cols=st.integers(1, 70),
)  # fmt: skip
@SAME
def test_shared_pixels_are_those_of_the_file(
    tmp_path: Path, row: int, col: int, rows: int, cols: int
) -> None:
    path = tmp_path / "x.tif"
    if not path.exists():
        write_image(path, picture(3, 40, 50))
    geobox = grid(rows, cols, west=WEST + 10 * col, north=NORTH - 10 * row)
    pixels, reason = read(scene_of(path, **PLAIN), geobox)
    with rasterio.open(path) as dataset:
        assert pixel_offset(dataset, geobox) == (row, col)
        window = Window(col, row, cols, rows)
        expected = dataset.read(window=window, boundless=True, fill_value=0)
    inside = expected.any(axis=0)
    np.testing.assert_array_equal(pixels[:, inside], expected[:, inside])
    np.testing.assert_array_equal(reason, np.where(inside, 0, Label.NO_IMAGERY))


@pytest.mark.parametrize(
    ("changed", "is_shared"),
    [
        ({}, True),
        ({"west": WEST + 1e-4}, True),  # a hundredth of a thousandth of a pixel
        ({"west": WEST + 1}, False),
        ({"north": NORTH + 5}, False),
        ({"step": 20}, False),
        ({"step": 10.001}, False),
        ({"crs": "EPSG:32634"}, False),
    ],
)
def test_which_grids_share_the_pixels_of_a_file(
    tmp_path: Path, changed: dict[str, Any], is_shared: bool
) -> None:
    path = write_image(tmp_path / "x.tif", picture(1, 9, 9))
    with rasterio.open(path) as dataset:
        assert (pixel_offset(dataset, grid(9, 9, **changed)) == (0, 0)) == is_shared


def test_ycbcr_is_read_as_red_green_blue(tmp_path: Path) -> None:
    brightness = np.stack([smooth(64, 64, low=a, high=a + 90) for a in (20, 70, 150)])
    path = write_image(
        tmp_path / "x.tif", brightness.astype(np.uint8), compress="jpeg", photometric="ycbcr",
        tiled=True, blockxsize=64, blockysize=64,
    )  # fmt: skip
    scene = scene_of(path)
    assert scene.bands == ("red", "green", "blue")
    pixels, _ = read(scene, grid(64, 64))
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(pixels, dataset.read())
    assert np.abs(pixels - brightness).mean() < 3


def test_pictures_of_16_bits_become_0_to_255(tmp_path: Path) -> None:
    values = picture(3, 20, 20, "uint16")
    values[0, 0, 0], values[0, 0, 1] = 65535, 257
    pixels, _ = read(scene_of(write_image(tmp_path / "x.tif", values), **PLAIN), grid(20, 20))
    np.testing.assert_allclose(pixels, values / 257, rtol=1e-6)
    assert pixels[0, 0, :2].tolist() == [255, 1]


def test_the_offset_of_sentinel_2_is_taken_away(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.tif", counts(3, 20, 20, offset=1000))
    said = {"sensor": "sentinel-2-l1c", "bands": ("green", "red", "nir")}
    scene = scene_of(path, **said, baseline="05.10")
    pixels, _ = read(scene, grid(20, 20), "nir", "green")
    np.testing.assert_allclose(pixels, counts(3, 20, 20)[[2, 0]] / 1e4, atol=1e-6)


def test_a_band_that_is_not_there_is_named(tmp_path: Path) -> None:
    scene = scene_of(write_image(tmp_path / "x.tif", picture(3, 9, 9)), **PLAIN)
    with pytest.raises(BandsMissing, match="x lacks nir, swir16; it has red, green, blue"):
        SceneReader(scene, ["nir", "red", "swir16"])


def test_damage_behind_the_header_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.tif", picture(3, 64, 64), compress="deflate")
    scene, data = scene_of(path, **PLAIN), bytearray(path.read_bytes())
    data[400:600] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(SceneUnreadable, match=r"x\.tif opens and its pixels cannot be decoded"):
        read(scene, grid(64, 64))


# --- resampled -------------------------------------------------------------------------------

SOUTH_UP = Affine(10, 0, WEST, 0, 10, NORTH - 1200)
ROTATED = Affine.translation(WEST, NORTH) @ Affine.rotation(30) @ Affine.scale(10, -10)
OBLONG = Affine(10, 0, WEST, 0, -14, NORTH)
DEGREES = Affine(1e-4, 0, 15, 0, -0.9e-4, 45.15)


@pytest.mark.parametrize(
    ("affine", "crs"),
    [
        (north_up(west=WEST + 3, north=NORTH + 4), UTM),
        (SOUTH_UP, UTM),
        (ROTATED, UTM),
        (ROTATED @ Affine.rotation(15), UTM),  # by 45 degrees its corners have one easting
        (OBLONG, UTM),
        (DEGREES, "EPSG:4326"),
        (north_up(west=25_000, north=5_010_000), "EPSG:32634"),
    ],
)
@pytest.mark.parametrize("step", [10, 7.3])
def test_every_pixel_lands_where_it_belongs(
    tmp_path: Path, affine: Affine, crs: str, step: float
) -> None:
    scene = ramp_image(tmp_path / "x.tif", affine, crs=crs)
    with rasterio.open(tmp_path / "x.tif") as dataset:
        xs, ys = transform(dataset.crs, UTM, *zip(*[affine @ (60, 60)], strict=True))
    geobox = grid(40, 40, west=xs[0] - 20 * step + 0.7, north=ys[0] + 20 * step, step=step)
    pixels, reason = read(scene, geobox)
    assert (reason == 0).all()
    # A tenth of a pixel: the approximation of GDAL's warp is 0.125 pixels at most.
    assert_is_ramp(pixels, geobox, within_m=3)


@pytest.mark.parametrize("step", [25, 47, 130])
@pytest.mark.parametrize(("affine", "crs"), [(north_up(), UTM), (DEGREES, "EPSG:4326")])
def test_coarser_grids_stay_in_place(tmp_path: Path, affine: Affine, crs: str, step: float) -> None:
    scene = ramp_image(tmp_path / "x.tif", affine, crs=crs, size=400)
    with rasterio.open(tmp_path / "x.tif") as dataset:
        (x,), (y,) = transform(dataset.crs, UTM, *zip(affine @ (200, 200), strict=True))
    geobox = grid(8, 8, west=x - 4 * step, north=y + 4 * step, step=step)
    pixels, reason = read(scene, geobox)
    assert (reason == 0).all()
    assert_is_ramp(pixels, geobox, within_m=0.25 * step)


@pytest.mark.parametrize("crs", [UTM, "EPSG:32634", "EPSG:4326"])
def test_a_smooth_image_is_warped_as_rasterio_warps_it(tmp_path: Path, crs: str) -> None:
    affine = {"EPSG:4326": DEGREES, "EPSG:32634": north_up(west=25_000, north=5_010_000)}.get(
        crs, north_up(west=WEST + 3, north=NORTH + 4)
    )
    waves = smooth(150, 150, low=0.05, high=0.6).astype(np.float32)
    path = write_image(tmp_path / "x.tif", waves[None], transform=affine, crs=crs)
    scene = scene_of(path, **RAMP)
    geobox = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice(UTM, 9.0))
    pixels, reason = read(scene, geobox)
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source, crs=UTM, transform=geobox.affine, width=geobox.shape[1],
            height=geobox.shape[0], resampling=Resampling.bilinear, nodata=-1,
        ) as warped,
    ):  # fmt: skip
        expected = warped.read(1)
    seen = expected != -1
    assert ((reason == 0) == seen).mean() > 0.999
    both = seen & (reason == 0)
    assert np.abs(pixels[0] - expected)[both].max() < 0.01
    assert (reason[~seen & (reason != 0)] == Label.NO_IMAGERY).all()


@pytest.mark.parametrize("coarser", [2, 4, 8, 10])
@pytest.mark.parametrize("units", [Units.DECIBEL, Units.LINEAR_POWER])
def test_radar_is_averaged_in_power(tmp_path: Path, units: Units, coarser: int) -> None:
    rng = np.random.default_rng(1)
    power = rng.gamma(1.0, 0.1, (2, 160, 160)).clip(2e-3).astype(np.float32)
    stored = 10 * np.log10(power) if units is Units.DECIBEL else power
    scene = scene_of(
        write_image(tmp_path / "x.tif", stored.astype(np.float32)),
        sensor="sentinel-1-grd", units=units,
    )  # fmt: skip
    size = 160 // coarser
    pixels, reason = read(scene, grid(size, size, step=10 * coarser))
    mean = power.reshape(2, size, coarser, size, coarser).mean(axis=(2, 4))
    assert (reason == 0).all()
    np.testing.assert_allclose(pixels, 10 * np.log10(mean), atol=0.01)


def test_strips_average_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(
        write_image(tmp_path / "x.tif", decibels(2, 173, 151)), sensor="sentinel-1-grd"
    )
    geobox = grid(12, 11, west=WEST + 17, north=NORTH - 23, step=90)
    whole, _ = read(scene, geobox)
    monkeypatch.setattr(placement, "_CHUNK_PX", 1)
    np.testing.assert_array_equal(read(scene, geobox)[0], whole)


@pytest.mark.parametrize("nodata", [0, None])
@pytest.mark.parametrize("step", [20, 60, 100])
def test_an_average_takes_no_share_of_nodata(tmp_path: Path, nodata: int | None, step: int) -> None:
    values = np.full((2, 120, 120), 3000, np.uint16)
    rows, cols = np.mgrid[0:120, 0:120]
    values[:, rows + cols < 120] = 0  # the diagonal edge of a swath
    path = write_image(tmp_path / "x.tif", values, nodata=nodata)
    scene = scene_of(path, sensor="sentinel-2-l1c", bands=("green", "nir"), baseline="02.13")
    size = 1200 // step
    pixels, reason = read(scene, grid(size, size, step=step))
    np.testing.assert_allclose(pixels[:, reason == 0], 0.3, atol=1e-6)
    assert (reason[reason != 0] == Label.NO_DATA).all()
    share = (values[0] > 0).reshape(size, step // 10, size, step // 10).mean(axis=(1, 3))
    assert (reason[share == 1] == 0).all() and (reason[share == 0] != 0).all()
    assert (reason[share < 0.4] != 0).all() and (reason[share > 0.7] == 0).all()


@given(data=st.data(), step=st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_block_means_are_those_of_numpy(data: st.DataObject, step: int) -> None:
    rows, cols = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = rng.random((2, rows, cols)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    means = block_mean(values, step)
    assert means.shape == (2, -(-rows // step), -(-cols // step))
    for band, row, col in np.ndindex(means.shape):
        block = values[band, row * step : (row + 1) * step, col * step : (col + 1) * step]
        seen = block[np.isfinite(block)]
        if 2 * seen.size >= block.size and seen.size:
            assert means[band, row, col] == pytest.approx(seen.mean(), rel=1e-5)
        else:
            assert np.isnan(means[band, row, col])


@pytest.mark.parametrize("step", [7.5, 23, 60])
def test_windows_leave_no_seam(tmp_path: Path, step: float) -> None:
    affine = Affine(1.1e-4, 0, 15, 0, -0.8e-4, 45.15)
    path = write_image(tmp_path / "x.tif", decibels(2, 300, 300), transform=affine, crs="EPSG:4326")
    scene = scene_of(path, sensor="sentinel-1-grd")
    box = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice(UTM, step))
    whole, reason = read(scene, box)
    for rows, cols in ((slice(0, 17), slice(3, 20)), (slice(11, 31), slice(19, 34))):
        part, why = read(scene, box[rows, cols])
        np.testing.assert_array_equal(why, reason[rows, cols])
        error = np.abs(part - whole[:, rows, cols])
        assert np.nanmax(error) < 0.05  # decibels, of speckle of 2: the warp's approximation


# --- what is not an observation --------------------------------------------------------------


def hole(values: np.ndarray, fill: float) -> np.ndarray:
    """Return a copy with the first five rows filled."""
    copy = values.copy()
    copy[:, :5] = fill
    return copy


LOST = np.zeros((20, 20), bool)
LOST[:5] = True
REFLECTANCE = counts(2, 20, 20).astype(np.float32) / 10000
FLOATS = {**RAMP, "bands": ("red", "nir")}
MEASURED = {"sensor": "sentinel-2-l1c", "bands": ("red", "nir"), "baseline": "02.13"}
S1 = {"sensor": "sentinel-1-grd"}


@pytest.mark.parametrize(
    ("pixels", "options", "said"),
    [
        (hole(counts(2, 20, 20), 0), {}, MEASURED),  # nodata that nothing declares
        (hole(counts(2, 20, 20), 0), {"nodata": 0}, MEASURED),
        (hole(counts(2, 20, 20), 65535), {"nodata": 65535}, MEASURED),
        (hole(counts(2, 20, 20).astype(np.int16), -32768), {"nodata": -32768}, MEASURED),
        (hole(REFLECTANCE, np.nan), {}, FLOATS),
        (hole(REFLECTANCE, np.nan), {"nodata": np.nan}, FLOATS),
        (hole(REFLECTANCE, np.inf), {}, FLOATS),
        (hole(REFLECTANCE, -3.4028234663852886e38), {"nodata": -3.4028234663852886e38}, FLOATS),
        (
            hole(REFLECTANCE.astype(np.float64), -1.7976931348623157e308),
            {"nodata": -1.7976931348623157e308}, FLOATS,
        ),
        (hole(decibels(2, 20, 20), np.nan), {}, S1),
        (hole(decibels(2, 20, 20), -np.inf), {}, S1),
        (hole(decibels(2, 20, 20), -9999), {}, S1),  # a fill value that nothing declares
        (hole(decibels(2, 20, 20), 0), {}, S1),
        (hole(10 ** (decibels(2, 20, 20) / 10), 0), {}, {"sensor": "sentinel-1-rtc"}),
        (hole(10 ** (decibels(2, 20, 20) / 10), -32768), {"nodata": -32768},
         {"sensor": "sentinel-1-rtc"}),
        (hole(picture(3, 20, 20), 0), {}, PLAIN),
        (hole(picture(3, 20, 20), 255), {"nodata": 255}, PLAIN),
        (picture(3, 20, 20), {"mask": ~LOST}, PLAIN),
        (picture(3, 20, 20), {"mask": ~LOST, "nodata": 77}, PLAIN),
        (counts(2, 20, 20), {"mask": ~LOST}, MEASURED),
    ],
)  # fmt: skip
def test_what_is_lost_is_lost_to_the_pixel(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, Any], said: dict[str, Any]
) -> None:
    scene = scene_of(write_image(tmp_path / "x.tif", pixels, **options), **said)
    _, reason = read(scene, grid(20, 20))
    np.testing.assert_array_equal(reason, np.where(LOST, Label.NO_DATA, 0))
    _, coarse = read(scene, grid(4, 4, step=50))
    np.testing.assert_array_equal(coarse, np.where(LOST[::5, ::5], Label.NO_DATA, 0))
    _, reason = read(scene, grid(30, 30, west=WEST - 50, north=NORTH + 50))
    assert (reason == Label.NO_DATA).sum() == 100
    assert (reason == Label.NO_IMAGERY).sum() == 500


@pytest.mark.parametrize("nodata", [None, 99])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_says_what_is_lost(tmp_path: Path, dtype: str, nodata: int | None) -> None:
    top = np.iinfo(dtype).max
    pixels = np.concatenate([picture(3, 20, 20, dtype), np.full((1, 20, 20), top, dtype)])
    pixels[:3][pixels[:3] == 99] = 98
    pixels[3, :5] = 0
    pixels[3, 5:7] = top // 3  # more see-through than not
    path = write_image(tmp_path / "x.tif", pixels, nodata=nodata, photometric="rgb", alpha="yes")
    scene = scene_of(path, **PLAIN)
    assert scene.bands == ("red", "green", "blue")
    _, reason = read(scene, grid(20, 20))
    assert (reason[:7] == Label.NO_DATA).all() and (reason[7:] == 0).all()


def test_a_near_infrared_band_that_is_called_alpha_is_no_alpha(tmp_path: Path) -> None:
    pixels = picture(4, 20, 20)
    path = write_image(tmp_path / "x.tif", pixels, photometric="rgb", alpha="yes")
    scene = scene_of(path, sensor="aerial-rgbn", bands=("red", "green", "blue", "nir"))
    for bands in (("nir",), ("green", "nir"), ("red",)):
        values, reason = read(scene, grid(20, 20), *bands)
        assert (reason == 0).all()
        np.testing.assert_array_equal(values[-1], pixels[scene.bands.index(bands[-1])])


def test_a_picture_is_judged_by_all_its_bands_and_a_measurement_by_each(tmp_path: Path) -> None:
    pixels = picture(4, 20, 20)
    pixels[3, :5] = 0  # near infrared of deep water
    pixels[:, 0, 0] = 0
    path = write_image(tmp_path / "x.tif", pixels, nodata=0)
    scene = scene_of(path, sensor="aerial-rgbn")
    for bands in (("nir",), ("green", "nir"), scene.bands):
        values, reason = read(scene, grid(20, 20), *bands)
        assert reason[0, 0] == Label.NO_DATA
        assert (reason.ravel()[1:] == 0).all()
        assert values[list(bands).index("nir"), 1, 1] == 0
    said = {"sensor": "sentinel-2-l1c", "bands": ("red", "nir"), "baseline": "02.13"}
    stored = counts(2, 20, 20)
    stored[1, :5] = 0
    _, reason = read(scene_of(write_image(tmp_path / "y.tif", stored), **said), grid(20, 20))
    np.testing.assert_array_equal(reason, np.where(LOST, Label.NO_DATA, 0))


def swath(size: int = 200) -> np.ndarray:
    """Return decibels with a slanting edge, border noise along it, and a calm lake inland."""
    values = decibels(2, size, size) * 0 - 9
    rows, cols = np.mgrid[0:size, 0:size]
    values[:, (cols - rows / 5 < 45)] = -42
    values[:, (cols - rows / 5 < 30)] = np.nan
    values[:, 80:120, 150:190] = -38
    return values.astype(np.float32)


def test_border_noise_is_masked_and_inland_water_is_not(tmp_path: Path) -> None:
    stored = swath()
    scene = scene_of(write_image(tmp_path / "x.tif", stored), sensor="sentinel-1-grd")
    _, reason = read(scene, grid(200, 200))
    lost = ~np.isfinite(stored[0]) | (stored[0] == -42)
    np.testing.assert_array_equal(reason, np.where(lost, Label.NO_DATA, 0))


@pytest.fixture(scope="module")
def slanting(tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneReader, GeoBox, np.ndarray]:
    """A reader of the swath, its grid, and the reasons of the whole."""
    path = write_image(tmp_path_factory.mktemp("swath") / "x.tif", swath())
    reader, box = SceneReader(scene_of(path, sensor="sentinel-1-grd"), ["vv", "vh"]), grid(200, 200)
    return reader, box, reader.read(box)[1]


@given(row=st.integers(0, 190), col=st.integers(0, 190), size=st.integers(1, 60))
@SAME
def test_border_noise_is_the_same_in_every_window(
    slanting: tuple[SceneReader, GeoBox, np.ndarray], row: int, col: int, size: int
) -> None:
    reader, box, reason = slanting
    window = slice(row, min(row + size, 200)), slice(col, min(col + size, 200))
    np.testing.assert_array_equal(reader.read(box[window])[1], reason[window])


@pytest.mark.parametrize("mask_step", [10, 20])
def test_the_mask_of_sentinel_2_gives_the_reasons(tmp_path: Path, mask_step: int) -> None:
    for band, pixels in zip(("B03", "B08"), counts(2, 40, 40), strict=True):
        write_image(tmp_path / f"x_{band}.tif", pixels[None])
    codes = np.full((400 // mask_step, 400 // mask_step), 4, np.uint8)
    half = len(codes) // 2
    codes[:half, :half], codes[:half, half:], codes[half:, :half] = 9, 3, 0
    write_image(tmp_path / "x_SCL.tif", codes[None], transform=north_up(step=mask_step))
    scene = scene_of(tmp_path, sensor="sentinel-2-l2a")
    pixels, reason = read(scene, grid(40, 40), "green")
    for rows, cols, label in (
        (slice(0, 20), slice(0, 20), Label.CLOUD),
        (slice(0, 20), slice(20, 40), Label.CLOUD_SHADOW),
        (slice(20, 40), slice(0, 20), Label.NO_DATA),
        (slice(20, 40), slice(20, 40), 0),
    ):
        assert (reason[rows, cols] == label).all()
    np.testing.assert_allclose(pixels[0, 20:, 20:], counts(2, 40, 40)[0, 20:, 20:] / 1e4, atol=1e-6)


def test_clouds_that_somebody_found_are_left_out_and_not_asked_for_where_nothing_is_seen(
    tmp_path: Path,
) -> None:
    scene = scene_of(
        write_image(tmp_path / "x.tif", counts(1, 20, 20), descriptions=("B08",), nodata=0),
        sensor="sentinel-2-l1c",
    )
    asked: list[GeoBox] = []

    def found(geobox: GeoBox) -> np.ndarray:
        asked.append(geobox)
        codes = np.zeros(tuple(geobox.shape), np.uint8)
        codes[:, 10:15], codes[:, 15:25] = Label.CLOUD, Label.CLOUD_SHADOW
        return codes

    pixels, reason = SceneReader(scene, ["nir"], Masking(found=found)).read(grid(20, 30))
    here = np.repeat([0, Label.CLOUD, Label.CLOUD_SHADOW, Label.NO_IMAGERY], [10, 5, 5, 10])
    np.testing.assert_array_equal(reason, np.tile(here, (20, 1)))
    np.testing.assert_array_equal(np.isfinite(pixels[0]), reason == 0)
    SceneReader(scene, ["nir"], Masking(found=found)).read(grid(20, 30, west=WEST + 500))
    assert len(asked) == 1


@pytest.mark.parametrize("moved", [0, 3])
def test_the_mask_of_landsat_gives_the_reasons_and_none_is_no_clear_sky(
    tmp_path: Path, moved: int
) -> None:
    name = "LC08_L2SP_034032_20160723_20200906_02_T1"
    stored = np.round((counts(2, 20, 20) / 10000 + 0.2) / 0.0000275).astype(np.uint16)
    for band, pixels in zip(("SR_B3", "SR_B5"), stored, strict=True):
        write_image(tmp_path / f"{name}_{band}.TIF", pixels[None], transform=north_up(step=30))
    codes = np.full((1, 10, 20), 21824, np.uint16)
    codes[:, :5] = 22280
    write_image(tmp_path / f"{name}_QA_PIXEL.TIF", codes, transform=north_up(step=30))
    scene = scene_of(tmp_path)
    _, reason = read(scene, grid(20, 20, west=WEST + moved, step=30), "nir")
    assert (reason[:5, :19] == Label.CLOUD).all()
    assert (reason[5:10, :19] == 0).all()
    assert (reason[10:, :19] == Label.NO_DATA).all()  # beyond the mask nobody knows


# --- several files, several threads, both sides of 180 degrees -------------------------------


def test_bands_of_different_resolution_meet_on_one_grid(tmp_path: Path) -> None:
    for band, step in (("B03", 10), ("B11", 20)):
        affine = north_up(step=step)
        xs, ys = centres(affine, 1200 // step, 1200 // step)
        pixels = np.round(ramp(xs, ys) * 10000).astype(np.uint16)
        write_image(tmp_path / f"x_{band}.tif", pixels[None], transform=affine)
    scene = scene_of(tmp_path, sensor="sentinel-2-l1c", baseline="02.13")
    geobox = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
    pixels, reason = read(scene, geobox[10:110, 10:110], "swir16", "green")
    assert geobox.shape == (120, 120) and (reason == 0).all()
    for band in pixels:
        assert_is_ramp(band[None], geobox[10:110, 10:110], within_m=6)  # 0.6e-4: the rounding


def test_threads_read_what_one_reads(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "x.tif", picture(3, 300, 300), tiled=True, blockxsize=64, blockysize=64,
        compress="deflate",
    )  # fmt: skip
    reader, box = SceneReader(scene_of(path, **PLAIN), ("red", "blue")), grid(300, 300)
    rng = np.random.default_rng(4)
    corners = rng.integers(0, 250, (60, 2))
    boxes = [box[r : r + 50, c : c + 50] for r, c in corners]
    boxes += [grid(30, 30, west=WEST + c, north=NORTH - r, step=17) for r, c in corners[:20]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(reader.read, boxes))
    for geobox, (pixels, reason) in zip(boxes, together, strict=True):
        alone, why = reader.read(geobox)
        np.testing.assert_array_equal(pixels, alone)
        np.testing.assert_array_equal(reason, why)


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        ("EPSG:4326", Affine(5e-4, 0, 179.9, 0, -5e-4, -17)),
        ("EPSG:4326", Affine(5e-4, 0, -180.1, 0, -5e-4, -17)),
        ("EPSG:32760", Affine(50, 0, 815_000, 0, -50, 8_100_000)),
        ("EPSG:32701", Affine(50, 0, 175_000, 0, -50, 8_100_000)),
    ],
)
def test_an_image_across_the_antimeridian_is_read_on_both_sides(
    tmp_path: Path, crs: str, affine: Affine
) -> None:
    path = write_image(tmp_path / "x.tif", picture(3, 200, 400), crs=crs, transform=affine)
    scene = scene_of(path, **PLAIN)
    area = parse_area(scene.footprint.__geo_interface__)
    assert area.bounds[0] > area.bounds[2]
    box = lay_grid(area, [scene], GridChoice(resolution_m=50.0))
    assert box.shape[0] * box.shape[1] < 150_000
    _, reason = read(scene, box)
    assert (reason == 0).mean() > 0.9
    middle = box.shape[1] // 2
    for part in (box[:, : middle - 20], box[:, middle + 20 :]):
        assert (read(scene, part)[1] == 0).mean() > 0.9


def test_a_grid_beside_the_image_has_no_imagery(tmp_path: Path) -> None:
    scene = scene_of(write_image(tmp_path / "x.tif", picture(3, 20, 20)), **PLAIN)
    for geobox in (grid(9, 9, west=WEST + 5000), grid(9, 9, west=WEST + 5003, step=7)):
        assert (read(scene, geobox)[1] == Label.NO_IMAGERY).all()


# --- real imagery ----------------------------------------------------------------------------


@pytest.mark.data
def test_dark_water_of_the_wetland_stays_water(data_dir: Path) -> None:
    dark = 0
    for path in sorted((data_dir / "naip_wetland").glob("*.tif")):
        scene = scene_of(path, sensor="aerial-rgbn")
        box = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
        pixels, reason = read(scene, box, "nir")
        with rasterio.open(path) as dataset:
            assert pixel_offset(dataset, box) == (0, 0) and box.shape == dataset.shape
            stored = dataset.read()
        assert (reason == 0).all()
        np.testing.assert_array_equal(pixels[0], stored[3])
        dark += int((pixels[0] == 0).sum())
    assert dark > 900  # and so the test could fail


@pytest.mark.data
def test_the_radar_of_spain_is_warped_in_power(data_dir: Path) -> None:
    path = data_dir / "sen1floods11" / "Spain_7370579_S1Hand.tif"
    scene = scene_of(path, sensor="sentinel-1-grd")
    box = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
    pixels, reason = read(scene, box, "vh", "vv")
    with rasterio.open(path) as dataset:
        power = 10 ** (dataset.read() / 10)
        expected = np.full((2, *box.shape), np.nan, np.float32)
        reproject(
            power, expected, src_transform=dataset.transform, src_crs=dataset.crs,
            dst_transform=box.affine, dst_crs="EPSG:32630", dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )  # fmt: skip
    error = np.abs(pixels[::-1] - 10 * np.log10(expected))
    assert np.nanmax(error) < 0.01
    assert (np.isnan(expected[0]) == (reason != 0)).mean() > 0.999
    assert set(np.unique(reason)) == {0, Label.NO_IMAGERY}  # the corners of a turned square


@pytest.mark.data
@pytest.mark.parametrize("name", ["before", "after"])
def test_the_fire_is_read_as_it_is_stored(data_dir: Path, name: str) -> None:
    scene = scene_of(data_dir / "coldsprings_fire" / f"{name}.tif", sensor="landsat-c1-sr")
    box = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
    pixels, reason = read(scene, box, "nir", "red")
    with rasterio.open(scene.paths[0]) as dataset:
        np.testing.assert_allclose(pixels, dataset.read([4, 1]) / 10000, atol=1e-6)
    assert (reason == 0).all()  # reflectance below zero is still seen


@pytest.mark.data
def test_the_drone_tile_is_read_in_metres(data_dir: Path) -> None:
    scene = scene_of(data_dir / "opencities_drone" / "665946_tile_920.tif")
    assert (scene.sensor_name, scene.bands) == ("drone-rgb", ("red", "green", "blue"))
    box = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
    assert box.resolution.x == pytest.approx(0.02, abs=0.001)
    _, reason = read(scene, box)
    with rasterio.open(scene.paths[0]) as dataset:
        opaque = (dataset.read(4) > 127).mean()
    assert (reason == 0).mean() == pytest.approx(opaque, abs=0.01)


@pytest.mark.data
@pytest.mark.parametrize("tile", ["pre/tile_1361-9136.tif", "post/tile_32524-6161.tif"])
def test_the_corners_of_joplin_lie_where_rasterio_says(data_dir: Path, tile: str) -> None:
    scene = scene_of(data_dir / "joplin_vhr" / tile)
    area = parse_area(scene.footprint.__geo_interface__)
    box = lay_grid(area, [scene], GridChoice("EPSG:26915"))[:500, -500:]
    pixels, reason = read(scene, box)
    with rasterio.open(scene.paths[0]) as dataset:
        stored = dataset.read()
        xs, ys = centres(box.affine, *box.shape)
        there = transform("EPSG:26915", dataset.crs, xs.ravel(), ys.ravel())
        cols, rows = ~dataset.transform @ (np.array(there[0]), np.array(there[1]))
    cols, rows = cols.reshape(box.shape), rows.reshape(box.shape)
    to_edge = np.minimum.reduce([rows, cols, 1024 - rows, 1024 - cols])  # > 0 inside
    assert (reason[to_edge > 0.5] == 0).all()
    assert (reason[to_edge < -0.5] == Label.NO_IMAGERY).all()
    inner = to_edge > 3
    row, col = np.floor(rows[inner]).astype(int), np.floor(cols[inner]).astype(int)
    errors = {
        (dy, dx): np.abs(pixels[:, inner] - stored[:, row + dy, col + dx]).mean()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    }
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0)
