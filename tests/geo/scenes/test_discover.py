"""Files and folders to scenes: what belongs together, what is refused, what no damage hides."""

import shutil
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.shutil import copy
from rasterio.warp import transform_bounds
from shapely.geometry import box

from geo.errors import (
    BandsMissing,
    BandsUnknown,
    GeoError,
    MissingCRS,
    SceneUnreadable,
    SensorUnknown,
    SourceInvalid,
    UnitsMismatch,
)
from geo.imagery.reader import SceneReader
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Asset, Phase, Scene, distinct_ids
from geo.scenes.sensors import Units
from geo.scenes.source import Source, files_of
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
    write_image,
)

SAFE = "S2B_MSIL2A_20190923T104759_N0213_R051_T30SXH_20190923T134537.SAFE"
TILE = "T30SXH_20190923T104759"
S1 = "S1A_IW_GRDH_1SDV_20190917T175506_20190917T175531_029063_034C5E_7C3F"


def after(path: Path | str, **said: Any) -> tuple[Scene, ...]:
    return scenes_of(Source(str(path), **said), Phase.AFTER)


def safe(folder: Path) -> Path:
    """Make the layout of a Sentinel-2 L2A product, with all that is no band of it."""
    images = folder / SAFE / "GRANULE" / "L2A_T30SXH_A013299_20190923T105300" / "IMG_DATA"
    sharp = dict(zip(("B02", "B03", "B04", "B08"), counts(4, 60, 60), strict=True))
    for band, pixels in sharp.items():
        write_image(images / "R10m" / f"{TILE}_{band}_10m.jp2", pixels[None], **JP2)
    coarse = dict(zip(("B02", "B11", "B12"), counts(3, 30, 30), strict=True))
    for band, pixels in coarse.items():
        write_image(
            images / "R20m" / f"{TILE}_{band}_20m.jp2", pixels[None],
            transform=north_up(step=20), **JP2,
        )  # fmt: skip
    vegetation = np.full((1, 30, 30), 4, np.uint8)
    write_image(
        images / "R20m" / f"{TILE}_SCL_20m.jp2", vegetation, transform=north_up(step=20), **JP2
    )
    detectors = np.full((1, 60, 60), 2, np.uint8)
    write_image(images.parent / "QI_DATA" / "MSK_DETFOO_B04.jp2", detectors, **JP2)
    write_image(images / "R10m" / f"{TILE}_AOT_10m.jp2", counts(1, 60, 60), **JP2)
    write_image(
        images / "R10m" / f"{TILE}_TCI_10m.jp2", picture(3, 60, 60),
        colours=("red", "green", "blue"), **JP2,
    )  # fmt: skip
    return folder / SAFE


JP2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}


def test_a_safe_is_one_scene_with_each_band_from_its_sharpest_file(tmp_path: Path) -> None:
    scene = scene_of(safe(tmp_path))
    assert scene.id == SAFE.removesuffix(".SAFE")
    assert scene.acquisition == "s2b-msil2a-20190923t104759-r051-t30sxh"
    assert scene.sensor_name == "sentinel-2-l2a"
    assert set(scene.bands) == {"blue", "green", "red", "nir", "swir16", "swir22", "scl"}
    assert {asset.band: asset.path.parent.name for asset in scene.assets}["blue"] == "R10m"
    assert len(scene.bands) == len(scene.paths) == 7
    assert scene.gsd_m == pytest.approx(10, rel=1e-3)
    assert scene.taken == datetime(2019, 9, 23, 10, 47, 59, tzinfo=UTC)
    assert scene.offset == 0.0
    (note,) = scene.notes
    assert "left out, being no band of Sentinel-2 L2A" in note
    for name in (f"{TILE}_AOT_10m.jp2", f"{TILE}_TCI_10m.jp2", "MSK_DETFOO_B04.jp2"):
        assert name in note


def test_bands_in_a_folder_are_one_scene_a_name(tmp_path: Path) -> None:
    for name in (S1, S1.replace("7C3F", "A1B2")):
        for band, pixels in zip(("VV", "VH"), decibels(2, 20, 20), strict=True):
            write_image(tmp_path / f"{name}_{band}.tif", pixels[None])
    one, other = after(tmp_path)
    assert (one.id, other.id) == (S1, S1.replace("7C3F", "A1B2"))
    assert set(one.bands) == {"vv", "vh"} == set(other.bands)
    assert one.acquisition == other.acquisition


