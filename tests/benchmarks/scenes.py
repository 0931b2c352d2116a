"""Scenes as wide as those of a satellite, made and written row by row.

Lakes, rivers, wet patches and fields come out of smooth noise at scales from 4 to 1,024
pixels, so that the number and the shape of polygons are like those of a real tile.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

Field = npt.NDArray[np.float32]

ROWS = 128
"""Rows made at once."""
CELLS = tuple(2**n for n in range(2, 11))
"""Pixels between the knots of the noise, one scale each."""
WATER = {"before": -1.9, "after": -1.6}
"""Height of the water, in standard deviations of the terrain."""
OPTICAL = {
    "before": "S2B_MSIL2A_20240520T095029_N0300_R000_T33UXS_20240520T120000",
    "after": "S2B_MSIL2A_20240619T095029_N0300_R000_T33UXS_20240619T120000",
}
RADAR = {
    "before": "S1A_IW_GRDH_1SDV_20240520T052000_20240520T052025_053900_068D00_0000",
    "after": "S1A_IW_GRDH_1SDV_20240619T052000_20240619T052025_054300_069D00_0000",
}


@dataclass(frozen=True)
class Noise:
    """Smooth noise over a square of any size; the same rows are the same however they are cut."""

    knots: tuple[Field, ...]
    """One lattice for each of `CELLS`, standard normal."""
    slope: float
    """How fast the scales lose height as they become finer."""

    @classmethod
    def make(cls, seed: int, *, size: int, slope: float) -> "Noise":
        """Return the noise of a seed over a square of `size` pixels."""
        rng = np.random.default_rng(seed)
        sides = [size // cell + 2 for cell in CELLS]
        lattices = [rng.standard_normal((side, side), np.float32) for side in sides]
        return cls(tuple(lattices), slope)

    def rows(self, start: int, stop: int, size: int) -> Field:
        """Return (stop - start, size), with a standard deviation of about 1."""
        total = np.zeros((stop - start, size), np.float32)
        heights = np.array([(cell / CELLS[-1]) ** self.slope for cell in CELLS], np.float32)
        # Between its knots the noise is an average: 0.62 of their deviation is left.
        heights /= np.float32(0.62) * np.sqrt((heights**2).sum())
        for cell, lattice, height in zip(CELLS, self.knots, heights, strict=True):
            up, down, weight = _between(np.arange(start, stop), cell)
            lines = lattice[up] * (1 - weight)[:, None] + lattice[down] * weight[:, None]
            left, right, weight = _between(np.arange(size), cell)
            total += height * (lines[:, left] * (1 - weight) + lines[:, right] * weight)
        return total


def _between(pixel: npt.NDArray[np.int64], cell: int) -> tuple[Any, Any, Field]:
    """Return the knots on both sides of each pixel and the weight of the second."""
    way = (pixel % cell / np.float32(cell)).astype(np.float32)
    return pixel // cell, pixel // cell + 1, way * way * (3 - 2 * way)


def water(size: int, *, phase: str = "after") -> Iterator[tuple[Field, Field]]:
    """Yield for each row band the share of water in each pixel, and how green the land is."""
    terrain = Noise.make(1, size=size, slope=0.25)
    valleys = Noise.make(2, size=size, slope=1.3)
    crops = Noise.make(3, size=size, slope=0.3)
    for top in range(0, size, ROWS):
        rows = top, min(top + ROWS, size)
        # A river where the second noise crosses zero, wider in the lowlands.
        river = 0.012 - np.abs(valleys.rows(*rows, size))
        lake = WATER[phase] - terrain.rows(*rows, size)
        wet = np.clip(np.maximum(lake / 0.06, river / 0.006) + 0.5, 0, 1)
        yield wet, np.clip(0.55 + 0.3 * crops.rows(*rows, size), 0.05, 1)


def _optical(size: int, phase: str) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield (blue green red nir, rows, size), reflectance x 10000."""
    rng = np.random.default_rng([4, phase == "after"])
    land = np.array([[700, 1000, 1100, 1500], [250, 500, 300, 4000]], np.float32)[..., None, None]
    clear = np.array([420, 520, 380, 210], np.float32)[:, None, None]
    for wet, green in water(size, phase=phase):
        dry = land[0] + green * (land[1] - land[0])
        seen = dry + wet * (clear - dry)
        seen += 35 * rng.standard_normal(seen.shape, np.float32)
        yield np.clip(seen, 1, 10000).astype(np.uint16)


def _radar(size: int, phase: str) -> Iterator[Field]:
    """Yield (VV and VH, rows, size), decibels, with the speckle of 4.4 looks."""
    rng = np.random.default_rng([5, phase == "after"])
    for wet, green in water(size, phase=phase):
        dry = np.stack([-11 + 2 * green, -18 + 3 * green])
        power = 10 ** ((dry + wet * (np.array([-20, -27])[:, None, None] - dry)) / 10)
        speckle = rng.standard_gamma(4.4, power.shape, np.float32) / np.float32(4.4)
        yield (10 * np.log10(power * speckle)).astype(np.float32)


def optical_scene(size: int, *, phase: str = "after") -> Path:
    """Return a Sentinel-2 image of blue, green, red and near infrared, made once."""
    bands = ("B02", "B03", "B04", "B08")
    profile = {"dtype": "uint16", "nodata": 0, "predictor": 2}
    return _made(size, OPTICAL[phase], bands, profile, lambda: _optical(size, phase))


def radar_scene(size: int, *, phase: str = "after") -> Path:
    """Return a Sentinel-1 image in decibels, made once."""
    profile = {"dtype": "float32", "nodata": 0, "predictor": 3}
    return _made(size, RADAR[phase], ("VV", "VH"), profile, lambda: _radar(size, phase))


def folder() -> Path:
    """Return where scenes are kept: another version of this file makes its own."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"aftermap-benchmarks-{version}"


def _made(
    size: int,
    name: str,
    bands: tuple[str, ...],
    profile: dict[str, Any],
    make: Callable[[], Iterator[npt.NDArray[Any]]],
) -> Path:
    """Return a tiled, deflated GeoTIFF of `size` x `size` pixels of 10 m."""
    path = folder() / str(size) / f"{name}.tif"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    options = {
        "driver": "GTiff", "width": size, "height": size, "count": len(bands),
        "crs": "EPSG:32633", "transform": Affine(10, 0, 600_000, 0, -10, 5_700_000),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
        "zlevel": 1, "num_threads": 2, "interleave": "pixel",
    }  # fmt: skip
    with (
        rasterio.Env(GDAL_CACHEMAX=128 * 2**20),
        rasterio.open(unfinished, "w", **options, **profile) as file,
    ):
        file.descriptions = bands
        top = 0
        for rows in make():
            file.write(rows, window=Window(0, top, size, rows.shape[1]))
            top += rows.shape[1]
    unfinished.rename(path)
    return path
