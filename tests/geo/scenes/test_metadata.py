"""What names, descriptions, colours and tags tell of a file; nothing is concluded in silence."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import BandsUnknown, SensorUnknown, TimeUnknown
from geo.scenes.metadata import (
    Header,
    band_in_name,
    band_names,
    cloud_cover_of,
    parse_time,
    sensor_of,
    taken_at,
    time_in,
)
from geo.scenes.scene import acquisition_key, product_folder
from geo.scenes.sensors import SENSORS, Sensor, sensor_named, sensor_of_file_name
from geo.scenes.source import Source

ANYWHERE = Source("anywhere")
S2, LANDSAT, RADAR = SENSORS["sentinel-2-l2a"], SENSORS["landsat-c2-l2"], SENSORS["sentinel-1-grd"]
RGB, RGBN = SENSORS["vhr-rgb"], SENSORS["aerial-rgbn"]

SAFE_1 = "S1A_IW_GRDH_1SDV_20190917T175506_20190917T175531_029063_034C5E_7C3F"
SAFE_2 = "S2B_MSIL2A_20190923T104759_N0213_R051_T30SXH_20190923T134537"
GRANULE = f"{SAFE_2}.SAFE/GRANULE/L2A_T30SXH_A013299_20190923T105300/IMG_DATA"
C2, C1 = "LC08_L2SP_034032_20160723_20200906_02_T1", "LC08_L1TP_034032_20160723_20170222_01_T1"


def header(
    name: str = "image.tif",
    *,
    colours: tuple[str, ...] = ("gray",),
    descriptions: tuple[str | None, ...] | None = None,
    dtype: str = "uint16",
    gsd_m: float = 10.0,
    **tags: str,
) -> Header:
    labels = descriptions or (None,) * len(colours)
    return Header(Path(name), labels, colours, (dtype,) * len(colours), tags, gsd_m)


def plain(count: int) -> tuple[str, ...]:
    return ("gray", *("undefined",) * (count - 1))


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        (f"{SAFE_1}.SAFE/measurement/s1a-iw-grd-vv-20190917t175506.tiff", "sentinel-1-grd"),
        ("s1a-iw-grd-vh-20190917t175506-20190917t175531-029063-034c5e-002.tiff", "sentinel-1-grd"),
        (f"{SAFE_1}_VV.tif", "sentinel-1-grd"),
        (f"{SAFE_1}/iw-vv.rtc.tiff", "sentinel-1-rtc"),
        (f"{SAFE_1}_rtc/vv.tif", "sentinel-1-rtc"),
        ("S1A_IW_20190917T175506_DVP_RTC30_G_gpuned_7C3F_VV.tif", "sentinel-1-rtc"),
        (
            "OPERA_L2_RTC-S1_T069-147170-IW1_20231022T175506Z_20231023T010101Z_S1A_30_v1.0_VV.tif",
            "sentinel-1-rtc",
        ),
        (f"{GRANULE}/R10m/T30SXH_20190923T104759_B04_10m.jp2", "sentinel-2-l2a"),
        (f"{SAFE_2.replace('L2A', 'L1C')}.SAFE/GRANULE/L1C_T/IMG_DATA/T_B04.jp2", "sentinel-2-l1c"),
        ("L1C_T30SXH_A013299_20190923T105300/IMG_DATA/T30SXH_B04.jp2", "sentinel-2-l1c"),
        ("S2B_30SXH_20190923_0_L2A/B04.tif", "sentinel-2-l2a"),
        ("S2B_T30SXH_20190923T104759_L2A/B04.tif", "sentinel-2-l2a"),
        ("S2B_30SXH_20190923_0_L1C_B04.tif", "sentinel-2-l1c"),
        (f"{C2}_SR_B4.TIF", "landsat-c2-l2"),
        (f"{C2.replace('LC08', 'LC09')}/SR_B4.TIF", "landsat-c2-l2"),
        (f"{C1}_sr_band4.tif", "landsat-c1-sr"),
    ],
)
def test_the_names_of_providers_tell_the_sensor(name: str, sensor: str) -> None:
    known, note = sensor_of(ANYWHERE, header(f"/archive/{name}"))
    assert (known.name, note) == (sensor, None)


@pytest.mark.parametrize(
    "name",
    [
        f"{C1}_B4.TIF",  # level 1: counts, whose name differs in nothing but "sr"
        f"{C2.replace('L2SP', 'L1TP')}_B4.TIF",
        "S1A_IW_20190917T175506_DVP_RTC30_G_gauned_7C3F_VV.tif",  # amplitude
        "S1A_IW_SLC__1SDV_20190917T175506_20190917T175531_029063_034C5E_7C3F_VV.tif",
        "flood_final_2.tif",
    ],
)
def test_what_is_not_known_is_refused_with_the_names_of_the_sensors(name: str) -> None:
    with pytest.raises(SensorUnknown, match=r"--sensor.*aerial-rgb, .*vhr-rgbn") as refusal:
        sensor_of(ANYWHERE, header(name, gsd_m=12.5))
    assert Path(name).name in str(refusal.value) and "12.5 m" in str(refusal.value)


def test_the_user_goes_before_the_name() -> None:
    assert sensor_of(Source("x", sensor="vhr-rgb"), header(f"{SAFE_1}_VV.tif"))[0] is RGB
    with pytest.raises(SensorUnknown, match="no sensor 'sentinel-9'; the sensors are aerial-rgb"):
        sensor_named("sentinel-9")


@pytest.mark.parametrize(("gsd_m", "sensor"), [(0.02, "drone-rgb"), (0.5, "vhr-rgb")])
def test_a_picture_is_known_by_its_colours_and_a_note_says_so(gsd_m: float, sensor: str) -> None:
    colours = ("red", "green", "blue", "alpha")
    known, note = sensor_of(ANYWHERE, header(colours=colours, dtype="uint8", gsd_m=gsd_m))
    assert known.name == sensor
    assert note is not None and "image.tif was taken for" in note and "--sensor" in note


def test_a_picture_of_16_bits_is_known_where_a_drone_took_it() -> None:
    """A satellite's may be reflectance."""
    colours = ("red", "green", "blue")
    deep = header(colours=colours, dtype="uint16", gsd_m=0.02)
    assert sensor_of(ANYWHERE, deep)[0].name == "drone-rgb"
    with pytest.raises(SensorUnknown):
        sensor_of(ANYWHERE, header(colours=colours, dtype="uint16", gsd_m=0.5))


