"""A product held against the truth of its event.

The graded buildings of a product held against labelled buildings of the same place.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.errors import RasterioIOError
from rasterio.features import geometry_mask
from rasterio.warp import Resampling, reproject

from geo.errors import NotOverlapping
from geo.raster.classify import Label
from geo.types import BoolArray, CodeArray, Float64Array, IntArray, ObjectArray
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES
from models.errors import TruthInvalid
from models.evaluation.damage_metrics import BuildingGrades
from models.evaluation.metrics import Counts, count

GRADES = DAMAGE_XBD[3::-1]
GRADE_COLUMNS = ("damage_xbd", "subtype", "damage_gra")
"""Where labels say the grade: our own word, that of xBD, that of Copernicus EMS."""
_CODE = {name: code for names in (GRADES, DAMAGE_GRA[3::-1]) for code, name in enumerate(names, 1)}
_LEAST_SHARED = 0.5
"""Share of a labelled building that a building of the product must cover to be it."""


@dataclass(frozen=True, eq=False)
class BuildingScore:
    """Buildings with a grade in the labels, and what the product says of each."""

    grades: BuildingGrades
    """Without an answer: not analysed, or not in the product."""
    matched: int
    """Labelled buildings that the product has."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain numbers; a building without a grade counts as wrong."""
        truth, answer = self.grades.truth, self.grades.answer
        table = np.zeros((len(GRADES), len(GRADES) + 1), np.int64)
        np.add.at(table, (truth - 1, answer), 1)
        return {
            "buildings": len(truth),
            "matched": self.matched,
            "graded": int((answer > 0).sum()),
            "auc_damaged": self.grades.auc_damaged,
            "macro_f1_two": self.grades.macro_f1_two,
            "macro_f1_four": self.grades.macro_f1_four,
            "accuracy_buildings": self.grades.accuracy,
            "confusion": {
                name: dict(zip((DAMAGE_XBD[-1], *GRADES), map(int, row), strict=True))
                for name, row in zip(GRADES, table, strict=True)
            },
        }


def grade_column(truth: Path) -> str | None:
    """Return the column of a vector file that says how buildings fared; None where it has none.

    Raises:
        TruthInvalid: where the file cannot be read.
    """
    if truth.suffix.lower() in {".tif", ".tiff"}:
        return None
    there = set(_read(truth).columns)
    return next((column for column in GRADE_COLUMNS if column in there), None)


def score_buildings(built_up: Path, truth: Path, *, column: str) -> BuildingScore:
    """Hold graded buildings against labelled ones, each with the one that covers most of it.

    Args:
        built_up: the layer of a product, with its probabilities.
        truth: polygons with a grade.
        column: of the truth, as `grade_column` returns it.

    Raises:
        TruthInvalid: where the labels cannot be read or hold no grade.
        NotOverlapping: where no labelled building is in the product.
    """
    found = gpd.read_file(built_up).to_crs("EPSG:6933")
    labels = _read(truth)
    if labels.crs is None:
        raise TruthInvalid(f"the truth {truth} has no CRS; give polygons in longitude and latitude")
    labels = labels[labels[column].isin(_CODE)].to_crs("EPSG:6933")
    if labels.empty:
        raise TruthInvalid(
            f"no building of {truth} has a grade in {column}; the grades are {', '.join(_CODE)}"
        )
    match = covering(labels.geometry.to_numpy(), found.geometry.to_numpy())
    if (match < 0).all():
        raise NotOverlapping(
            f"no building of {truth.name} is among the {len(found)} of the product; give the "
            "labels of the same place"
        )
    codes = labels[column].map(_CODE).to_numpy(np.uint8)
    answers = np.where((match >= 0)[:, None], _probabilities(found)[match], np.nan)
    return BuildingScore(BuildingGrades(codes, answers), int((match >= 0).sum()))


def _read(truth: Path) -> gpd.GeoDataFrame:
    try:
        return gpd.read_file(truth)
    except (pyogrio.errors.DataSourceError, OSError) as error:
        raise TruthInvalid(f"the truth {truth} cannot be read as polygons: {error}") from error


def _probabilities(found: gpd.GeoDataFrame) -> Float64Array:
    """Return (buildings, 4), NaN where no grade was published."""
    values = found[list(GRADE_PROBABILITIES)].to_numpy(np.float64) / 100
    published = (found["damage_xbd"] != DAMAGE_XBD[-1]).to_numpy()
    return np.where(published[:, None], values, np.nan)


