"""Tile trees: z/x/y pictures in Web Mercator, checked one by one, read as one image."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree as ET

import rasterio
from affine import Affine
from PIL import Image, UnidentifiedImageError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geo.errors import BandsUnknown, SceneUnreadable, SourceInvalid
from geo.scenes.source import SUFFIXES, Rows

_FORMATS = ("PNG", "JPEG", "WEBP")
_MODES = ("RGB", "RGBA")  # as Pillow calls them; both may stand side by side
_END_OF = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # how a whole file ends


def _vrt(tiles: Mapping[tuple[int, int], Path], width: int, height: int, side_px: int) -> str:
    """Return a VRT of tiles by (column, row): three bands, and a mask, 0 where there is no tile."""
    root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    mask = ET.SubElement(root, "MaskBand")
    for number, colour in (("1", "Red"), ("2", "Green"), ("3", "Blue"), ("mask,1", None)):
        band = ET.SubElement(root if colour else mask, "VRTRasterBand", dataType="Byte")
        if colour:
            band.set("band", number)
            ET.SubElement(band, "ColorInterp").text = colour
        for (col, row), path in tiles.items():
            source = ET.SubElement(band, "SimpleSource")
            name = ET.SubElement(source, "SourceFilename", relativeToVRT="0", shared="0")
            name.text = str(path.absolute())
            ET.SubElement(source, "SourceBand").text = number
            for rect, x, y in (("SrcRect", 0, 0), ("DstRect", col * side_px, row * side_px)):
                size = {"xSize": str(side_px), "ySize": str(side_px)}
                ET.SubElement(source, rect, {"xOff": str(x), "yOff": str(y)}, **size)
    return ET.tostring(root, encoding="unicode")


def side_of(path: Path, content: bytes | None = None) -> int:
    """Return the side of a tile in pixels, after checking that it is a whole picture in colour."""
    data = path.read_bytes() if content is None else content
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as tile:
            kind, mode, size = str(tile.format), tile.mode, tile.size
    except (UnidentifiedImageError, OSError) as error:
        raise SceneUnreadable(
            f"the tile {path} is no PNG, JPEG or WebP picture, or a damaged one; fetch it again "
            "or remove it, and its area counts as not observed"
        ) from error
    if kind in _END_OF and _END_OF[kind] not in data[-64:]:
        raise SceneUnreadable(
            f"the tile {path} is truncated; fetch it again, or remove it: its area is then not "
            "observed"
        )
    if mode not in _MODES:
        raise BandsUnknown(
            f"the tile {path} is stored as {mode}, and imagery is read from tiles of red, green "
            "and blue; render the tiles as RGB or RGBA, not as grey or with a palette"
        )
    if size[0] != size[1]:
        raise SourceInvalid(
            f"the tile {path} has {size[0]} x {size[1]} pixels, and tiles are square; render the "
            "tree again"
        )
    return int(size[0])


def check_side(path: Path, side_px: int, wanted_px: int) -> None:
    """Refuse a tile of another size."""
    if side_px != wanted_px:
        raise SourceInvalid(
            f"the tile {path} has {side_px} pixels a side, and others of its zoom have "
            f"{wanted_px}; a tree holds tiles of one size: render it again"
        )


ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
HALF_EARTH_M = 20_037_508.342789244
"""Half the side of the Web Mercator square: pi times the semi-major axis of WGS 84."""
_TMS = "tilemapresource.xml"  # beside trees counted from the south (OSGeo Tile Map Service 1.0)

Tiles = Mapping[tuple[int, int], str]
"""Name below the zoom's folder by (column, row), both from the north-west corner of the world."""
_MAX_ZOOM = 30  # a tile of zoom 30 is 4 cm wide: what has a larger number is no zoom
_AT_ONCE = 1024  # tiles that one VRT holds while a level is read coarsely


def is_tree(folder: Path) -> bool:
    """Whether a folder is laid out as z/x/y, without images of other kinds (month/day folders)."""
    columns = [next(iter(_numbered(level).values()), None) for level in _levels(folder).values()]
    found = [column for column in columns if column is not None]
    others = (path.suffix.lower() in SUFFIXES for column in found for path in column.iterdir())
    return bool(found) and not any(others)


