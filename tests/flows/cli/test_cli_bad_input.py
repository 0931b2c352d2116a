"""Bad input gets one clear sentence; nothing is published and nothing is lost."""

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from flows.cli.app import main, run
from geo.errors import SceneUnreadable
from geo.store.store import LocalStore
from tests.aftermap import aftermap
from tests.flows.imagery import INSIDE, SIDE_PX, asked, radar
from tests.rasters import north_up, write_image

Refused = Callable[..., str]
EVENT = "drava-2024"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return radar(tmp_path_factory.mktemp("before") / "before.tif")


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return radar(tmp_path_factory.mktemp("after") / "after.tif", water_cols=70, seed=2)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, after: Path) -> Path:
    """A store that holds a product of the event."""
    store = tmp_path_factory.mktemp("published") / "store"
    assert run([*asked(after), "--store", str(store)]) == 0
    return store


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "store"))


@pytest.fixture
def refused(
    store: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Refused:
    """Runs a command that must fail; returns its sentence."""

    def check(*arguments: object, status: int = 2) -> str:
        there = tree(store)
        capsys.readouterr()
        caplog.clear()
        found = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (found, out) == (status, ""), err
        # Without a handler of ours, Python prints what libraries warn of to stderr.
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
        assert tree(store) == there
        return one_sentence(err)

    return check


def one_sentence(err: str) -> str:
    """Return what was said on stderr, which is one line and no traceback."""
    assert err.endswith("\n")
    assert err.startswith("aftermap: ")
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert "fault of ours" not in err
    return err.removeprefix("aftermap: ").rstrip("\n")


def tree(store: Path) -> dict[str, str]:
    """Return the sha256 of every file of a store, the empty locks left out."""
    files = (path for path in store.rglob("*") if path.is_file() and path.name != ".lock")
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def not_there(path: Path) -> Path:
    return path


def a_text(path: Path) -> Path:
    path.write_text("Not a raster, whatever its name says.\n")
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def a_vrt(path: Path) -> Path:
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    return path


def without_crs(path: Path) -> Path:
    return radar(path, crs=None)


def without_position(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return radar(path, transform=Affine.identity())


def on_the_moon(path: Path) -> Path:
    return radar(path, crs='LOCAL_CS["moon",UNIT["metre",1]]')


def far_outside_of_its_crs(path: Path) -> Path:
    return radar(path, transform=north_up(west=5e9, north=5e9))


def around_the_pole(path: Path) -> Path:
    return radar(path, crs="EPSG:3413", transform=north_up(west=-640, north=640))


def single_look_complex(path: Path) -> Path:
    return write_image(path, np.full((2, SIDE_PX, SIDE_PX), 3 + 4j, np.complex64))


def all_nan(path: Path) -> Path:
    return write_image(path, np.full((2, SIDE_PX, SIDE_PX), np.nan, np.float32), nodata=np.nan)


def all_zero(path: Path) -> Path:
    return write_image(path, np.zeros((2, SIDE_PX, SIDE_PX), np.float32))


def all_transparent(path: Path) -> Path:
    return radar(path, mask=np.zeros((SIDE_PX, SIDE_PX), np.bool_))


def three_bands(path: Path) -> Path:
    return write_image(path, np.full((3, SIDE_PX, SIDE_PX), -12, np.float32))


def linear_power(path: Path) -> Path:
    return write_image(path, np.full((2, SIDE_PX, SIDE_PX), 0.08, np.float32))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (not_there, ["there is no file, folder or match at", "image.tif"]),
        (a_text, ["image.tif is not a GeoTIFF", "first bytes"]),
        (empty, ["image.tif is not a GeoTIFF", "empty"]),
        (a_vrt, ["image.tif is not a GeoTIFF"]),
        (without_crs, ["image.tif has no coordinate reference system", "gdal_edit.py"]),
        (without_position, ["image.tif", "no position"]),
        (on_the_moon, ["image.tif", "moon"]),
        (far_outside_of_its_crs, ["image.tif lies outside", "5000000000"]),
        (around_the_pole, ["image.tif lies around a pole"]),
        (single_look_complex, ["image.tif holds complex values"]),
        (all_nan, ["none of the", "pixels of the area", "no data", "give other scenes"]),
        (all_zero, ["none of the", "no data"]),
        (all_transparent, ["none of the", "no data"]),
        (three_bands, ["3 bands of image.tif", "vv, vh", "--bands"]),
        (linear_power, ["image.tif", "dB", "--units"]),
    ],
)
def test_an_image_that_cannot_be_used(
    refused: Refused, store: Path, tmp_path: Path, make: Callable[[Path], Path], words: list[str]
) -> None:
    image = make(tmp_path / "image.tif")
    said = refused(*asked(image), "--store", store)
    assert [word for word in words if word not in said] == [], said


