"""Imagery unlike anything that a network learned from, through the main job."""

import json
import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from flows.config import Settings
from flows.mapping.map_run import map_event
from flows.mapping.records import Published
from flows.reports.progress import QuietProgress
from flows.request import make_request
from geo.raster.classify import Label
from tests.models.network_fixtures import save_flood
from tests.rasters import north_up, smooth, write_image

SIDE_PX = 96
S1 = "S1A_IW_GRDH_1SDV_201909{0:02}T175505_201909{0:02}T175530_028888_034632_0001.tif"
S2 = "S2B_MSIL2A_201909{0:02}T104629_N0510_R051_T{1}_201909{0:02}T120000.tif"
DAYS = {"before": 5, "after": 17}
WEST, EAST = "33TVK", "33TWK"
OUT = "out of the model's domain"

Pixels = npt.NDArray[Any]


def reflectance() -> Pixels:
    """Return green, near and short-wave infrared of land."""
    return np.stack(
        [smooth(SIDE_PX, SIDE_PX, low=low, high=low + 0.15) for low in (0.05, 0.2, 0.15)]
    )


def optical(folder: Path, phase: str, *, tile: str = WEST, scale: float = 1.0) -> str:
    """Write a Sentinel-2 scene; the tile in the east lies beside the one in the west."""
    # One count a day: two files with the same pixels are refused as one image.
    counts = reflectance() * scale * 10_000 + 1000 + DAYS[phase]
    stored = np.concatenate([counts, np.full((1, SIDE_PX, SIDE_PX), 4.0)])
    shift = SIDE_PX * 10.0 * (tile == EAST)
    path = write_image(
        folder / phase / S2.format(DAYS[phase], tile),
        stored.round().astype(np.uint16),
        descriptions=("B03", "B08", "B11", "SCL"),
        transform=north_up(west=500_000.0 + shift),
        nodata=0,
    )
    return str(path)


def radar(folder: Path, phase: str) -> str:
    """Write a Sentinel-1 scene of land."""
    pixels = np.random.default_rng(len(phase)).normal(-9, 2, (2, SIDE_PX, SIDE_PX))
    path = folder / phase / S1.format(DAYS[phase])
    return str(
        write_image(path, pixels.astype(np.float32), descriptions=("VV", "VH"), nodata=np.nan)
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A network that calls everything flood, and learned from scenes like those above."""
    folder = tmp_path_factory.mktemp("models")
    ref = save_flood(folder, head=100.0, domain={})
    card = json.loads((ref.folder / "card.json").read_text())
    green, nir, swir = reflectance()
    for entry in card["inputs"]:
        bands = [np.random.default_rng(1).normal(-9, 2, 5000)]
        if entry["units"] == "reflectance":
            bands = [swir, nir, green]
        entry["training_statistics"] = [
            {
                "mean": float(band.mean()),
                "std": float(band.std()),
                "percentiles": np.percentile(band, (1, 50, 99)).tolist(),
            }
            for band in bands
        ]
    (ref.folder / "card.json").write_text(json.dumps(card))
    return Settings(models=ref.folder)


def mapped(folder: Path, settings: Settings, **images: Any) -> Published:
    request = make_request(
        **{"event": "drava", "hazard": "flood", "store": folder / "store", **images}
    )
    return map_event(request, settings, QuietProgress())


def labels(product: Published) -> Pixels:
    """Return the class raster without its edge, where radar has a border of its own."""
    with rasterio.open(product.folder / "rasters" / "class.tif") as source:
        return source.read(1)[8:-8, 8:-8]


def reasons(product: Published) -> set[str]:
    frame = gpd.read_file(product.folder / "layers" / "not_analysed.geojson")
    return set(frame.get("reason", ()))


def test_imagery_in_the_domain_is_mapped_as_without_the_check(
    tmp_path: Path, settings: Settings
) -> None:
    images = {p: [optical(tmp_path, p), radar(tmp_path, p)] for p in DAYS}
    checked = mapped(tmp_path, settings, **images)
    unchecked = mapped(tmp_path, settings, **images, domain_check=False)
    assert (labels(checked) == Label.EVENT).all()
    np.testing.assert_array_equal(labels(checked), labels(unchecked))
    assert checked.product_id != unchecked.product_id
    assert OUT not in reasons(checked)
    assert checked.summary.cross_check is not None
    assert checked.summary.cross_check.detector == "sar-change-vv"
    assert any("they differ on" in note for note in checked.summary.notes)


def test_a_far_scene_gives_no_flood_and_says_why(tmp_path: Path, settings: Settings) -> None:
    images = {p: [optical(tmp_path, p, scale=3)] for p in DAYS}
    product = mapped(tmp_path, settings, **images)
    assert (labels(product) == Label.OUT_OF_DOMAIN).all()
    assert reasons(product) == {OUT}
    assert gpd.read_file(product.folder / "layers" / "observed_event.geojson").empty
    assert product.summary.analysed_share == 0
    assert product.summary.observed_share == 1
    (note,) = [note for note in product.summary.notes if "left out of s2-after" in note]
    band, _, rest = note.partition(" has 1st, 50th and 99th percentiles of ")
    green, nir, swir = reflectance()
    learned = {"green": green, "nir": nir, "swir16": swir}[band.split()[-1]]
    values = [float(number) for number in re.findall(r"\d+\.\d+", rest)[:6]]
    percentiles = np.percentile(learned, (1, 50, 99))
    np.testing.assert_allclose(values, [*3 * percentiles, *percentiles], atol=0.01)


def test_what_is_asked_for_all_the_same_is_mapped_and_recorded(
    tmp_path: Path, settings: Settings
) -> None:
    images = {p: [optical(tmp_path, p, scale=3)] for p in DAYS}
    product = mapped(tmp_path, settings, **images, domain_check=False)
    assert (labels(product) == Label.EVENT).all()
    assert product.summary.cross_check is None
    assert any("domain check was turned off" in note for note in product.summary.notes)
    manifest = json.loads((product.folder / "manifest.json").read_text())
    assert manifest["request"]["domain_check"] is False


def test_an_image_that_is_far_is_left_out_and_the_others_answer(
    tmp_path: Path, settings: Settings
) -> None:
    before = [optical(tmp_path, "before", scale=3)]
    after = [optical(tmp_path, "after"), radar(tmp_path, "after")]
    product = mapped(tmp_path, settings, before=before, after=after)
    # What the image before would have dated is water that nobody can date.
    assert (labels(product) == Label.UNDATED_WATER).all()
    assert any("was left out of s2-before" in note for note in product.summary.notes)
    (used,) = [scene for scene in product.summary.scenes if scene.phase == "before"]
    assert used.used_share == 0


def test_of_two_scenes_side_by_side_the_far_one_is_not_analysed(
    tmp_path: Path, settings: Settings
) -> None:
    after = [optical(tmp_path, "after"), optical(tmp_path, "after", tile=EAST, scale=3)]
    found = labels(mapped(tmp_path, settings, after=after))
    assert found.shape[1] > 1.5 * SIDE_PX
    assert (found[:, : SIDE_PX - 10] == Label.UNDATED_WATER).all()
    assert (found[:, SIDE_PX:] == Label.OUT_OF_DOMAIN).all()