def test_files_named_by_their_band_alone_are_the_scene_of_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "S2B_30SXH_20190923_0_L2A"
    for band, pixels in zip(("B03", "B11"), counts(2, 20, 20), strict=True):
        write_image(folder / f"{band}.tif", pixels[None])
    scene = scene_of(tmp_path)
    assert (scene.id, set(scene.bands)) == (folder.name, {"green", "swir16"})


def test_rtc_files_lie_in_their_product(tmp_path: Path) -> None:
    power = 10 ** (decibels(2, 20, 20) / 10)
    for band, pixels in zip(("vv", "vh"), power, strict=True):
        write_image(tmp_path / S1 / "measurement" / f"iw-{band}.rtc.tiff", pixels[None])
    scene = scene_of(tmp_path)
    assert (scene.id, scene.sensor_name) == (S1, "sentinel-1-rtc")
    assert (scene.units, set(scene.bands)) == (Units.LINEAR_POWER, {"vv", "vh"})


def test_a_label_beside_the_bands_is_left_out_and_refused_alone(tmp_path: Path) -> None:
    for band, pixels in zip(("B03", "B08"), counts(2, 20, 20), strict=True):
        write_image(tmp_path / f"chip_{band}.tif", pixels[None])
    label = write_image(tmp_path / "chip_label.tif", np.ones((1, 20, 20), np.uint8))
    scene = scene_of(tmp_path, sensor="sentinel-2-l2a")
    assert (scene.id, set(scene.bands)) == ("chip", {"green", "nir"})
    assert any("chip_label.tif" in note for note in scene.notes)
    for alone in (label, tmp_path / "*_label.tif"):
        with pytest.raises(BandsUnknown, match=r"chip_label.tif .*--bands"):
            after(alone, sensor="sentinel-2-l2a")


def test_a_stranger_in_a_folder_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / f"{S1}.tif", decibels(2, 20, 20))
    write_image(tmp_path / "dem.tif", decibels(1, 20, 20))
    with pytest.raises(SensorUnknown, match=r"dem\.tif"):
        after(tmp_path)


def test_an_image_of_several_bands_is_never_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "four.tif", picture(4, 20, 20))
    write_image(tmp_path / "two.tif", picture(2, 20, 20))
    with pytest.raises(BandsUnknown, match=r"two\.tif"):
        after(tmp_path, sensor="aerial-rgbn")


def test_a_mask_without_its_image_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / f"{TILE}_SCL_20m.tif", np.full((1, 20, 20), 4, np.uint8))
    with pytest.raises(BandsMissing, match=r"SCL_20m.tif is a mask of Sentinel-2 L2A"):
        after(tmp_path, sensor="sentinel-2-l2a")


def test_eight_bits_are_no_reflectance(tmp_path: Path) -> None:
    colours = ("red", "green", "blue")
    path = write_image(tmp_path / "x_TCI.tif", picture(3, 20, 20), colours=colours)
    with pytest.raises(UnitsMismatch, match=r"x_TCI.tif holds 8-bit values"):
        after(path, sensor="sentinel-2-l1c")


def test_two_files_of_one_band_are_refused(tmp_path: Path) -> None:
    for name in ("x_B04.tif", "x_B4.tif"):
        write_image(tmp_path / name, counts(1, 20, 20))
    with pytest.raises(BandsUnknown, match=r"x_B04.tif and x_B4.tif both hold red"):
        after(tmp_path, sensor="sentinel-2-l2a")


