"""Co-registration of two images: translations of blocks, and which of them are reliable.

Blocks are compared by the logarithm of their gradients, less the neighbourhood's mean, with the
normalised cross-correlation of masked images (Padfield 2012, doi:10.1109/TIP.2011.2181402).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage
from scipy.spatial import KDTree

from geo.types import BoolArray, Float64Array, FloatArray, Int32Array, IntArray

TRUSTED = 5.0
"""Strength from which the shift of a block is reliable. Of 130 pairs of blocks of joplin_vhr and
joplin_xbd that show different places, 256 px of 0.5 m, none reached 4.7; of 100 that show the same
place, two thirds did."""
FEWEST_TRUSTED = 3
"""Reliable blocks that are needed, or all where there are fewer: one alone may be wrong."""
NEIGHBOURS = 5
"""Reliable blocks around a place from which its shift is taken."""

_EDGE_PX = 1.0
_AROUND_PX = 8.0
_LEAST_SHARED = 0.5
"""Share of the smaller image that must overlap the other at a shift."""


@dataclass(frozen=True)
class BlockShift:
    """The shift between a block of one image and the same block of another."""

    row: float
    """Of the middle of the block, pixels of the grid."""
    col: float
    down: float
    """What the block shows is so many pixels further down in the second image."""
    right: float
    strength: float
    """Height of the correlation's peak above its mean, in its standard deviations."""

    @property
    def trusted(self) -> bool:
        """Whether the peak stands out."""
        return self.strength >= TRUSTED


@dataclass(frozen=True)
class ShiftField:
    """The shifts of the blocks of a pair, and how far a place between them is shifted."""

    blocks: tuple[BlockShift, ...]
    tolerance_px: float
    """Blocks that differ from their neighbours by more contradict them."""

    @cached_property
    def trusted(self) -> tuple[BlockShift, ...]:
        """The blocks that are reliable."""
        return tuple(block for block in self.blocks if block.trusted)

    @cached_property
    def agreeing(self) -> BoolArray:
        """(trusted,); True where a block is within the tolerance of its neighbours' median."""
        if not self.trusted:
            return np.zeros(0, np.bool_)
        around = np.median(self._shifts[self._nearest(self._places)], axis=1)
        apart = np.hypot(*(self._shifts - around).T)
        return np.asarray(apart <= self.tolerance_px)

    @property
    def is_sure(self) -> bool:
        """Whether enough blocks are reliable."""
        return len(self.trusted) >= min(FEWEST_TRUSTED, max(len(self.blocks), 1))

    @property
    def is_translation(self) -> bool:
        """Whether most of the reliable blocks agree with their neighbours."""
        return self.is_sure and bool(self.agreeing.mean() > 0.5)

    @property
    def median(self) -> tuple[float, float]:
        """Down and right of the blocks that agree, pixels; 0 where there is none."""
        if not self.agreeing.any():
            return 0.0, 0.0
        down, right = np.median(self._shifts[self.agreeing], axis=0)
        return float(down), float(right)

    @property
    def spread(self) -> float:
        """Largest distance from the median that nine in ten agreeing blocks keep, pixels."""
        if not self.agreeing.any():
            return 0.0
        apart = self._shifts[self.agreeing] - self.median
        return float(np.quantile(np.hypot(*apart.T), 0.9))

    def at(self, rows: Float64Array, cols: Float64Array) -> Float64Array:
        """Return (places, 2), down and right, pixels: the median of the nearest blocks that agree,
        NaN where most contradict each other. Meaningful only where `is_translation`."""
        nearest = self._nearest(np.column_stack([rows, cols]))
        agree = self.agreeing[nearest]
        near = np.where(agree[..., None], self._shifts[nearest], np.nan)
        found = np.full((len(near), 2), np.nan)
        sure = agree.mean(axis=1) > 0.5
        found[sure] = np.nanmedian(near[sure], axis=1)
        return found

    @property
    def _places(self) -> Float64Array:
        return np.array([(block.row, block.col) for block in self.trusted])

    @property
    def _shifts(self) -> Float64Array:
        return np.array([(block.down, block.right) for block in self.trusted])

    def _nearest(self, places: Float64Array) -> IntArray:
        """Return (places, neighbours): the numbers of the nearest reliable blocks."""
        count = min(NEIGHBOURS, len(self.trusted))
        _, found = KDTree(self._places).query(places, k=np.arange(1, count + 1))
        return np.asarray(found, np.int64)