def covering(labels: ObjectArray, found: ObjectArray) -> IntArray:
    """Return for each label the number of the building that covers most of it, -1 for none.

    Args:
        labels: (labels,) polygons.
        found: (buildings,) polygons in the same coordinates.
    """
    match = np.full(len(labels), -1, np.int64)
    shared = np.full(len(labels), _LEAST_SHARED)
    one, other = shapely.STRtree(found).query(labels, predicate="intersects")
    share = shapely.area(shapely.intersection(labels[one], found[other])) / np.maximum(
        shapely.area(labels[one]), 1e-9
    )
    for label, building, part in zip(one, other, share, strict=True):
        if part >= shared[label]:
            match[label], shared[label] = building, part
    return match


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
class Score:
    """Agreement of a product with a truth, on the truth's own pixels."""

    whole: Counts
    """Every pixel that the truth knows; what was not analysed counts as not found."""
    analysed: Counts
    """The pixels that the product analysed."""

    @property
    def analysed_share(self) -> float:
        """Share of the truth's pixels that the product analysed."""
        return self.analysed.n / self.whole.n if self.whole.n else 0.0

    def as_json(self) -> dict[str, float | int | None]:
        """Return it as plain numbers."""
        return {
            "n": self.whole.n,
            "iou": self.whole.iou,
            "precision": self.whole.precision,
            "recall": self.whole.recall,
            "f1": self.whole.f1,
            "analysed_share": self.analysed_share,
            "iou_analysed": self.analysed.iou,
        }


def score_product(
    class_raster: Path, truth: Path, *, positive: Positive, values: frozenset[int]
) -> Score:
    """Hold the class raster of a product against a truth.

    A truth raster is compared on its own grid, to which the product is brought by nearest
    neighbour; polygons are drawn on the product's grid.

    Args:
        class_raster: `rasters/class.tif` of the product.
        truth: a single-band raster of labels, negative values and its nodata unknown, or
            vector polygons of the truth.
        values: labels of the raster that count as positive.

    Raises:
        TruthInvalid: where the truth cannot be read, or the product maps no pixels.
        NotOverlapping: where the two do not meet.
    """
    if truth.suffix.lower() in {".tif", ".tiff"}:
        labels, known, answer = _on_truth_grid(class_raster, truth)
        true = np.isin(labels, list(values))
    else:
        answer, true = _on_product_grid(class_raster, truth)
        known = np.ones_like(true)
    known = known & (answer != Label.OUTSIDE)
    if not known.any():
        raise NotOverlapping(
            f"the product {class_raster.parent.parent.name} and the truth {truth.name} do not "
            "overlap; give the truth of the same place"
        )
    if (answer[known] == Label.COMPARED).any():
        raise TruthInvalid(
            f"the product {class_raster.parent.parent.name} grades buildings and maps no pixels; "
            f"give buildings with their grade in a column {', '.join(GRADE_COLUMNS)}"
        )
    found = np.isin(answer, _POSITIVE[positive])
    analysed = known & (answer < Label.NO_IMAGERY)
    return Score(count(found[known], true[known]), count(found[analysed], true[analysed]))


def _on_truth_grid(class_raster: Path, truth: Path) -> tuple[IntArray, BoolArray, CodeArray]:
    """Return labels, where they are known, and the product on the grid of the labels."""
    try:
        with rasterio.open(truth) as dataset:
            labels = dataset.read(1).astype(np.int64)
            nodata, transform, crs = dataset.nodata, dataset.transform, dataset.crs
    except RasterioIOError as error:
        raise TruthInvalid(f"the truth {truth} cannot be read as a raster: {error}") from error
    if crs is None:
        raise TruthInvalid(f"the truth {truth} has no CRS; georeference it")
    known = labels >= 0
    if nodata is not None:
        known &= labels != nodata
    answer = np.zeros(labels.shape, np.uint8)
    with rasterio.open(class_raster) as dataset:
        reproject(
            rasterio.band(dataset, 1), answer, dst_transform=transform, dst_crs=crs,
            dst_nodata=int(Label.OUTSIDE), resampling=Resampling.nearest,
        )  # fmt: skip
    return labels, known, answer


def _on_product_grid(class_raster: Path, truth: Path) -> tuple[CodeArray, BoolArray]:
    """Return the product, and the polygons of the truth on its grid."""
    try:
        polygons = gpd.read_file(truth)
    except (pyogrio.errors.DataSourceError, OSError) as error:
        raise TruthInvalid(f"the truth {truth} cannot be read as polygons: {error}") from error
    with rasterio.open(class_raster) as dataset:
        answer: CodeArray = dataset.read(1)
        shapes = list(polygons.to_crs(dataset.crs).geometry)
        outside = geometry_mask(shapes, out_shape=answer.shape, transform=dataset.transform)
    return answer, ~outside