def test_16_bit_pictures_are_known_by_their_type(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.tif", picture(3, 20, 20, "uint16"))
    assert scene_of(path, sensor="vhr-rgb").units is Units.BITS_16


# --- names -----------------------------------------------------------------------------------


def test_equal_names_gain_their_folders(tmp_path: Path) -> None:
    scenes = []
    for seed, phase in enumerate(Phase, 5):
        path = tmp_path / phase / "image.tif"
        write_image(path, picture(seed, 20, 20)[:3], colours=("red", "green", "blue"))
        scenes += scenes_of(Source(str(path)), phase)
    ids = {scene.phase: scene.id for scene in distinct_ids(scenes)}
    assert ids == {Phase.BEFORE: "before-image", Phase.AFTER: "after-image"}
    assert len({scene.acquisition for scene in distinct_ids(scenes)}) == 2


def test_files_that_differ_in_their_ending_are_two_scenes(tmp_path: Path) -> None:
    write_image(tmp_path / "x.tif", picture(3, 20, 20))
    write_image(tmp_path / "x.jp2", picture(3, 20, 20), **JP2)
    ids = [scene.id for scene in distinct_ids(after(tmp_path, sensor="vhr-rgb"))]
    assert len(ids) == len(set(ids)) == 2


def a_scene(**fields: Any) -> Scene:
    return Scene(
        **{
            "id": "x", "acquisition": "x", "revision": "0" * 16, "sensor_name": "vhr-rgb",
            "phase": Phase.AFTER, "taken": None, "footprint": box(0, 0, 1, 1), "assets": (),
            "units": Units.BITS_8, "gsd_m": 1.0, "crs": UTM,
        } | fields
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(Phase), st.sampled_from("123"),
            st.sampled_from(("p", "q")),
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ids_are_distinct_whatever_the_order(keys: list[tuple[str, Phase, str, str]]) -> None:
    scenes = [
        a_scene(
            id=name, phase=phase, revision=digit * 16,
            assets=(Asset("red", Path(folder) / f"{name}.tif", 1),),
        )
        for name, phase, digit, folder in keys
    ]  # fmt: skip
    known = {(s.phase, s.id, s.revision) for s in distinct_ids(scenes)}
    assert len({name for _, name, _ in known}) == len(known)
    assert {(phase, revision) for phase, _, revision in known} == {
        (s.phase, s.revision) for s in scenes
    }
    for order in list(permutations(scenes))[:24]:
        assert len(distinct_ids(order)) == len(known)


def test_a_scene_that_is_found_twice_stays_once(tmp_path: Path) -> None:
    path = write_image(tmp_path / f"{S1}.tif", decibels(2, 20, 20))
    twice = (*after(path), *after(tmp_path))
    assert [scene.id for scene in distinct_ids(twice)] == [S1]


# --- places of files -------------------------------------------------------------------------


def test_the_files_of_folders_and_globs(tmp_path: Path) -> None:
    for name in ("a.tif", "sub/b.TIFF", "sub/c.jp2", ".hidden/d.tif", "._e.tif", "f.txt", "g.vrt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def names(path: Path) -> list[str]:
        return [p.name for p in files_of(Source(str(path)))]

    assert names(tmp_path) == ["a.tif", "b.TIFF", "c.jp2"]
    assert names(tmp_path / "*.tif") == ["a.tif"]
    assert names(tmp_path / "s*") == ["b.TIFF", "c.jp2"]
    assert names(tmp_path / "**" / "*.jp2") == ["c.jp2"]
    for nothing in ("*.vrt", "no", "no/*.tif", "f.*"):
        with pytest.raises(SourceInvalid, match="there is no file, folder or match at"):
            names(tmp_path / nothing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceInvalid, match="holds no image file"):
        names(tmp_path / "empty")


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.tif", b"", "it is empty"),
        ("page.tif", b"<html>login</html>", "of another kind"),
        ("picture.tif", b"\x89PNG\r\n\x1a\n" + bytes(40), "of another kind"),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(40), "of another kind"),
        ("short.tif", b"II", "of another kind"),
        ("header.tif", b"II*\0\x08\0\0\0", "it is truncated"),
        ("offset.tif", b"II*\0\xff\xff\xff\x7f", "it is truncated"),
        ("motorola.tif", b"MM\0*\0\0\0\x08\0\x01", "it is truncated"),
        ("directory.tif", b"II*\0\x08\0\0\0\0\0\0\0\0\0", "truncated or damaged"),
        ("zeros.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "truncated or damaged"),
    ],
)
def test_what_is_no_image_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SceneUnreadable, match=rf"{name} .*{message}"):
        after(path, sensor="vhr-rgb")


def test_a_vrt_reads_no_other_file_whatever_its_name(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", picture(3, 20, 20))
    copy(image, tmp_path / "x.vrt", driver="VRT")
    for name in ("x.tif", "x.jp2"):
        shutil.copy(tmp_path / "x.vrt", tmp_path / name)
        with pytest.raises(SceneUnreadable, match="of another kind"):
            after(tmp_path / name, sensor="vhr-rgb")


def test_no_overview_beside_an_image_is_read(tmp_path: Path) -> None:
    secret = write_image(tmp_path / "secret.tif", np.full((3, 600, 600), 200, np.uint8))
    copy(secret, tmp_path / "vrt", driver="VRT")
    image = write_image(tmp_path / "x.tif", np.full((3, 1200, 1200), 50, np.uint8))
    (tmp_path / "vrt").rename(image.with_name(f"{image.name}.ovr"))
    with rasterio.open(image) as dataset:
        assert dataset.read(1, out_shape=(300, 300)).max() == 200  # GDAL left to itself reads it
    scene = scene_of(image, sensor="vhr-rgb")
    grid = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice(UTM, 80.0))
    pixels, _ = SceneReader(scene, ["red"]).read(grid)
    assert np.nanmin(pixels) == np.nanmax(pixels) == 50


