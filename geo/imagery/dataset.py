"""Image files: opened by their first bytes, checked, read with a mask; CRS, pixel size, extent."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from shapely.geometry import Polygon

from geo.errors import MissingCRS, SceneUnreadable, SourceInvalid
from geo.imagery.georeferencing import PlacedImage, by_control_points
from geo.imagery.xyz_tiles import TileLevel
from geo.scenes.source import NO_GEOREFERENCE, Georeference
from geo.types import BoolArray, FloatArray
from geo.vector.area_files import Polygonal, cut, polygons_only, unwrap

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
"""Size of one value, by the number of its type."""
_MAX_DIRECTORIES = 4096  # an image, its mask and their overviews are a few dozen; more is a loop


def is_whole(path: Path) -> bool:
    """Whether all directories of a TIFF, and all that they point to, lie inside the file.

    GDAL drops an entry beyond the end of a file and goes on: a file that lost its last ten bytes
    may lose its nodata value, mask or CRS and keep every pixel. GDAL itself reports blocks of
    pixels beyond the end. TIFF 6.0, section 2; BigTIFF as in libtiff.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return all(end <= size for end in _ends(file))
        except struct.error:
            return False


def _ends(file: BinaryIO) -> Iterator[int]:
    """Yield where the values of each entry end; struct.error where a directory is cut."""
    order = "<" if file.read(2) == b"II" else ">"
    is_classic = _read(file, f"{order}H") == (42,)
    file.seek(4 if is_classic else 8)
    # Number of entries; tag, type, number of values, these or their position; next directory.
    forms = ("H", "HHII", "I") if is_classic else ("Q", "HHQQ", "Q")
    count_form, entry_form, pointer_form = (order + form for form in forms)
    (at,) = _read(file, pointer_form)
    visited: set[int] = set()
    while at and at not in visited and len(visited) < _MAX_DIRECTORIES:
        visited.add(at)
        file.seek(at)
        for _ in range(_read(file, count_form)[0]):
            _, kind, number, value = _read(file, entry_form)
            length = number * _BYTES.get(kind, 0)
            yield 0 if length <= struct.calcsize(pointer_form) else value + length
        (at,) = _read(file, pointer_form)


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


CACHE_BYTES = 128 * 2**20
"""Holds a row of tiles of the widest scenes, twice over; GDAL's own choice is a twentieth of the
machine's memory."""


@contextmanager
def fixed_block_cache() -> Iterator[None]:
    """Keep the cache of all threads and files at `CACHE_BYTES`; set once around all work."""
    # A number goes to GDAL as bytes: 64 would be a cache that holds nothing.
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        yield


_JPEG = (b"\xe0", b"\xe1", b"\xe2", b"\xdb", b"\xee")
_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff",
    b"II+\0": "GTiff", b"MM\0+": "GTiff",  # BigTIFF
    b"\0\0\0\x0c": "JP2OpenJPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}  # fmt: skip
"""Driver by the first four bytes: whatever its ending says, a file is opened as one of these
only. A VRT, for one, could name any file of the machine as its pixels."""

_PICTURES = {b"\x89PNG": "PNG", **dict.fromkeys(map(b"\xff\xd8\xff".__add__, _JPEG), "JPEG")}

_END_OF = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
_TAIL_BYTES = 65_536  # some writers put something of their own behind a picture's end

_NO_SIDECARS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # libjpeg fills what is missing with grey, and only warns.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
}  # GDAL reads no other file, and no damaged one as if it were whole

_AUX_TAGS = ("<SRS", "<GeoTransform", "<GCPList", "<NoDataValue", "<MaskBand")
"""What an .aux.xml beside an image may say of where its pixels lie and which are valid."""


Image: TypeAlias = DatasetReader | WarpedVRT | PlacedImage | TileLevel
"""A file as it is, warped by control points, georeferenced from outside, or a zoom of tiles."""


def open_image(path: Path, georeference: Georeference = NO_GEOREFERENCE) -> Image:
    """Open an image where it lies: by its own transform, its control points or `georeference`.

    Args:
        path: a file, or the folder of one zoom of a tile tree.

    Raises:
        SceneUnreadable: where it is no raster, or a damaged one.
        SourceInvalid: where a file beside it says what is valid, or its tiles cannot be used.
        MissingCRS: where its control points place nothing.
    """
    if path.is_dir():
        return TileLevel(path, rows=georeference.rows)
    dataset = open_file(path, is_placed=georeference.transform is not None)
    if dataset.transform == Affine.identity() and dataset.gcps[0]:
        return by_control_points(dataset, path, crs=georeference.crs)
    return PlacedImage.of(dataset, georeference)


