"""Where an image lies: its CRS, the size of its pixels on the ground, its footprint."""

from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry import Polygon

from geo.antimeridian import Polygonal, cut, polygons_only, unwrap
from geo.errors import MissingCRS, SourceInvalid
from geo.image import Image


def crs_text(dataset: Image, path: Path) -> str:
    """Return the CRS of an image, as an authority code or WKT.

    Raises:
        MissingCRS: where it has none, or no position in it.
    """
    if dataset.crs is None:
        raise MissingCRS(
            f"{path} has no coordinate reference system; give the one that its coordinates are in "
            "with --source-crs, such as EPSG:32633, or write it into the file with "
            f"`gdal_edit.py -a_srs EPSG:32633 {path.name}`"
        )
    if dataset.transform == Affine.identity() or dataset.transform.is_degenerate:
        raise MissingCRS(
            f"{path} has a coordinate reference system and no position in it, nor is there a world "
            f"file beside it ({path.stem}.{path.suffix[1:2]}{path.suffix[-1:]}w or "
            f"{path.stem}.wld); export it again with its position"
        )
    authority = dataset.crs.to_authority()
    text = ":".join(authority) if authority else str(dataset.crs.to_wkt())
    if not _is_on_earth(text):
        raise MissingCRS(
            f"{path} has the coordinate reference system {text[:60]!r}, which is neither projected "
            f"nor geographic; give it its own with `gdal_edit.py -a_srs EPSG:32633 {path.name}`"
        )
    return text


def _is_on_earth(crs: str) -> bool:
    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        return False
    return bool(known.is_projected or known.is_geographic)


def gsd_m(dataset: Image) -> float:
    """Return the ground distance between pixel centres down the middle column, metres."""
    row, col = dataset.height / 2, dataset.width / 2
    corners = [dataset.transform @ point for point in ((col, row), (col, row + 1))]
    to_lonlat = Transformer.from_crs(dataset.crs, "EPSG:4326", always_xy=True)
    (lon0, lat0), (lon1, lat1) = (to_lonlat.transform(*corner) for corner in corners)
    return float(Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[2])


def footprint(dataset: Image) -> Polygonal:
    """Return the extent of the pixels in lon-lat, its edges followed in their own CRS.

    Raises:
        MissingCRS: where that CRS has no such place.
        SourceInvalid: where it lies around a pole.
    """
    rows, cols = dataset.shape
    corners = [dataset.transform @ c for c in ((0, 0), (0, rows), (cols, rows), (cols, 0))]
    outline = Polygon(corners)
    outline = outline.segmentize(max(outline.length / 200, 1e-9))
    to_lonlat = Transformer.from_crs(dataset.crs, "EPSG:4326", always_xy=True)
    lonlat = np.column_stack(to_lonlat.transform(*shapely.get_coordinates(outline).T))
    if not np.isfinite(lonlat).all() or np.abs(lonlat[:, 1]).max() > 90:
        raise MissingCRS(
            f"{dataset.name} lies outside of its own coordinate reference system, with a corner "
            f"at {corners[0][0]:.10g}, {corners[0][1]:.10g}; give it the right one with "
            "`gdal_edit.py -a_srs`"
        )
    continuous = unwrap(lonlat)
    if abs(continuous[0, 0] - continuous[-1, 0]) > 180:
        raise SourceInvalid(
            f"{dataset.name} lies around a pole, and images are mapped up to the poles and not "
            "across; cut it into parts that leave the pole out"
        )
    ring = Polygon(continuous)
    # Points are dropped that leave the line by less than a twentieth of a pixel.
    followed = ring.simplify(gsd_m(dataset) / 20 / 111_320)
    return polygons_only(shapely.orient_polygons(cut(polygons_only(followed))))
