"""Where a network sees buildings and damage: a whole grid, window by window, into a raster.

Damaged ground: debris and what stands in it, without the outline of any building.

The network that finds buildings says of every pixel how likely a building there would be damaged.
It learned that on buildings alone, so the mean over the surroundings is taken, weighted by how
likely each pixel is or was one; where next to nothing is, nothing is said.

Measured on joplin_xbd: ground within 10 m of a building labelled major damage or destroyed
against ground within 10 m of one of minor or no damage, buildings themselves left out. Weight and
reach were chosen on tile 00000000, which damage-vhr 0.1.0 learned from (IoU 0.91); on tile
00000002, which chose nothing, IoU 0.51, precision 0.75, recall 0.62, and AUC 0.91, or 0.89 where
ground that is not judged counts as sound, as in `aftermap evaluate`. What was tried beside it, each
learned from the other tile (00000002, 00000000):

| method | AUC | IoU |
|---|---|---|
| damage-features on squares of 16 m, 20 m apart | 0.865, 0.840 | 0.45, 0.77 |
| a regression on 14 measures of texture and colour, mean over 15 m | 0.824, 0.912 | 0.37, 0.80 |
| loss of correlation over 15 m alone | 0.744, 0.679 | |
| the network's probability, plain mean over 10 m | 0.908 | 0.46 |
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import distance_transform_edt, gaussian_filter

from geo.export.cog import RasterKind, RowBandWriter, read_part, scratch_bytes
from geo.raster.classify import NODATA_PERCENT, Finding, Label
from geo.raster.coregistration import ShiftField
from geo.raster.grid import crs_of
from geo.raster.windows import RowBand, RowMosaic, Window, lattice
from geo.store.atomic_io import require_room
from geo.types import BoolArray, CodeArray, FloatArray
from geo.vector.buildings import FoundBuildings
from models.cards.inputs import UNCLASSIFIED
from models.damage.alignment import Placement
from models.damage.buildings import Pair
from models.damage.grader import Finder
from models.damage.grades import DAMAGED_FROM
from models.inference.map_scenes import ProgressReceiver
from models.inference.scene_inputs import Answer, CoverageOnly, SceneInput, Seen
from models.networks.tensors import SceneStatistics


@dataclass(frozen=True, eq=False)
class Searched:
    """What a network saw of a whole product."""

    placement: Placement
    raster: Path
    """See `SEARCHED`."""
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
    """Ask a network for buildings and damage everywhere, and blend what it says of windows.

    Where both images lie is seen from the image before: each window of the one after is read
    as far off as it was found to lie. Where the blocks around contradict each other, damage is
    not seen, and buildings are looked for with the shift of the others. Memory follows the
    window and the width of the grid.

    Args:
        geobox: at the resolution that the network wants.
        after: how far the image after lies from the one before.
        path: of the raster, see `SEARCHED`.

    Raises:
        SceneUnreadable: where pixels cannot be decoded.
        StoreError: where the disk has no room.
    """
    require_room(path.parent, scratch_bytes(geobox, len(SEARCHED.descriptions)))
    with RowBandWriter(path, geobox=geobox, kind=SEARCHED, bands=2) as file:
        for band in _bands(finder, pair, geobox, after, progress):
            file.write(_percent(band))


def _bands(
    finder: Finder, pair: Pair, geobox: GeoBox, after: ShiftField, progress: ProgressReceiver
) -> Iterator[RowBand]:
    """Yield finished rows from the top."""
    card = finder.card
    rows, cols = geobox.shape
    grid = lattice((rows, cols), size=card.window_px, overlap=card.overlap_px)
    mosaic = RowMosaic(width=cols, window_rows=min(card.window_px, rows), layers=2, code_layers=2)
    progress.start("finding buildings", len(grid))
    for number, span in enumerate(grid.rows):
        for across in grid.cols:
            window = Window(span, across)
            mosaic.feed(window, *_answer(finder, pair, geobox, window, after))
            progress.advance()
        last = number == len(grid.rows) - 1
        yield mosaic.drain(span.stop if last else grid.rows[number + 1].start)


def _answer(
    finder: Finder, pair: Pair, geobox: GeoBox, window: Window, field: ShiftField
) -> tuple[FloatArray, CodeArray]:
    """Return probability of building and of damage, and where each is known, of a window."""
    box = geobox[window.slices]
    off, sure = _off(field, window)
    before = pair.before.read(box)
    after = pair.after.read(_moved(box, off))
    seen: BoolArray = before.valid & after.valid
    known = np.stack([seen, seen & sure]).astype(np.uint8)
    if not seen.any():
        return np.zeros(known.shape, np.float32), known
    answer = finder.probabilities(before.pixels, after.pixels)
    return answer[[0, finder.card.class_names.index(Finding.DAMAGED)]], known


def _off(field: ShiftField, window: Window) -> tuple[tuple[float, float], bool]:
    """Return how far down and right the image after lies, and whether that is sure."""
    if not field.is_translation:
        return (0.0, 0.0), True
    middle = [np.array([(span.start + span.stop) / 2]) for span in (window.rows, window.cols)]
    down, right = field.at(*middle)[0]
    if np.isfinite(down):
        return (float(down), float(right)), True
    return field.median, False


def _moved(box: GeoBox, off: tuple[float, float]) -> GeoBox:
    """Return a grid that lies so many pixels further down and right."""
    down, right = off
    return GeoBox(box.shape, box.affine @ Affine.translation(right, down), crs_of(box))


def _percent(band: RowBand) -> CodeArray:
    percent = np.rint(100 * np.clip(band.values, 0, 1))
    return np.where(band.codes > 0, percent, NODATA_PERCENT).astype(np.uint8)


REACH_M = 10.0
"""Deviation of the Gaussian weights of the surroundings."""
LEAST_BUILT = 0.05
"""Mean probability of a building around a place, from which its ground is judged."""
LEAST_M2 = 300.0
"""Smaller areas are left out where no --min-area is given: one garden."""
NEAR_M = 10.0
"""Of a labelled building: ground that counts as its own when labels score this."""
_CUT = 3.0
"""Deviations beyond which nothing has weight."""


def damaged_ground(built: FloatArray, damage: FloatArray, *, pixel_m: float) -> FloatArray:
    """Return the probability that ground is damaged, (rows, cols); NaN where it is not judged.

    Args:
        built: (rows, cols), probability of a building; NaN where not seen.
        damage: (rows, cols), probability of major damage or worse, were there one; NaN where
            the images were not seen or could not be compared.
        pixel_m: size of a pixel.
    """
    seen = np.isfinite(built) & np.isfinite(damage)
    weight = np.where(seen, built, np.float32(0))
    total = _around(weight, pixel_m)
    mean = _around(weight * np.where(seen, damage, np.float32(0)), pixel_m) / np.maximum(
        total, 1e-6
    )
    return np.where(seen & (total >= LEAST_BUILT), mean, np.nan).astype(np.float32)


def labelled_ground(mask: CodeArray, *, pixel_m: float) -> CodeArray:
    """Return what labels say of the ground, (rows, cols): 1 damaged, 0 sound, 255 not known.

    Ground is damaged near a building of major damage or destroyed, and sound near another; near
    both, near one without a grade, or under a building it is not known.

    Args:
        mask: as those of xBD.
    """
    graded = (mask > 0) & (mask != UNCLASSIFIED)
    damaged = _near(graded & (mask >= DAMAGED_FROM), pixel_m)
    sound = _near(graded & (mask < DAMAGED_FROM), pixel_m)
    open_ground = (mask == 0) & (damaged != sound) & ~_near(mask == UNCLASSIFIED, pixel_m)
    return np.where(open_ground, damaged, 255).astype(np.uint8)


@dataclass(frozen=True)
class DamagedGround:
    """A reader for the loop over windows: what was seen, and where the ground is damaged."""

    coverage: CoverageOnly
    searched: Path
    """See `models.damage.detection.SEARCHED`."""
    grid: GeoBox
    """Of that raster."""
    least: float
    """Probability from which ground is damaged."""

    batch = 1
    cross_checked_by = None
    overlap_px = 0

    @property
    def inputs(self) -> tuple[SceneInput, ...]:
        """Those of the pair."""
        return self.coverage.inputs

    @property
    def window_px(self) -> int:
        """Side of a window."""
        return self.coverage.window_px

    @property
    def default_label(self) -> Label:
        """What was compared."""
        return self.coverage.default_label

    @property
    def thresholds(self) -> Mapping[Finding, float]:
        """Of the one finding."""
        return {Finding.DAMAGED: self.least}

    def scene_statistics(self, samples: Sequence[GeoBox]) -> Mapping[str, SceneStatistics]:
        """What is known of the pair."""
        return self.coverage.scene_statistics(samples)

    def in_domain(self, seen: Seen, statistics: Mapping[str, SceneStatistics]) -> Seen:
        """A window without what is not trusted."""
        return self.coverage.in_domain(seen, statistics)

    def predict(
        self, batch: Sequence[Seen], statistics: Mapping[str, SceneStatistics]
    ) -> Sequence[Answer]:
        """Say what was seen, and where the ground is damaged."""
        answers = self.coverage.predict(batch, statistics)
        return [
            replace(answer, probabilities=self._ground(seen)[None])
            for seen, answer in zip(batch, answers, strict=True)
        ]

    def _ground(self, seen: Seen) -> FloatArray:
        """Return the probability in a window; its surroundings are read, too."""
        box = next(iter(seen.values())).geobox
        col, row = (round(at) for at in ~self.grid.affine @ (box.affine.c, box.affine.f))
        pixel_m = abs(self.grid.resolution.x)
        margin = int(np.ceil(_CUT * REACH_M / pixel_m)) + 1
        (top, bottom), (left, right) = (
            (max(0, at - margin), min(length, at + size + margin))
            for at, size, length in zip((row, col), box.shape, self.grid.shape, strict=True)
        )
        built, damage = _shares(read_part(self.searched, slice(top, bottom), slice(left, right)))
        ground = damaged_ground(built, damage, pixel_m=pixel_m)
        rows, cols = box.shape
        return ground[row - top : row - top + rows, col - left : col - left + cols]


def _shares(percent: CodeArray) -> FloatArray:
    return np.where(percent == NODATA_PERCENT, np.nan, percent / 100).astype(np.float32)


def _around(values: FloatArray, pixel_m: float) -> FloatArray:
    return np.asarray(
        gaussian_filter(values, REACH_M / pixel_m, truncate=_CUT, mode="constant"), np.float32
    )


def _near(buildings: BoolArray, pixel_m: float) -> BoolArray:
    if not buildings.any():
        return np.zeros_like(buildings)
    return np.asarray(distance_transform_edt(~buildings) * pixel_m <= NEAR_M)