@pytest.mark.parametrize(
    ("name", "sensor", "band", "stem"),
    [
        ("T30SXH_20190923T104759_B04_10m.jp2", S2, "red", "T30SXH_20190923T104759"),
        ("T30SXH_20190923T104759_B8A_20m.jp2", S2, "nir08", "T30SXH_20190923T104759"),
        ("T30SXH_20190923T104759_SCL_20m.jp2", S2, "scl", "T30SXH_20190923T104759"),
        ("B11.tif", S2, "swir16", ""),
        ("red.tif", S2, "red", ""),
        (f"{C2}_SR_B4.TIF", LANDSAT, "red", C2),
        (f"{C2}_sr_b4.tif", LANDSAT, "red", C2),
        (f"{C2}_QA_PIXEL.TIF", LANDSAT, "qa_pixel", C2),
        (f"{C1}_sr_band5.tif", SENSORS["landsat-c1-sr"], "nir", C1),
        (f"{SAFE_1}_VV.tif", RADAR, "vv", SAFE_1),
        ("iw-vh.rtc.tiff", RADAR, "vh", "iw"),
        (
            "s1a-iw-grd-vv-20190917t175506-20190917t175531-029063-034c5e-001.tiff",
            RADAR, "vv", "s1a-iw-grd-20190917t175506-20190917t175531-029063-034c5e",
        ),
    ],
)  # fmt: skip
def test_the_band_in_a_name(name: str, sensor: Sensor, band: str, stem: str) -> None:
    assert band_in_name(Path(name), sensor) == (band, stem)


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        (f"{C2}_ST_B10.TIF", LANDSAT),
        (f"{C2}_QA_RADSAT.TIF", LANDSAT),
        (f"{C2}_SR_QA_AEROSOL.TIF", LANDSAT),
        ("T30SXH_20190923T104759_AOT_10m.jp2", S2),
        ("adwp_label.tif", S2),
        ("LAB4.tif", S2),
        ("dem.tif", RADAR),
    ],
)
def test_no_band_is_seen_where_there_is_none(name: str, sensor: Sensor) -> None:
    assert band_in_name(Path(name), sensor) is None
    with pytest.raises(BandsUnknown, match="--bands"):
        band_names(ANYWHERE, header(name), sensor)


