"""The sensors, as data: a new one is one entry of `SENSORS`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from geo.errors import SensorUnknown
from geo.raster.classify import Label
from geo.types import CodeArray, FloatArray


class Family(StrEnum):
    """What a sensor measures; rasters of one family share their physical units."""

    RADAR = "radar"
    """Backscatter, in decibels once read."""
    OPTICAL = "optical"
    """Reflectance, 0 to 1 once read."""
    PICTURE = "picture"
    """Uncalibrated brightness, 0 to 255 once read."""


class Units(StrEnum):
    """How a file stores its values."""

    DECIBEL = "dB"
    LINEAR_POWER = "linear power"
    REFLECTANCE = "reflectance"
    REFLECTANCE_10000 = "reflectance x 10000"
    LANDSAT_C2 = "Landsat Collection 2 level 2"
    BITS_8 = "8-bit"
    BITS_16 = "16-bit"


class Backscatter(StrEnum):
    """Which area the echo of a radar is divided by.

    They differ by the slope and by the cosine of the incidence: 0.6 to 1.6 dB at 30 to 46 degrees.
    """

    SIGMA0 = "sigma0"
    """The ground's."""
    GAMMA0 = "gamma0"
    """The wave front's."""


UNITS_OF: dict[Family, tuple[Units, ...]] = {
    Family.RADAR: (Units.DECIBEL, Units.LINEAR_POWER),
    Family.OPTICAL: (Units.REFLECTANCE, Units.REFLECTANCE_10000, Units.LANDSAT_C2),
    Family.PICTURE: (Units.BITS_8, Units.BITS_16),
}


@dataclass(frozen=True)
class Band:
    """One band of a sensor."""

    name: str
    """Common name, as in the STAC electro-optical extension, or the polarisation."""
    aliases: tuple[str, ...]
    """What the provider calls it in descriptions and file names."""


@dataclass(frozen=True)
class QualityBand:
    """The provider's own mask of clouds, a band beside the others."""

    name: str
    labels: Mapping[int, Label]
    """Why a pixel is not analysed, by value or by set bit: the first that applies."""
    is_bits: bool = False

    def reasons(self, values: npt.NDArray[np.uint16]) -> CodeArray:
        """Return the `Label` why each pixel is not analysed, 0 where it is, (rows, cols)."""
        reason = np.zeros(values.shape, np.uint8)
        for number, label in reversed(list(self.labels.items())):
            reason[(values >> number) & 1 == 1 if self.is_bits else values == number] = label
        return reason


@dataclass(frozen=True)
class Sensor:
    """What is known of a sensor before a file is opened."""

    name: str
    title: str
    """Written into `sensor` of every feature."""
    family: Family
    units: Units
    bands: tuple[Band, ...]
    """In the order of the provider's product."""
    gsd_m: float
    """Ground sampling distance of the sharpest band; of the file itself for aerial pictures."""
    nodata: float | None
    """Value that means no data, besides the one that the file declares."""
    pattern: str
    """Regular expression for the provider's names of files and products; empty: no standard."""
    quality_band: QualityBand | None = None
    backscatter: Backscatter | None = None
    """Of radar images that do not say which they hold; None for other sensors."""
    baseline_offset: float = 0.0
    """Added to stored values from `OFFSET_BASELINE` on."""
    assumed_types: tuple[str, ...] = ()
    """An RGB picture of unknown sensor and these types is this one's, if `assumed_gsd_m` fits."""
    assumed_gsd_m: tuple[float, float] = (0.0, np.inf)
    """Metres, the end excluded."""

    @property
    def quality(self) -> str | None:
        """Name of the provider's own mask, None without one."""
        return self.quality_band.name if self.quality_band else None

    def band_of(self, label: str) -> str | None:
        """Return the common name for a provider's label, or None where it is not one of ours."""
        wanted = _plain(label)
        for band in self.bands:
            if wanted in {_plain(alias) for alias in (band.name, *band.aliases)}:
                return band.name
        return None


def _plain(label: str) -> str:
    """Return a label without case, blanks, dashes and leading zeros: "Band 04" is "band4"."""
    return re.sub(r"(?<=[a-z])0+(?=\d)", "", re.sub(r"[\s_\-]", "", label.lower()))


def _bands(*pairs: str) -> tuple[Band, ...]:
    return tuple(Band(name, tuple(aliases)) for name, *aliases in (p.split("|") for p in pairs))