def edges(pixels: FloatArray) -> FloatArray:
    """Return the edges of (bands, rows, cols) pixels, (rows, cols); NaN at and beside NaN."""
    grey = pixels.mean(axis=0, dtype=np.float64)
    seen = np.isfinite(grey)
    if not seen.any():
        return np.full(seen.shape, np.nan, np.float32)
    steep = ndimage.gaussian_gradient_magnitude(np.where(seen, grey, grey[seen].mean()), _EDGE_PX)
    # The edge of what was observed is no edge of the ground.
    inner = ndimage.binary_erosion(seen, iterations=int(4 * _EDGE_PX), border_value=1)
    return _flattened(np.log1p(steep), inner)


def outlines(buildings: Int32Array) -> FloatArray:
    """Return the outlines of buildings, (rows, cols) with 0 for none, as `edges` does."""
    border = ndimage.maximum_filter(buildings, 3) != ndimage.minimum_filter(buildings, 3)
    soft = ndimage.gaussian_filter(border.astype(np.float64), _EDGE_PX)
    return _flattened(soft, np.ones(border.shape, np.bool_))


def _flattened(values: Float64Array, seen: BoolArray) -> FloatArray:
    """Return values less the mean of their neighbourhood, NaN where not observed."""
    weight = ndimage.gaussian_filter(seen.astype(np.float64), _AROUND_PX)
    around = ndimage.gaussian_filter(np.where(seen, values, 0), _AROUND_PX)
    flat = values - around / np.maximum(weight, 1e-6)
    return np.where(seen, flat, np.nan).astype(np.float32)


def block_shift(
    fixed: FloatArray, moving: FloatArray, *, reach_px: int, middle: tuple[float, float]
) -> BlockShift:
    """Return the shift between two images of a block, (rows, cols) from `edges` or `outlines`.

    Args:
        reach_px: the longest shift that is searched, down or right.
        middle: (row, col) of the block in the grid.
    """
    surface = _correlation(fixed, moving, reach_px)
    looked = np.isfinite(surface)
    deviation = surface[looked].std() if looked.any() else 0.0
    if deviation < 1e-9:
        return BlockShift(*middle, 0.0, 0.0, 0.0)
    row, col = np.unravel_index(np.nanargmax(surface), surface.shape)
    return BlockShift(
        *middle,
        down=float(row - reach_px + _vertex(surface[:, col], int(row))),
        right=float(col - reach_px + _vertex(surface[row], int(col))),
        strength=float((surface[row, col] - surface[looked].mean()) / deviation),
    )


def _vertex(line: Float64Array, peak: int) -> float:
    """Return the offset of the top of the parabola through a peak, -0.5 to 0.5."""
    if peak in (0, len(line) - 1):
        return 0.0
    left, top, right = line[peak - 1 : peak + 2]
    curvature = left - 2 * top + right
    return float(0.5 * (left - right) / curvature) if curvature < 0 else 0.0


def _correlation(fixed: FloatArray, moving: FloatArray, reach_px: int) -> Float64Array:
    """Return the masked correlation, (2 reach + 1, 2 reach + 1); NaN where they overlap little."""
    seen = np.isfinite(fixed), np.isfinite(moving)
    shape = [fft.next_fast_len(side + reach_px, real=True) for side in fixed.shape]

    def spectrum(values: npt.NDArray[np.generic]) -> npt.NDArray[np.complex128]:
        return np.asarray(fft.rfft2(values.astype(np.float64), shape))

    def product(one: npt.NDArray[np.complex128], other: npt.NDArray[np.complex128]) -> Float64Array:
        whole = fft.irfft2(one.conj() * other, shape)
        shifts = np.arange(-reach_px, reach_px + 1)
        return np.asarray(whole[np.ix_(shifts, shifts)])

    a, b = (np.where(np.isfinite(image), image, 0).astype(float) for image in (fixed, moving))
    ma, mb = map(spectrum, seen)
    sa, sb = spectrum(a), spectrum(b)
    shared = product(ma, mb)
    n = np.maximum(shared, 1)
    sum_a, sum_b = product(sa, mb), product(ma, sb)
    variance = (product(spectrum(a * a), mb) - sum_a**2 / n) * (
        product(ma, spectrum(b * b)) - sum_b**2 / n
    )
    enough = shared >= _LEAST_SHARED * max(min(s.sum() for s in seen), 1)
    usable = enough & (variance > 1e-9)
    cross = product(sa, sb) - sum_a * sum_b / n
    return np.where(usable, cross / np.sqrt(np.where(usable, variance, 1)), np.nan)
