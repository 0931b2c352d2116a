"""Types of arrays, and Raster: pixels with their validity, grid and sources."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from geo.errors import BandsMissing, GridMismatch

if TYPE_CHECKING:  # this module is read by every command; odc.geo takes half a second
    from odc.geo.geobox import GeoBox

FloatArray: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
CodeArray: TypeAlias = npt.NDArray[np.uint8]
IntArray: TypeAlias = npt.NDArray[np.int64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
ObjectArray: TypeAlias = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Raster:
    """Pixels of one phase of one sensor family on a grid; GridMismatch where the shapes differ."""

    pixels: FloatArray
    """(bands, rows, cols), in the physical units of `geo.scenes.sensors`; NaN where not valid."""
    valid: BoolArray
    """(rows, cols); True means observed."""
    geobox: "GeoBox"
    bands: tuple[str, ...]
    sources: tuple[str, ...]
    """Scene ids that may have contributed."""
    origin: CodeArray
    """(rows, cols); k means that the pixel came from `sources[k - 1]`, 0 from none."""
    reason: CodeArray
    """(rows, cols); the `geo.raster.classify.Label` why a pixel is not valid, 0 where it is."""

    def __post_init__(self) -> None:
        shape = tuple(self.geobox.shape)
        expected = (len(self.bands), *shape)
        if self.pixels.shape != expected:
            raise GridMismatch(f"pixels are {self.pixels.shape}, the grid and bands say {expected}")
        for name in ("valid", "origin", "reason"):
            if getattr(self, name).shape != shape:
                raise GridMismatch(f"{name} is {getattr(self, name).shape}, the grid says {shape}")

    def band(self, name: str) -> FloatArray:
        """Return one band, (rows, cols), or raise BandsMissing."""
        if name not in self.bands:
            raise BandsMissing(f"band {name!r} is wanted, the raster has {', '.join(self.bands)}")
        band: FloatArray = self.pixels[self.bands.index(name)]
        return band


def block_numbers(shape: tuple[int, int], *, side: int) -> IntArray:
    """Return the number of the block that each pixel is in, (rows, cols), from 0.

    As many blocks of at least `side` pixels as fit, equal to a pixel; one where none does.
    """
    rows, cols = (np.arange(n) * max(1, n // side) // n for n in shape)
    return np.asarray(rows[:, None] * (cols[-1] + 1) + cols[None, :], np.int64)
