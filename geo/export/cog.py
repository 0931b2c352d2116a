"""Rasters of a product: row bands into a scratch GeoTIFF, and that into a cloud-optimised one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.windows import Window

from geo.errors import GridMismatch, MissingCRS
from geo.export.styles import PERCENT_RAMP, class_colours, rgb
from geo.imagery.dataset import unreadable
from geo.raster.classify import NOTATION, REASONS, Label
from geo.scenes.scene import Phase
from geo.store.atomic_io import making
from geo.types import CodeArray

BLOCK = 512
"""Rows and columns of a tile."""


@dataclass(frozen=True)
class RasterKind:
    """One of the rasters of a product; all are uint8."""

    name: str
    """Stem of the file."""
    descriptions: tuple[str, ...]
    """One a band; a file may hold fewer."""
    nodata: int
    resampling: str
    """How overviews are made: nearest keeps codes, average suits shares."""
    categories: Mapping[int, str] = field(default_factory=dict)
    """What the values of a raster of codes mean."""
    colours: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    """Red, green, blue of the codes."""
    ramp: Mapping[int, str] = field(default_factory=dict)
    """Of a raster of shares: colours as #rrggbb by value; those between are mixed."""


PROBABILITY = RasterKind(
    "probability",
    ("probability of the event, per cent", "probability of reference water, per cent"),
    nodata=255,
    resampling="average",
    ramp=PERCENT_RAMP,
)


CODES = RasterKind("class", ("class",), int(Label.OUTSIDE), "nearest")
"""Labels before they have colours and names."""


def class_kind(notation: str) -> RasterKind:
    """Return the kind of a class raster whose event is that notation, such as "Flooded area"."""
    names: dict[int, str] = {
        label: f"Not analysed: {REASONS[label]}"
        if label in REASONS
        else NOTATION.get(label, label.name.capitalize())
        for label in Label
    }
    names[Label.EVENT] = notation
    colours = {int(label): rgb(colour) for label, colour in class_colours(notation).items()}
    return RasterKind("class", ("class",), 0, "nearest", names, colours)


def observed_kind(inputs: Sequence[tuple[Phase, tuple[str, ...]]]) -> RasterKind:
    """Return the kind of the raster of scene numbers; its bands name the scenes."""
    texts = tuple(
        f"scene observed {phase} the event: " + ", ".join(f"{i} {s}" for i, s in enumerate(ids, 1))
        for phase, ids in inputs
    )
    return RasterKind("observed", texts, 0, "nearest")


@dataclass(frozen=True)
class ScratchRasters:
    """The rasters of a run between classes and polygons; uint8 on the grid of the request."""

    classes: Path
    """A `Label` a pixel."""
    hydrography: Path
    """Where there was water before, what became of it: see `geo.raster.classify.Classified`."""
    probability: Path
    """Per cent, 255 nodata; band 1 the event, band 2 the reference water."""
    observed: Path
    """One band for each model input: the number of the scene that was observed, from 1; 0 none."""
    inputs: tuple[tuple[Phase, tuple[str, ...]], ...]
    """Phase and scene ids, in the order of their numbers, of each band of `observed`."""

    @classmethod
    def in_folder(cls, folder: Path, inputs: Sequence[tuple[Phase, tuple[str, ...]]]) -> Self:
        """Return the rasters of a workspace."""
        names = ("class", "hydrography", "probability", "observed")
        classes, hydrography, probability, observed = (folder / f"{name}.tif" for name in names)
        return cls(classes, hydrography, probability, observed, tuple(inputs))


