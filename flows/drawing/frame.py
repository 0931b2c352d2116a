"""The frame of a map: its view, ticks of longitude and latitude, ground distance and north."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from pyproj import CRS, Geod, Transformer

from geo.types import Float64Array

_SAMPLES = 257
_WANTED_TICKS = 4
_EDGE = 0.06
"""Share of a side next to a corner where no tick is put: its label would leave the frame."""

Ticks: TypeAlias = dict[float, str]
"""Labels by easting (bottom) or northing (left), units of the CRS."""


@dataclass(frozen=True)
class View:
    """What a map shows, in the units of its projected CRS."""

    left: float
    bottom: float
    right: float
    top: float

    def around(self, *, padding: float, ratio: float) -> "View":
        """Return a larger view; ratio: height / width, padding: least share of the longer side."""
        width, height = self.right - self.left, self.top - self.bottom
        pad = 2 * padding * max(width, height)
        width, height = width + pad, height + pad
        x = max(width, height / ratio) / 2
        y = max(height, width * ratio) / 2
        middle_x, middle_y = (self.left + self.right) / 2, (self.bottom + self.top) / 2
        return View(middle_x - x, middle_y - y, middle_x + x, middle_y + y)


def longitude_ticks(view: View, crs: CRS) -> Ticks:
    """Return where meridians cross the bottom of the frame."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    lon, _ = _lonlat(crs, eastings, np.full(_SAMPLES, view.bottom))
    return _ticks(eastings, np.unwrap(lon, period=360), "EW")


def latitude_ticks(view: View, crs: CRS) -> Ticks:
    """Return where parallels cross the left of the frame."""
    northings = np.linspace(view.bottom, view.top, _SAMPLES)
    _, lat = _lonlat(crs, np.full(_SAMPLES, view.left), northings)
    return _ticks(northings, lat, "NS")


def ground_width_m(view: View, crs: CRS) -> float:
    """Return the length on the ellipsoid of the line across the middle of the view, metres."""
    eastings = np.linspace(view.left, view.right, _SAMPLES)
    lon, lat = _lonlat(crs, eastings, np.full(_SAMPLES, (view.bottom + view.top) / 2))
    return float(Geod(ellps="WGS84").line_length(lon, lat))


def north_angle(view: View, crs: CRS) -> float:
    """Return the direction of true north at the centre, degrees clockwise from the map's top."""
    x, y = (view.left + view.right) / 2, (view.bottom + view.top) / 2
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(x, y)
    north_x, north_y = to_lonlat.transform(lon, lat + 1e-4, direction="INVERSE")
    return math.degrees(math.atan2(north_x - x, north_y - y))


def round_down(value: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _lonlat(crs: CRS, x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return lon, lat


def _ticks(at: Float64Array, degrees: Float64Array, sides: str) -> Ticks:
    """Return round degrees along a side; none where the degrees turn back (near a pole)."""
    steps = np.diff(degrees)
    if not (np.isfinite(degrees).all() and ((steps > 0).all() or (steps < 0).all())):
        return {}
    if steps[0] < 0:
        at, degrees = at[::-1], degrees[::-1]
    step = round_down((degrees[-1] - degrees[0]) / (_WANTED_TICKS - 1))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    rounds = step * np.arange(math.ceil(degrees[0] / step), math.floor(degrees[-1] / step) + 1)
    low, high = np.quantile(at[[0, -1]], (_EDGE, 1 - _EDGE))
    found = {float(np.interp(value, degrees, at)): float(value) for value in rounds}
    return {x: _label(value, decimals, sides) for x, value in found.items() if low <= x <= high}


def _label(degrees: float, decimals: int, sides: str) -> str:
    """Return degrees as "17.02° E"; the equator, Greenwich and the antimeridian have no side."""
    wrapped = round((degrees + 180) % 360 - 180, decimals)
    if abs(wrapped) in (0, 180):
        return f"{abs(wrapped):.0f}°"
    return f"{abs(wrapped):.{decimals}f}° {sides[0] if wrapped > 0 else sides[1]}"
