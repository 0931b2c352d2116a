"""The grid of a request: one CRS, one resolution, snapped to the pixels where it can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Proj
from pyproj.exceptions import CRSError

from geo.errors import AreaInvalid, MissingCRS
from geo.imagery.dataset import open_image
from geo.scenes.scene import Scene
from geo.vector.area_of_interest import AreaOfInterest

MAX_PIXELS = 2_500_000_000
"""More than 50,000 x 50,000 is a mistake in the resolution or in the area."""


@dataclass(frozen=True)
class GridChoice:
    """What the user or the model requests of the grid."""

    crs: str | None = None
    """A projected CRS in metres; None lets the imagery decide."""
    resolution_m: float | None = None
    """Side of a pixel, metres; None keeps the imagery's own."""
    block_px: int = 1
    """The edges of the grid are at multiples of so many pixels, as the blocks of a network."""


def lay_grid(area: AreaOfInterest, scenes: Sequence[Scene], choice: GridChoice) -> GeoBox:
    """Return the grid that an area is mapped on, led by the first scene.

    The CRS is the first scene's own where that is projected in metres, else the area's UTM zone. A
    grid at the scene's own resolution is snapped to its pixels, any other to multiples of it.

    Raises:
        AreaInvalid: where the grid would be too large.
        MissingCRS: where `choice.crs` is unknown, or not projected in metres.
    """
    lead = scenes[0]
    crs = _crs(area, lead, choice)
    own_crs = CRS.from_user_input(lead.crs) == crs
    native = _transform(lead) if own_crs else None
    resolution = choice.resolution_m or (native.a if native is not None else _nominal_m(lead))
    anchor = (0.0, 0.0)
    if native is not None and abs(native.a - resolution) < 1e-9 * resolution:
        anchor = (native.c % resolution, native.f % resolution)
    bounds = area.projected(crs.to_wkt()).bounds
    geobox = _snapped(bounds, crs, resolution=resolution, anchor=anchor, block=choice.block_px)
    if geobox.shape[0] * geobox.shape[1] > MAX_PIXELS:
        raise AreaInvalid(
            f"{area.area_km2:.0f} km2 at {resolution:g} m are {geobox.shape[1]} x "
            f"{geobox.shape[0]} pixels, and at most {MAX_PIXELS} are mapped at once; give a "
            "smaller --area or a larger --resolution"
        )
    return geobox


def crs_of(geobox: GeoBox) -> str:
    """Return the CRS of a grid as WKT, or raise MissingCRS."""
    if geobox.crs is None:
        raise MissingCRS("the grid has no CRS; every grid of Aftermap needs one")
    return str(geobox.crs.to_wkt())


def _crs(area: AreaOfInterest, lead: Scene, choice: GridChoice) -> CRS:
    if choice.crs is None:
        own = CRS.from_user_input(lead.crs)
        return own if _metric(own, area) else CRS.from_user_input(area.utm_crs)
    try:
        crs = CRS.from_user_input(choice.crs)
    except CRSError as error:
        raise MissingCRS(
            f"--crs {choice.crs} is not known; give a code, such as {area.utm_crs}"
        ) from error
    if not _metric(crs, area):
        raise MissingCRS(
            f"--crs {choice.crs} has no metres there that are metres on the ground; give a UTM "
            f"zone, such as {area.utm_crs}"
        )
    return crs


def _nominal_m(scene: Scene) -> float:
    """Return a round pixel size, metres: degrees give 9.97 m where the sensor has 10 m."""
    nominal = scene.sensor.gsd_m
    if abs(scene.gsd_m - nominal) < 0.1 * nominal:
        return nominal
    return float(f"{scene.gsd_m:.2g}")


def _metric(crs: CRS, area: AreaOfInterest) -> bool:
    """Whether a CRS is projected in metres that are metres on the ground, to one in fifty."""
    if not (crs.is_projected and all(axis.unit_name == "metre" for axis in crs.axis_info)):
        return False
    # Web Mercator, for one, has 2 "metres" a metre at 60 degrees.
    scale = Proj(crs).get_factors(*area.centroid_lonlat)
    return all(abs(k - 1) < 0.02 for k in (scale.meridional_scale, scale.parallel_scale))


def _transform(scene: Scene) -> Affine | None:
    """Return the transform of the scene's sharpest file, None where none is north-up."""
    sharpest: Affine | None = None
    for path, georeference in {asset.path: asset.georeference for asset in scene.assets}.items():
        with open_image(path, georeference) as dataset:
            transform = dataset.transform
        square = transform.b == 0 == transform.d and abs(transform.a + transform.e) < 1e-9
        if square and (sharpest is None or transform.a < sharpest.a):
            sharpest = transform
    return sharpest


def _snapped(
    bounds: tuple[float, float, float, float],
    crs: CRS,
    *,
    resolution: float,
    anchor: tuple[float, float],
    block: int,
) -> GeoBox:
    """Return the grid of the pixels whose centres lie within bounds, grown to whole blocks."""
    # A pixel belongs to the area where its centre does. Just below one half, so that the
    # rounding of a footprint adds no row of pixels that no scene covers.
    slack = 0.49
    west, south, east, north = bounds
    x0, y0 = anchor
    left = floor((west - x0) / resolution + slack)
    bottom = floor((south - y0) / resolution + slack)
    right = max(ceil((east - x0) / resolution - slack), left + 1)
    top = max(ceil((north - y0) / resolution - slack), bottom + 1)
    left, bottom = left // block * block, bottom // block * block
    right, top = -(-right // block) * block, -(-top // block) * block
    transform = Affine(resolution, 0, x0 + left * resolution, 0, -resolution, y0 + top * resolution)
    return GeoBox((top - bottom, right - left), transform, crs.to_wkt())
