"""Image files: opened as what their first bytes say, and read with what is missing in them."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geo.errors import SceneUnreadable, SourceInvalid
from geo.georeference import NOTHING_TOLD, Georeference
from geo.placed import PlacedImage, by_control_points
from geo.raster import BoolArray, FloatArray
from geo.tiles import TileLevel
from geo.whole import is_whole

_JPEG = (b"\xe0", b"\xe1", b"\xe2", b"\xdb", b"\xee")
_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff",
    b"II+\0": "GTiff", b"MM\0+": "GTiff",  # BigTIFF
    b"\0\0\0\x0c": "JP2OpenJPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}  # fmt: skip
"""Driver by the first four bytes: whatever its ending says, a file is opened as one of these
only. A VRT, for one, could name any file of the machine as its pixels."""

_PICTURES = {b"\x89PNG": "PNG", **dict.fromkeys(map(b"\xff\xd8\xff".__add__, _JPEG), "JPEG")}
"""Pictures, which lie somewhere only where a world file says so."""

_END_OF = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
_TAIL_BYTES = 65_536
"""Some writers put something of their own behind a picture's end."""

_ALONE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # libjpeg fills what is missing with grey, and only warns.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
}
"""GDAL looks at no other file, and takes no broken one for whole."""

_TELLING = ("<SRS", "<GeoTransform", "<GCPList", "<NoDataValue", "<MaskBand")
"""What an .aux.xml beside an image may say of where its pixels lie and which are valid."""


Image: TypeAlias = DatasetReader | WarpedVRT | PlacedImage | TileLevel
"""What can be read: a file as it is, warped by its control points, placed by what is told of it,
or one zoom of a tile tree."""


def open_image(path: Path, told: Georeference = NOTHING_TOLD) -> Image:
    """Open an image where it lies: by its own word, its control points, or what is told.

    Args:
        path: a file, or the folder of one zoom of a tile tree.
        told: what `georeference_of` found.

    Raises:
        SceneUnreadable: where it is no raster, or a damaged one.
        SourceInvalid: where a file beside it says what is valid, or its tiles cannot be used.
        MissingCRS: where its control points place nothing.
    """
    if path.is_dir():
        return TileLevel(path, rows=told.rows)
    dataset = open_file(path, is_placed=told.transform is not None)
    if dataset.transform == Affine.identity() and dataset.gcps[0]:
        return by_control_points(dataset, path, crs=told.crs)
    return PlacedImage.of(dataset, told)


def open_file(path: Path, *, is_placed: bool = False) -> DatasetReader:
    """Open an image file as the kind that its first bytes say, and nothing beside it.

    Files beside an image (.ovr, .msk, .aux.xml) may be of any format, a VRT among them, and
    are in no digest: those that would change what is seen are refused, the others not read.

    Args:
        path: a GeoTIFF or JPEG 2000.
        is_placed: a world file says where it lies: a PNG or a JPEG is taken as well.

    Raises:
        SceneUnreadable: where it is no raster, or a damaged one.
        SourceInvalid: where a file beside it says where it lies or what is valid.
    """
    kinds = _MAGIC | _PICTURES if is_placed else _MAGIC
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise SceneUnreadable(f"{path} cannot be read: {error.strerror}") from error
    if magic not in kinds:
        found = "it is empty" if not magic else "its first bytes are of another kind"
        raise SceneUnreadable(
            f"{path} is not a GeoTIFF or JPEG 2000 image ({found}); give the image itself"
        )
    _check_alone(path)
    if kinds[magic] == "GTiff" and not is_whole(path):
        raise SceneUnreadable(
            f"{path} ends before what its header says it holds: it is truncated; fetch it again "
            "or leave it out"
        )
    if kinds[magic] in _END_OF and _breaks_off(path, _END_OF[kinds[magic]]):
        raise SceneUnreadable(
            f"{path} breaks off before its picture ends; fetch it again or leave it out"
        )
    try:
        with rasterio.Env(**_ALONE), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # what is told may place it
            return rasterio.open(path, driver=kinds[magic])
    except RasterioIOError as error:
        raise SceneUnreadable(
            f"{path} begins like an image and cannot be opened: it is truncated or damaged "
            f"({error}); fetch it again or leave it out"
        ) from error


