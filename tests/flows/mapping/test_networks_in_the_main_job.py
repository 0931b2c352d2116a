"""A network with optional images in the main job: chosen, given what there is, open about it."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from flows.config import Settings
from flows.mapping.map_run import map_event
from flows.mapping.plan import Plan, find_scenes, make_plan
from flows.mapping.steps import map_pixels
from flows.reports.progress import QuietProgress
from flows.request import make_request
from geo.errors import UnitsMismatch
from geo.raster.classify import Label
from geo.store.store import Workspace
from models.errors import InputsMismatch
from tests.models.network_fixtures import MADE, save_flood
from tests.rasters import smooth, write_image

SIDE_PX = 96
S1 = "S1A_IW_GRDH_1SDV_201909{0:02}T175505_201909{0:02}T175530_028888_034632_0001.tif"
S2 = "S2B_MSIL2A_201909{0:02}T104629_N0510_R051_T33TVK_201909{0:02}T120000.tif"
DAYS = {"before": 5, "after": 17}
IMAGES = ("s1-before", "s1-after", "s2-before", "s2-after")
AFTER = [name for name in IMAGES if name.endswith("after")]
INNER = np.s_[8:-8, 8:-8]
"""Away from the edges of the imagery, where radar has a border of its own."""

Pixels = npt.NDArray[Any]


def radar(name: str) -> Pixels:
    """Return VV and VH of land, dB; the name makes two dates differ."""
    noise = np.random.default_rng(len(name)).normal(-9, 2, (2, SIDE_PX, SIDE_PX))
    return noise.astype(np.float32)


def optical(name: str = "s2-after") -> Pixels:
    """Return green, near and short-wave infrared as baseline 05.10 stores them, and the SCL."""
    lows = [low + len(name) for low in (1500, 3000, 2500)]
    bands = [smooth(SIDE_PX, SIDE_PX, low=low, high=low + 1500) for low in lows]
    return np.stack([*bands, np.full((SIDE_PX, SIDE_PX), 4)]).astype(np.uint16)


@pytest.fixture
def imagery(tmp_path: Path) -> dict[str, Path]:
    """Four images of one place."""
    paths = {}
    for name in IMAGES:
        sensor, phase = name.split("-")
        if sensor == "s1":
            path = tmp_path / phase / S1.format(DAYS[phase])
            write_image(path, radar(name), descriptions=("VV", "VH"), nodata=np.nan)
        else:
            path = tmp_path / phase / S2.format(DAYS[phase])
            write_image(path, optical(name), descriptions=("B03", "B08", "B11", "SCL"), nodata=0)
        paths[name] = path
    return paths


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that calls everything flood."""
    return save_flood(tmp_path_factory.mktemp("models"), head=100.0).folder


@pytest.fixture
def settings(network: Path) -> Settings:
    return Settings(models=network)


def planned(images: dict[str, Path], settings: Settings, **fields: Any) -> Plan:
    """Return the plan of a flood that these images show."""
    request = make_request(**{
        "event": "drava", "hazard": "flood",
        "before": [str(path) for name, path in images.items() if name.endswith("before")],
        "after": [str(path) for name, path in images.items() if name.endswith("after")],
    } | fields)  # fmt: skip
    return make_plan(request, find_scenes(request), settings)


def mapped(plan: Plan, folder: Path) -> tuple[Pixels, Pixels]:
    """Return the class raster and the probability of the event, per cent."""
    scratch = folder / plan.product_id
    scratch.mkdir()
    rasters = map_pixels(plan, Workspace("drava", "x", scratch, scratch), QuietProgress()).rasters
    with rasterio.open(rasters.classes) as classes, rasterio.open(rasters.probability) as percent:
        return classes.read(1), percent.read(1)


def subsets() -> Iterator[tuple[str, ...]]:
    """Yield every choice of the images that holds one of after the event."""
    for count in range(1, 5):
        yield from (c for c in combinations(IMAGES, count) if set(c) & set(AFTER))


@pytest.mark.parametrize("names", list(subsets()), ids=" ".join)
def test_any_images_with_one_after_the_event_make_a_map(
    imagery: dict[str, Path], settings: Settings, tmp_path: Path, names: tuple[str, ...]
) -> None:
    plan = planned({name: imagery[name] for name in names}, settings)
    assert plan.choice.name == MADE
    assert len(plan.scenes) == len(names)
    lacking = [note for note in plan.notes if note.startswith("mapped without")]
    assert len(lacking) == 4 - len(names)
    for name in set(IMAGES) - set(names):
        sensor, phase = name.replace("s", "Sentinel-").split("-")[1:]
        assert any(f"without Sentinel-{sensor} {phase} the event" in note for note in lacking)
    labels, _ = mapped(plan, tmp_path)
    dated = any(name.endswith("before") for name in names)
    assert set(np.unique(labels[INNER])) == {Label.EVENT if dated else Label.UNDATED_WATER}


