"""Region: the part of a product's grid around one of its polygons, and the polygon's pixels."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from geo.classify import NODATA_PERCENT, Label
from geo.errors import GridMismatch
from geo.raster import BoolArray, CodeArray
from geo.write.cog import read_part

_LEAST_PX, _MOST_PX = 128, 512
"""Sides of a region: enough to see the surroundings, and little enough to explain in minutes."""
_AROUND = 1.6
"""Side of a region over the longer side of its polygon."""


@dataclass(frozen=True)
class ProductRasters:
    """The rasters of a product that hold what was decided, pixel by pixel."""

    classes: Path
    probability: Path
    band: int
    """Of the probability: 1 is that of the event, 2 that of water before it."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of the grid with the pixels of one polygon, as the product has them."""

    geobox: GeoBox
    """Of the rectangle."""
    rows: slice
    """In pixels of the product's grid."""
    cols: slice
    pixels: BoolArray
    """(rows, cols); True where a pixel belongs to the polygon."""
    percent: CodeArray
    """(rows, cols); probability of the product, 0 to 100, 255 where there is none."""
    polygon_pixels: int
    """Pixels of the whole polygon, of which the rectangle may hold a part."""

    @property
    def seen(self) -> BoolArray:
        """(rows, cols); True where the product has a probability."""
        return np.asarray(self.percent != NODATA_PERCENT)

    @property
    def mean_percent(self) -> float:
        """Mean probability of the product over the polygon's pixels in the rectangle."""
        return float(self.percent[self.pixels].mean())


def region_of(
    outline: BaseGeometry,
    rasters: ProductRasters,
    geobox: GeoBox,
    *,
    labels: Collection[Label],
    most_px: int,
) -> Region:
    """Return the region around a polygon.

    Its pixels are those that its outline touches and that have its label: the outline was
    simplified, and the label knows which side of it a pixel is on.

    Args:
        outline: of the polygon, in the CRS of the grid.
        geobox: grid of the product.
        labels: what the pixels of the polygon can be.
        most_px: longest side of the region; of a larger polygon it holds a part.

    Raises:
        GridMismatch: where the rasters hold no such pixel there.
    """
    rows, cols = _span(outline, geobox)
    touched = ~geometry_mask(
        [outline],
        out_shape=(rows.stop - rows.start, cols.stop - cols.start),
        transform=geobox[rows, cols].affine,
        all_touched=True,
    )
    found = np.isin(read_part(rasters.classes, rows, cols)[0], list(labels))
    own = touched & found & (_percent(rasters, rows, cols) != NODATA_PERCENT)
    if not own.any():
        raise GridMismatch(
            f"{rasters.classes} holds no pixel of the polygon under its outline; map the event "
            "again, the layers and the rasters are not of one product"
        )
    longest = max(own.shape)
    side = min(max(int(longest * _AROUND), _LEAST_PX), most_px, _MOST_PX)
    row, col = _middle(own, whole=longest <= side)
    view_rows = span_around(rows.start + row, side, geobox.shape[0])
    view_cols = span_around(cols.start + col, side, geobox.shape[1])
    return Region(
        geobox=geobox[view_rows, view_cols],
        rows=view_rows,
        cols=view_cols,
        pixels=_moved(own, (rows.start, cols.start), view_rows, view_cols),
        percent=_percent(rasters, view_rows, view_cols),
        polygon_pixels=int(own.sum()),
    )


def _span(outline: BaseGeometry, geobox: GeoBox) -> tuple[slice, slice]:
    """Return the rows and columns that an outline may touch, within the grid."""
    left, bottom, right, top = outline.bounds
    to_pixel = ~geobox.affine
    (col0, row0), (col1, row1) = to_pixel @ (left, top), to_pixel @ (right, bottom)
    low = [max(0, int(np.floor(start)) - 1) for start in (row0, col0)]
    high = [
        min(side, int(np.ceil(stop)) + 1)
        for stop, side in zip((row1, col1), geobox.shape, strict=True)
    ]
    return slice(low[0], max(high[0], low[0] + 1)), slice(low[1], max(high[1], low[1] + 1))


def _percent(rasters: ProductRasters, rows: slice, cols: slice) -> CodeArray:
    percent: CodeArray = read_part(rasters.probability, rows, cols)[rasters.band - 1]
    return percent


def _middle(own: BoolArray, *, whole: bool) -> tuple[int, int]:
    """Return the middle of the polygon's extent or, where the whole of it does not fit into a
    region, the pixel of the polygon that lies nearest to it.
    """
    middle = np.array(own.shape) // 2
    if not whole:
        places = np.argwhere(own)
        middle = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    return int(middle[0]), int(middle[1])


def span_around(middle: int, side: int, length: int) -> slice:
    """Return a span of at most `side` around a pixel, moved to lie within the grid."""
    start = max(0, min(middle - side // 2, length - side))
    return slice(start, min(start + side, length))


def _moved(own: BoolArray, corner: tuple[int, int], rows: slice, cols: slice) -> BoolArray:
    """Return a mask that begins at `corner` on another part of the grid."""
    moved = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.bool_)
    places = np.argwhere(own) + corner - (rows.start, cols.start)
    inside = ((places >= 0) & (places < moved.shape)).all(axis=1)
    moved[tuple(places[inside].T)] = True
    return moved
