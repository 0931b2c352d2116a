"""`aftermap explain`, on a detector's polygons and on those of a tiny network."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from flows.cli.app import run
from geo.store.manifest import read_origins
from geo.store.store import LocalStore
from models.cards.card import ModelCard
from models.networks.network import build
from tests.flows.imagery import asked, radar
from tests.models.conftest import network_card

EVENT = "drava-2024"
torch.set_num_threads(1)


def slot(phase: str) -> dict[str, Any]:
    """Return a slot of radar."""
    return {
        "name": f"s1-{phase}", "phase": phase, "sensors": ["sentinel-1-grd"], "units": "dB",
        "bands": ["vv", "vh"], "mean": [-12, -12], "std": [3, 3], "required": phase == "after",
    }  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office's folder of models, with one network of random weights on radar."""
    folder = tmp_path_factory.mktemp("models") / "tiny-radar"
    folder.mkdir()
    card = network_card(
        name="tiny-radar", inputs=[slot("before"), slot("after")], window_px=64, overlap_px=16
    )
    torch.manual_seed(4)
    network = build(ModelCard.model_validate(card).architecture, name="tiny-radar")
    save_file(network.state_dict(), folder / "weights.safetensors")
    content = (folder / "weights.safetensors").read_bytes()
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return folder.parent


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Radar before and after."""
    folder = tmp_path_factory.mktemp("images")
    return radar(folder / "before.tif"), radar(folder / "after.tif", water_cols=70, seed=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explained") / "store"


def mapped(images: tuple[Path, Path], store: Path, model: Path | str) -> Path:
    """Map the images and return the folder of the product."""
    there = {product.product_id for product in LocalStore(store).products(EVENT)}
    before, after = images
    options = ("--before", before, "--store", store, "--model", model, "--min-area", 0)
    assert run([*asked(after), *map(str, options)]) == 0
    (product,) = (p for p in LocalStore(store).products(EVENT) if p.product_id not in there)
    return product.folder


@pytest.fixture(scope="module")
def by_detector(images: tuple[Path, Path], store: Path) -> Path:
    """A product of a detector that sees one image at a time."""
    return mapped(images, store, "sar-water")


@pytest.fixture(scope="module")
def by_network(images: tuple[Path, Path], store: Path, shelf: Path) -> Path:
    """A product of the network."""
    return mapped(images, store, shelf / "tiny-radar")


def largest(product: Path, layer: str = "observed_event") -> dict[str, Any]:
    """Return the properties of the largest feature of a layer."""
    features = json.loads((product / "layers" / f"{layer}.geojson").read_text())["features"]
    found: dict[str, Any] = max(
        (feature["properties"] for feature in features), key=lambda p: p["area_ha"]
    )
    return found


Explain = Callable[..., dict[str, Any]]


@pytest.fixture
def explained(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Explains a feature, and returns what was printed as JSON."""

    def explain(product: Path | str, feature: str, *options: object) -> dict[str, Any]:
        words = ("--store", store, "--out", tmp_path / "why.png", "--json", "--quiet")
        status = run(["explain", *map(str, (product, feature, *words, *options))])
        out, err = capsys.readouterr()
        assert status == 0, err
        told: dict[str, Any] = json.loads(out)
        with Image.open(told["picture"]) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 600
        return told

    return explain


def agrees(told: dict[str, Any]) -> None:
    """Check that the probability is the product's own, which is kept in whole per cents."""
    assert told["largest_difference"] <= 0.0051
    assert told["probability"] == pytest.approx(told["probability_in_product"], abs=0.0051)
    assert 100 * told["probability_in_product"] == pytest.approx(told["confidence"], abs=1.5)
    assert told["pixels"] == told["pixels_of_polygon"]


def test_a_detector_shows_its_features_and_their_thresholds(
    by_detector: Path, explained: Explain
) -> None:
    feature = largest(by_detector)
    told = explained(by_detector.name, feature["id"])
    agrees(told)
    assert (told["layer"], told["notation"]) == ("observed_event", "Flooded area")
    after, before = told["features"]
    statistics = json.loads((by_detector / "manifest.json").read_text())["scene_statistics"]
    for shown, phase in ((after, "after"), (before, "before")):
        assert shown["name"] == f"backscatter, {phase} the event"
        assert shown["threshold"] == statistics[phase]["thresholds"][0]["value"]
    # Dark after and bright before: columns 40 to 70 of the images.
    assert after["median_inside"] < after["threshold"] < after["median_around"] + 12
    assert before["median_inside"] > before["threshold"]
    assert told["left_out"] == told["attributions"] == []


def test_water_before_is_explained_by_the_image_before(
    by_detector: Path, explained: Explain
) -> None:
    told = explained(by_detector, largest(by_detector, "hydrography")["id"])
    agrees(told)
    (before,) = told["features"]
    assert before["name"] == "backscatter, before the event"
    assert before["median_inside"] < before["threshold"]


