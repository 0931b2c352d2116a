"""The figures on the cards, measured again on the imagery that they name."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

from models.cards.registry import find
from models.inference.model import load_model

SENTINEL_2 = (
    "coastal blue green red rededge071 rededge075 rededge078 nir nir08 nir09 cirrus swir16 swir22"
)


def score_on_card(name, *, dataset, metric):
    scores = find(name).card.scores
    return next(s.value for s in scores if s.dataset == dataset and s.metric.startswith(metric))


def found(name, inputs):
    model = load_model(find(name))
    return model.predict([inputs], model.scene_statistics([inputs]))[0, 0] >= 0.5


def iou(mask, truth, known):
    return (mask & truth & known).sum() / ((mask | truth) & known).sum()


def read(path):
    with rasterio.open(path) as source:
        return source.read().astype(np.float32)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "anchor"),
    [("ndwi-water", 0.676), ("mndwi-water", 0.612), ("sar-water", 0.565), ("sar-water-vv", 0.565)],
)
def test_water_on_the_spain_chip_is_as_good_as_the_card_says(data_dir, raster, name, anchor):
    """The anchors: NDWI > 0, MNDWI > 0 and, for radar, VH < -22 dB chosen for the chip."""
    chip = data_dir / "sen1floods11" / "Spain_7370579"
    label = read(f"{chip}_LabelHand.tif")[0]
    if name.startswith("sar"):
        bands = dict(zip(("vv", "vh"), read(f"{chip}_S1Hand.tif"), strict=True))
    else:
        values = read(f"{chip}_S2Hand.tif") / 10_000
        bands = dict(zip(SENTINEL_2.split(), values, strict=True))
    measured = iou(found(name, {"image": raster(bands)}), label == 1, label >= 0)
    said = score_on_card(name, dataset="Sen1Floods11", metric="IoU")
    assert measured == pytest.approx(said, abs=0.002)
    assert measured > anchor - 0.001


@pytest.mark.data
def test_the_cold_springs_fire_is_as_good_as_the_card_says(data_dir, raster):
    folder = data_dir / "coldsprings_fire"
    with rasterio.open(folder / "before.tif") as source:
        place, crs = source.transform, source.crs
    images = {}
    for phase in ("before", "after"):
        values = read(folder / f"{phase}.tif")
        values = np.where(values == -32768, np.nan, values / 10_000)
        images[phase] = raster(dict(zip(("red", "green", "blue", "nir"), values, strict=True)))
    perimeter = gpd.read_file(folder / "perimeter.geojson").to_crs(crs).geometry
    truth = rasterize(perimeter, out_shape=images["after"].valid.shape, transform=place) > 0
    measured = iou(found("ndvi-change", images), truth, images["after"].valid)
    said = score_on_card("ndvi-change", dataset="Cold Springs fire 2016", metric="IoU")
    assert measured == pytest.approx(said, abs=0.002)


@pytest.mark.data
@pytest.mark.parametrize("year", ["20120731", "20140720", "20150926"])
def test_the_lakes_of_the_wetland_are_found_each_year_and_the_fields_are_not(
    data_dir, raster, year
):
    """Places told by eye on all three pictures: two lakes, two fields."""
    values = read(data_dir / "naip_wetland" / f"m_4709963_se_14_1_{year}.tif")
    values = np.where((values == 0).all(axis=0), np.nan, values)
    picture = raster(dict(zip(("red", "green", "blue", "nir"), values, strict=True)))
    water = found("ndwi-picture-water", {"image": picture})
    assert water[250:290, 40:80].mean() > 0.95
    assert water[440:480, 460:500].mean() > 0.95
    assert water[300:350, 230:280].mean() < 0.05
    assert water[500:550, 400:420].mean() < 0.05
