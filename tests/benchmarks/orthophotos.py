"""A made drone orthophoto as processing programs write them, and where its water lies.

RGBA of 2 cm pixels, turned by 20 degrees, without overviews; it shows a disc of the ground, and the
tiles around it are left out of the file and read as transparent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio.features import geometry_mask
from rasterio.windows import Window
from shapely.affinity import affine_transform, rotate, scale, translate

from tests.benchmarks.scenes import Field, folder

CRS = "EPSG:32633"
PIXEL_M = 0.02
CELL_PX = 8
"""Side of the squares of one colour: the picture is made and deflated in a minute, and they are
finer than the 0.2 m that a network is given."""
CELL_M = CELL_PX * PIXEL_M
STRIP_PX = 512
SPACING_M = 50.0
"""Between the lakes: whatever its size, the picture is as full of them."""
FIELD_CELLS, TREE_CELLS = 64, 4
BROWN = (150, 130, 100)
"""Red, green, blue of the water."""
GROUND = Affine.translation(600_000, 5_700_000) @ Affine.rotation(20) @ Affine.scale(1, -1)
"""From metres right and down in the picture to the CRS."""


@dataclass(frozen=True)
class Orthophoto:
    """A picture of `size_px` x `size_px` pixels."""

    size_px: int

    @property
    def side_m(self) -> float:
        """On the ground."""
        return self.size_px * PIXEL_M

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return folder() / str(self.size_px) / "drone_orthophoto.tif"

    @property
    def disc(self) -> shapely.Polygon:
        """What it shows, in metres right and down."""
        return shapely.Point(self.side_m / 2, self.side_m / 2).buffer(0.45 * self.side_m)

    @property
    def lakes(self) -> list[shapely.Polygon]:
        """Its water, wholly inside of the disc, in metres right and down."""
        rng = np.random.default_rng(3)
        count = int(self.side_m // SPACING_M)
        found = []
        for place in np.ndindex(count, count):
            centre = (np.array(place) + 0.5) * SPACING_M + rng.uniform(-4, 4, 2)
            radii, angle = rng.uniform(8, 20, 2), rng.uniform(0, 180)
            lake = rotate(scale(shapely.Point(0, 0).buffer(1), *radii), angle)
            found.append(translate(lake, *centre))
        return [lake for lake in found if self.disc.buffer(-2).contains(lake)]

    @property
    def truth(self) -> gpd.GeoSeries:
        """The lakes on the ground."""
        return gpd.GeoSeries(
            [affine_transform(x, GROUND.to_shapely()) for x in self.lakes], crs=CRS
        )

    def make(self) -> "Orthophoto":
        """Write the picture, once."""
        if self.path.exists():
            return self
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".part")
        options = {
            "driver": "GTiff", "width": self.size_px, "height": self.size_px, "count": 4,
            "dtype": "uint8", "crs": CRS, "transform": GROUND @ Affine.scale(PIXEL_M),
            "tiled": True, "blockxsize": STRIP_PX, "blockysize": STRIP_PX, "compress": "deflate",
            "zlevel": 1, "interleave": "pixel", "photometric": "rgb", "alpha": "yes",
            "sparse_ok": True, "bigtiff": "if_safer", "num_threads": 2,
        }  # fmt: skip
        with (
            rasterio.Env(GDAL_CACHEMAX=64 * 2**20),
            rasterio.open(unfinished, "w", **options) as file,
        ):
            for top, strip in self._strips():
                file.write(strip, window=Window(0, top, self.size_px, strip.shape[1]))
        unfinished.rename(self.path)
        return self

    def _strips(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Yield strips of the picture, (4, rows, cols), with their first rows."""
        cells = self.size_px // CELL_PX
        grid = {"out_shape": (cells, cells), "transform": Affine.scale(CELL_M), "invert": True}
        wet, shown = geometry_mask(self.lakes, **grid), geometry_mask([self.disc], **grid)
        rng = np.random.default_rng(4)
        rows = STRIP_PX // CELL_PX
        for top in range(0, cells, rows):
            part = slice(top, top + rows)
            colours = np.where(wet[part], _water(rng, wet[part].shape), _land(rng, wet[part].shape))
            rgba = np.concatenate([colours.clip(1, 255) * shown[part], 255 * shown[part][None]])
            strip = rgba.astype(np.uint8).repeat(CELL_PX, axis=1).repeat(CELL_PX, axis=2)
            yield top * CELL_PX, strip


def _land(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return fields with trees in them, (3, rows, cols)."""
    fields = _patches(255 * rng.random(_coarse(shape, FIELD_CELLS), np.float32), shape, FIELD_CELLS)
    trees = _patches(rng.standard_normal(_coarse(shape, TREE_CELLS), np.float32), shape, TREE_CELLS)
    light = 22 * trees + 18 * rng.standard_normal(shape, np.float32)
    return np.stack([90 + 0.25 * fields, 100 + 0.15 * fields, 60 + 0.2 * fields]) + light


def _water(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    brown = np.array(BROWN, np.float32)[:, None, None]
    return brown + 3 * rng.standard_normal((3, *shape), np.float32)


def _coarse(shape: tuple[int, int], side: int) -> tuple[int, int]:
    return -(-shape[0] // side), -(-shape[1] // side)


def _patches(values: Field, shape: tuple[int, int], side: int) -> Field:
    """Return each value as a square of `side` cells."""
    return values.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]
