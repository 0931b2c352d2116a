"""The main job on real imagery, through the command line."""

import hashlib
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.warp import transform
from skimage.filters import gaussian, sobel
from skimage.registration import phase_cross_correlation

from geo.imagery.mosaic import SceneMosaic
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Source
from tests.aftermap import within

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's home for this file."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all events of this file, as an office has."""
    return tmp_path_factory.mktemp("store")


def mapped(*arguments: object, store: Path, home: Path) -> dict[str, Any]:
    """Map without Prefect, and return what the command printed as JSON."""
    done = within("map", *arguments, "--store", store, "--json", "--direct", home=home)
    assert done.status == 0, done.err
    result: dict[str, Any] = done.json
    return result


def layer(product: dict[str, Any], name: str) -> gpd.GeoDataFrame:
    """Return a layer of a product."""
    return gpd.read_file(Path(product["product"]) / "layers" / f"{name}.geojson")


def score(product: dict[str, Any], truth: Path, *arguments: object, home: Path) -> dict[str, Any]:
    """Hold a product against a truth, through the command line."""
    done = within("score", product["product"], "--truth", truth, *arguments, home=home)
    assert done.status == 0, done.err
    print(truth.name, done.out)
    result: dict[str, Any] = done.json
    return result


@pytest.fixture(scope="module")
def naip(data_dir: Path, store: Path, home: Path) -> dict[str, Any]:
    """Wetlands of North Dakota, July 2014 and September 2015."""
    folder = data_dir / "naip_wetland"
    return mapped(
        "--event", "naip-wetland", "--hazard", "flood", "--sensor", "aerial-rgbn",
        "--before", folder / "m_4709963_se_14_1_20140720.tif",
        "--after", folder / "m_4709963_se_14_1_20150926.tif",
        store=store, home=home,
    )  # fmt: skip


def test_wetland_water_is_gained_and_lost(naip: dict[str, Any]) -> None:
    flooded = layer(naip, "observed_event")
    water = layer(naip, "hydrography").groupby("notation")["area_ha"].sum()
    assert set(flooded["notation"]) == {"Flooded area"}
    assert set(flooded["water_class"]) == {1}
    assert set(flooded["observed_at"].astype(str).str[:10]) == {"2015-09-26"}
    # By eye on the images: a few hectares are gained, tens are lost, hundreds stay.
    assert 2 < flooded["area_ha"].sum() < 50
    assert 20 < water["Reference water, receded"] < 150
    assert 250 < water["Reference water"] < 450
    assert naip["summary"]["observed_share"] == 1


def test_every_feature_says_which_scenes_and_which_model_it_came_from(
    naip: dict[str, Any],
) -> None:
    for name in ("observed_event", "hydrography"):
        frame = layer(naip, name)
        assert set(frame["or_src_id"]) == {"m_4709963_se_14_1_20140720"}
        assert set(frame["dmg_src_id"]) == {"m_4709963_se_14_1_20150926"}
        assert frame["model"].str.match(r"^ndwi-picture-water [0-9a-f]{12}$").all()
        assert frame["id"].is_unique
        assert frame["confidence"].between(0, 100).all()


def test_flooded_and_reference_water_never_overlap(naip: dict[str, Any]) -> None:
    flooded = layer(naip, "observed_event").to_crs("EPSG:26914")
    water = layer(naip, "hydrography").to_crs("EPSG:26914")
    # Rounding to 7 decimals, 1 cm, leaves slivers along shared edges.
    shared = flooded.union_all().intersection(water.union_all()).area
    assert shared < 1e-4 * flooded.area.sum()


def test_the_same_inputs_are_computed_once(
    naip: dict[str, Any], data_dir: Path, store: Path, home: Path
) -> None:
    folder = data_dir / "naip_wetland"
    before = _tree(store / "events" / "naip-wetland")
    again = mapped(
        "--event", "naip-wetland", "--hazard", "flood", "--sensor", "aerial-rgbn",
        "--before", folder / "m_4709963_se_14_1_20140720.tif",
        "--after", folder / "m_4709963_se_14_1_20150926.tif",
        store=store, home=home,
    )  # fmt: skip
    assert naip["new"]
    assert not again["new"]
    assert again["product"] == naip["product"]
    assert _tree(store / "events" / "naip-wetland") == before