LAYOUTS = {
    "strips": {},
    "deflated": {"compress": "deflate", "predictor": 3},
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64},
    "cog": {"driver": "COG", "blocksize": 128},
}


@pytest.mark.parametrize("share", [0.00005, 0.002, 0.05, 0.3, 0.7, 0.99, 1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_image(
    refused: Refused, store: Path, tmp_path: Path, layout: str, share: float
) -> None:
    whole = radar(tmp_path / "whole.tif", **LAYOUTS[layout]).read_bytes()
    image = tmp_path / "image.tif"
    # A COG ends with four bytes that say nothing new.
    image.write_bytes(whole[: int(len(whole) * share) - 8 * (share == 1)])
    said = refused(*asked(image), "--store", store)
    assert "image.tif" in said
    assert "truncated" in said or "first bytes" in said, said


def test_one_truncated_image_among_sound_ones(
    refused: Refused, store: Path, tmp_path: Path, before: Path, after: Path
) -> None:
    cut = tmp_path / "cut.tif"
    cut.write_bytes(after.read_bytes()[:-20_000])
    said = refused(*asked(before, cut), "--store", store)
    assert "cut.tif" in said
    assert "truncated" in said


def test_no_overlap_says_both_extents(refused: Refused, store: Path, after: Path) -> None:
    said = refused(*asked(after), "--store", store, "--area", "20,10,20.1,10.1")
    assert "longitude 20.0000 to 20.1000, latitude 10.0000 to 10.1000" in said
    assert "longitude 15.0000 to 15.0163, latitude 45.1420 to 45.1535" in said


def test_before_images_elsewhere_are_told_apart_from_after_images(
    refused: Refused, store: Path, tmp_path: Path, after: Path
) -> None:
    away = radar(tmp_path / "away.tif", crs="EPSG:32634")
    said = refused(*asked(after), "--store", store, "--before", away, "--area", INSIDE)
    assert "the before scenes (longitude 21." in said


def test_wrong_bands_for_the_model_say_both_lists(
    refused: Refused, store: Path, after: Path
) -> None:
    said = refused(*asked(after), "--store", store, "--model", "mndwi-water")
    assert "mndwi-water wants" in said
    assert "green, swir16" in said
    assert "there is sentinel-1-grd (vv, vh)" in said


def test_no_model_that_fits_says_why_not_of_each(
    refused: Refused, store: Path, after: Path
) -> None:
    arguments = [word.replace("flood", "wildfire") for word in asked(after)]
    said = refused(*arguments, "--store", store)
    assert "nbr-change wants" in said
    assert "ndvi-change wants" in said
    assert "--model none" in said


BOW_TIE = [[15.0, 50.9], [15.1, 51.0], [15.1, 50.9], [15.0, 51.0], [15.0, 50.9]]
SQUARE = [[15.0, 50.9], [15.1, 50.9], [15.1, 51.0], [15.0, 51.0], [15.0, 50.9]]


def polygon(ring: object) -> str:
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


AREAS = {
    "swapped": ("45.143,15.003,45.150,15.013", "with the two swapped; give longitude first"),
    "swapped, beyond 90": ("-41,174,-40,175", "longitude and latitude look swapped"),
    "NaN": ("nan,50.9,15.1,51", "(nan, 50.9); give finite degrees"),
    "NaN in GeoJSON": (polygon([[float("nan"), 1], *SQUARE]), "give finite degrees"),
    "infinite": (polygon([[float("inf"), 1], *SQUARE]), "give finite degrees"),
    "huge number": (polygon([[10**400, 1], *SQUARE]), "give finite degrees"),
    "bow tie": (polygon(BOW_TIE), "self-intersection at longitude 15.05, latitude 50.95"),
    "whole Earth": ("-180,-90,180,90", "510,065,622 km2, and at most 250,000 km2"),
    "no area": ("15,51,15,51", "has no area"),
    "three numbers": ("15,51,16", "a box has 4 numbers"),
    "metres": ("500000,5640000,510000,5650000", "look projected, in metres"),
    "a word": ("Dresden", "'Dresden' is not an area"),
    "a line": ('{"type": "LineString", "coordinates": [[1, 2], [3, 4]]}', "type LineString"),
    "no file": ("nowhere.geojson", "No such file"),
    "half of JSON": ('{"type": "Polygon", "coordi', "is not JSON"),
    "not closed": (polygon(SQUARE[:-1]), "is not closed"),
    "nested deep": ("[" * 100_000 + "]" * 100_000, "nested too deep"),
    "many vertices": (polygon([[15 + i / 1e6, 50.9] for i in range(11_000)]), "11,000 vertices"),
}


@pytest.mark.parametrize("name", AREAS)
def test_an_area_that_cannot_be_used(refused: Refused, store: Path, after: Path, name: str) -> None:
    area, words = AREAS[name]
    said = refused(*asked(after), "--store", store, "--area", area)
    assert words in said
    assert len(said) < 600, "a sentence repeats the whole input"


def test_a_bomb_of_an_area_in_a_file(
    refused: Refused, store: Path, tmp_path: Path, after: Path
) -> None:
    bombs = {
        "wide.geojson": (polygon([[15 + i / 1e6, 50.9] for i in range(150_000)]), "vertices"),
        "large.geojson": (polygon(SQUARE) + " " * 6_000_000, "more than 5 MB"),
        "deep.geojson": ('{"a":' * 70_000, "nested too deep"),
        "number.geojson": (polygon(SQUARE).replace("15.1", "1" * 1_000_000), "finite"),
    }
    for name, (text, words) in bombs.items():
        (tmp_path / name).write_text(text)
        said = refused(*asked(after), "--store", store, "--area", tmp_path / name)
        assert words in said
        assert len(said) < 600


def test_before_and_after_swapped_in_time(
    refused: Refused, store: Path, before: Path, after: Path
) -> None:
    said = refused(
        *asked(after), "--store", store, "--before", before,
        "--before-date", "2024-06-18", "--after-date", "2024-06-06",
    )  # fmt: skip
    assert "before was taken 2024-06-18" in said
    assert "after 2024-06-06" in said
    assert "swap --before and --after" in said


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--sensor", "sputnik", ["no sensor 'sputnik'", "sentinel-1-grd"]),
        ("--model", "oracle", ["no model is named 'oracle'", "sar-water"]),
        ("--hazard", "locusts", ["--hazard", "'flood'"]),
        ("--hazzard", "flood", ["No such option: --hazzard", "--hazard"]),
        ("--bands", "vv", ["--bands names 1 bands (vv)", "has 2"]),
        ("--bands", "vv,hh", ["no band hh", "vv, vh"]),
        ("--units", "bels", ["units", "dB"]),
        ("--prefer", "prettiest", ["prefer", "'newest'"]),
        ("--device", "tpu", ["device", "cpu"]),
        ("--resolution", "0", ["resolution_m", "greater than 0"]),
        ("--resolution", "nan", ["resolution_m"]),
        ("--resolution", "1e9", ["resolution_m", "100000"]),
        ("--resolution", "9000", ["no pixel", "smaller --resolution"]),
        ("--resolution", "0.0001", ["smaller --area or a larger --resolution"]),
        ("--min-area", "-1", ["min_area_m2"]),
        ("--min-area", "1e30", ["min_area_m2"]),
        ("--simplify", "-1", ["simplify_m"]),
        ("--simplify", "1e9", ["simplify_m"]),
        ("--crs", "EPSG:1", ["EPSG:1", "EPSG:32633"]),
        ("--crs", "EPSG:4326", ["EPSG:4326", "metres", "EPSG:32633"]),
        ("--event", "!?", ["event", "a-z"]),
        ("--event", "../../etc", ["event"]),
        ("--after-date", "yesterday", ["after", "taken"]),
        ("--after-date", "05-06-2024", ["05-06-2024", "2019-07-23"]),
        ("--after-date", "2187-12-31", ["2187-12-31"]),
        ("--before", "~nobody-here/before.tif", ["no file, folder or match at ~nobody-here"]),
        ("--buildings", "no.gpkg", ["no file of footprints at no.gpkg"]),
    ],
)
def test_an_option_that_cannot_be_used(
    refused: Refused, store: Path, after: Path, option: str, value: str, words: list[str]
) -> None:
    said = refused(*asked(after), "--store", store, option, value)
    assert [word for word in words if word not in said] == [], said