@pytest.mark.parametrize(
    ("name", "content", "is_refused"),
    [
        ("{}.msk", "mask", True),
        ("{}.aux.xml", "<PAMDataset><SRS>EPSG:32634</SRS></PAMDataset>", True),
        ("{}.aux.xml", "<PAMRasterBand><NoDataValue>1</NoDataValue></PAMRasterBand>", True),
        (
            "{}.aux.xml",
            "<PAMDataset><Metadata><MDI>STATISTICS</MDI></Metadata></PAMDataset>",
            False,
        ),
    ],
)
def test_files_beside_an_image_change_nothing_in_silence(
    tmp_path: Path, name: str, content: str, is_refused: bool
) -> None:
    image = write_image(tmp_path / "x.tif", picture(3, 20, 20))
    (tmp_path / name.format(image.name)).write_text(content)
    if is_refused:
        with pytest.raises(SourceInvalid, match="only the image itself is read"):
            after(image, sensor="vhr-rgb")
    else:
        assert scene_of(image, sensor="vhr-rgb").crs == UTM


def test_an_image_without_a_place_is_refused(tmp_path: Path) -> None:
    pixels = picture(3, 20, 20)
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    images = {
        "no coordinate reference system": write_image(tmp_path / "a.tif", pixels, crs=None),
        "no position in it": write_image(tmp_path / "c.tif", pixels, transform=Affine.identity()),
        "neither projected nor geographic": write_image(tmp_path / "d.tif", pixels, crs=local),
    }
    for message, path in images.items():
        with pytest.raises(MissingCRS, match=rf"{path.name} has .*{message}"):
            after(path, sensor="vhr-rgb")


# --- truncation ------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "strips": {},
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
    "lzw": {"compress": "lzw", "predictor": 2, "interleave": "band"},
    "big": {"BIGTIFF": "YES"},
    "jp2": JP2,
    "jp2 tiles": {**JP2, "BLOCKXSIZE": 64, "BLOCKYSIZE": 64},
}


def read_all(path: Path) -> np.ndarray:
    said = Source(str(path), sensor="sentinel-2-l1c", bands=("green", "nir"))
    (scene,) = scenes_of(said, Phase.AFTER)
    grid = lay_grid(parse_area(scene.footprint.__geo_interface__), [scene], GridChoice())
    return SceneReader(scene, scene.bands).read(grid)[0]


@pytest.mark.parametrize("kind", [*KINDS, "cog"])
def test_no_truncation_passes_as_pixels(tmp_path: Path, kind: str) -> None:
    path = write_image(tmp_path / "whole.jp2", counts(2, 150, 150), **KINDS.get(kind, {}))
    if kind == "cog":
        copy(path, tmp_path / "cog.tif", driver="COG", blocksize=128, compress="DEFLATE")
        path = tmp_path / "cog.tif"
    whole, data = read_all(path), path.read_bytes()
    cut = tmp_path / "cut.tif"
    for length in np.linspace(0, len(data) - 1, 20).astype(int):
        cut.write_bytes(data[:length])
        try:
            pixels = read_all(cut)
        except SceneUnreadable as error:
            assert "truncated" in str(error) or length < 4
        else:
            # Nothing but what lies behind the last pixel may be missing without a word.
            assert length == len(data) - 1
            np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize("kind", ["nodata", "mask", "BIGTIFF"])
def test_a_file_that_lost_its_last_bytes_loses_no_mask(tmp_path: Path, kind: str) -> None:
    pixels, seen = counts(2, 40, 40).astype(np.int16), np.ones((40, 40), bool)
    seen[:10] = False
    pixels[:, ~seen] = -32768
    said = {"mask": seen} if kind == "mask" else {"nodata": -32768}
    path = write_image(tmp_path / "x.tif", pixels, **said, BIGTIFF=str(kind == "BIGTIFF"))
    whole, data = read_all(path), path.read_bytes()
    assert np.isnan(whole[0]).sum() == 400
    for length in [*range(len(data) - 40, len(data)), *range(200, len(data) - 40, 97)]:
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_all(path), whole)
        except SourceInvalid as error:
            assert "x.tif" in str(error)


def test_noise_in_a_file_is_an_error_of_ours_or_pixels(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.tif", counts(2, 40, 40))
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(data), 20):
        damaged = data.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            assert read_all(path).shape[0] >= 1
        except GeoError as error:
            assert str(error)


# --- digests and footprints ------------------------------------------------------------------