def deepest_level(folder: Path) -> tuple[Path, str | None]:
    """Return the folder of the deepest zoom as complete as those above it, and a note or None."""
    levels = {zoom: set(_named_tiles(path)) for zoom, path in _levels(folder).items()}
    filled = sorted(zoom for zoom, tiles in levels.items() if tiles)
    if not filled:
        raise SourceInvalid(
            f"{folder} is laid out as a tile tree and holds no tile (z/x/y{'|'.join(ENDINGS)}); "
            "fetch its tiles, or name another folder"
        )
    chosen = filled[0]
    for zoom in filled[1:]:
        # Which way rows are counted does not matter: a tile's parent is at half of both.
        step = 2 ** (zoom - chosen)
        if not {(x // step, y // step) for x, y in levels[zoom]} >= levels[chosen]:
            break
        chosen = zoom
    note = None
    if chosen != filled[-1]:
        note = (
            f"zoom {chosen} of {folder.name} was read, the deepest that is complete: zoom "
            f"{filled[filled.index(chosen) + 1]} shows only a part of it"
        )
    return folder / str(chosen), note


class TileLevel:
    """One zoom of a tile tree as a rasterio dataset; `over` opens the tiles of one window only."""

    def __init__(self, folder: Path, *, rows: Rows | None = None) -> None:
        self.folder = folder
        self.name = str(folder)
        self.zoom = int(folder.name)
        self.tiles = _placed(folder, self.zoom, rows or row_order_of(folder.parent))
        self.side_px = side_of(folder / next(iter(self.tiles.values())))
        xs, ys = zip(*self.tiles, strict=True)
        self._corner = min(xs), min(ys)
        self.width = (max(xs) - min(xs) + 1) * self.side_px
        self.height = (max(ys) - min(ys) + 1) * self.side_px

    crs = CRS.from_epsg(3857)
    gcps: tuple[list[Any], None] = ([], None)
    colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    descriptions = (None, None, None)
    dtypes = ("uint8", "uint8", "uint8")

    def tags(self) -> dict[str, str]:
        """Return nothing: tiles have no tags."""
        return {}

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.height, self.width

    @cached_property
    def transform(self) -> Affine:
        """Of the upper left tile's corner."""
        pixel = 2 * HALF_EARTH_M / 2**self.zoom / self.side_px
        x, y = (self.side_px * number for number in self._corner)
        return Affine(pixel, 0, x * pixel - HALF_EARTH_M, 0, -pixel, HALF_EARTH_M - y * pixel)

    def window_transform(self, window: Window) -> Affine:
        """Return the transform of a window."""
        return self.transform @ Affine.translation(window.col_off, window.row_off)

    def over(self, window: Window) -> tuple[DatasetReader, Window]:
        """Return the tiles under a window as a dataset, masked elsewhere, and the window in it."""
        side = self.side_px
        left, top = int(window.col_off // side), int(window.row_off // side)
        right = int(-(-(window.col_off + window.width) // side))
        bottom = int(-(-(window.row_off + window.height) // side))
        names = {
            (x - left, y - top): self.folder / name
            for y in range(top, bottom)
            for x in range(left, right)
            if (name := self.tiles.get((self._corner[0] + x, self._corner[1] + y)))
        }
        document = _vrt(names, (right - left) * side, (bottom - top) * side, side)
        inner = Window(
            window.col_off - left * side, window.row_off - top * side, window.width, window.height
        )
        return rasterio.open(document, driver="VRT"), inner

    def strips(self, window: Window, rows: int) -> Iterator[tuple[Window, slice]]:
        """Yield parts of a window that is read as `rows` rows, each of few tiles, and its rows."""
        tile_rows = window.height / self.side_px + 2
        tile_cols = window.width / self.side_px + 2
        parts = min(rows, max(1, round(tile_rows * tile_cols / _AT_ONCE)))
        scale = window.height / rows
        for part in range(parts):
            span = slice(part * rows // parts, (part + 1) * rows // parts)
            top, height = window.row_off + span.start * scale, (span.stop - span.start) * scale
            yield Window(window.col_off, top, window.width, height), span

    def close(self) -> None:
        """Do nothing: what `over` opens is closed by the caller."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing stays open."""


def row_order_of(tree: Path) -> Rows:
    """Return how a tree counts its rows: from the south where its metadata says so, else north."""
    described = tree / _TMS
    if not described.is_file():
        return Rows.NORTH
    text = described.read_text("utf-8", "replace")
    profile = re.search(r'profile="([\w-]+)"', text)
    if profile is not None and "mercator" not in profile[1]:
        raise SourceInvalid(
            f"{described} says that its tiles are in the profile {profile[1]}, and tiles are read "
            "in Web Mercator (EPSG:3857); render them so, or give the GeoTIFF they were made of"
        )
    return Rows.SOUTH


def _placed(folder: Path, zoom: int, rows: Rows) -> Tiles:
    count = 2**zoom
    tiles = _named_tiles(folder)
    if not tiles:
        raise SourceInvalid(f"{folder} holds no tile; fetch the tiles again")
    beyond = next((name for (x, y), name in tiles.items() if max(x, y) >= count), None)
    if beyond is not None:
        raise SourceInvalid(
            f"the tile {folder / beyond} lies beyond zoom {zoom}, which has {count} columns and "
            "rows; a tree is laid out as z/x/y"
        )
    flipped = rows is Rows.SOUTH
    return {(x, count - 1 - y if flipped else y): name for (x, y), name in sorted(tiles.items())}


def _named_tiles(level: Path) -> dict[tuple[int, int], str]:
    return {
        (x, int(path.stem)): f"{column.name}/{path.name}"
        for x, column in _numbered(level).items()
        for path in _pictures(column)
    }


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), reverse=True):
        if path.suffix.lower() in ENDINGS and _is_number(path.stem):
            yield path


def _levels(folder: Path) -> dict[int, Path]:
    return {zoom: path for zoom, path in _numbered(folder).items() if zoom <= _MAX_ZOOM}


def _numbered(folder: Path) -> dict[int, Path]:
    return {
        int(path.name): path for path in folder.iterdir() if _is_number(path.name) and path.is_dir()
    }


def _is_number(name: str) -> bool:
    return name.isdecimal() and name.isascii() and len(name) < 10