def _breaks_off(path: Path, end: bytes) -> bool:
    """Whether the end of a picture is not where it should be: decoders fill the rest with grey."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return end not in file.read()


def _check_alone(path: Path) -> None:
    mask, notes = path.with_name(f"{path.name}.msk"), path.with_name(f"{path.name}.aux.xml")
    told = [beside for beside in (mask,) if beside.exists()]
    if notes.is_file() and any(word in notes.read_text("utf-8", "replace") for word in _TELLING):
        told.append(notes)
    if told:
        raise SourceInvalid(
            f"{told[0]} says where {path.name} lies or which of its pixels are valid, and only "
            "the image itself is read; put both into one file with `gdal_translate --config "
            f"GDAL_TIFF_INTERNAL_MASK YES {path.name} whole.tif`"
        )


def unreadable(path: Path, error: Exception) -> SceneUnreadable:
    """Return the error for a file whose pixels cannot be decoded."""
    cause = error.__cause__ or error
    return SceneUnreadable(
        f"{path} opens and its pixels cannot be decoded: it is truncated or damaged ({cause}); "
        "fetch it again or leave it out"
    )


def read_stored(
    dataset: Image,
    indexes: Sequence[int],
    *,
    window: Any = None,
    shape: tuple[int, int] | None = None,
    how: Resampling = Resampling.nearest,
) -> tuple[FloatArray, BoolArray]:
    """Return stored values as float32 and where the file says there are none.

    Args:
        indexes: band numbers, from 1.
        window: a rasterio window; None for the whole file.
        shape: (rows, cols) that it is resampled to; None for its own pixels.
        how: resampling.

    Returns:
        values: (bands, rows, cols), float32.
        missing: (bands, rows, cols); True where nodata, transparent or masked.
    """
    if isinstance(dataset, TileLevel):
        return _read_tiles(dataset, indexes, window=window, shape=shape, how=how)
    place: dict[str, Any] = {"window": window, "resampling": how}
    if shape is not None:
        place["out_shape"] = (len(indexes), *shape)
    values = dataset.read(list(indexes), out_dtype="float32", **place)
    missing = np.zeros(values.shape, np.bool_)
    if any(_has_mask(dataset.mask_flag_enums[index - 1]) for index in indexes):
        missing |= dataset.read_masks(list(indexes), **place) < 128
    alpha = [i for i, c in enumerate(dataset.colorinterp, 1) if c is ColorInterp.alpha]
    if alpha and alpha[0] not in indexes:  # read as a band it is none, whatever it is called
        # The mask of a file with alpha and nodata is its nodata alone.
        missing |= _transparent(dataset, alpha[0], **place | {"out_shape": values.shape[1:]})
    for band, index in enumerate(indexes):
        nodata = dataset.nodatavals[index - 1]
        if nodata is not None and np.isfinite(nodata):
            missing[band] |= values[band] == np.float32(np.clip(nodata, *_FLOAT32))
    return values, missing


def _read_tiles(
    level: TileLevel,
    indexes: Sequence[int],
    *,
    window: Any,
    shape: tuple[int, int] | None,
    how: Resampling,
) -> tuple[FloatArray, BoolArray]:
    """Read a window of a tile tree, few tiles at a time where it is read coarsely."""
    whole = window or Window(0, 0, level.width, level.height)
    rows, cols = shape or (round(whole.height), round(whole.width))
    parts = []
    with rasterio.Env(**_ALONE):
        for strip, span in level.strips(whole, rows):
            tiles, inner = level.over(strip)
            with tiles:
                part = span.stop - span.start, cols
                parts.append(read_stored(tiles, indexes, window=inner, shape=part, how=how))
    values, missing = zip(*parts, strict=True)
    return np.concatenate(values, axis=1), np.concatenate(missing, axis=1)


_FLOAT32 = (np.finfo(np.float32).min, np.finfo(np.float32).max)


def _has_mask(flags: list[MaskFlags]) -> bool:
    """Whether a band has a mask of its own making rather than one made of nodata or alpha."""
    return not {MaskFlags.all_valid, MaskFlags.nodata, MaskFlags.alpha}.intersection(flags)


def _transparent(dataset: DatasetReader, index: int, **place: Any) -> BoolArray:
    """Return where the alpha band is less than half opaque, (rows, cols)."""
    opaque = dataset.read(index, **place)
    full = np.iinfo(opaque.dtype).max if opaque.dtype.kind in "ui" else 1.0
    return np.asarray(opaque < full / 2)
