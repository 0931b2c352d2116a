"""A product held against the truth of its event."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyogrio
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.features import geometry_mask
from rasterio.warp import Resampling, reproject

from geo.classify import Label
from geo.errors import NotOverlapping
from geo.raster import BoolArray, CodeArray
from models.errors import TruthInvalid
from models.grading.score import GRADE_COLUMNS
from models.metrics import Counts, count

Labels = npt.NDArray[np.int64]


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


def _on_truth_grid(class_raster: Path, truth: Path) -> tuple[Labels, BoolArray, CodeArray]:
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
