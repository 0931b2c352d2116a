"""A small picture of the imagery, for the eye only: stretched, never measured on."""

from collections.abc import Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from geo.raster import BoolArray, FloatArray, Raster
from geo.scene import Scene
from geo.scene_mosaic import Preference, SceneMosaic, ordered
from geo.sensors import Family

SIDE_PX = 1000
"""Longer side of a quicklook."""

_SHOWN: tuple[tuple[str, ...], ...] = (
    ("red", "green", "blue"),
    ("swir16", "nir", "green"),
    ("nir", "red", "green"),
    ("vv",),
    ("vh",),
)
"""Bands that are shown as red, green and blue, the first choice first; one band is grey."""
_EYE_ORDER = (Family.PICTURE, Family.OPTICAL, Family.RADAR)
"""People read colours more easily than backscatter."""


def quicklook_scenes(scenes: Sequence[Scene], preference: Preference) -> tuple[Scene, ...]:
    """Return the scenes of one phase that a picture is made of: one sensor, best for the eye."""
    for family in _EYE_ORDER:
        of_family = [s for s in scenes if s.sensor.family is family]
        if of_family:
            sensor = ordered(of_family, preference)[0].sensor_name
            return ordered([s for s in of_family if s.sensor_name == sensor], preference)
    return tuple(scenes)


def shown_bands(there: tuple[str, ...]) -> tuple[str, ...]:
    """Return the bands that are shown; the first as grey where none make a picture."""
    return next((bands for bands in _SHOWN if set(bands) <= set(there)), there[:1])


def coarse_grid(geobox: GeoBox) -> GeoBox:
    """Return the grid with at most `SIDE_PX` pixels along its longer side."""
    longer = max(geobox.shape)
    return geobox if longer <= SIDE_PX else geobox.zoom_to(SIDE_PX)


def quicklook(scenes: Sequence[Scene], geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
    """Return a picture of scenes on a grid.

    Args:
        scenes: of one sensor, the preferred first, as `quicklook_scenes` returns them.

    Returns:
        pixels: (3, rows, cols), 0 to 1, stretched from the 2nd to the 98th percentile of all
            bands together, so that colours keep their balance.
        valid: (rows, cols).
    """
    bands = shown_bands(scenes[0].bands)
    alike = [scene for scene in scenes if set(bands) <= set(scene.bands)]
    raster = SceneMosaic(alike, bands).read(geobox)
    return for_eye(raster), raster.valid


def for_eye(raster: Raster) -> FloatArray:
    """Return a raster as a picture, (3, rows, cols), 0 to 1; see `quicklook`."""
    bands = shown_bands(raster.bands)
    pixels = raster.pixels[[raster.bands.index(band) for band in bands]]
    stretched = _stretched(pixels, raster.valid)
    return stretched if len(bands) == 3 else np.repeat(stretched, 3, axis=0)


def _stretched(pixels: FloatArray, valid: BoolArray) -> FloatArray:
    seen = pixels[:, valid]
    if seen.size == 0:
        return np.zeros_like(pixels)
    low, high = np.percentile(seen, [2, 98])
    spread = max(float(high - low), 1e-6)
    stretched: FloatArray = np.clip((np.nan_to_num(pixels) - low) / spread, 0, 1)
    return stretched.astype(np.float32)
