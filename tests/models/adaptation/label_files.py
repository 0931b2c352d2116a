"""Labels as QGIS saves them, made by a test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo.vector.area_of_interest import AreaOfInterest, parse_area
from models.adaptation.labels import Labels
from models.datasets.vocabulary import Vocabulary
from tests.rasters import NORTH, UTM, WEST

AREA_M = 600.0


def area() -> AreaOfInterest:
    """Return the 600 m around which labels are drawn."""
    box = shapely.box(WEST, NORTH - AREA_M, WEST + AREA_M, NORTH)
    lonlat = gpd.GeoSeries([box], crs=UTM).to_crs("EPSG:4326").iloc[0]
    return parse_area(shapely.geometry.mapping(lonlat))


def square(number: int, *, side: float = 12.0) -> Any:
    """Return the outline of the n-th house of a street, metres."""
    west, north = WEST + 20 + 30 * (number % 12), NORTH - 20 - 30 * (number // 12)
    return shapely.box(west, north - side, west + side, north)


def write_labels(
    path: Path, words: Sequence[str | None], *, outlines: Sequence[Any] | None = None,
    column: str = "damage_gra", crs: str | None = UTM, **columns: Any,
) -> Path:  # fmt: skip
    """Write polygons with a column of words as a GeoPackage of one layer."""
    shapes = outlines or [square(number) for number in range(len(words))]
    fields = {column: list(words), **columns}
    gpd.GeoDataFrame(fields, geometry=list(shapes), crs=crs).to_file(path, layer="labels")
    return path


def labels_of(codes: Sequence[int], vocabulary: Vocabulary) -> Labels:
    """Return labels without a file, of squares."""
    outlines = np.array([square(number) for number in range(len(codes))], dtype=object)
    return Labels(
        file="l.gpkg", sha256="0" * 64, column="notation", vocabulary=vocabulary,
        outlines=outlines, codes=np.array(codes, np.uint8), skipped={}, notes=(),
    )  # fmt: skip
