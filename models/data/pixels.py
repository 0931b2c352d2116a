"""Files of labelled data: PNG, JPEG and GeoTIFF, with what is missing in them."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geo.classify import Label
from geo.raster import BoolArray, FloatArray, Raster
from models.errors import DataInvalid

_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff\xe0": "JPEG", b"\xff\xd8\xff\xe1": "JPEG",
    b"\xff\xd8\xff\xdb": "JPEG", b"\xff\xd8\xff\xee": "JPEG", b"\xff\xd8\xff\xe2": "JPEG",
}  # fmt: skip
"""Driver by the first four bytes. Nothing else is opened, whatever its ending: a VRT could name
any file of the machine as its pixels."""
_PLACELESS_CRS = "EPSG:3857"


@dataclass(frozen=True, eq=False)
class Pixels:
    """One file as it is stored."""

    values: FloatArray
    """(bands, rows, cols)."""
    valid: BoolArray
    """(rows, cols); False where the file's own mask, nodata or alpha says so."""


def read_pixels(path: Path) -> Pixels:
    """Read a file; an alpha band becomes validity.

    Raises:
        DataInvalid: where it is missing, no PNG, JPEG or GeoTIFF, or damaged.
    """
    driver = _driver(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as dataset:
                alpha = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name == "alpha"]
                bands = [i for i in dataset.indexes if i not in alpha]
                values = dataset.read(bands).astype(np.float32)
                valid = (dataset.read_masks(bands) > 0).all(axis=0)
    except RasterioIOError as error:
        raise DataInvalid(
            f"{path} cannot be read as a PNG, JPEG or GeoTIFF ({error}); fetch it again"
        ) from error
    return Pixels(values, valid & np.isfinite(values).all(axis=0))


def _driver(path: Path) -> str:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise DataInvalid(f"{path} cannot be read: {error.strerror}") from error
    if magic not in _MAGIC:
        raise DataInvalid(f"{path} is no PNG, JPEG or GeoTIFF; convert it to one of them")
    return _MAGIC[magic]


def read_codes(path: Path) -> npt.NDArray[np.int16]:
    """Read the first band of a file of labels, (rows, cols).

    Raises:
        DataInvalid: see `read_pixels`.
    """
    codes: npt.NDArray[np.int16] = read_pixels(path).values[0].astype(np.int16)
    return codes


def read_mask(path: Path) -> BoolArray:
    """Read a mask of 0 and 255, or 0 and 1, as (rows, cols).

    Raises:
        DataInvalid: where it holds anything else, or cannot be read.
    """
    codes = read_codes(path)
    found = set(np.unique(codes).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        listed = ", ".join(str(code) for code in sorted(found)[:6])
        raise DataInvalid(f"the mask {path} holds {listed}; a mask holds 0 and 255, or 0 and 1")
    return codes > 0


def as_raster(
    pixels: FloatArray,
    *,
    valid: BoolArray,
    bands: tuple[str, ...],
    source: str,
    pixel_m: float = 1.0,
) -> Raster:
    """Return physical pixels of a labelled tile as a raster.

    Tiles are scored on their own grid and most lie nowhere on the Earth: their grid only says
    that the images of a sample belong together and, where a model asks for it, the size of a
    pixel.

    Args:
        pixels: (bands, rows, cols).
        valid: (rows, cols).
        bands: common names.
        source: name of the sample.
        pixel_m: side of a pixel, metres.
    """
    usable = valid & np.isfinite(pixels).all(axis=0)
    return Raster(
        pixels=np.where(usable, pixels, np.float32(np.nan)),
        valid=usable,
        geobox=GeoBox(valid.shape, Affine.scale(pixel_m, -pixel_m), _PLACELESS_CRS),
        bands=bands,
        sources=(source,),
        origin=usable.astype(np.uint8),
        reason=np.where(usable, 0, np.uint8(Label.NO_DATA)).astype(np.uint8),
    )
