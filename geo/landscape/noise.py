"""Random fields with the roughness of terrain, fields and clouds."""

import zlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Field: TypeAlias = npt.NDArray[np.float64]
"""(rows, cols)."""
Mask: TypeAlias = npt.NDArray[np.bool_]
"""(rows, cols)."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one part of the landscape.

    Each part has its own, so that a change in one moves nothing in the others.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def fractal(rng: np.random.Generator, *, size: int, largest_px: float, slope: float = 2.0) -> Field:
    """Return spectral noise of mean 0 and standard deviation 1.

    Args:
        rng: where the white noise comes from.
        size: rows and columns.
        largest_px: wavelength above which the spectrum is flat.
        slope: the amplitude falls with frequency to this power; terrain is near 2.
    """
    rows, cols = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None]
    frequency = np.hypot(rows, cols)
    gain = np.maximum(frequency, 1 / largest_px) ** -slope
    gain[0, 0] = 0
    field = fft.irfft2(fft.rfft2(rng.standard_normal((size, size))) * gain, s=(size, size))
    return np.asarray(field / field.std())


def wander(rng: np.random.Generator, *, count: int, scale: float) -> npt.NDArray[np.float64]:
    """Return a smooth random curve of mean 0 and standard deviation 1.

    Args:
        rng: where the white noise comes from.
        count: samples.
        scale: samples over which it forgets where it was.
    """
    curve = ndimage.gaussian_filter1d(rng.standard_normal(count), scale, mode="wrap")
    return np.asarray((curve - curve.mean()) / curve.std())


def smoothstep(value: Field) -> Field:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)
