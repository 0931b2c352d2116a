"""The made landscape as files: what a provider would have delivered, and the truth.

The files are named as Sentinel-1 and Sentinel-2 products are, and orbit, data take and
relative orbit are all zero, which no product has: nobody can take them for observations.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from shapely import Polygon

from geo.durable import make_folder, making, writing
from geo.landscape import BANDS, Landscape

OCCURRED = datetime(2024, 6, 16, tzinfo=UTC)
"""When the made river left its bed."""

_RADAR = "S1A_IW_GRDH_1SDV_202406{0:02}T050101_202406{0:02}T050126_000000_000000_0000.tif"
_OPTICAL = "S2B_MSIL2A_202406{0:02}T095029_N0510_R000_T33UXS_202406{0:02}T120000.tif"
_AREA = [(0.04, 0.10), (0.50, 0.03), (1.03, 0.12), (1.03, 0.90), (0.55, 0.97), (0.04, 0.88)]
"""Shares of the map from its upper left corner, to the right and down. It leaves the images
on the right: an area does not ask where they end."""


@dataclass(frozen=True)
class Delivery:
    """The files of a made landscape."""

    radar_before: Path
    """Sentinel-1 GRD, VV and VH in decibels, NaN is no data."""
    radar_after: Path
    optical_before: Path
    """Sentinel-2 L2A of baseline 05.10, six bands of 10 m and the scene classification."""
    optical_after: Path
    truth: Path
    """0 dry, 1 flooded, 2 permanent water; no pixel is unknown."""
    buildings: Path
    """GeoJSON, footprints."""
    area: Path
    """GeoJSON, the area to map."""

    @property
    def before(self) -> tuple[Path, ...]:
        """The images before the flood."""
        return self.radar_before, self.optical_before

    @property
    def after(self) -> tuple[Path, ...]:
        """The images after it began."""
        return self.radar_after, self.optical_after


def deliver(landscape: Landscape, folder: Path) -> Delivery:
    """Write a landscape into a folder and say where its files are.

    The same landscape gives the same bytes.

    Raises:
        StoreError: where the folder does not take it.
    """
    with writing(folder):
        make_folder(folder)
    delivery = _named(folder)
    note = f"Made by Aftermap from seed {landscape.seed}; not an observation"
    for path, pixels, bands, nodata in (
        (delivery.radar_before, landscape.radar_before, ("VV", "VH"), np.nan),
        (delivery.radar_after, landscape.radar_after, ("VV", "VH"), np.nan),
        (delivery.optical_before, landscape.optical_before, BANDS, 0),
        (delivery.optical_after, landscape.optical_after, BANDS, 0),
        (delivery.truth, landscape.truth[None], ("truth",), None),
    ):
        _write_image(path, pixels, geobox=landscape.geobox, bands=bands, nodata=nodata, note=note)
    footprints = ((str(i), shape) for i, shape in enumerate(landscape.buildings, 1))
    _write_polygons(delivery.buildings, footprints)
    _write_polygons(delivery.area, [("area", _area(landscape.geobox))])
    return delivery


def _named(folder: Path) -> Delivery:
    """Return where the files go.

    Sentinel-1 repeats its orbit after 12 days, Sentinel-2 after 10.
    """
    return Delivery(
        radar_before=folder / "before" / _RADAR.format(6),
        radar_after=folder / "after" / _RADAR.format(18),
        optical_before=folder / "before" / _OPTICAL.format(9),
        optical_after=folder / "after" / _OPTICAL.format(19),
        truth=folder / "truth.tif",
        buildings=folder / "buildings.geojson",
        area=folder / "area.geojson",
    )


def _write_image(
    path: Path,
    pixels: npt.NDArray[Any],
    *,
    geobox: GeoBox,
    bands: tuple[str, ...],
    nodata: float | None,
    note: str,
) -> None:
    """Write a GeoTIFF with overviews; pixels are (bands, rows, cols)."""
    radar = pixels.dtype.kind == "f"
    with making(path, RasterioError):
        make_folder(path.parent)
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), height=geobox.height, width=geobox.width,
            dtype=pixels.dtype, crs=str(geobox.crs), transform=geobox.transform, nodata=nodata,
            tiled=True, blockxsize=256, blockysize=256, compress="deflate", zlevel=3,
            predictor=3 if radar else 2,
        ) as image:  # fmt: skip
            image.write(pixels)
            image.descriptions = bands
            image.update_tags(TIFFTAG_IMAGEDESCRIPTION=note)
        with rasterio.open(path, "r+") as image:
            # Classes have no average.
            image.build_overviews([2, 4, 8], Resampling.average if radar else Resampling.nearest)


def _area(geobox: GeoBox) -> Polygon:
    """Return the area to map, lon-lat."""
    right, down = np.array(_AREA).T
    west, south, east, north = geobox.extent.boundingbox
    to_lonlat = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    lonlat = to_lonlat.transform(west + right * (east - west), north + down * (south - north))
    return shapely.orient_polygons(Polygon(np.column_stack(lonlat)))


def _write_polygons(path: Path, polygons: Iterable[tuple[str, Polygon]]) -> None:
    """Write named polygons as GeoJSON, a feature a line."""
    features = [json.dumps(_feature(name, polygon)) for name, polygon in polygons]
    text = '{"type": "FeatureCollection", "features": [\n' + ",\n".join(features) + "\n]}\n"
    with making(path):
        path.write_text(text, encoding="utf-8", newline="\n")


def _feature(name: str, polygon: Polygon) -> Mapping[str, Any]:
    ring = np.round(shapely.get_coordinates(polygon), 7).tolist()
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": name, "properties": {"name": name}, "geometry": geometry}