_S2_L1C = _bands(
    "coastal|B1|B01", "blue|B2|B02", "green|B3|B03", "red|B4|B04",
    "rededge071|B5|B05", "rededge075|B6|B06", "rededge078|B7|B07", "nir|B8|B08",
    "nir08|B8A", "nir09|B9|B09", "cirrus|B10", "swir16|B11", "swir22|B12",
)  # fmt: skip
# The cirrus band sees no ground, and level 2A leaves it out.
_S2_L2A = (*(band for band in _S2_L1C if band.name != "cirrus"), *_bands("scl|SCL"))
_LANDSAT = _bands(
    "coastal|B1|SR_B1|Band 1", "blue|B2|SR_B2|Band 2", "green|B3|SR_B3|Band 3",
    "red|B4|SR_B4|Band 4", "nir|B5|SR_B5|Band 5", "swir16|B6|SR_B6|Band 6",
    "swir22|B7|SR_B7|Band 7",
)  # fmt: skip
_LANDSAT_C2 = (*_LANDSAT, *_bands("qa_pixel|QA_PIXEL"))
_RGB = _bands("red|r", "green|g", "blue|b")
_RGBN = _bands("red|r", "green|g", "blue|b", "nir|n|near infrared|infrared")
_RADAR = _bands(
    "vv|sigma0_vv|sigma0_vv_db|gamma0_vv|gamma0_vv_db|VV_dB",
    "vh|sigma0_vh|sigma0_vh_db|gamma0_vh|gamma0_vh_db|VH_dB",
)

OFFSET_BASELINE = 400
"""Processing baseline 04.00 of Sentinel-2 (25 January 2022) brought an offset, Products
Specification S2-PDGS-TAS-DI-PSD 14.9; older acquisitions were reprocessed with it, so the
acquisition date is no test."""
_S2_OFFSET = -1000.0

# Scene classification of Sentinel-2 L2A: ESA, Sen2Cor ATBD, table of SCL values.
_SCL = QualityBand("scl", {
    0: Label.NO_DATA,
    1: Label.NO_DATA,  # saturated or defective
    3: Label.CLOUD_SHADOW,
    8: Label.CLOUD,  # medium probability
    9: Label.CLOUD,  # high probability
    10: Label.CLOUD,  # thin cirrus
})  # fmt: skip
# Bits of QA_PIXEL: Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 6-3.
_QA_PIXEL = QualityBand("qa_pixel", {
    0: Label.NO_DATA,  # fill
    1: Label.CLOUD,  # dilated cloud
    2: Label.CLOUD,  # cirrus
    3: Label.CLOUD,
    4: Label.CLOUD_SHADOW,
}, is_bits=True)  # fmt: skip

_S1_GRD = r"S1[ABCD]_(IW|EW|SM)_GRD[FHM]_(?!.*RTC)|^s1[abcd]-(iw|ew)-grd-"
# The catalogues' RTC of a GRD product and its files, ASF's HyP3 (its "_gp" and "_sp" are power;
# amplitude and decibels are not read), NASA's OPERA.
_S1_RTC = (
    r"S1[ABCD]_(IW|EW|SM)_(GRD[FHM]_.*)?RTC|^(iw|ew)-v[vh]\.rtc"
    r"|S1[ABCD]_(IW|EW)_\d{8}T\d{6}_\w{3}_RTC\d\d_G_[gs]p|OPERA_L2_RTC-S1_"
)
# The product, its granule, and the catalogues' own ids.
_S2_LEVEL = (
    r"S2[ABCD]_MSI{0}_|^{0}_T\d\d[A-Z]{{3}}_A\d{{6}}_"
    r"|S2[ABCD]_T?\d\d?[A-Z]{{3}}_\d{{8}}.*_{0}"
)