@given(sensor=st.sampled_from(list(SENSORS.values())), data=st.data())
@settings(max_examples=100, deadline=None)
def test_every_alias_of_every_band_is_understood(sensor: Sensor, data: st.DataObject) -> None:
    band = data.draw(st.sampled_from(sensor.bands))
    label = data.draw(st.sampled_from((band.name, *band.aliases)))
    cased = data.draw(st.sampled_from((label.lower(), label.upper(), label.replace(" ", "_"))))
    assert sensor.band_of(cased) == band.name
    assert sensor.band_of(cased + "x") is None


def test_no_alias_stands_for_two_bands() -> None:
    for sensor in SENSORS.values():
        for band in sensor.bands:
            assert all(sensor.band_of(alias) == band.name for alias in (band.name, *band.aliases))


def test_no_name_of_a_provider_belongs_to_two_sensors() -> None:
    for name in (SAFE_1, f"{SAFE_1}_rtc", SAFE_2, SAFE_2.replace("L2A", "L1C"), C2, f"{C1}_sr"):
        alone = [s for s in SENSORS.values() if s.pattern and sensor_of_file_name(name) is s]
        assert len(alone) == 1


def test_descriptions_tell_the_bands_in_any_order() -> None:
    labels = ("Band 4", "Band 3", "Band 2", "Band 5")
    found, note = band_names(ANYWHERE, header(colours=plain(4), descriptions=labels), LANDSAT)
    assert found == (("red", 1), ("green", 2), ("blue", 3), ("nir", 4))
    assert note is None


def test_descriptions_that_only_count_are_noted() -> None:
    labels = ("Band 1", "Band 2", "Band 3", "Band 4")
    found, note = band_names(ANYWHERE, header(colours=plain(4), descriptions=labels), LANDSAT)
    assert dict(found)["red"] == 4
    assert note is not None and "only counts its bands" in note


def test_a_description_that_counts_does_not_overrule_the_name() -> None:
    file = header(f"{C2}_SR_B4.TIF", descriptions=("Band 1",))
    assert band_names(ANYWHERE, file, LANDSAT)[0] == (("red", 1),)


def test_a_name_and_a_description_that_disagree_are_refused() -> None:
    file = header("T30SXH_B04.tif", descriptions=("B08",))
    with pytest.raises(BandsUnknown, match=r"T30SXH_B04.tif says red .* says nir"):
        band_names(ANYWHERE, file, S2)


@pytest.mark.parametrize(
    ("sensor", "colours", "names", "noted"),
    [
        (RGB, ("red", "green", "blue"), "red green blue", False),
        (RGB, ("blue", "green", "red"), "blue green red", False),
        (RGB, ("red", "green", "blue", "alpha"), "red green blue", False),
        (RGBN, ("red", "green", "blue", "undefined"), "red green blue nir", True),
        (RGBN, ("red", "green", "blue", "nir"), "red green blue nir", False),
        (RGBN, ("blue", "green", "red", "undefined", "alpha"), "blue green red nir", True),
        (RGBN, ("nir", "red", "green", "blue"), "nir red green blue", False),
        (S2, ("red", "green", "blue"), "red green blue", False),
        (RGBN, plain(4), "red green blue nir", True),
        (RADAR, plain(2), "vv vh", True),
        (
            S2,
            plain(12),
            "coastal blue green red rededge071 rededge075 rededge078 nir nir08 nir09 swir16 swir22",
            True,
        ),
        (SENSORS["landsat-c1-sr"], plain(7), "coastal blue green red nir swir16 swir22", True),
        (LANDSAT, plain(7), "coastal blue green red nir swir16 swir22", True),
    ],
)
def test_colours_and_the_order_of_the_provider(
    sensor: Sensor, colours: tuple[str, ...], names: str, noted: bool
) -> None:
    found, note = band_names(ANYWHERE, header(colours=colours), sensor)
    assert [name for name, _ in found] == names.split()
    assert [i for _, i in found] == list(range(1, len(found) + 1))
    assert (note is not None) == noted
    if note:
        assert "--bands says otherwise" in note


@pytest.mark.parametrize(
    ("sensor", "count"), [(RGBN, 3), (RGB, 4), (S2, 4), (RADAR, 1), (S2, 13), (LANDSAT, 8)]
)
def test_bands_that_nothing_tells_are_refused(sensor: Sensor, count: int) -> None:
    with pytest.raises(BandsUnknown, match=rf"the {count} bands of image.tif .*--bands"):
        band_names(ANYWHERE, header(colours=plain(count)), sensor)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (("red", "green"), r"--bands names 2 bands \(red, green\) and image.tif has 4"),
        (("red", "green", "blue", "cloud"), "Aerial RGB [+] NIR has no band cloud; its bands are"),
        (("red", "green", "red", "nir"), "names band red more than once"),
    ],
)
def test_told_bands_that_cannot_be_are_refused(bands: tuple[str, ...], message: str) -> None:
    with pytest.raises(BandsUnknown, match=message):
        band_names(Source("x", bands=bands), header(colours=plain(4)), RGBN)


