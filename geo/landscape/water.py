"""Water: the lakes, the flood, and the truth about both."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geo.landscape.noise import Field, Mask, stream
from geo.landscape.relief import Relief


class Truth(IntEnum):
    """Value of a pixel of the truth."""

    DRY = 0
    FLOODED = 1
    PERMANENT_WATER = 2


def rise_of_share(relief: Relief, *, share: float) -> float:
    """Return how high the river rises over its flood plain to cover a share of the map, m.

    The first of steps of 0.1 m that covers it, at most 6 m.
    """
    dry = ~relief.river
    for rise in np.arange(0.5, 6.0, 0.1):
        if (flood_depth_m(relief, rise_m=rise) > 0)[dry].sum() >= share * relief.river.size:
            return float(rise)
    return 6.0


def flood_depth_m(relief: Relief, *, rise_m: float) -> Field:
    """Return the depth of the water, 0 where it is dry, metres.

    The water stands at one height over the flood plain and reaches what lies lower and is
    connected to the river: a hollow behind a ridge stays dry.
    """
    depth = relief.base_m + rise_m - relief.elevation_m
    bodies, _ = ndimage.label(depth > 0)
    reached = np.unique(bodies[relief.river & (depth > 0)])
    return np.where(np.isin(bodies, reached) & (depth > 0), depth, 0.0)


def make_lakes(seed: int, *, relief: Relief) -> Mask:
    """Return an oxbow lake and a gravel pit in the flood plain, near the river."""
    rng = stream(seed, "lakes")
    size = len(relief.river)
    rows, cols = np.mgrid[:size, :size].astype(float)
    edge = np.minimum.reduce([rows, cols, size - 1 - rows, size - 1 - cols])
    plain = (relief.hills == 0) & (edge > size // 10)
    oxbow_at = _somewhere(rng, plain & (relief.river_px > 22) & (relief.river_px < 32))
    far = np.hypot(rows - oxbow_at[0], cols - oxbow_at[1]) > size / 5
    pit_at = _somewhere(rng, plain & far & (relief.river_px > 25) & (relief.river_px < 50))
    turn = rng.uniform(0, 2 * np.pi, 2)
    return _oxbow(rows - oxbow_at[0], cols - oxbow_at[1], turn=turn[0]) | _pit(
        rows - pit_at[0], cols - pit_at[1], turn=turn[1]
    )


def _somewhere(rng: np.random.Generator, where: Mask) -> npt.NDArray[np.int64]:
    """Return row and column of one of the pixels, or of the middle where there is none."""
    places = np.argwhere(where)
    return places[rng.integers(len(places))] if len(places) else np.array(where.shape) // 2


def _oxbow(rows: Field, cols: Field, *, turn: float) -> Mask:
    """Return a cut-off bend around a place: two thirds of a ring that thins out at its ends."""
    angle = np.abs((np.arctan2(rows, cols) - turn + np.pi) % (2 * np.pi) - np.pi)
    half_width = 2.6 * np.sqrt(np.clip(1 - angle / 2.1, 0, 1))
    return np.asarray(np.abs(np.hypot(rows, 1.15 * cols) - 12) < half_width)


def _pit(rows: Field, cols: Field, *, turn: float) -> Mask:
    """Return a gravel pit around a place: a rectangle with round corners, 280 m by 160 m."""
    along = cols * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - cols * np.sin(turn)
    return np.asarray((along / 14) ** 4 + (across / 8) ** 4 < 1)


def truth_of(depth_m: Field, *, permanent: Mask) -> npt.NDArray[np.uint8]:
    """Return the truth, (rows, cols), values of `Truth`."""
    flooded = np.where(depth_m > 0, Truth.FLOODED, Truth.DRY)
    return np.where(permanent, Truth.PERMANENT_WATER, flooded).astype(np.uint8)
