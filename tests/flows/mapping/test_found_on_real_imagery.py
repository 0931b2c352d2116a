"""A real pair without footprints, through the command line, compared with the labels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import rasterio
from rasterio.features import rasterize

from flows.config import Settings
from flows.mapping.plan import Plan, find_scenes, make_plan
from flows.reports.progress import QuietProgress
from flows.request import make_request
from geo.vector.area_of_interest import parse_area
from geo.vector.buildings import outline_buildings
from geo.vector.schema import OUTLINE_FOUND
from models.cards.registry import find
from models.damage.alignment import place
from models.damage.buildings import pair_of
from models.damage.detection import search
from models.damage.network_grader import NetworkGrader
from models.inference.model import load_model
from tests.aftermap import aftermap

pytestmark = pytest.mark.data

TILE = "joplin-tornado_00000002"
"""The one that damage-vhr did not learn from."""
CLOSE = 0.1
"""The card's figure is of pixels taken for 0.5 m; they are 0.45 m, and are resampled here."""


@pytest.fixture(scope="module")
def product(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    name = data_dir / "joplin_xbd" / TILE
    done = aftermap(
        "map", "--event", "joplin", "--hazard", "storm", "--before", f"{name}_pre_disaster.tif",
        "--after", f"{name}_post_disaster.tif", "--find-buildings", "--damaged-areas",
        "--store", tmp_path_factory.mktemp("store"), "--json", "--direct",
        home=tmp_path_factory.mktemp("home"),
    )  # fmt: skip
    assert done.status == 0, done.err
    result: dict[str, Any] = done.json
    return result


@pytest.fixture(scope="module")
def labels(data_dir: Path) -> rasterio.DatasetReader:
    return rasterio.open(data_dir / "joplin_xbd" / f"{TILE}_post_disaster_target.tif")


def drawn(product: dict[str, Any], layer: str, labels: rasterio.DatasetReader) -> Any:
    frame = gpd.read_file(Path(product["product"]) / "layers" / f"{layer}.geojson")
    return rasterize(
        frame.to_crs(labels.crs).geometry, labels.shape, transform=labels.transform
    ).astype(bool)


def test_published_buildings_score_as_the_network_does(
    product: dict[str, Any], labels: rasterio.DatasetReader
) -> None:
    found, truth = drawn(product, "built_up", labels), labels.read(1) > 0
    f1 = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    print("F1 of building pixels", f1)
    card = find("damage-vhr").card
    (measured,) = [
        score.value
        for score in card.scores
        if score.measure == "f1_localisation" and score.split == "00000002"
    ]
    assert f1 == pytest.approx(measured, abs=CLOSE)
    frame = gpd.read_file(Path(product["product"]) / "layers" / "built_up.geojson")
    assert set(frame["outline_src"]) == {OUTLINE_FOUND}
    assert frame["p_building"].between(100 * card.classes[0].threshold - 5, 100).all()
    assert product["summary"]["buildings_found"] == len(frame) > 50
    assert product["summary"]["buildings"]["Not Analysed"] < len(frame) / 4


def test_damaged_areas_lie_where_the_labels_say(
    product: dict[str, Any], labels: rasterio.DatasetReader
) -> None:
    damaged, mask = drawn(product, "observed_event", labels), labels.read(1)
    hit = damaged[(mask == 3) | (mask == 4)].mean()
    false = damaged[(mask == 1) | (mask == 2)].mean()
    print("share of damaged and of sound building pixels in damaged areas", hit, false)
    assert hit > 0.5 > 3 * false
    assert 0.02 < damaged.mean() < 0.4


@pytest.fixture(scope="module")
def plan(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    name = data_dir / "joplin_xbd" / TILE
    request = make_request(
        event="joplin", hazard="storm", before=[f"{name}_pre_disaster.tif"],
        after=[f"{name}_post_disaster.tif"], find_buildings=True,
        store=str(tmp_path_factory.mktemp("none")),
    )  # fmt: skip
    return make_plan(request, find_scenes(request), Settings())


def test_windows_of_other_sizes_find_the_same(plan: Plan, tmp_path: Path) -> None:
    assert plan.finder is not None
    box = plan.geobox[100:612, 200:712]
    finder = load_model(plan.finder, "footprints", device="cpu")
    assert isinstance(finder, NetworkGrader)
    pair = pair_of(finder.card, plan.scenes, plan.request.prefer)
    placement = place(pair, plan.geobox, None, checked=True, progress=QuietProgress())
    masks = []
    for size in (512, 384):
        card = finder.card.model_copy(update={"window_px": size})
        model = NetworkGrader(replace(finder.model, card=card))
        path = tmp_path / f"{size}.tif"
        search(model, pair, box, after=placement.after, path=path, progress=QuietProgress())
        with rasterio.open(path) as file:
            masks.append(file.read(1) >= 100 * card.classes[0].threshold)
        area = parse_area(box.extent.to_crs("EPSG:4326").geom.__geo_interface__)
        assert len(outline_buildings(path, box, area=area, least=0.52, fewest_px=30)) > 10
    one, other = (mask[64:-64, 64:-64] for mask in masks)
    overlap = (one & other).sum() / (one | other).sum()
    print("overlap of what windows of 512 and 384 px find", overlap)
    assert overlap > 0.8