def test_told_bands_go_before_descriptions_and_leave_the_alpha_band_out() -> None:
    file = header(
        colours=("undefined", "alpha", "undefined"), descriptions=("B2", None, "B3"), dtype="uint8"
    )
    names, _ = band_names(Source("x", bands=("B04", "nir")), file, S2)
    assert names == (("red", 1), ("nir", 3))


def test_a_fourth_band_that_is_called_alpha_is_near_infrared_where_the_user_says_so() -> None:
    file = header(colours=("red", "green", "blue", "alpha"), dtype="uint8")
    bands = ("red", "green", "blue", "nir")
    assert band_names(Source("x", bands=bands), file, RGBN)[0][3] == ("nir", 4)
    with pytest.raises(BandsUnknown, match=r"one of its bands is alpha.* name all 4 with --bands"):
        band_names(ANYWHERE, file, RGBN)


def test_a_band_that_is_described_twice_is_refused() -> None:
    with pytest.raises(BandsUnknown, match="names band red more than once"):
        band_names(ANYWHERE, header(colours=plain(2), descriptions=("B4", "red")), S2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{SAFE_1}_VV.tif", datetime(2019, 9, 17, 17, 55, 6, tzinfo=UTC)),
        ("s1a-iw-grd-vv-20190917t175506-x-001.tiff", datetime(2019, 9, 17, 17, 55, 6, tzinfo=UTC)),
        (f"{C2}_SR_B4.TIF", datetime(2016, 7, 23, tzinfo=UTC)),
        (f"{SAFE_2}.SAFE/red.tif", datetime(2019, 9, 23, 10, 47, 59, tzinfo=UTC)),
        ("m_4709963_se_14_1_20120731.tif", datetime(2012, 7, 31, tzinfo=UTC)),
        ("20209999_20200229.tif", datetime(2020, 2, 29, tzinfo=UTC)),
        ("20191301T000000_20190917T175506.tif", datetime(2019, 9, 17, 17, 55, 6, tzinfo=UTC)),
        ("before 17.05.2023.tif", datetime(2023, 5, 17, tzinfo=UTC)),
        ("kakhovka_2023_06_07_v2.tif", datetime(2023, 6, 7, tzinfo=UTC)),
        ("kakhovka-7Jun2023.tif", datetime(2023, 6, 7, tzinfo=UTC)),
        ("kakhovka_06-07-2023.tif", None),  # June or July?
        ("20209999.tif", None),
        ("20190230.tif", None),
        ("tile_20190917123.tif", None),
        ("18690917.tif", None),
        ("Spain_7370579.tif", None),
        ("flood_20190917/image.tif", None),  # a folder of the user's says when, but of what?
    ],
)
def test_dates_in_names(name: str, expected: datetime | None) -> None:
    assert taken_at(ANYWHERE, header(f"/a/{name}")) == (expected, None)


@given(moment=st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)))
@settings(max_examples=50, deadline=None)
def test_any_time_in_a_name_comes_back(moment: datetime) -> None:
    name = f"tile_77_{moment:%Y%m%dT%H%M%S}_v2"
    assert time_in(name) == moment.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2023-05-17", "17-05-2023", "17.05.2023", "05/17/2023", "20230517", "2023_05_17",
        "2023-5-17", "17May2023", "17 may 2023", "17-MAY-2023", "17th May, 2023", "May 17, 2023",
        "2023May17",
    ],
)  # fmt: skip
def test_dates_are_understood_as_people_write_them(text: str) -> None:
    assert parse_time(text) == datetime(2023, 5, 17, tzinfo=UTC)
    for clock in ("T10:15:07Z", " 10:15:07", " 12:15:07+02:00", "T101507", ", 10:15:07 UTC"):
        assert parse_time(f" {text}{clock} ") == datetime(2023, 5, 17, 10, 15, 7, tzinfo=UTC)


def test_a_day_that_equals_its_month_needs_no_order() -> None:
    assert parse_time("05.05.2023") == datetime(2023, 5, 5, tzinfo=UTC)