WAVELENGTH_UM = {
    "coastal": 0.443, "blue": 0.492, "green": 0.560, "red": 0.665, "rededge071": 0.704,
    "rededge075": 0.741, "rededge078": 0.783, "nir": 0.833, "nir08": 0.865, "nir09": 0.945,
    "cirrus": 1.374, "swir16": 1.614, "swir22": 2.202,
}  # fmt: skip
"""Centre of each optical band: Sentinel-2A's, Sentinel-2 Products Specification; Landsat's are
within a few per cent."""

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        # Sentinel-1 Product Definition S1-RS-MDA-52-7440 gives the names; 20 m by 22 m
        # resolution on pixels of 10 m for IW GRDH. Exporters fill with 0, which no measured
        # backscatter equals in power or in decibels. GRD is calibrated to sigma0, unless somebody
        # chose otherwise; radiometric terrain correction gives gamma0 (Small 2011,
        # doi:10.1109/TGRS.2011.2120616).
        Sensor("sentinel-1-grd", "Sentinel-1 GRD", Family.RADAR, Units.DECIBEL, _RADAR, 10.0,
               0.0, _S1_GRD, backscatter=Backscatter.SIGMA0),
        Sensor("sentinel-1-rtc", "Sentinel-1 RTC", Family.RADAR, Units.LINEAR_POWER, _RADAR, 10.0,
               0.0, _S1_RTC, backscatter=Backscatter.GAMMA0),
        # Sentinel-2 Products Specification S2-PDGS-TAS-DI-PSD: 0 is nodata.
        Sensor("sentinel-2-l1c", "Sentinel-2 L1C", Family.OPTICAL, Units.REFLECTANCE_10000, _S2_L1C,
               10.0, 0.0, _S2_LEVEL.format("L1C"), baseline_offset=_S2_OFFSET),
        Sensor("sentinel-2-l2a", "Sentinel-2 L2A", Family.OPTICAL, Units.REFLECTANCE_10000, _S2_L2A,
               10.0, 0.0, _S2_LEVEL.format("L2A"), _SCL, baseline_offset=_S2_OFFSET),
        # Landsat 8-9 Collection 2 Level 2 Science Product Guide LSDS-1619: scale 0.0000275,
        # offset -0.2, fill 0.
        Sensor("landsat-c2-l2", "Landsat 8/9 Collection 2 L2", Family.OPTICAL, Units.LANDSAT_C2,
               _LANDSAT_C2, 30.0, 0.0, r"LC0[89]_L2S[PR]_\d{6}_\d{8}_\d{8}_02_", _QA_PIXEL),
        # Collection 1 surface reflectance, LSDS-1368: reflectance x 10000, fill -9999. The
        # level 1 product has the same name without `sr`, and holds counts.
        Sensor("landsat-c1-sr", "Landsat 8 Collection 1 SR", Family.OPTICAL,
               Units.REFLECTANCE_10000, _LANDSAT, 30.0, -9999.0,
               r"LC08_L1\w\w_\d{6}_\d{8}_\d{8}_01_\w\w_sr"),
        # Pictures: of 18 million pixels of aerial, drone and satellite pictures not one is 0
        # in all bands; one that is fills the edge of a mosaic.
        Sensor("aerial-rgb", "Aerial RGB", Family.PICTURE, Units.BITS_8, _RGB, 0.3, 0.0, ""),
        Sensor("aerial-rgbn", "Aerial RGB + NIR", Family.PICTURE, Units.BITS_8, _RGBN, 1.0,
               0.0, ""),
        # Pixels below 0.2 m are a drone's. 16 bits of a satellite may be reflectance.
        Sensor("drone-rgb", "Drone RGB", Family.PICTURE, Units.BITS_8, _RGB, 0.05, 0.0, "",
               assumed_types=("uint8", "uint16"), assumed_gsd_m=(0.0, 0.2)),
        Sensor("vhr-rgb", "Very-high-resolution RGB", Family.PICTURE, Units.BITS_8, _RGB, 0.5,
               0.0, "", assumed_types=("uint8",), assumed_gsd_m=(0.2, np.inf)),
        Sensor("vhr-rgbn", "Very-high-resolution RGB + NIR", Family.PICTURE, Units.BITS_8, _RGBN,
               0.5, 0.0, ""),
    )
}  # fmt: skip


def sensor_named(name: str) -> Sensor:
    """Return the sensor of that name."""
    if name not in SENSORS:
        raise SensorUnknown(f"no sensor {name!r}; the sensors are {', '.join(sorted(SENSORS))}")
    return SENSORS[name]


def sensor_of_file_name(name: str) -> Sensor | None:
    """Return the sensor whose provider names files like this, or None."""
    for sensor in SENSORS.values():
        if sensor.pattern and re.search(sensor.pattern, name, re.IGNORECASE):
            return sensor
    return None


def to_physical(values: FloatArray, *, units: Units, offset: float = 0.0) -> FloatArray:
    """Turn stored values into what is resampled: linear power, reflectance, or 0 to 255.

    Radar becomes linear power: an average of decibels is not the decibels of an average.
    """
    match units:
        case Units.DECIBEL:
            power: FloatArray = np.power(np.float32(10), values / np.float32(10))
            return power
        case Units.LINEAR_POWER | Units.REFLECTANCE | Units.BITS_8:
            return values
        case Units.REFLECTANCE_10000:
            return (values + np.float32(offset)) / np.float32(10000)
        case Units.LANDSAT_C2:
            return values * np.float32(0.0000275) - np.float32(0.2)
        case Units.BITS_16:
            return values / np.float32(257)


def to_decibel(power: FloatArray) -> FloatArray:
    """Return 10 log10 of linear power; NaN where the power is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = np.float32(10) * np.log10(power)
    return np.where(power > 0, decibel, np.float32(np.nan)).astype(np.float32)
