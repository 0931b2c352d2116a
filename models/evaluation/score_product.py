"""A product compared with a reference: classes by pixel, graded buildings one by one."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from rasterio.errors import RasterioIOError
from rasterio.features import geometry_mask
from rasterio.warp import Resampling, reproject

from geo.errors import NotOverlapping
from geo.raster.classify import Label
from geo.types import BoolArray, CodeArray, Float64Array, IntArray, ObjectArray
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES
from models.damage.grader import GRADES
from models.errors import ReferenceInvalid
from models.evaluation.metrics import BuildingPredictions, Counts, count

if TYPE_CHECKING:
    import geopandas as gpd

GRADE_COLUMNS = ("damage_xbd", "subtype", "damage_gra")
"""Where labels hold the grade: our own field, that of xBD, that of Copernicus EMS."""
_CODE = {name: code for names in (GRADES, DAMAGE_GRA[3::-1]) for code, name in enumerate(names, 1)}
_MIN_SHARED = 0.5
"""Share of a labelled building that a building of the product must cover to be it."""
_EQUAL_AREA = "EPSG:6933"


class Positive(StrEnum):
    """What counts as found."""

    EVENT = "event"
    """Flooded, burnt or damaged, as the product's event says."""
    WATER = "water"
    """All water after the event, whether it was there before or not."""


_POSITIVE = {
    Positive.EVENT: (Label.EVENT,),
    Positive.WATER: (Label.EVENT, Label.UNDATED_WATER, Label.REFERENCE_WATER),
}


@dataclass(frozen=True)
class ProductScore:
    """Agreement of a product with a reference, on the reference's own pixels."""

    whole: Counts
    """Every pixel that the reference knows; what was not analysed counts as not found."""
    analysed: Counts

    def as_json(self) -> dict[str, float | int | None]:
        """Return it as plain numbers."""
        return {
            "n": self.whole.n,
            "iou": self.whole.iou,
            "precision": self.whole.precision,
            "recall": self.whole.recall,
            "f1": self.whole.f1,
            "analysed_share": self.analysed.n / self.whole.n if self.whole.n else 0.0,
            "iou_analysed": self.analysed.iou,
        }


def score_product(
    class_raster: Path, reference: Path, *, positive: Positive, values: frozenset[int]
) -> ProductScore:
    """Compare the class raster of a product with a reference: a raster of labels, or polygons.

    A raster is compared on its own grid (nearest neighbour), polygons on the product's.

    Args:
        values: labels of the raster that count as positive; negative ones and nodata are unknown.

    Raises:
        ReferenceInvalid: where the reference cannot be read, or the product maps no pixels.
        NotOverlapping: where the two do not meet.
    """
    if _is_raster(reference):
        labels, known, classes = _on_reference_grid(class_raster, reference)
        true = np.isin(labels, list(values))
    else:
        classes, true = _on_product_grid(class_raster, reference)
        known = np.ones_like(true)
    known = known & (classes != Label.OUTSIDE)
    product = class_raster.parent.parent.name
    if not known.any():
        raise NotOverlapping(
            f"the product {product} and the reference {reference.name} do not overlap; give the "
            "reference of the same place"
        )
    if (classes[known] == Label.COMPARED).any():
        raise ReferenceInvalid(
            f"the product {product} grades buildings and maps no pixels; give buildings with their "
            f"grade in a column {', '.join(GRADE_COLUMNS)}"
        )
    found = np.isin(classes, _POSITIVE[positive])
    analysed = known & (classes < Label.NO_IMAGERY)
    return ProductScore(count(found[known], true[known]), count(found[analysed], true[analysed]))


def _is_raster(reference: Path) -> bool:
    return reference.suffix.lower() in {".tif", ".tiff"}


def _on_reference_grid(class_raster: Path, path: Path) -> tuple[IntArray, BoolArray, CodeArray]:
    """Return labels, where they are known, and the product on the grid of the labels."""
    try:
        with rasterio.open(path) as dataset:
            labels = dataset.read(1).astype(np.int64)
            nodata, transform, crs = dataset.nodata, dataset.transform, dataset.crs
    except RasterioIOError as error:
        raise ReferenceInvalid(
            f"the reference {path} cannot be read as a raster: {error}"
        ) from error
    if crs is None:
        raise ReferenceInvalid(f"the reference {path} has no CRS; georeference it")
    known = labels >= 0
    if nodata is not None:
        known &= labels != nodata
    classes = np.zeros(labels.shape, np.uint8)
    with rasterio.open(class_raster) as dataset:
        reproject(
            rasterio.band(dataset, 1), classes, dst_transform=transform, dst_crs=crs,
            dst_nodata=int(Label.OUTSIDE), resampling=Resampling.nearest,
        )  # fmt: skip
    return labels, known, classes


