"""A made town before and after, as files: some of its houses are gone, and it may be shifted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from shapely.geometry import box

from tests.rasters import NORTH, UTM, WEST, north_up, write_image

PIXEL_M = 0.5
SIDE_PX = 640
HOUSE_PX = 24
STEP_PX = 48
COLUMNS = 11
"""Houses of a row."""


@dataclass(frozen=True)
class Town:
    """Files of a town, and which of its houses were destroyed."""

    before: Path
    after: Path
    buildings: Path
    destroyed: npt.NDArray[np.bool_]
    """(houses,), in the order of the file."""


def make_town(
    folder: Path,
    *,
    after_moved: tuple[float, float] = (0, 0),
    footprints_moved: tuple[float, float] = (0, 0),
    gone_west: bool = False,
    **profile: Any,
) -> Town:
    """Write a town of houses of 12 m, every third of them destroyed.

    Args:
        after_moved: how far down and right the image after lies, pixels of 0.5 m.
        footprints_moved: the same of the footprints.
        gone_west: the five columns of houses in the west are destroyed instead.
        profile: of the image after.
    """
    rng = np.random.default_rng(7)
    ground = ndimage.gaussian_filter(rng.normal(90, 60, (3, SIDE_PX, SIDE_PX)), (0, 2, 2))
    corners = [
        (row + int(rng.integers(0, 12)), col + int(rng.integers(0, 12)))
        for row in range(40, SIDE_PX - 80, STEP_PX)
        for col in range(40, SIDE_PX - 80, STEP_PX)
    ]
    destroyed = np.arange(len(corners)) % 3 == 0
    if gone_west:
        destroyed = np.arange(len(corners)) % COLUMNS < COLUMNS // 2
    before, after = ground.copy(), ground.copy()
    for (row, col), gone in zip(corners, destroyed, strict=True):
        roof = rng.uniform(170, 240, 3)[:, None, None]
        house = np.s_[:, row : row + HOUSE_PX, col : col + HOUSE_PX]
        before[house] = roof
        after[house] = 70 if gone else roof
    after = ndimage.shift(after, (0, *after_moved), mode="nearest")
    houses = [_house(row + footprints_moved[0], col + footprints_moved[1]) for row, col in corners]
    frame = gpd.GeoDataFrame({"name": [f"house {i}" for i in range(len(houses))]},
                             geometry=houses, crs=UTM)  # fmt: skip
    frame.to_crs("EPSG:4326").to_file(folder / "buildings.geojson", driver="GeoJSON")
    return Town(
        image(folder / "before.tif", before),
        image(folder / "after.tif", after, **profile),
        folder / "buildings.geojson",
        destroyed,
    )


def image(path: Path, pixels: npt.NDArray[Any], *, step: float = PIXEL_M, **options: Any) -> Path:
    """Write a picture in the colours red, green, blue."""
    stored = np.clip(np.rint(pixels), 1, 255).astype(np.uint8)
    options = {"transform": north_up(step=step), "photometric": "RGB"} | options
    return write_image(path, stored, **options)


def _house(row: float, col: float) -> Any:
    west, north = WEST + PIXEL_M * col, NORTH - PIXEL_M * row
    return box(west, north - PIXEL_M * HOUSE_PX, west + PIXEL_M * HOUSE_PX, north)