class RowBandWriter:
    """Context that writes a scratch GeoTIFF from row bands; an exception leaves no file."""

    def __init__(self, path: Path, *, geobox: GeoBox, kind: RasterKind, bands: int = 1) -> None:
        """Describe the file, with the first `bands` of `kind`; entering the context makes it."""
        if geobox.crs is None:
            raise MissingCRS(f"the grid of {path.name} has no CRS; give it one")
        self.path = path
        self._kind = kind
        self._shape = bands, *geobox.shape
        self._rows_written = 0
        self._profile: dict[str, Any] = {
            "driver": "GTiff", "dtype": "uint8", "count": bands, "height": geobox.shape[0],
            "width": geobox.shape[1], "crs": geobox.crs.to_wkt(), "transform": geobox.transform,
            "nodata": kind.nodata, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
            "bigtiff": "IF_SAFER",
        }  # fmt: skip

    def __enter__(self) -> Self:
        with _writing(self.path):
            self._file = rasterio.open(self.path, "w", **self._profile)
            for number in range(1, self._shape[0] + 1):
                self._file.set_band_description(number, self._kind.descriptions[number - 1])
            if self._kind.colours:
                self._file.write_colormap(1, dict(self._kind.colours))
        return self

    def write(self, rows: CodeArray) -> None:
        """Write the next rows, (bands, rows, cols) or (rows, cols), uint8, from top to bottom."""
        block = rows[None] if rows.ndim == 2 else rows
        bands, height, width = self._shape
        left = (bands, height - self._rows_written, width)
        if block.dtype != np.uint8 or block.shape[::2] != left[::2] or block.shape[1] > left[1]:
            raise GridMismatch(
                f"{self.path.name} has room for uint8 {left}, the next rows are "
                f"{block.dtype} {block.shape}"
            )
        with _writing(self.path):
            self._file.write(block, window=Window(0, self._rows_written, width, block.shape[1]))
        self._rows_written += block.shape[1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        height = self._shape[1]
        whole = error is None and self._rows_written == height
        with _writing(self.path, keep=whole):
            self._file.close()
            if whole:
                _check_tiles(self.path)
        if error is None and not whole:
            raise GridMismatch(
                f"{self.path.name} got {self._rows_written} rows, its grid has {height}; write "
                "them all"
            )


def scratch_bytes(geobox: GeoBox, bands: int) -> int:
    """Return the size of the scratch GeoTIFFs of so many bands: whole tiles, a byte a pixel."""
    rows, cols = (-(-side // BLOCK) * BLOCK for side in geobox.shape)
    return bands * rows * cols


def row_bands(path: Path, *, rows: int = BLOCK) -> Iterator[CodeArray]:
    """Yield a raster top to bottom, (bands, at most `rows`, cols)."""
    with rasterio.open(path) as file:
        for top in range(0, file.height, rows):
            window = Window(0, top, file.width, min(rows, file.height - top))
            band: CodeArray = file.read(window=window)
            yield band


def read_part(path: Path, rows: slice, cols: slice) -> CodeArray:
    """Return a rectangle of a raster, (bands, rows, cols)."""
    window = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
    try:
        with rasterio.open(path) as file:
            part: CodeArray = file.read(window=window)
    except RasterioIOError as error:
        raise unreadable(path, error) from error
    return part


def write_cog(scratch: Path, path: Path, *, kind: RasterKind) -> None:
    """Turn a scratch GeoTIFF, tagged on the way, into a COG, the same bytes every time."""
    options = {
        "compress": "deflate", "predictor": "no", "blocksize": BLOCK, "bigtiff": "if_safer",
        "overview_resampling": kind.resampling, "overviews": "ignore_existing",
        "statistics": "no", "geotiff_version": "1.1",
    }  # fmt: skip
    if kind.categories:
        with rasterio.open(scratch, "r+") as file:
            file.update_tags(1, **{f"VALUE_{v}": name for v, name in kind.categories.items()})
    with _writing(path):
        rasterio.shutil.copy(scratch, path, driver="COG", **options)


def categories_xml(categories: Mapping[int, str]) -> str:
    """Return names of codes as GDAL's own sidecar; a code without a name is blank."""
    names = (categories.get(value, "") for value in range(max(categories) + 1))
    lines = "".join(f"      <Category>{escape(name)}</Category>\n" for name in names)
    return (
        "<PAMDataset>\n"
        '  <PAMRasterBand band="1">\n'
        f"    <CategoryNames>\n{lines}    </CategoryNames>\n"
        "  </PAMRasterBand>\n"
        "</PAMDataset>\n"
    )


def _check_tiles(path: Path) -> None:
    """Raise where a tile is beyond the end of the file: GDAL closes silently on a full disk."""
    size = path.stat().st_size
    with rasterio.open(path) as file:
        for row, col in np.ndindex(-(-file.height // BLOCK), -(-file.width // BLOCK)):
            for band in file.indexes:
                start = file.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
                length = file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
                if start is None or int(start) + int(length) > size:
                    raise RasterioIOError(f"tile {row}, {col} is missing from its end")


@contextmanager
def _writing(path: Path, *, keep: bool = True) -> Iterator[None]:
    # On a full disk rasterio lets GDAL's own errors through, and one that it has no name for.
    with making(path, RasterioError, CPLE_BaseError, SystemError):
        yield
    if not keep:
        path.unlink(missing_ok=True)
