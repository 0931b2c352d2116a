"""Where a camera was and what it looked at: an approximate footprint, or only its position."""

from dataclasses import dataclass

import numpy as np
from pyproj import Geod
from shapely.geometry import Polygon

_DIAGONAL_35MM = 43.267
"""Of a frame of 36 x 24 mm: focal lengths "in 35 mm film" compare diagonals (CIPA DCG-001)."""
NADIR_WITHIN_DEG = 10.0
"""A camera that is turned further from straight down sees ground whose height is not known."""
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Pose:
    """What a camera wrote down of where it was and how it was held."""

    lonlat: tuple[float, float]
    """Of the camera, WGS 84."""
    height_m: float | None
    """Above the ground it started from; None: not written down."""
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
    missing = [
        name
        for name, value in (
            ("height above ground", pose.height_m),
            ("pitch", pose.pitch_deg),
            ("yaw", pose.yaw_deg),
            ("focal length", pose.focal_35mm),
        )
        if value is None
    ]
    if missing:
        return f"the photo does not say its {', '.join(missing)}"
    if pose.height_m is not None and pose.height_m <= 0:
        return f"its height of {pose.height_m:g} m is not above the ground"
    if pose.pitch_deg is not None and abs(pose.pitch_deg + 90) > NADIR_WITHIN_DEG:
        return (
            f"it looks aslant (pitch {pose.pitch_deg:g} degrees, straight down is -90, and "
            f"{NADIR_WITHIN_DEG:g} off are taken)"
        )
    if abs(pose.roll_deg) > NADIR_WITHIN_DEG:
        return f"it is rolled by {pose.roll_deg:g} degrees"
    return None


def footprint_of(pose: Pose) -> Polygon | None:
    """Return roughly what a photo shows, lon-lat; None where that is not known.

    A pinhole camera over flat ground at the height that it started from; roll and the lens's
    distortion are left out.
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
