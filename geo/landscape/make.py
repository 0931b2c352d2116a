"""The landscape of a seed, before and during its flood, as the satellites recorded it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely import Polygon

from geo.landscape.ground import make_ground
from geo.landscape.optical import not_recorded, optical
from geo.landscape.radar import beyond_swath, radar
from geo.landscape.relief import PIXEL_M
from geo.raster import CodeArray, FloatArray

CRS = "EPSG:32633"
_WEST_M, _NORTH_M = 640_000.0, 5_650_000.0
"""Upper left corner, on the grid of the Sentinel-2 tile 33UXS."""

Stored = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Landscape:
    """A made flood: two radar and two optical images, and the truth."""

    seed: int
    geobox: GeoBox
    """UTM zone 33 north, pixels of 10 m."""
    radar_before: FloatArray
    """(VV and VH, rows, cols), decibels."""
    radar_after: FloatArray
    """The same; NaN beyond the swath."""
    optical_before: Stored
    """(`geo.landscape.optical.BANDS`, rows, cols), reflectance x 10000 + 1000; 0 is no data."""
    optical_after: Stored
    """The same, with a cloud and its shadow."""
    truth: CodeArray
    """(rows, cols), values of `Truth`; under the cloud as well."""
    buildings: tuple[Polygon, ...]
    """Footprints, lon-lat WGS 84, counter-clockwise."""


def make_landscape(seed: int, *, size: int = 768) -> Landscape:
    """Return the landscape of a seed; the same seed gives the same landscape.

    Args:
        seed: any integer from 0.
        size: rows and columns of 10 m, even, at least 256.

    Raises:
        ValueError: where the size is odd or smaller.
    """
    if size < 256 or size % 2:
        raise ValueError(f"the size is {size} pixels; give an even number from 256")
    ground = make_ground(seed, size=size)
    geobox = GeoBox((size, size), Affine(PIXEL_M, 0, _WEST_M, 0, -PIXEL_M, _NORTH_M), CRS)
    after = radar(seed, ground=ground, flooded=True)
    seen = optical(seed, ground=ground, flooded=True)
    return Landscape(
        seed=seed,
        geobox=geobox,
        radar_before=radar(seed, ground=ground, flooded=False),
        radar_after=np.where(beyond_swath(size), np.float32(np.nan), after),
        optical_before=optical(seed, ground=ground, flooded=False),
        optical_after=np.where(not_recorded(size), np.uint16(0), seen),
        truth=ground.truth,
        buildings=_lonlat(ground.town.corners_m),
    )


def _lonlat(corners_m: npt.NDArray[np.float64]) -> tuple[Polygon, ...]:
    to_lonlat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(_WEST_M + corners_m[..., 0], _NORTH_M - corners_m[..., 1])
    rings = np.stack([lon, lat], axis=-1)
    return tuple(shapely.orient_polygons(Polygon(ring)) for ring in rings)