def test_two_empty_stores_get_the_same_bytes(
    naip: dict[str, Any], data_dir: Path, tmp_path: Path, home: Path
) -> None:
    folder = data_dir / "naip_wetland"
    other = mapped(
        "--event", "naip-wetland", "--hazard", "flood", "--sensor", "aerial-rgbn",
        "--before", folder / "m_4709963_se_14_1_20140720.tif",
        "--after", folder / "m_4709963_se_14_1_20150926.tif",
        store=tmp_path / "other", home=home,
    )  # fmt: skip
    one, two = (_tree(Path(product["product"])) for product in (naip, other))
    differing = {name for name in one | two if one.get(name) != two.get(name)}
    # The manifest holds when and at what cost; every layer, raster and picture is the same.
    assert differing == {"manifest.json"}


def test_spain_from_sentinel_2(data_dir: Path, store: Path, home: Path) -> None:
    folder = data_dir / "sen1floods11"
    product = mapped(
        "--event", "spain", "--hazard", "flood", "--sensor", "sentinel-2-l1c",
        "--after", folder / "Spain_7370579_S2Hand.tif", "--model", "ndwi-water",
        store=store, home=home,
    )  # fmt: skip
    figures = score(
        product, folder / "Spain_7370579_LabelHand.tif", "--positive", "water", home=home
    )
    # NDWI above 0 on the chip's own pixels gives 0.676; here it was first put on UTM.
    assert figures["iou"] > 0.65
    frame = layer(product, "observed_event")
    assert set(frame["notation"]) == {"Flooded area or standing water"}
    assert set(frame["water_class"]) == {4}
    assert any("not be distinguished" in note for note in product["summary"]["notes"])
    # A clear sky: what the network of clouds calls a shadow would be the flood.
    assert [scene["clouds"] for scene in product["summary"]["scenes"]] == ["csmask-6b-l1c 1.0.0"]
    assert product["summary"]["analysed_share"] > 0.99


def test_spain_from_sentinel_1(data_dir: Path, store: Path, home: Path) -> None:
    folder = data_dir / "sen1floods11"
    product = mapped(
        "--event", "spain", "--hazard", "flood", "--sensor", "sentinel-1-grd",
        "--after", folder / "Spain_7370579_S1Hand.tif",
        store=store, home=home,
    )  # fmt: skip
    assert product["summary"]["model"]["name"] == "sar-water"
    figures = score(
        product, folder / "Spain_7370579_LabelHand.tif", "--positive", "water", home=home
    )
    # The best single threshold, chosen with the labels, gives 0.61.
    assert figures["iou"] > 0.55


def test_cold_springs_fire(data_dir: Path, store: Path, home: Path) -> None:
    folder = data_dir / "coldsprings_fire"
    product = mapped(
        "--event", "cold-springs", "--hazard", "wildfire", "--sensor", "landsat-c1-sr",
        "--before", folder / "before.tif", "--before-date", "2016-07-07",
        "--after", folder / "after.tif", "--after-date", "2016-07-23",
        store=store, home=home,
    )  # fmt: skip
    assert set(layer(product, "observed_event")["notation"]) == {"Burnt area"}
    figures = score(product, folder / "perimeter.geojson", home=home)
    assert figures["iou_analysed"] > 0.55
    # By eye, before the fire a cloud covers a tenth of the image, and its shadow another, a part
    # of the place that burnt later among it.
    reasons = {part["reason"]: part["share"] for part in product["summary"]["not_analysed"]}
    assert reasons.keys() == {"cloud", "cloud shadow"}
    assert all(0.05 < share < 0.15 for share in reasons.values())


@pytest.fixture(scope="module")
def joplin(data_dir: Path, store: Path, home: Path) -> dict[str, Any]:
    """Ten tiles in two CRSs onto one grid, with all the footprints."""
    folder = data_dir / "joplin_vhr"
    west, south, east, north = gpd.read_file(folder / "buildings.geojson").total_bounds
    return mapped(
        "--event", "joplin", "--hazard", "storm", "--area", f"{west},{south},{east},{north}",
        "--before", folder / "pre", "--after", folder / "post", "--model", "none",
        "--buildings", folder / "buildings.geojson", store=store, home=home,
    )  # fmt: skip


