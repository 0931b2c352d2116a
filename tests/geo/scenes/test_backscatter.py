"""Sigma0 or gamma0: what names, descriptions, the user and the sensor tell of it."""

from pathlib import Path
from typing import Any

import pytest

from geo.errors import UnitsMismatch
from geo.scenes.metadata import Header, backscatter_of
from geo.scenes.sensors import SENSORS, Backscatter
from geo.scenes.source import Source
from tests.rasters import decibels, scene_of, write_image

GRD, RTC = SENSORS["sentinel-1-grd"], SENSORS["sentinel-1-rtc"]
SIGMA0, GAMMA0 = Backscatter
HYP3 = "S1A_IW_20190917T175506_DVP_RTC30_G_{}uned_7C3F_VV.tif"


def header(name: str = "image.tif", *descriptions: str) -> Header:
    gray = ("gray",) * max(1, len(descriptions))
    return Header(Path(name), descriptions or (None,), gray, ("float32",), {}, 10.0)


@pytest.mark.parametrize(
    ("sensor", "headers", "wanted"),
    [
        (GRD, [header()], SIGMA0),
        (RTC, [header()], GAMMA0),
        (GRD, [header("image.tif", "gamma0_vv_db", "gamma0_vh_db")], GAMMA0),
        (RTC, [header("image.tif", "Sigma0_VV")], SIGMA0),
        (GRD, [header("before_Gamma0_VV_db.tif")], GAMMA0),
        (GRD, [header("gamma-0_VV.tif"), header("gamma-0_VH.tif")], GAMMA0),
        # Folders are called after anything.
        (GRD, [header("gamma0/VV.tif")], SIGMA0),
        (RTC, [header(HYP3.format("gp"))], GAMMA0),
        (RTC, [header(HYP3.format("sp"))], SIGMA0),
        (SENSORS["sentinel-2-l2a"], [header("sigma0.tif")], None),
    ],
)
def test_backscatter_is_told_by_the_bands_the_names_or_the_sensor(
    sensor: Any, headers: list[Header], wanted: Backscatter | None
) -> None:
    assert backscatter_of(Source("anywhere"), sensor, headers) is wanted


def test_the_user_has_the_last_word() -> None:
    told = Source("anywhere", backscatter=SIGMA0)
    assert backscatter_of(told, RTC, [header("gamma0.tif", "gamma0_vv")]) is SIGMA0


def test_two_kinds_in_one_scene_are_refused() -> None:
    mixed = [header("VV.tif", "sigma0_vv"), header("VH.tif", "gamma0_vh")]
    with pytest.raises(UnitsMismatch, match=r"VV\.tif is called both gamma0 and sigma0; say which"):
        backscatter_of(Source("anywhere"), GRD, mixed)


def test_backscatter_of_a_picture_is_refused() -> None:
    told = Source("anywhere", backscatter=GAMMA0)
    with pytest.raises(UnitsMismatch, match=r"is gamma0 for image\.tif, and Drone RGB is no"):
        backscatter_of(told, SENSORS["drone-rgb"], [header()])


def test_a_scene_knows_its_backscatter(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", decibels(2, 20, 20), descriptions=("VV", "VH"))
    assert scene_of(path, sensor="sentinel-1-grd").backscatter is SIGMA0
    assert scene_of(path, sensor="sentinel-1-grd", backscatter=GAMMA0).backscatter is GAMMA0