def test_the_choice_says_what_the_network_reads(
    imagery: dict[str, Path], settings: Settings
) -> None:
    why = planned(imagery, settings).choice.why
    assert why.startswith(
        "made-flood is the first choice that fits the imagery; it reads Sentinel-1 GRD before and "
        "after, Sentinel-2 L2A before and after; "
    )
    detector = planned(imagery, settings, model="sar-change")
    assert (detector.choice.name, detector.choice.why) == ("sar-change", "sar-change was asked for")


def test_flood_is_told_from_standing_water_pixel_by_pixel(
    imagery: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    """Flood where the place was seen before; where nothing was seen after, nothing is said."""
    before, after = radar("s1-before"), radar("s1-after")
    before[:, :, 48:] = np.nan
    after[:, :32] = np.nan
    for name, pixels in (("s1-before", before), ("s1-after", after)):
        write_image(imagery[name], pixels, descriptions=("VV", "VH"), nodata=np.nan)
    labels, percent = mapped(
        planned({name: imagery[name] for name in ("s1-before", "s1-after")}, settings), tmp_path
    )
    assert (labels[40:88, 8:40] == Label.EVENT).all()
    assert (labels[40:88, 56:88] == Label.UNDATED_WATER).all()
    assert (labels[8:24, 8:88] == Label.NO_DATA).all()
    assert (percent[8:24] == 255).all()
    assert (percent[40:88, 8:40] == 100).all()


def test_cloud_is_not_analysed_unless_the_radar_saw_the_place(
    imagery: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    pixels = optical()
    pixels[3, 30:60, 30:60] = 9  # cloud of high probability
    write_image(imagery["s2-after"], pixels, descriptions=("B03", "B08", "B11", "SCL"), nodata=0)
    pair = {name: imagery[name] for name in ("s2-before", "s2-after")}
    labels, _ = mapped(planned(pair, settings), tmp_path)
    assert (labels[34:56, 34:56] == Label.CLOUD).all()
    assert (labels[8:24, 8:24] == Label.EVENT).all()
    labels, _ = mapped(planned(pair | {"s1-after": imagery["s1-after"]}, settings), tmp_path)
    assert (labels[INNER] == Label.EVENT).all()


@pytest.fixture(scope="module")
def undecided(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A network whose probabilities differ from pixel to pixel."""
    return Settings(models=save_flood(tmp_path_factory.mktemp("undecided")).folder)


def test_the_order_of_the_bands_in_a_file_is_of_no_account(
    imagery: dict[str, Path], undecided: Settings, tmp_path: Path
) -> None:
    _, straight = mapped(planned(imagery, undecided), tmp_path)
    assert len(np.unique(straight[INNER])) > 3
    for name in ("s2-before", "s2-after"):
        write_image(
            imagery[name], optical(name)[[2, 3, 0, 1]], descriptions=("B11", "SCL", "B03", "B08"),
            nodata=0,
        )  # fmt: skip
    for name in ("s1-before", "s1-after"):
        write_image(imagery[name], radar(name)[::-1], descriptions=("VH", "VV"), nodata=np.nan)
    _, turned = mapped(planned(imagery, undecided), tmp_path)
    np.testing.assert_array_equal(turned, straight)


def test_an_image_without_a_band_is_left_out_and_the_product_says_why(
    imagery: dict[str, Path], settings: Settings, network: Path
) -> None:
    write_image(imagery["s2-after"], optical()[:2], descriptions=("B03", "B08"), nodata=0)
    plan = planned(imagery, settings)
    assert [scene.id[:2] for scene in plan.scenes] == ["S1", "S2", "S1"]
    assert f"{MADE} does not read {imagery['s2-after'].stem}: they were not used" in plan.notes
    assert any("there is sentinel-1-grd (vv, vh), sentinel-2-l2a (green, nir)" in n
               for n in plan.notes)  # fmt: skip
    alone = {"s2-after": imagery["s2-after"]}
    with pytest.raises(InputsMismatch, match="with the bands swir16, nir, green; there is"):
        planned(alone, settings, model=str(network))


def test_linear_power_must_be_said_and_then_gives_the_same_map(
    imagery: dict[str, Path], undecided: Settings, tmp_path: Path
) -> None:
    pair = {name: imagery[name] for name in ("s1-before", "s1-after")}
    _, by_decibel = mapped(planned(pair, undecided), tmp_path)
    for name, path in pair.items():
        write_image(path, 10 ** (radar(name) / 10), descriptions=("VV", "VH"), nodata=np.nan)
    with pytest.raises(UnitsMismatch, match="as linear power does; give --units 'linear power'"):
        planned(pair, undecided)
    told = {phase: [{"path": str(pair[f"s1-{phase}"]), "units": "linear power"}] for phase in DAYS}
    _, by_power = mapped(planned(pair, undecided, **told), tmp_path)
    assert np.abs(by_power[INNER].astype(int) - by_decibel[INNER]).max() <= 1


def test_gamma0_for_a_network_of_sigma0_is_refused(
    imagery: dict[str, Path], tmp_path: Path, network: Path
) -> None:
    card = json.loads((network / "card.json").read_text())
    for entry in card["inputs"][:2]:
        entry["backscatter"] = "sigma0"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "card.json").write_text(json.dumps(card))
    alone = {"s1-after": imagery["s1-after"]}
    settings = Settings(models=None)
    assert planned(alone, settings, model=str(mine)).choice.name == MADE
    gamma0 = [{"path": str(imagery["s1-after"]), "backscatter": "gamma0"}]
    with pytest.raises(InputsMismatch, match=r"in sigma0; there is .* in gamma0\)"):
        planned(alone, settings, model=str(mine), after=gamma0)


def test_the_product_says_what_was_missing(
    imagery: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    request = make_request(
        event="drava", hazard="flood", after=[str(imagery["s1-after"])], store=tmp_path / "store"
    )
    published = map_event(request, settings, QuietProgress())
    summary = published.summary
    assert summary.model is not None and summary.model.name == MADE
    assert [found.notation for found in summary.classes] == ["Flooded area or standing water"]
    for what in ("Sentinel-1 before", "Sentinel-2 before", "Sentinel-2 after"):
        assert any(note.startswith(f"mapped without {what} the event: ") for note in summary.notes)
    assert any("could not be distinguished" in note for note in summary.notes)
    manifest = json.loads((published.folder / "manifest.json").read_text())
    assert manifest["cost"]["views"] == 1
    assert manifest["scenes"][0]["backscatter"] == "sigma0"


def test_water_before_is_listed_only_by_who_looks_for_it(
    imagery: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    request = make_request(
        event="drava", hazard="flood", before=[str(imagery["s1-before"])],
        after=[str(imagery["s1-after"])], store=tmp_path / "store",
    )  # fmt: skip
    published = map_event(request, settings, QuietProgress())
    assert [found.notation for found in published.summary.classes] == ["Flooded area"]


@pytest.mark.data
def test_the_same_ground_gives_the_same_map_whatever_else_is_mapped(
    data_dir: Path, tmp_path: Path
) -> None:
    """Flood-s1s2 answers in blocks of four pixels; which they are must not hang on the area."""
    image = data_dir / "sen1floods11" / "Spain_7370579_S2Hand.tif"
    with rasterio.open(image) as dataset:
        west, south, east, north = dataset.bounds
        step = (east - west) / dataset.width
    seen: list[tuple[Plan, Pixels]] = []
    for left, top in ((0, 0), (1, 2), (21, 35)):
        corner = (west + left * step, south, east, north - top * step)
        request = make_request(
            event="spain", hazard="flood", model="flood-s1s2", clouds="off", device="cpu",
            area=",".join(map(str, corner)),
            after=[{"path": str(image), "sensor": "sentinel-2-l1c"}],
        )  # fmt: skip
        plan = make_plan(request, find_scenes(request), Settings())
        seen.append((plan, mapped(plan, tmp_path)[0]))
    (whole, first), *others = seen
    for plan, labels in others:
        col, row = (
            round(side)
            for side in ~whole.geobox.affine @ (plan.geobox.affine.c, plan.geobox.affine.f)
        )
        rows, cols = labels.shape
        differ = first[row : row + rows, col : col + cols] != labels
        share = differ[64:-64, 64:-64].mean()
        print(f"by {col} and {row}: {share:.2%} of the pixels change")
        assert share < 0.005
