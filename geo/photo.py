"""Photos: pictures that lie nowhere, upright, with what the camera wrote down of itself."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from geo.camera import Pose
from geo.colours import Colours, colours_of
from geo.errors import BandsUnknown, SceneUnreadable
from geo.raster import BoolArray

BytesArray: TypeAlias = npt.NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG")
_COLOURED = ("RGB", "RGBA", "P", "CMYK", "YCbCr")
_XMP = re.compile(rb'drone-dji:(\w+)(?:\s*=\s*"|>)\s*([-+]?\d+(?:\.\d+)?)')
"""What DJI writes besides EXIF, as an attribute or as an element. Searched and not parsed: XML
may be made to harm."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo."""

    pixels: BytesArray
    """(rows, cols, 3): red, green, blue, turned upright as its EXIF orientation says."""
    valid: BoolArray
    """(rows, cols); False where it is transparent or black in all bands, as at an edge."""
    taken: str | None
    """ISO 8601 as the camera's clock had it; with its zone where that was written down."""
    pose: Pose | None
    """None where no position was written down."""
    colours: Colours = Colours.NATURAL


def is_of_camera(path: Path) -> bool:
    """Whether a picture says which camera took it; a preview of a product does not."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return bool(image.getexif().get(ExifTags.Base.Make))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False


def read_photo(path: Path) -> Photo:
    """Read a photo.

    Raises:
        SceneUnreadable: where it is no PNG or JPEG, breaks off, or is too large to be one.
        BandsUnknown: where it is grey.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # cameras have 100 MP
            with Image.open(path, formats=_FORMATS) as image:
                return _understood(image, path)
    except Image.DecompressionBombError as error:
        raise SceneUnreadable(
            f"{path} has more pixels than any camera ({error}); cut it into parts, or georeference "
            "it and map it as an orthophoto"
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise SceneUnreadable(
            f"{path} cannot be read as a PNG or JPEG photo: it is empty, truncated or damaged "
            f"({error}); fetch it again or leave it out"
        ) from error


def _understood(image: Image.Image, path: Path) -> Photo:
    if image.mode not in _COLOURED:
        raise _grey(path, f"is stored as {image.mode}, without colours")
    exif, xmp = image.getexif(), bytes(image.info.get("xmp", b""))
    size = image.size
    image.load()
    whole = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    pixels, opaque = whole[..., :3], whole[..., 3] >= 128
    valid = opaque & (pixels != 0).any(axis=-1)
    shown = pixels[valid].T.astype(np.float32)
    colours = colours_of(shown)
    if colours is Colours.GREY:
        raise _grey(path, "has the same value in red, green and blue everywhere: it is grey")
    return Photo(pixels, valid, _taken(exif), _pose(exif, xmp, size), colours)


def _grey(path: Path, what: str) -> BandsUnknown:
    return BandsUnknown(
        f"{path} {what}, and photos are read in red, green and blue; give the coloured photo, or "
        "leave it out"
    )


def _taken(exif: Image.Exif) -> str | None:
    """Return when a photo was taken; None where the tag is missing or no date."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    text = str(details.get(ExifTags.Base.DateTimeOriginal, ""))
    zone = str(details.get(ExifTags.Base.OffsetTimeOriginal, "")).strip()
    for form in (f"{text}{zone}", text):
        try:
            # EXIF 2.3 writes "YYYY:MM:DD HH:MM:SS".
            return datetime.fromisoformat(
                re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", form.strip("\0 "))
            ).isoformat()
        except ValueError:
            continue
    return None


def _pose(exif: Image.Exif, xmp: bytes, size: tuple[int, int]) -> Pose | None:
    gps, details = exif.get_ifd(ExifTags.IFD.GPSInfo), exif.get_ifd(ExifTags.IFD.Exif)
    lat = _degrees(gps, ExifTags.GPS.GPSLatitude, "S")
    lon = _degrees(gps, ExifTags.GPS.GPSLongitude, "W")
    # Receivers without a fix write zero.
    if lat is None or lon is None or (lat, lon) == (0, 0) or abs(lat) > 90 or abs(lon) > 180:
        return None
    said = {key.decode(): float(value) for key, value in _XMP.findall(xmp)}
    zoom = _number(details.get(ExifTags.Base.DigitalZoomRatio))
    focal = _number(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return Pose(
        lonlat=(lon, lat),
        height_m=said.get("RelativeAltitude"),
        pitch_deg=said.get("GimbalPitchDegree"),
        yaw_deg=said.get("GimbalYawDegree"),
        roll_deg=said.get("GimbalRollDegree", 0.0),
        focal_35mm=focal if focal and (zoom or 1) <= 1 else None,
        size_px=size,
    )


def _degrees(gps: Mapping[int, Any], tag: int, negative: str) -> float | None:
    """Return an angle of degrees, minutes and seconds; the reference is the tag before it."""
    parts = gps.get(tag)
    numbers = [_number(part) for part in parts] if isinstance(parts, tuple) else []
    if len(numbers) != 3 or None in numbers:
        return None
    value = sum(number / 60.0**power for power, number in enumerate(numbers) if number is not None)
    return -value if str(gps.get(tag - 1, "")).upper().startswith(negative) else value


def _number(value: Any) -> float | None:
    """Return a rational of EXIF; None where it is missing or over zero."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None
