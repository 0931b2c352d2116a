"""Where a network sees buildings and damage: a whole grid, window by window, into a raster."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from geo.align import ShiftField
from geo.classify import NODATA_PERCENT, Finding
from geo.durable import require_room
from geo.found import FoundBuildings
from geo.grid import crs_of
from geo.mosaic import RowBand, RowMosaic
from geo.raster import BoolArray, CodeArray, FloatArray
from geo.windows import Window, lattice
from geo.write.cog import RasterKind, RowBandWriter, scratch_bytes
from models.grading.grader import Finder
from models.grading.pair import Pair
from models.grading.place import Placement
from models.mapping import Progress


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
    progress: Progress,
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
    finder: Finder, pair: Pair, geobox: GeoBox, after: ShiftField, progress: Progress
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
