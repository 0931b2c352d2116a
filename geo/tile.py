"""Tiles: single pictures of a tile tree, checked one by one, and put side by side as a VRT."""

from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

from PIL import Image, UnidentifiedImageError

from geo.errors import BandsUnknown, SceneUnreadable, SourceInvalid

_FORMATS = ("PNG", "JPEG", "WEBP")
_MODES = ("RGB", "RGBA")
"""As Pillow calls them; both may stand side by side."""
_END_OF = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
"""How a whole file ends."""


class TileVrt:
    """A VRT of tiles side by side: three bands, and a mask that is 0 where there is no tile."""

    def __init__(self, width: int, height: int, side_px: int) -> None:
        """Begin one of that size, pixels, without tiles."""
        self._side = str(side_px)
        self._root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        self._bands: list[tuple[ET.Element, str]] = []
        for number, colour in enumerate(("Red", "Green", "Blue"), 1):
            band = ET.SubElement(self._root, "VRTRasterBand", dataType="Byte", band=str(number))
            ET.SubElement(band, "ColorInterp").text = colour
            self._bands.append((band, str(number)))
        mask = ET.SubElement(ET.SubElement(self._root, "MaskBand"), "VRTRasterBand")
        mask.set("dataType", "Byte")
        self._bands.append((mask, "mask,1"))

    def add(self, path: Path, col: int, row: int) -> None:
        """Put a tile with its upper left corner at a pixel."""
        for band, number in self._bands:
            source = ET.SubElement(band, "SimpleSource")
            name = ET.SubElement(source, "SourceFilename", relativeToVRT="0", shared="0")
            name.text = str(path.absolute())
            ET.SubElement(source, "SourceBand").text = number
            for rect, x, y in (("SrcRect", 0, 0), ("DstRect", col, row)):
                place = {"xOff": str(x), "yOff": str(y)}
                ET.SubElement(source, rect, place, xSize=self._side, ySize=self._side)

    @property
    def text(self) -> str:
        """What GDAL opens."""
        return ET.tostring(self._root, encoding="unicode")


def side_of(path: Path, content: bytes | None = None) -> int:
    """Return the side of a tile in pixels, after checking that it is a whole picture in colour.

    Raises:
        SceneUnreadable: where it is no picture, or breaks off.
        BandsUnknown: where it is not red, green and blue.
        SourceInvalid: where it is not square.
    """
    data = path.read_bytes() if content is None else content
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as tile:
            kind, mode, size = str(tile.format), tile.mode, tile.size
    except (UnidentifiedImageError, OSError) as error:
        raise SceneUnreadable(
            f"the tile {path} is no PNG, JPEG or WebP picture, or a damaged one; fetch it again "
            "or take it away, then it counts as unseen"
        ) from error
    if kind in _END_OF and _END_OF[kind] not in data[-64:]:
        raise SceneUnreadable(
            f"the tile {path} breaks off; fetch it again or take it away, then it counts as unseen"
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
    """Refuse a tile of another size.

    Raises:
        SourceInvalid: with both sizes.
    """
    if side_px != wanted_px:
        raise SourceInvalid(
            f"the tile {path} has {side_px} pixels a side, and others of its zoom have "
            f"{wanted_px}; a tree holds tiles of one size: render it again"
        )
