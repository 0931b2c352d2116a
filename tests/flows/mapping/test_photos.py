"""Photos without georeference, through the command line: masks, summaries, positions."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.cli.app import run
from flows.mapping.photo_plan import find_photos
from flows.request import make_request
from geo.store.store import LocalStore
from models.inference.photos import FOUND, NOT_ANALYSED, NOT_FOUND
from tests.flows.products import assert_every_file_has_a_format
from tests.models.inference.test_photos import RedIsWater
from tests.photos import NADIR, colours, photo
from tests.rasters import picture, write_image

PLACE = (90.3889, 23.7639)


@pytest.fixture
def by_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are answered by a rule; what a network sees in them is not tested here."""
    monkeypatch.setattr("flows.mapping.photos.load_model", lambda ref, device: RedIsWater(ref.card))


def command(after: Path, store: Path, *more: object) -> list[str]:
    options = ("--event", "flood", "--hazard", "flood", "--direct", "--quiet", "--json")
    return [str(word) for word in ("map", *options, "--after", after, "--store", store, *more)]


def product(store: Path) -> Path:
    (found,) = LocalStore(store).products("flood")
    return found.folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    photo(folder / "down.jpg", lonlat=PLACE, said=NADIR)
    photo(folder / "aslant.jpg", lonlat=PLACE, said={**NADIR, "GimbalPitchDegree": "-30"})
    photo(folder / "bare.png")
    photo(folder / "black.png", np.zeros((60, 80, 3), np.uint8))
    return folder


@pytest.fixture
def mapped(by_rule: None, photos: Path, tmp_path: Path, capsys: Any) -> Iterator[dict[str, Any]]:
    assert run(command(photos, tmp_path / "store")) == 0
    yield json.loads(capsys.readouterr().out)


def test_each_photo_has_a_mask_a_picture_and_a_row(mapped: dict[str, Any], tmp_path: Path) -> None:
    folder = product(tmp_path / "store")
    assert_every_file_has_a_format(folder)
    found = {row["photo"]: row for row in mapped["summary"]["photos"]}
    assert set(found) == {"down.jpg", "aslant.jpg", "bare.png", "black.png"}
    for row in found.values():
        mask = np.asarray(Image.open(folder / row["mask"]))
        assert mask.shape == (60, 80)
        assert set(np.unique(mask)) <= {FOUND, NOT_FOUND, NOT_ANALYSED}
        assert Image.open(folder / row["overlay"]).size == (80, 60)
        analysed = mask != NOT_ANALYSED
        assert row["not_analysed_share"] == pytest.approx(1 - analysed.mean())
        if analysed.any():
            assert row["flooded_share"] == pytest.approx((mask == FOUND).sum() / analysed.sum())
    assert found["black.png"]["flooded_share"] is None
    assert found["black.png"]["not_analysed"] == {"no data": 1.0}
    rows = list(csv.DictReader((folder / "photos.csv").open(encoding="utf-8")))
    assert [row["photo"] for row in rows] == list(found)
    assert json.loads((folder / "summary.json").read_text()) == mapped["summary"]


def test_a_photo_in_near_infrared_is_refused_unless_asked_for(
    by_rule: None, tmp_path: Path, capsys: Any
) -> None:
    plants = np.random.default_rng(1).integers(0, 20, (60, 80, 3)) + (180, 50, 75)
    image, store = photo(tmp_path / "nir.png", plants.astype(np.uint8)), tmp_path / "store"
    assert run(command(image, store)) == 2
    said = capsys.readouterr().err
    assert "nir.png looks like near infrared, red and green" in said
    assert len(said.splitlines()) == 1
    assert not list(store.rglob("manifest.json"))
    assert run([*command(image, store), "--no-domain-check"]) == 0
    capsys.readouterr()


def test_photos_do_not_hide_the_map_of_their_event(
    mapped: dict[str, Any], tmp_path: Path, photos: Path, capsys: Any
) -> None:
    store = tmp_path / "store"
    image = write_image(tmp_path / "map.tif", picture(3, 64, 64))
    assert run([*command(image, store), "--sensor", "aerial-rgb", "--model", "none"]) == 0
    there = LocalStore(store).latest("flood")
    photo(photos / "later.png")
    assert run(command(photos, store)) == 0
    assert len(LocalStore(store).products("flood")) == 3
    assert LocalStore(store).latest("flood") == there
    collection = json.loads((store / "events" / "flood" / "collection.json").read_text())
    (newest,) = (link for link in collection["links"] if link["rel"] == "latest-version")
    assert there is not None and there.product_id in newest["href"]
    capsys.readouterr()


