"""Photos without georeference: upright pixels, time, and the camera's pose from EXIF and XMP."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from pyproj import Geod
from shapely.geometry import Polygon

from geo.errors import BandsUnknown, SceneUnreadable
from geo.scenes.radiometry import Colours, colours_of
from geo.types import BoolArray, CodeArray

_DIAGONAL_35MM = 43.267
"""Of a frame of 36 x 24 mm: focal lengths "in 35 mm film" compare diagonals (CIPA DCG-001)."""
NADIR_WITHIN_DEG = 10.0
"""A camera that is turned further from straight down sees ground whose height is not known."""
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Pose:
    """Position and attitude of a camera, from its metadata."""

    lonlat: tuple[float, float]
    """Of the camera, WGS 84."""
    height_m: float | None
    """Above the ground it started from; None where it is not recorded."""
    pitch_deg: float | None
    """-90 looks straight down."""
    yaw_deg: float | None
    """Clockwise from north: where the upper edge of the picture points."""
    roll_deg: float
    focal_35mm: float | None
    """Focal length in 35 mm film, mm; None: not known, or zoomed in digitally."""
    size_px: tuple[int, int]
    """Width and height as the sensor has them."""


def why_no_footprint(pose: Pose) -> str | None:
    """Return why nothing can be said of the ground that a photo shows, or None."""
    needed = {
        "height above ground": pose.height_m, "pitch": pose.pitch_deg, "yaw": pose.yaw_deg,
        "focal length": pose.focal_35mm,
    }  # fmt: skip
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        return f"the photo does not record its {', '.join(missing)}"
    if pose.height_m is not None and pose.height_m <= 0:
        return f"its height of {pose.height_m:g} m is not above the ground"
    if pose.pitch_deg is not None and abs(pose.pitch_deg + 90) > NADIR_WITHIN_DEG:
        return (
            f"it is oblique (pitch {pose.pitch_deg:g} degrees, straight down is -90, and "
            f"{NADIR_WITHIN_DEG:g} off are taken)"
        )
    if abs(pose.roll_deg) > NADIR_WITHIN_DEG:
        return f"it is rolled by {pose.roll_deg:g} degrees"
    return None


def footprint_of(pose: Pose) -> Polygon | None:
    """Return roughly what a photo shows, lon-lat; None where that is not known.

    A pinhole camera over flat ground; roll and the lens's distortion are left out.
    """
    if why_no_footprint(pose) is not None:
        return None
    height, focal = pose.height_m or 0.0, pose.focal_35mm or 0.0
    right, up, forward = _axes(pose.pitch_deg or 0.0, pose.yaw_deg or 0.0)
    width_px, height_px = pose.size_px
    focal_px = focal / _DIAGONAL_35MM * float(np.hypot(width_px, height_px))
    ground = []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):  # counter-clockwise from the lower left
        ray = focal_px * forward + x * width_px / 2 * right + y * height_px / 2 * up
        if ray[2] >= 0:  # a wide lens that is tilted may see the sky
            return None
        ground.append(ray[:2] * height / -ray[2])
    east, north = np.array(ground).T
    azimuth, distance = np.degrees(np.arctan2(east, north)), np.hypot(east, north)
    lon, lat = (np.full(4, value) for value in pose.lonlat)
    corners = _GEOD.fwd(lon, lat, azimuth, distance)[:2]
    return Polygon(np.column_stack(corners))


def _axes(pitch_deg: float, yaw_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where right, up and forward of a picture point, (east, north, up) each."""
    pitch, yaw = np.radians([pitch_deg, yaw_deg])
    heading = np.array([np.sin(yaw), np.cos(yaw), 0.0])
    zenith = np.array([0.0, 0.0, 1.0])
    forward = np.cos(pitch) * heading + np.sin(pitch) * zenith
    up = -np.sin(pitch) * heading + np.cos(pitch) * zenith
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    return right, up, forward


_FORMATS = ("PNG", "JPEG")
_COLOURED = ("RGB", "RGBA", "P", "CMYK", "YCbCr")
_XMP = re.compile(rb'drone-dji:(\w+)(?:\s*=\s*"|>)\s*([-+]?\d+(?:\.\d+)?)')
"""What DJI writes besides EXIF, as an attribute or as an element. Searched and not parsed: XML
may be made to harm."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo."""

    pixels: CodeArray
    """(rows, cols, 3): red, green, blue, turned upright as its EXIF orientation says."""
    valid: BoolArray
    """(rows, cols); False where it is transparent or black in all bands, as at an edge."""
    taken: str | None
    """ISO 8601 as the camera's clock had it; with its zone where that is recorded."""
    pose: Pose | None
    """None where no position is recorded."""
    colours: Colours = Colours.NATURAL


def is_of_camera(path: Path) -> bool:
    """Whether a picture names its camera; a preview of a product does not."""
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
                return _decoded(image, path)
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


def _decoded(image: Image.Image, path: Path) -> Photo:
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
    recorded = {key.decode(): float(value) for key, value in _XMP.findall(xmp)}
    zoom = _number(details.get(ExifTags.Base.DigitalZoomRatio))
    focal = _number(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return Pose(
        lonlat=(lon, lat),
        height_m=recorded.get("RelativeAltitude"),
        pitch_deg=recorded.get("GimbalPitchDegree"),
        yaw_deg=recorded.get("GimbalYawDegree"),
        roll_deg=recorded.get("GimbalRollDegree", 0.0),
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
