"""The graded buildings of a product held against labelled buildings of the same place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyogrio
import shapely

from geo.errors import NotOverlapping
from geo.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES
from models.damage_metrics import BuildingGrades
from models.errors import TruthInvalid

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


def _probabilities(found: gpd.GeoDataFrame) -> npt.NDArray[np.float64]:
    """Return (buildings, 4), NaN where no grade was published."""
    values = found[list(GRADE_PROBABILITIES)].to_numpy(np.float64) / 100
    published = (found["damage_xbd"] != DAMAGE_XBD[-1]).to_numpy()
    return np.where(published[:, None], values, np.nan)


def covering(
    labels: npt.NDArray[np.object_], found: npt.NDArray[np.object_]
) -> npt.NDArray[np.int64]:
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
