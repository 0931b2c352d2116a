"""MapPicture: everything that the picture of a map shows, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
from odc.geo.geobox import GeoBox
from pyproj import CRS

from flows.phrases import NOT_REVIEWED
from geo.errors import GridMismatch
from geo.raster import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Quicklook:
    """A small picture of the imagery, to lie under the layers.

    Raises:
        GridMismatch: where the arrays and the geobox disagree on their shape.
    """

    pixels: FloatArray
    """(3, rows, cols), red, green, blue, 0 to 1, stretched for the eye."""
    valid: BoolArray
    """(rows, cols); True means observed."""
    geobox: GeoBox
    """North-up, in the projected CRS of the product."""
    label: str
    """Above its map: "After: Sentinel-2 L2A, 2019-09-15"."""

    def __post_init__(self) -> None:
        shape = tuple(self.geobox.shape)
        if self.pixels.shape != (3, *shape) or self.valid.shape != shape:
            raise GridMismatch(
                f"a quicklook on a grid of {shape} has pixels {self.pixels.shape} and validity "
                f"{self.valid.shape}; make them (3, rows, cols) and (rows, cols) of its grid"
            )

    @property
    def crs(self) -> CRS:
        """The projected CRS that it lies in."""
        return CRS.from_user_input(str(self.geobox.crs))


@dataclass(frozen=True, eq=False)
class MapPicture:
    """Everything that the picture shows.

    Raises:
        GridMismatch: where the two quicklooks differ in CRS.
    """

    title: str
    subtitle: str
    """Hazard and place, one line."""
    layers: Mapping[str, gpd.GeoDataFrame]
    """By name, EPSG:4326; `area_of_interest` says what is shown, the others may lack."""
    after: Quicklook
    numbers: Mapping[str, str]
    """Beside a class in the legend, by notation, reason or damage grade; a class that has a
    number is in the legend even where no feature has it."""
    facts: Sequence[str]
    """Sentences: scenes, model, share analysed, what confidence means."""
    before: Quicklook | None = None
    """Shown beside the other where there are buildings to compare; in the same CRS."""
    statement: str = NOT_REVIEWED

    def __post_init__(self) -> None:
        if self.before is not None and self.before.crs != self.after.crs:
            raise GridMismatch(
                f"the image before is in {self.before.crs.to_string()}, the one after in "
                f"{self.after.crs.to_string()}; put both on the product's grid"
            )

    @property
    def panels(self) -> tuple[Quicklook, ...]:
        """The images that are shown, before and after where there are buildings to compare."""
        buildings = self.layers.get("built_up")
        if self.before is None or buildings is None or buildings.empty:
            return (self.after,)
        return (self.before, self.after)
