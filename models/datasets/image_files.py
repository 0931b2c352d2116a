"""Files of labelled data: PNG, JPEG and GeoTIFF, with what is missing in them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geo.types import BoolArray, FloatArray
from models.errors import DataInvalid

_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff\xe0": "JPEG", b"\xff\xd8\xff\xe1": "JPEG",
    b"\xff\xd8\xff\xdb": "JPEG", b"\xff\xd8\xff\xee": "JPEG", b"\xff\xd8\xff\xe2": "JPEG",
}  # fmt: skip
"""Driver by the first four bytes; nothing else is opened: a VRT could name any file as pixels."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """One file as it is stored."""

    values: FloatArray
    """(bands, rows, cols)."""
    valid: BoolArray
    """(rows, cols); False by the file's own mask, nodata or alpha."""


def read_pixels(path: Path, *, bands: tuple[str, ...] | None = None) -> Pixels:
    """Read a file; an alpha band becomes validity.

    Raises:
        DataInvalid: where it is missing, no PNG, JPEG or GeoTIFF, damaged, or has other bands.
    """
    driver = _driver(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as dataset:
                alpha = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name == "alpha"]
                image = [i for i in dataset.indexes if i not in alpha]
                values = dataset.read(image).astype(np.float32)
                valid = (dataset.read_masks(image) > 0).all(axis=0)
    except RasterioIOError as error:
        raise DataInvalid(
            f"{path} cannot be read as a PNG, JPEG or GeoTIFF ({error}); fetch it again"
        ) from error
    if bands is not None and len(values) != len(bands):
        raise DataInvalid(
            f"{path} has {len(values)} bands, {len(bands)} are expected ({', '.join(bands)}); "
            "check the file, or name its bands in their order"
        )
    return Pixels(values, valid & np.isfinite(values).all(axis=0))


def require_one_shape(shapes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raise DataInvalid unless the files of a sample have the same rows and columns."""
    first, *others = shapes.items()
    for path, shape in others:
        if shape != first[1]:
            raise DataInvalid(
                f"{path} has {shape[0]} by {shape[1]} pixels, {first[0]} has {first[1][0]} by "
                f"{first[1][1]}; bring both to one grid"
            )


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
    """Read the first band of a file of labels, (rows, cols)."""
    codes: npt.NDArray[np.int16] = read_pixels(path).values[0].astype(np.int16)
    return codes


def read_mask(path: Path) -> BoolArray:
    """Read a mask of 0 and 255, or 0 and 1, as (rows, cols); raise DataInvalid for another."""
    codes = read_codes(path)
    found = set(np.unique(codes).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        listed = ", ".join(str(code) for code in sorted(found)[:6])
        raise DataInvalid(f"the mask {path} holds {listed}; a mask holds 0 and 255, or 0 and 1")
    return codes > 0