def test_a_network_says_which_images_and_bands_moved_it(
    by_network: Path, explained: Explain
) -> None:
    told = explained(by_network, largest(by_network)["id"])
    agrees(told)
    assert [each["image"] for each in told["attributions"]] == ["s1-before", "s1-after"]
    assert [(each["image"], each["band"]) for each in told["left_out"]] == [
        ("s1-before", None), ("s1-after", None),
    ]  # fmt: skip
    (balance,) = told["completeness"]
    total = sum(each["log_odds"] for each in told["attributions"])
    assert total == pytest.approx(balance["attributed"], abs=1e-4)
    for each in told["attributions"]:
        assert each["bands"].keys() == {"vv", "vh"}
        assert each["log_odds"] == pytest.approx(sum(each["bands"].values()) + each["presence"])


def test_people_get_a_table_and_the_name_of_the_picture(
    by_detector: Path,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    feature = largest(by_detector)["id"]
    assert run(["explain", by_detector.name, feature, "--store", str(store)]) == 0
    out = capsys.readouterr().out
    assert f"picture: {feature}.png" in out
    assert "threshold" in out
    assert (tmp_path / f"{feature}.png").is_file()


def test_the_store_records_the_paths_of_the_inputs_and_the_product_does_not(
    by_network: Path, images: tuple[Path, Path], shelf: Path, store: Path
) -> None:
    product = LocalStore(store).find(EVENT, by_network.name)
    assert product is not None
    origins = read_origins(product)
    assert origins is not None
    assert (origins.before, origins.after) == ([str(images[0])], [str(images[1])])
    assert origins.model == str(shelf / "tiny-radar")
    told = [p for p in by_network.rglob("*.json") if str(images[0].parent) in p.read_text()]
    assert told == []


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Runs `explain`, which must fail with one sentence; returns it."""

    def check(*words: object) -> str:
        capsys.readouterr()
        out_png = () if "--out" in words else ("--out", tmp_path / "why.png")
        status = run(["explain", *map(str, (*words, *out_png))])
        out, err = capsys.readouterr()
        assert (status, out) == (2, ""), err
        assert len(err.splitlines()) == 1, err
        assert "fault of ours" not in err
        assert not (tmp_path / "why.png").exists()
        return err

    return check


def test_what_cannot_be_explained_is_said_so(
    by_detector: Path, store: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    feature = largest(by_detector)["id"]
    there = ("--store", store)
    assert "no product of that id in the store" in refused("0" * 16, feature, *there)
    assert "is no product" in refused(tmp_path, feature, *there)
    assert "has no feature 'nothing'" in refused(by_detector, "nothing", *there)
    footprint = largest(by_detector, "image_footprint")["id"]
    assert "image_footprint, which is not made by a model" in refused(
        by_detector, footprint, *there
    )
    said = refused(by_detector, feature, *there, "--out", tmp_path / "why.pdf")
    assert "why.pdf does not end with .png" in said
    said = refused(by_detector, feature, *there, "--before", "a.tif", "--before", "b.tif")
    assert "made from 1 sources before the event (before.tif), and 2 are known" in said


def test_an_image_that_moved_or_changed_is_named(
    by_detector: Path,
    store: Path,
    images: tuple[Path, Path],
    tmp_path: Path,
    refused: Callable[..., str],
    explained: Explain,
) -> None:
    feature = largest(by_detector)["id"]
    elsewhere = tmp_path / "elsewhere.tif"
    said = refused(by_detector, feature, "--after", elsewhere)
    assert f"no file, folder or match at {elsewhere}" in said
    assert "give its path with --after" in said
    radar(elsewhere, water_cols=71, seed=2)
    said = refused(by_detector, feature, "--after", elsewhere)
    assert "the image after of the product" in said
    assert "is not as it was" in said
    shutil.copy(images[1], elsewhere)
    agrees(explained(by_detector, feature, "--after", elsewhere))


def test_a_product_that_was_copied_away_needs_the_paths_of_its_images(
    by_detector: Path,
    images: tuple[Path, Path],
    tmp_path: Path,
    refused: Callable[..., str],
    explained: Explain,
) -> None:
    copy = Path(shutil.copytree(by_detector, tmp_path / "away" / by_detector.name))
    feature = largest(copy)["id"]
    assert "0 are known here; give the path of each with --before" in refused(copy, feature)
    before, after = images
    agrees(explained(copy, feature, "--before", before, "--after", after))


def test_a_model_that_changed_is_named(
    by_network: Path, shelf: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    other = Path(shutil.copytree(shelf / "tiny-radar", tmp_path / "other"))
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps({**card, "version": "9.9.9"}))
    said = refused(by_network, largest(by_network)["id"], "--model", other)
    assert "was made by tiny-radar 0.1.0 with the digest" in said
    assert "the one here has" in said
