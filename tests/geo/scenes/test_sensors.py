"""The table of sensors: the provider's masks, and a new sensor that is one entry."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from geo.imagery.reader import SceneReader
from geo.raster.classify import Label
from geo.scenes.scene import Scene
from geo.scenes.sensors import (
    SENSORS,
    Band,
    Family,
    QualityBand,
    Sensor,
    Units,
)
from tests.rasters import UTM, counts, north_up, scene_of, write_image

CLEAR = 0
README = Path(__file__).parents[3] / "geo" / "README.md"


@pytest.mark.parametrize(
    ("value", "reason"),
    enumerate(
        [
            Label.NO_DATA, Label.NO_DATA, CLEAR, Label.CLOUD_SHADOW, CLEAR, CLEAR, CLEAR, CLEAR,
            Label.CLOUD, Label.CLOUD, Label.CLOUD, CLEAR,
        ]
    ),
)  # fmt: skip
def test_the_classes_of_sen2cor(value: int, reason: int) -> None:
    assert quality("sentinel-2-l2a", value) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0b0000000001, Label.NO_DATA),
        (0b0000000010, Label.CLOUD),
        (0b0000000100, Label.CLOUD),
        (0b0000001000, Label.CLOUD),
        (0b0000010000, Label.CLOUD_SHADOW),
        (0b0000011000, Label.CLOUD),  # cloud on shadow
        (0b0000010001, Label.NO_DATA),  # fill before all
        (0b0000100000, CLEAR),  # snow
        (21824, CLEAR),  # "clear, low confidence set" of the guide's table 6-4
        (21952, CLEAR),  # water
        (22280, Label.CLOUD),  # high-confidence cloud
        (23888, Label.CLOUD_SHADOW),
        (54596, Label.CLOUD),  # high-confidence cirrus
        (65535, Label.NO_DATA),
    ],
)
def test_the_bits_of_qa_pixel(code: int, reason: int) -> None:
    assert quality("landsat-c2-l2", code) == reason


def quality(sensor: str, value: int) -> int:
    band = SENSORS[sensor].quality_band
    assert band is not None
    return int(band.reasons(np.full((2, 3), value, np.uint16))[1, 2])


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Sensor:
    """A new sensor: one entry."""
    bands = tuple(Band(name, ()) for name in ("blue", "green", "red", "nir", "haze"))
    new = Sensor(
        "planetscope", "PlanetScope", Family.OPTICAL, Units.REFLECTANCE_10000, bands, 3.0, 0.0,
        r"^\d{8}_\d{6}_.*_AnalyticMS_SR", QualityBand("haze", {7: Label.CLOUD}),
    )  # fmt: skip
    monkeypatch.setitem(SENSORS, new.name, new)
    return new


@pytest.fixture
def scene(sensor: Sensor, tmp_path: Path) -> Scene:
    pixels = np.concatenate([counts(4, 40, 40), np.zeros((1, 40, 40), np.uint16)])
    pixels[4, 10:12, :] = 7
    name = "20230517_101500_12_2457_3B_AnalyticMS_SR.tif"
    labels = [band.name for band in sensor.bands]
    return scene_of(write_image(tmp_path / name, pixels, descriptions=labels))


def test_a_new_sensor_is_recognised_by_the_names_of_its_files(scene: Scene) -> None:
    assert scene.sensor.title == "PlanetScope"
    assert scene.units is Units.REFLECTANCE_10000
    assert scene.bands == ("blue", "green", "red", "nir", "haze")
    assert scene.taken == datetime(2023, 5, 17, tzinfo=UTC)


def test_a_new_sensor_is_read_in_its_units_and_with_its_mask(scene: Scene) -> None:
    pixels, reason = SceneReader(scene, ["nir"]).read(GeoBox((40, 40), north_up(), UTM))
    assert 0.1 < np.nanmean(pixels) < 0.4
    assert (reason[10:12] == Label.CLOUD).all()
    assert np.isnan(pixels[:, 10:12]).all()
    assert not reason[12:].any()


@pytest.mark.usefixtures("sensor")
def test_a_new_sensor_can_be_named_by_the_user(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.tif", counts(5, 20, 20))
    named = scene_of(image, sensor="planetscope", bands=("blue", "green", "red", "nir", "haze"))
    assert named.sensor_name == "planetscope"


def test_the_documentation_lists_every_sensor() -> None:
    rows = [
        f"| `{s.name}` | {s.title} | {s.gsd_m:g} | {', '.join(band.name for band in s.bands)} |"
        for s in SENSORS.values()
    ]
    assert "\n".join(rows) in README.read_text()
