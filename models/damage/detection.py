"""Buildings and damaged ground, found by a network through the loop over windows.

Damaged ground is debris and what stands in it, without building outlines. The network predicts for
every pixel how likely a building there would be damaged. It was trained for that on buildings
alone, so the mean over the surroundings is taken, weighted by how likely each pixel is or was one.

Measured on joplin_xbd: ground within 10 m of a building labelled major damage or destroyed
against ground within 10 m of one of minor or no damage, buildings themselves left out. Weight and
reach were chosen on tile 00000000, which damage-vhr 0.1.0 was trained on (IoU 0.91); on tile
00000002, which chose nothing, IoU 0.51, precision 0.75, recall 0.62, and AUC 0.91, or 0.89 where
ground that is not judged counts as sound, as in `aftermap evaluate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import distance_transform_edt, gaussian_filter

from geo.export.cog import RasterKind, RowBandWriter, read_part, scratch_bytes
from geo.raster.classify import NODATA_PERCENT, Finding
from geo.raster.coregistration import ShiftField
from geo.raster.grid import crs_of
from geo.store.atomic_io import require_room
from geo.types import BoolArray, CodeArray, FloatArray
from geo.vector.buildings import FoundBuildings
from models.cards.inputs import UNCLASSIFIED
from models.damage.alignment import Placement
from models.damage.buildings import Pair
from models.damage.grader import DAMAGED_FROM, Finder
from models.inference.scene_inputs import CoverageOnly, Prediction, WindowInputs
from models.inference.windows import ProgressReceiver, WindowSource, row_bands
from models.networks.tensors import SceneStatistics


@dataclass(frozen=True, eq=False)
class Searched:
    """What a network saw of a whole product; the raster is of the kind `SEARCHED`."""

    placement: Placement
    raster: Path
    buildings: FoundBuildings | None
    """None where footprints were given."""


SEARCHED = RasterKind(
    "searched",
    ("probability of a building, per cent", "probability of damage, were there one, per cent"),
    nodata=NODATA_PERCENT,
    resampling="average",
)
"""What `search` leaves: two bands, 255 where an image did not see the pixel."""


def search(
    finder: Finder,
    pair: Pair,
    geobox: GeoBox,
    *,
    after: ShiftField,
    path: Path,
    progress: ProgressReceiver,
) -> None:
    """Predict buildings and damage everywhere with a network, into a raster of the kind `SEARCHED`.

    The image after is read as far off the one before as `after` says. Where the blocks around
    contradict each other, damage is not known, and buildings are looked for with the median shift.
    The geobox is at the resolution that the network wants.
    """
    require_room(path.parent, scratch_bytes(geobox, len(SEARCHED.descriptions)))
    windows = _windows(finder, pair, geobox, after)
    with RowBandWriter(path, geobox=geobox, kind=SEARCHED, bands=2) as file:
        for band in row_bands(windows, geobox, title="finding buildings", progress=progress):
            percent = np.rint(100 * np.clip(band.values, 0, 1))
            file.write(np.where(band.codes > 0, percent, NODATA_PERCENT).astype(np.uint8))


class _PairWindow(NamedTuple):
    before: FloatArray
    after: FloatArray
    known: CodeArray
    """(2, rows, cols): where a building, and where its damage can be predicted."""


def _windows(
    finder: Finder, pair: Pair, grid: GeoBox, field: ShiftField
) -> WindowSource[_PairWindow]:
    damaged = finder.card.class_names.index(Finding.DAMAGED)

    def read(box: GeoBox) -> _PairWindow:
        (down, right), sure = _shift(field, grid, box)
        moved = GeoBox(box.shape, box.affine @ Affine.translation(right, down), crs_of(box))
        before, after = pair.before.read(box), pair.after.read(moved)
        seen: BoolArray = before.valid & after.valid
        known = np.stack([seen, seen & sure]).astype(np.uint8)
        return _PairWindow(before.pixels, after.pixels, known)

    def predict(batch: Sequence[_PairWindow]) -> list[tuple[FloatArray, CodeArray]]:
        found = []
        for before, after, known in batch:
            planes = np.zeros(known.shape, np.float32)
            if known.any():
                planes = finder.probabilities(before, after)[[0, damaged]]
            found.append((planes, known))
        return found

    return WindowSource(finder.card.window_px, finder.card.overlap_px, (2, 2), read, predict)


def _shift(field: ShiftField, grid: GeoBox, box: GeoBox) -> tuple[tuple[float, float], bool]:
    """Return how far down and right the image after lies, and whether that is sure."""
    if not field.is_translation:
        return (0.0, 0.0), True
    row, col = _corner(grid, box)
    rows, cols = box.shape
    down, right = field.at(np.array([row + rows / 2]), np.array([col + cols / 2]))[0]
    if np.isfinite(down):
        return (float(down), float(right)), True
    return field.median, False


def _corner(grid: GeoBox, box: GeoBox) -> tuple[int, int]:
    """Return the row and column of a grid at which a window of it begins."""
    col, row = (round(at) for at in ~grid.affine @ (box.affine.c, box.affine.f))
    return row, col


REACH_M = 10.0
"""Deviation of the Gaussian weights of the surroundings."""
LEAST_BUILT = 0.05
"""Mean probability of a building around a place, from which its ground is judged."""
NEAR_M = 10.0
"""Of a labelled building: ground that counts as its own when labels score this."""
_CUT = 3.0
"""Deviations beyond which nothing has weight."""


def damaged_ground(built: FloatArray, damage: FloatArray, *, pixel_m: float) -> FloatArray:
    """Return the probability that ground is damaged, (rows, cols); NaN where it is not judged.

    Args:
        built: (rows, cols), probability of a building; NaN where not seen.
        damage: the same of major damage or worse, were there one; NaN also where not comparable.
    """
    seen = np.isfinite(built) & np.isfinite(damage)
    weight = np.where(seen, built, np.float32(0))
    total = _around(weight, pixel_m)
    weighted = _around(np.where(seen, weight * damage, np.float32(0)), pixel_m)
    mean = weighted / np.maximum(total, 1e-6)
    return np.where(seen & (total >= LEAST_BUILT), mean, np.nan).astype(np.float32)


def labelled_ground(mask: CodeArray, *, pixel_m: float) -> CodeArray:
    """Return what labels say of the ground, (rows, cols): 1 damaged, 0 sound, 255 not known.

    Ground is damaged near a building of major damage or destroyed, and sound near another; near
    both, near one without a grade, or under a building it is not known. Masks are as those of xBD.
    """
    graded = (mask > 0) & (mask != UNCLASSIFIED)
    damaged = _near(graded & (mask >= DAMAGED_FROM), pixel_m)
    sound = _near(graded & (mask < DAMAGED_FROM), pixel_m)
    open_ground = (mask == 0) & (damaged != sound) & ~_near(mask == UNCLASSIFIED, pixel_m)
    return np.where(open_ground, damaged, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class DamagedGround(CoverageOnly):
    """A reader for the map: what was observed, and where the `SEARCHED` raster shows damage."""

    searched: Path
    grid: GeoBox
    least: float
    """Probability from which ground is damaged."""

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        return {Finding.DAMAGED: self.least}

    def predict(
        self, batch: Sequence[WindowInputs], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Prediction]:
        return [
            replace(part, probabilities=self._ground(seen)[None])
            for seen, part in zip(batch, super().predict(batch, statistics), strict=True)
        ]

    def _ground(self, seen: WindowInputs) -> FloatArray:
        box = next(iter(seen.values())).geobox
        row, col = _corner(self.grid, box)
        pixel_m = abs(self.grid.resolution.x)
        margin = int(np.ceil(_CUT * REACH_M / pixel_m)) + 1
        (top, bottom), (left, right) = (
            (max(0, at - margin), min(length, at + size + margin))
            for at, size, length in zip((row, col), box.shape, self.grid.shape, strict=True)
        )
        percent = read_part(self.searched, slice(top, bottom), slice(left, right))
        shares = np.where(percent == NODATA_PERCENT, np.nan, percent / 100).astype(np.float32)
        ground = damaged_ground(shares[0], shares[1], pixel_m=pixel_m)
        rows, cols = box.shape
        return ground[row - top : row - top + rows, col - left : col - left + cols]


def _around(values: FloatArray, pixel_m: float) -> FloatArray:
    return np.asarray(
        gaussian_filter(values, REACH_M / pixel_m, truncate=_CUT, mode="constant"), np.float32
    )


def _near(buildings: BoolArray, pixel_m: float) -> BoolArray:
    if not buildings.any():
        return np.zeros_like(buildings)
    return np.asarray(distance_transform_edt(~buildings) * pixel_m <= NEAR_M)