def test_joplin_footprints_are_carried_as_not_analysed(joplin: dict[str, Any]) -> None:
    built_up = layer(joplin, "built_up")
    assert len(built_up) == 2823
    assert set(built_up["damage_gra"]) == {"Not Analysed"}
    assert set(built_up["damage_xbd"]) == {"un-classified"}
    assert {"release", "capture_dates_range"} <= set(built_up.columns)
    assert set(built_up["reason"]) == {"no model for buildings"}
    assert joplin["summary"]["buildings"] == {"Not Analysed": 2823}
    reasons = set(layer(joplin, "not_analysed")["reason"])
    assert reasons == {"no imagery", "no model for this imagery"}


def test_joplin_tiles_lie_where_their_corners_say(joplin: dict[str, Any], data_dir: Path) -> None:
    with rasterio.open(Path(joplin["product"]) / "rasters" / "observed.tif") as observed:
        crs, to_pixel = observed.crs, ~observed.transform
        numbers, described = observed.read(), observed.descriptions
    assert len(layer(joplin, "image_footprint")) == 10
    for folder, band in (("pre", _band(described, "before")), ("post", _band(described, "after"))):
        for path in sorted((data_dir / "joplin_vhr" / folder).glob("*.tif")):
            with rasterio.open(path) as tile:
                west, south, east, north = tile.bounds
                corners = transform(
                    tile.crs, crs, [west, east, west, east], [north, north, south, south]
                )
            cols, rows = to_pixel @ np.array(corners)
            seen = np.nonzero(numbers[band] == _number(described[band], path.stem))
            for pixels, edges in zip(seen, (rows, cols), strict=True):
                assert pixels.min() == pytest.approx(edges.min(), abs=1)
                assert pixels.max() + 1 == pytest.approx(edges.max(), abs=1)


def test_joplin_before_and_after_show_the_same_streets(data_dir: Path) -> None:
    folder = data_dir / "joplin_vhr"
    scenes = [
        *scenes_of(Source(str(folder / "pre")), Phase.BEFORE),
        *scenes_of(Source(str(folder / "post")), Phase.AFTER),
    ]
    # 800 m of streets in which all four pre tiles and four post tiles meet.
    grid = GeoBox.from_bbox((366_850, 4_103_300, 367_650, 4_104_100), "EPSG:32615", resolution=1)
    shown = [
        quicklook_edges([scene for scene in scenes if scene.phase is phase], grid)
        for phase in Phase
    ]
    blocks = [np.s_[top : top + 400, left : left + 400] for top in (0, 400) for left in (0, 400)]
    shifts = [phase_cross_correlation(*(edges[b] for edges in shown))[0] for b in blocks]
    # Of two dates and two cameras: houses fell, streets stayed where they were, to 2 m.
    assert np.abs(np.median(shifts, axis=0)).max() <= 2


def quicklook_edges(scenes: list[Scene], grid: GeoBox) -> np.ndarray:
    """Return the outlines of what scenes show on a grid."""
    raster = SceneMosaic(scenes, ("red", "green", "blue")).read(grid)
    assert raster.valid.all()
    return sobel(gaussian(raster.pixels.mean(axis=0), 2))


def test_products_are_listed(joplin: dict[str, Any], store: Path, home: Path) -> None:
    listed = within("products", "joplin", "--store", store, "--json", home=home)
    assert [row["id"] for row in listed.json] == [joplin["product_id"]]
    assert "joplin" in within("events", "--store", store, home=home).out


def _band(descriptions: tuple[str, ...], phase: str) -> int:
    return next(i for i, text in enumerate(descriptions) if f"observed {phase} the event" in text)


def _number(description: str, scene: str) -> int:
    words = description.split(": ", 1)[1].split(", ")
    return next(int(word.split()[0]) for word in words if word.endswith(scene))


def _tree(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file that is visible."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