def test_no_photo_has_a_position_that_it_lacks(mapped: dict[str, Any], tmp_path: Path) -> None:
    layers = product(tmp_path / "store") / "layers"
    position = {row["photo"]: row["position"] for row in mapped["summary"]["photos"]}
    assert position == {
        "down.jpg": "footprint", "aslant.jpg": "camera", "bare.png": "none", "black.png": "none",
    }  # fmt: skip
    (area,) = json.loads((layers / "photo_footprint.geojson").read_text())["features"]
    (point,) = json.loads((layers / "camera_position.geojson").read_text())["features"]
    assert area["properties"]["photo"] == "down.jpg"
    assert "approximate" in area["properties"]["position_accuracy"]
    assert (area["geometry"]["type"], point["geometry"]["type"]) == ("Polygon", "Point")
    assert point["properties"]["notation"] == "Position of the camera, not of what it shows"
    item = json.loads((layers.parent / "item.json").read_text())
    assert item["geometry"] is None
    assert "bbox" not in item


def test_the_same_photos_are_published_once(
    mapped: dict[str, Any], photos: Path, tmp_path: Path, capsys: Any
) -> None:
    assert run(command(photos, tmp_path / "store")) == 0
    again = json.loads(capsys.readouterr().out)
    assert (mapped["new"], again["new"]) == (True, False)
    assert again["product_id"] == mapped["product_id"]
    assert "photos" in product(tmp_path / "store").joinpath("manifest.json").read_text()


def test_the_words_for_people(by_rule: None, photos: Path, tmp_path: Path, capsys: Any) -> None:
    words = [w for w in command(photos, tmp_path / "store") if w != "--json"]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "does not tell a flood from water" in said
    assert "photos.csv" in said


def refused(arguments: list[str], capsys: Any, store: Path) -> str:
    capsys.readouterr()
    assert run(arguments) == 2
    said: str = capsys.readouterr().err
    assert said.count("\n") == 1
    assert LocalStore(store).events() == []
    return said


def test_photos_and_georeferenced_images_do_not_mix(tmp_path: Path, capsys: Any) -> None:
    store = tmp_path / "store"
    ortho = write_image(tmp_path / "mixed" / "ortho.tif", picture(3, 20, 20))
    snap = photo(tmp_path / "mixed" / "snap.jpg")
    for arguments in (command(ortho.parent, store), command(ortho, store, "--after", snap)):
        said = refused(arguments, capsys, store)
        assert "snap.jpg is a photo without georeference, and ortho.tif is georeferenced" in said


def test_a_picture_beside_geotiffs_is_a_preview(tmp_path: Path) -> None:
    write_image(tmp_path / "product" / "band.tif", picture(3, 20, 20))
    Image.fromarray(colours()).save(tmp_path / "product" / "quicklook.jpg")
    request = make_request(event="flood", hazard="flood", after=[str(tmp_path / "product")])
    assert find_photos(request) == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--area", "1,2,3,4"), "area needs one"),
        (("--resolution", "1"), "resolution_m needs one"),
        (("--model", "none"), "says nothing"),
        (("--model", "sar-water"), "such as flood-rgb"),
        (("--hazard", "wildfire"), "no model can find a wildfire in photos"),
    ],
)
def test_what_photos_cannot_be_asked(
    photos: Path, tmp_path: Path, capsys: Any, more: tuple[str, ...], words: str
) -> None:
    store = tmp_path / "store"
    assert words in refused(command(photos, store, *more), capsys, store)


def test_one_broken_photo_stops_the_run(
    by_rule: None, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    (photos / "cut.jpg").write_bytes((photos / "down.jpg").read_bytes()[:1500])
    store = tmp_path / "store"
    assert "cut.jpg cannot be read" in refused(command(photos, store), capsys, store)


def test_black_photos_alone_are_refused(
    by_rule: None, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    store = tmp_path / "store"
    said = refused(command(photos / "black.png", store), capsys, store)
    assert "none of the 1 photos has a pixel that could be analysed" in said


def test_a_product_of_photos_is_not_explained(
    mapped: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    capsys.readouterr()
    assert run(["explain", str(product(tmp_path / "store")), "f1"]) == 2
    assert "is of photos" in capsys.readouterr().err


@pytest.mark.data
def test_real_photos_by_the_network(data_dir: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("1.jpg", "1000.jpg"):
        shutil.copy(data_dir / "flood_area" / "images" / name, tmp_path)
    assert run(command(tmp_path, tmp_path / "store")) == 0
    rows = json.loads(capsys.readouterr().out)["summary"]["photos"]
    folder = product(tmp_path / "store")
    for row in rows:
        label = Image.open(data_dir / "flood_area" / "masks" / row["photo"].replace("jpg", "png"))
        assert Image.open(folder / row["mask"]).size == label.size
        assert row["position"] == "none"
    assert not (folder / "layers").exists()