def test_the_revision_is_that_of_the_bytes(tmp_path: Path) -> None:
    for band, pixels in zip(("VV", "VH"), decibels(2, 20, 20), strict=True):
        write_image(tmp_path / "one" / f"x_{band}.tif", pixels[None])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    said = {"sensor": "sentinel-1-grd"}
    known = scene_of(tmp_path / "one", **said).revision
    assert scene_of(tmp_path / "two", **said).revision == known
    for name in ("x_VV.tif", "x_VH.tif"):
        path = tmp_path / "two" / name
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        assert scene_of(tmp_path / "two", **said).revision != known
        data[-1] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (UTM, north_up()),
        ("EPSG:4326", Affine(1e-4, 0, 15, 0, -1e-4, 45)),
        ("EPSG:32633+5773", north_up()),
        ("EPSG:32760", north_up(west=800_000, north=8_000_000)),
        (UTM, Affine(10, 0, WEST, 0, 10, NORTH)),  # south-up
    ],
)
def test_the_footprint_is_the_extent(tmp_path: Path, crs: str, transform: Affine) -> None:
    path = write_image(tmp_path / "x.tif", picture(3, 200, 300), crs=crs, transform=transform)
    scene = scene_of(path, sensor="vhr-rgb")
    with rasterio.open(path) as dataset:
        bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds, densify_pts=100)
    assert scene.footprint.bounds == pytest.approx(bounds, abs=1e-6)
    assert scene.footprint.is_valid and scene.footprint.exterior.is_ccw


def test_a_footprint_across_the_antimeridian_is_cut(tmp_path: Path) -> None:
    transform = north_up(west=815_000, north=8_100_000, step=100)  # Fiji, UTM zone 60 south
    path = write_image(
        tmp_path / "x.tif", picture(3, 200, 300), crs="EPSG:32760", transform=transform
    )
    footprint = scene_of(path, sensor="vhr-rgb").footprint
    west, east = sorted(shapely.get_parts(footprint), key=lambda part: part.bounds[0])
    assert west.bounds[0] == -180 and east.bounds[2] == 180
    assert west.bounds[2] < -179 and east.bounds[0] > 179


def test_a_rotated_footprint_has_its_corners(tmp_path: Path) -> None:
    transform = Affine.translation(WEST, NORTH) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = write_image(tmp_path / "x.tif", picture(3, 100, 100), transform=transform)
    scene = scene_of(path, sensor="vhr-rgb")
    assert scene.gsd_m == pytest.approx(10, rel=1e-3)
    metres = shapely.geometry.shape(
        rasterio.warp.transform_geom("EPSG:4326", UTM, scene.footprint.__geo_interface__)
    )
    assert metres.area == pytest.approx(1000**2, rel=1e-5)
    assert scene.footprint.distance(shapely.Point(15, 45.15)) < 0.01


# --- real imagery ----------------------------------------------------------------------------


@pytest.mark.data
def test_the_chips_of_clouds_are_two_scenes_without_their_labels(data_dir: Path) -> None:
    adwp, aeey = after(data_dir / "clouds_sentinel2", sensor="sentinel-2-l2a")
    assert (adwp.id, aeey.id) == ("adwp", "aeey")
    assert adwp.bands == aeey.bands == ("blue", "green", "red", "nir")
    assert adwp.taken == datetime(2020, 4, 29, 8, 20, 47, tzinfo=UTC)
    assert any("adwp_label.tif, aeey_label.tif" in note for note in adwp.notes)
    assert any("DateTime tag" in note for note in adwp.notes)


@pytest.mark.data
def test_the_chip_of_spain_is_known_by_its_descriptions(data_dir: Path) -> None:
    chip = data_dir / "sen1floods11" / "Spain_7370579"
    radar = scene_of(Path(f"{chip}_S1Hand.tif"), sensor="sentinel-1-grd")
    optical = scene_of(Path(f"{chip}_S2Hand.tif"), sensor="sentinel-2-l1c")
    assert radar.bands == ("vv", "vh")
    assert (len(optical.bands), optical.offset) == (13, 0.0)
    assert any("no processing baseline is stated" in note for note in optical.notes)
    for path, said in (("_S1Hand.tif", "sentinel-1-rtc"), ("_S2Hand.tif", "landsat-c2-l2")):
        with pytest.raises(SourceInvalid):
            after(f"{chip}{path}", sensor=said)


@pytest.mark.data
def test_landsat_of_the_fire_is_known_by_its_descriptions(data_dir: Path) -> None:
    scene = scene_of(data_dir / "coldsprings_fire" / "after.tif", sensor="landsat-c1-sr")
    assert scene.bands == ("red", "green", "blue", "nir")
    with pytest.raises(UnitsMismatch, match="--units"):
        after(data_dir / "coldsprings_fire" / "after.tif", sensor="landsat-c2-l2")