def test_what_is_missing_is_named(refused: Refused, store: Path) -> None:
    said = refused("map", "--store", store, "--direct", "--hazard", "flood")
    assert "--event and --after must be given" in said


REQUEST = {
    "event": EVENT, "hazard": "flood", "store": "store",
    "after": [{"path": "after.tif", "sensor": "sentinel-1-grd"}],
}  # fmt: skip

REQUESTS = {
    "not JSON": (b"{'event': 1}", ["request.json is not valid", "JSON"]),
    "cut off": (json.dumps(REQUEST).encode()[:-9], ["request.json is not valid", "JSON"]),
    "not a text": (b"\xff\xfe\x00{}", ["no text file"]),
    "a list": (b"[]", ["request.json is not valid"]),
    "empty": (b"", ["request.json is not valid"]),
    "unknown field": (json.dumps({**REQUEST, "evnt": 1}).encode(), ["evnt"]),
    "missing field": (b'{"event": "e", "hazard": "flood"}', ["after"]),
    "no image": (json.dumps({**REQUEST, "after": []}).encode(), ["after", "at least 1"]),
    "wrong hazard": (json.dumps({**REQUEST, "hazard": "x"}).encode(), ["hazard", "'flood'"]),
    "box of three": (json.dumps({**REQUEST, "area": [1, 2, 3]}).encode(), ["area", "4 numbers"]),
    "box of words": (json.dumps({**REQUEST, "area": list("abcd")}).encode(), ["area"]),
    "bomb": (json.dumps({**REQUEST, "area": "[" * 10_000}).encode(), ["nested too deep"]),
    "deep": (b'{"event": ' + b"[" * 100_000, ["request.json is not valid"]),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_cannot_be_used(
    refused: Refused, store: Path, tmp_path: Path, after: Path, name: str
) -> None:
    content, words = REQUESTS[name]
    shutil.copy(after, tmp_path / "after.tif")
    (tmp_path / "request.json").write_bytes(content)
    said = refused("map", tmp_path / "request.json", "--direct", "--quiet")
    assert [word for word in words if word not in said] == [], said
    assert len(said) < 600


def test_a_request_file_that_is_not_there_or_a_folder(refused: Refused, tmp_path: Path) -> None:
    assert "No such file" in refused("map", tmp_path / "no.json", "--direct")
    assert "Is a directory" in refused("map", tmp_path, "--direct")


def test_an_option_over_a_request_file_is_checked_as_well(
    refused: Refused, tmp_path: Path, after: Path
) -> None:
    shutil.copy(after, tmp_path / "after.tif")
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    said = refused("map", tmp_path / "request.json", "--direct", "--prefer", "prettiest")
    assert "prefer" in said


def test_other_commands_say_what_is_wrong(refused: Refused, store: Path, tmp_path: Path) -> None:
    (product,) = LocalStore(store).products(EVENT)
    assert "no event 'rhine'; it has drava-2024" in refused("products", "rhine", "--store", store)
    assert "no model is named 'oracle'" in refused("models", "oracle")
    assert "is no product" in refused("score", tmp_path, "--truth", "truth.tif")
    assert "truth.tif" in refused("score", product.folder, "--truth", tmp_path / "truth.tif")
    assert "Missing option '--truth'" in refused("score", product.folder)
    assert "No such command 'mpa'" in refused("mpa")
    said = refused("serve", "--store", tmp_path / "nowhere", status=1)
    assert "nowhere" in said


@pytest.mark.parametrize("where", ["file", "file/store", "/proc/store"])
def test_a_store_that_cannot_be_made(
    refused: Refused, tmp_path: Path, after: Path, where: str
) -> None:
    # Tests may run as root, whom no rights stop; a file is no folder, and /proc takes nothing.
    (tmp_path / "file").write_text("somebody's")
    store = tmp_path / where
    said = refused(*asked(after), "--store", store, status=1)
    assert str(store) in said
    assert said.endswith("; choose another store")
    assert (tmp_path / "file").read_text() == "somebody's"


def test_debug_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*asked(a_text(tmp_path / "image.tif")), "--store", str(tmp_path / "store")]
    monkeypatch.setattr(sys, "argv", ["aftermap", "--debug", *arguments])
    with pytest.raises(SceneUnreadable):
        main()
    monkeypatch.setattr(sys, "argv", ["aftermap", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()


def test_a_truncated_image_says_nothing_but_the_sentence_in_a_process(
    tmp_path: Path, after: Path
) -> None:
    """GDAL and libtiff write their own warnings to stderr, where no test in here sees them."""
    image = tmp_path / "image.tif"
    image.write_bytes(after.read_bytes()[:100_000])
    ran = aftermap(*asked(image), "--store", tmp_path / "store", home=tmp_path / "home")
    assert (ran.status, ran.out) == (2, "")
    assert "truncated" in one_sentence(ran.err)
    assert LocalStore(tmp_path / "store").events() == []