def test_a_day_that_may_be_the_month_is_refused() -> None:
    with pytest.raises(TimeUnknown, match="may be 2023-05-06 or 2023-06-05; write it as"):
        parse_time("05-06-2023")


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "17 May", "17-05-23", "31.02.2023", "2023-13-01", "2023-05-17 noon",
     "1684318500", "2023-05-17 25:00", "2023-W20", "17.05-2023", "1850-01-01"],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(TimeUnknown, match="is no date; write it as 2019-07-23 or"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020:04:29 08:20:47", datetime(2020, 4, 29, 8, 20, 47, tzinfo=UTC)),
        ("2020-04-29T08:20:47Z", datetime(2020, 4, 29, 8, 20, 47, tzinfo=UTC)),
        ("2020-04-29T10:20:47+02:00", datetime(2020, 4, 29, 8, 20, 47, tzinfo=UTC)),
    ],
)
def test_the_tag_tells_the_time_and_a_note_says_so(text: str, expected: datetime) -> None:
    taken, note = taken_at(ANYWHERE, header(TIFFTAG_DATETIME=text))
    assert taken == expected
    assert note is not None and "DateTime tag" in note


@pytest.mark.parametrize("text", ["", "    :  :     :  :  ", "0000:00:00 00:00:00"])
def test_a_blank_tag_tells_nothing(text: str) -> None:
    assert taken_at(ANYWHERE, header(TIFFTAG_DATETIME=text)) == (None, None)


@pytest.mark.parametrize("text", ["yesterday 1", "2020:13:01 00:00:00"])
def test_a_tag_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(TimeUnknown, match=text):
        taken_at(ANYWHERE, header(TIFFTAG_DATETIME=text))


def test_the_user_goes_before_names_and_tags() -> None:
    file = header(f"{C2}_SR_B4.TIF", TIFFTAG_DATETIME="no date")
    naive = datetime(2016, 7, 24, 12)
    east = naive.replace(tzinfo=timezone(timedelta(hours=2)))
    assert taken_at(Source("x", taken=naive), file)[0] == naive.replace(tzinfo=UTC)
    assert taken_at(Source("x", taken=east), file)[0] == datetime(2016, 7, 24, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"CLOUDY_PIXEL_PERCENTAGE": "12.5"}, 12.5),
        ({"CLOUD_COVER": "0"}, 0.0),
        ({"CLOUD_COVER": "-1"}, None),  # Landsat: not computed
        ({"CLOUD_COVER": "200"}, None),
        ({"eo:cloud_cover": "n/a"}, None),
        ({}, None),
    ],
)
def test_the_cloud_cover_is_the_users_or_the_providers(
    tags: dict[str, str], expected: float | None
) -> None:
    assert cloud_cover_of(ANYWHERE, header(**tags)) == expected
    assert cloud_cover_of(Source("x", cloud_cover=3.0), header(**tags)) == 3.0


def test_products_are_known_by_their_whole_name() -> None:
    image = Path("/archive") / GRANULE / "R10m" / "B04.jp2"
    folder = product_folder(image)
    assert folder is not None and folder.name == f"{SAFE_2}.SAFE"
    for name in ("S2A_MSIL2A_2019/B04.jp2", "S1A_IW_GRDH/vv.tif", "before/B04.jp2"):
        assert product_folder(Path("/archive") / name) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SAFE_1, SAFE_1[:-4] + "A1B2"),
        (SAFE_2, SAFE_2.replace("N0213", "N0500").replace("20190923T134537", "20230101T000000")),
        (SAFE_2, SAFE_2.replace("_N0213", "")),
    ],
)
def test_revisions_share_the_key_of_their_acquisition(one: str, other: str) -> None:
    assert acquisition_key(one) == acquisition_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SAFE_1, SAFE_1.replace("20190917T175506", "20190917T175531")),
        (SAFE_2, SAFE_2.replace("T30SXH", "T30SXJ")),
        ("S1A_flood_2019", "S1A_flood_2020"),
        ("x" * 70 + "a", "x" * 70 + "b"),
    ],
)
def test_acquisitions_keep_their_own_keys(one: str, other: str) -> None:
    assert acquisition_key(one) != acquisition_key(other)


@given(name=st.text(max_size=120))
@settings(max_examples=50, deadline=None)
def test_a_key_is_a_safe_name(name: str) -> None:
    key = acquisition_key(name)
    assert 1 <= len(key) <= 64 and set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_headers_leave_the_alpha_band_out() -> None:
    any_colours: Any = ("red", "alpha", "blue")
    assert header(colours=any_colours).data_bands == (1, 3)