def _on_product_grid(class_raster: Path, reference: Path) -> tuple[CodeArray, BoolArray]:
    polygons = _read_polygons(reference)
    with rasterio.open(class_raster) as dataset:
        classes: CodeArray = dataset.read(1)
        shapes = list(polygons.to_crs(dataset.crs).geometry)
        outside = geometry_mask(shapes, out_shape=classes.shape, transform=dataset.transform)
    return classes, ~outside


def _read_polygons(path: Path) -> "gpd.GeoDataFrame":
    import geopandas as gpd  # noqa: PLC0415 - a second that a reference raster does not need
    from pyogrio.errors import DataSourceError  # noqa: PLC0415 - the same

    try:
        polygons = gpd.read_file(path)
    except (DataSourceError, OSError) as error:
        raise ReferenceInvalid(
            f"the reference {path} cannot be read as polygons: {error}"
        ) from error
    if getattr(polygons, "crs", None) is None:
        raise ReferenceInvalid(
            f"the reference {path} has no CRS; give polygons in longitude and latitude"
        )
    return polygons


@dataclass(frozen=True, eq=False)
class BuildingScore:
    """Buildings with a grade in the reference, and the grades of the product."""

    grades: BuildingPredictions
    """Without a grade: not analysed, or not in the product."""
    matched: int

    def as_json(self) -> dict[str, Any]:
        """Return it as plain numbers; a building without a grade counts as wrong."""
        return {
            "buildings": len(self.grades.labels),
            "matched": self.matched,
            "graded": int(self.grades.has_grade.sum()),
            **self.grades.scores,
            "confusion": {
                name: dict(zip((DAMAGE_XBD[-1], *GRADES), row, strict=True))
                for name, row in zip(GRADES, self.grades.confusion[1:].tolist(), strict=True)
            },
        }


def grade_column(reference: Path) -> str | None:
    """Return the column of a vector file that holds grades of buildings; None where none does."""
    if _is_raster(reference):
        return None
    there = set(_read_polygons(reference).columns)
    return next((column for column in GRADE_COLUMNS if column in there), None)


def score_buildings(built_up: Path, reference: Path, *, column: str) -> BuildingScore:
    """Compare graded buildings with labelled ones, each with the one that covers most of it.

    Raises:
        ReferenceInvalid: where the labels cannot be read or hold no grade.
        NotOverlapping: where no labelled building is in the product.
    """
    found = _read_polygons(built_up).to_crs(_EQUAL_AREA)
    labels = _read_polygons(reference)
    labels = labels[labels[column].isin(_CODE)].to_crs(_EQUAL_AREA)
    if labels.empty:
        raise ReferenceInvalid(
            f"no building of {reference} has a grade in {column}; the grades are {', '.join(_CODE)}"
        )
    match = covering(labels.geometry.to_numpy(), found.geometry.to_numpy())
    matched = match >= 0
    if not matched.any():
        raise NotOverlapping(
            f"no building of {reference.name} is among the {len(found)} of the product; give the "
            "labels of the same place"
        )
    codes = labels[column].map(_CODE).to_numpy(np.uint8)
    probabilities = np.where(matched[:, None], _probabilities(found)[match], np.nan)
    return BuildingScore(BuildingPredictions(codes, probabilities), int(matched.sum()))


def _probabilities(found: "gpd.GeoDataFrame") -> Float64Array:
    """Return (buildings, 4), NaN where no grade was published."""
    values = found[list(GRADE_PROBABILITIES)].to_numpy(np.float64) / 100
    published = (found["damage_xbd"] != DAMAGE_XBD[-1]).to_numpy()
    return np.where(published[:, None], values, np.nan)


def covering(labels: ObjectArray, found: ObjectArray) -> IntArray:
    """Return by label the number of the building that covers most of it, -1 for none; one CRS."""
    match = np.full(len(labels), -1, np.int64)
    shared = np.full(len(labels), _MIN_SHARED)
    one, other = shapely.STRtree(found).query(labels, predicate="intersects")
    overlap = shapely.area(shapely.intersection(labels[one], found[other]))
    share = overlap / np.maximum(shapely.area(labels[one]), 1e-9)
    for label, building, part in zip(one, other, share, strict=True):
        if part >= shared[label]:
            match[label], shared[label] = building, part
    return match
