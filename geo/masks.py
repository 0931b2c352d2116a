"""Where a sensor did not see: the provider's own masks, and the noisy border of radar images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage

from geo.classify import Label
from geo.raster import BoolArray, CodeArray, FloatArray

_SCL: dict[int, Label] = {
    0: Label.NO_DATA,
    1: Label.NO_DATA,  # saturated or defective
    3: Label.CLOUD_SHADOW,
    8: Label.CLOUD,  # medium probability
    9: Label.CLOUD,  # high probability
    10: Label.CLOUD,  # thin cirrus
}
"""Scene classification of Sentinel-2 L2A (ESA, Sen2Cor ATBD, table of SCL values)."""

_QA_PIXEL: dict[int, Label] = {
    0: Label.NO_DATA,  # fill
    1: Label.CLOUD,  # dilated cloud
    2: Label.CLOUD,  # cirrus
    3: Label.CLOUD,
    4: Label.CLOUD_SHADOW,
}
"""Bits of QA_PIXEL, Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 6-3."""

FoundClouds: TypeAlias = Callable[[GeoBox], CodeArray]
"""A grid to why the ground cannot be seen there, (rows, cols): `Label.CLOUD`, `Label.CLOUD_SHADOW`,
0 where it can."""


@dataclass(frozen=True)
class Masking:
    """What hides the ground in a scene, besides pixels that hold no value."""

    provider: frozenset[Label] = frozenset(_SCL.values())
    """What the provider's own mask is believed on, where there is one; empty: it is not read."""
    found: FoundClouds | None = None
    """Clouds and shadows that somebody else finds in the scene."""


ALL_OF_PROVIDER = Masking()

BORDER_DB = -30.0
"""A Sentinel-1 pixel beside the image's edge that is darker than this is border noise: the
noise floor of IW lies near -22 dB (Sentinel-1 Product Specification), and ESA's own border
removal masks the same fringe (MPC-0243, "Masking no-value pixels on GRD products")."""
BORDER_PX = 50
"""How far the noise reaches inwards from the edge, pixels."""


def quality_reason(codes: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], band: str) -> CodeArray:
    """Return why each pixel cannot be trusted by the provider's mask, 0 where it can.

    Args:
        codes: (rows, cols), values of the band.
        band: "scl" or "qa_pixel".
    """
    reason = np.zeros(codes.shape, np.uint8)
    if band == "scl":
        for value, label in _SCL.items():
            reason[codes == value] = label
        return reason
    # The lowest bit wins where several are set: fill before cloud before shadow.
    for bit, label in reversed(_QA_PIXEL.items()):
        reason[(codes >> bit) & 1 == 1] = label
    return reason


def radar_border(power: FloatArray, valid: BoolArray) -> BoolArray:
    """Return the noisy fringe along the edge of the valid pixels of a radar image.

    Args:
        power: (bands, rows, cols), linear power.
        valid: (rows, cols), True where the file holds a value.
    """
    if valid.all() or not valid.any():
        return np.zeros_like(valid)
    floor = np.float32(10 ** (BORDER_DB / 10))
    dark = np.nan_to_num(power, nan=1.0).min(axis=0) < floor
    reach = ndimage.binary_dilation(~valid, iterations=BORDER_PX, mask=dark & valid | ~valid)
    fringe: BoolArray = reach & valid & dark
    return fringe