def open_file(path: Path, *, is_placed: bool = False) -> DatasetReader:
    """Open an image file as the kind that its first bytes say, and nothing beside it.

    Files beside an image (.ovr, .msk, .aux.xml) may be of any format, a VRT among them, and
    are in no digest: those that would change what is seen are refused, the others not read.

    Args:
        is_placed: a world file says where it lies: a PNG or a JPEG is taken as well.
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
    _refuse_sidecars(path)
    if kinds[magic] == "GTiff" and not is_whole(path):
        raise SceneUnreadable(
            f"{path} ends before what its header says it holds: it is truncated; fetch it again "
            "or leave it out"
        )
    if kinds[magic] in _END_OF and _is_cut_off(path, _END_OF[kinds[magic]]):
        raise SceneUnreadable(
            f"{path} breaks off before its picture ends; fetch it again or leave it out"
        )
    try:
        with rasterio.Env(**_NO_SIDECARS), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a world file may follow
            return rasterio.open(path, driver=kinds[magic])
    except RasterioIOError as error:
        raise SceneUnreadable(
            f"{path} begins like an image and cannot be opened: it is truncated or damaged "
            f"({error}); fetch it again or leave it out"
        ) from error


def _is_cut_off(path: Path, end: bytes) -> bool:
    """Whether the end of a picture is not where it should be: decoders fill the rest with grey."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return end not in file.read()


def _refuse_sidecars(path: Path) -> None:
    mask, aux = path.with_name(f"{path.name}.msk"), path.with_name(f"{path.name}.aux.xml")
    text = aux.read_text("utf-8", "replace") if aux.is_file() else ""
    if mask.exists() or any(tag in text for tag in _AUX_TAGS):
        raise SourceInvalid(
            f"{mask if mask.exists() else aux} says where {path.name} lies or which of its pixels "
            "are valid, and only the image itself is read; put both into one file with "
            f"`gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES {path.name} whole.tif`"
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
    """Return stored values, float32, and where the file says there are none, (bands, rows, cols).

    Args:
        indexes: band numbers, from 1.
        window: a rasterio window; None for the whole file.
        shape: (rows, cols) that it is resampled to; None for its own pixels.
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
    with rasterio.Env(**_NO_SIDECARS):
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


def crs_text(dataset: Image, path: Path) -> str:
    """Return the CRS of an image, as an authority code or WKT."""
    if dataset.crs is None:
        raise MissingCRS(
            f"{path} has no coordinate reference system; give the one that its coordinates are in "
            "with --source-crs, such as EPSG:32633, or write it into the file with "
            f"`gdal_edit.py -a_srs EPSG:32633 {path.name}`"
        )
    if dataset.transform == Affine.identity() or dataset.transform.is_degenerate:
        raise MissingCRS(
            f"{path} has a coordinate reference system and no position in it, nor is there a world "
            f"file beside it ({path.stem}.{path.suffix[1:2]}{path.suffix[-1:]}w or "
            f"{path.stem}.wld); export it again with its position"
        )
    authority = dataset.crs.to_authority()
    text = ":".join(authority) if authority else str(dataset.crs.to_wkt())
    if not _is_on_earth(text):
        raise MissingCRS(
            f"{path} has the coordinate reference system {text[:60]!r}, which is neither projected "
            f"nor geographic; give it its own with `gdal_edit.py -a_srs EPSG:32633 {path.name}`"
        )
    return text


def _is_on_earth(crs: str) -> bool:
    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        return False
    return bool(known.is_projected or known.is_geographic)


def gsd_m(dataset: Image) -> float:
    """Return the ground distance between pixel centres down the middle column, metres."""
    row, col = dataset.height / 2, dataset.width / 2
    corners = [dataset.transform @ point for point in ((col, row), (col, row + 1))]
    to_lonlat = Transformer.from_crs(dataset.crs, "EPSG:4326", always_xy=True)
    (lon0, lat0), (lon1, lat1) = (to_lonlat.transform(*corner) for corner in corners)
    return float(Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[2])


def footprint(dataset: Image) -> Polygonal:
    """Return the extent of the pixels in lon-lat, its edges followed in their own CRS."""
    rows, cols = dataset.shape
    corners = [dataset.transform @ c for c in ((0, 0), (0, rows), (cols, rows), (cols, 0))]
    outline = Polygon(corners)
    outline = outline.segmentize(max(outline.length / 200, 1e-9))
    to_lonlat = Transformer.from_crs(dataset.crs, "EPSG:4326", always_xy=True)
    lonlat = np.column_stack(to_lonlat.transform(*shapely.get_coordinates(outline).T))
    if not np.isfinite(lonlat).all() or np.abs(lonlat[:, 1]).max() > 90:
        raise MissingCRS(
            f"{dataset.name} lies outside of its own coordinate reference system, with a corner "
            f"at {corners[0][0]:.10g}, {corners[0][1]:.10g}; give it the right one with "
            "`gdal_edit.py -a_srs`"
        )
    continuous = unwrap(lonlat)
    if abs(continuous[0, 0] - continuous[-1, 0]) > 180:
        raise SourceInvalid(
            f"{dataset.name} lies around a pole, and images are mapped up to the poles and not "
            "across; cut it into parts that leave the pole out"
        )
    ring = Polygon(continuous)
    # Points are dropped that leave the line by less than a twentieth of a pixel.
    followed = ring.simplify(gsd_m(dataset) / 20 / 111_320)
    return polygons_only(shapely.orient_polygons(cut(polygons_only(followed))))
