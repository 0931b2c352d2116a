"""Scenes in, class, probability and origin rasters out: the loop over windows, classified."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from geo.errors import NothingObserved
from geo.export.cog import (
    CODES,
    PROBABILITY,
    RowBandWriter,
    ScratchRasters,
    class_kind,
    observed_kind,
    scratch_bytes,
)
from geo.raster.classify import REASONS, Classified, Label, Observation, classify
from geo.raster.windows import Lattice, RowBand, Window, lattice
from geo.store.atomic_io import require_room
from geo.types import BoolArray, CodeArray, FloatArray
from models.inference.scene_inputs import CrossCheck, Reader, WindowInputs, read
from models.inference.windows import ProgressReceiver, WindowSource, row_bands
from models.networks.tensors import SceneStatistics

STRIP_ROWS = 64
"""Rows classified at once: few, so that what is made on the way stays in the processor's cache."""
SAMPLE_PIXELS = 16 * 2**20
"""Pixels of whole-resolution windows, spread over the grid, that the scene statistics look at."""


@dataclass(frozen=True)
class Mapped:
    """What the loop leaves in its folder, and what it counted on the way."""

    rasters: ScratchRasters
    label_pixels: Mapping[int, int]
    """Pixels by `Label`, those outside of the area left out."""
    scene_pixels: Mapping[str, int]
    """Pixels that each scene gave, by scene id."""
    statistics: Mapping[str, SceneStatistics]
    """What was measured in the whole scene, by phase or "all"."""
    cross_checked_by: str | None
    """Name of the detector beside the network; None where there was none."""
    cross_check_pixels: Mapping[int, int]
    """Pixels of the area by `models.inference.scene_inputs.CrossCheck`."""
    windows: int


def map_scenes(
    reader: Reader,
    *,
    area: BaseGeometry,
    geobox: GeoBox,
    folder: Path,
    notation: str,
    progress: ProgressReceiver,
) -> Mapped:
    """Read, predict, blend and classify a grid, window by window.

    Args:
        area: the area of interest in the CRS of the grid.
        notation: what the event is called in the class raster, "Flooded area" say.

    Raises:
        SceneUnreadable: where pixels cannot be decoded.
        NothingObserved: where not one pixel of the area could be used.
        StoreError: where the disk has no room.
    """
    rows, cols = geobox.shape
    grid = lattice((rows, cols), size=reader.window_px, overlap=reader.overlap_px)
    statistics = reader.scene_statistics(spread(grid, geobox, reader.window_px))
    ids = [tuple(scene.id for scene in part.mosaic.scenes) for part in reader.inputs]
    phases = [part.phase for part in reader.inputs]
    out = ScratchRasters.in_folder(folder, list(zip(phases, ids, strict=True)))
    count = _Count(ids)
    first, *others = (name for names in ids for name in names)
    title = f"{first} and {len(others)} more" if others else first
    bands = row_bands(_windows(reader, statistics), geobox, title=title, progress=progress)
    with _writer(out, geobox, notation) as write:
        for strip, inside in _strips(bands, area, geobox):
            done = classify(
                dict(zip(reader.thresholds, strip.values, strict=True)),
                reader.thresholds,
                Observation(inside, strip.codes[0] > 0, strip.codes[1] > 0, strip.codes[2]),
                default_label=reader.default_label,
            )
            compared, *origins = np.where(inside, strip.codes[3:], np.uint8(0))
            observed = np.stack(origins)
            write(done, observed)
            count.add(done.label, observed, compared)
    count.require_something()
    return Mapped(
        rasters=out,
        label_pixels=count.labels,
        scene_pixels=count.scenes,
        statistics=statistics,
        cross_checked_by=reader.cross_checked_by,
        cross_check_pixels=count.cross_checks,
        windows=len(grid),
    )


@contextmanager
def _writer(
    out: ScratchRasters, geobox: GeoBox, notation: str
) -> Iterator[Callable[[Classified, CodeArray], None]]:
    kinds = (
        (out.classes, class_kind(notation), 1),
        (out.hydrography, CODES, 1),
        (out.probability, PROBABILITY, 2),
        (out.observed, observed_kind(out.inputs), len(out.inputs)),
    )
    require_room(out.classes.parent, scratch_bytes(geobox, sum(n for _, _, n in kinds)))
    with ExitStack() as stack:
        files = [
            stack.enter_context(RowBandWriter(path, geobox=geobox, kind=kind, bands=n))
            for path, kind, n in kinds
        ]

        def write(done: Classified, observed: CodeArray) -> None:
            percent = np.stack([done.event_percent, done.reference_percent])
            rows = (done.label, done.hydrography, percent, observed)
            for file, part in zip(files, rows, strict=True):
                file.write(part)

        yield write


def _windows(
    reader: Reader, statistics: Mapping[str, SceneStatistics]
) -> WindowSource[WindowInputs]:

    def predict(batch: Sequence[WindowInputs]) -> list[tuple[FloatArray, CodeArray]]:
        found = []
        for part in reader.predict(batch, statistics):
            codes = [part.valid, part.valid_before, part.reason, part.cross_check, *part.origins]
            found.append((part.probabilities, np.stack(codes).astype(np.uint8)))
        return found

    return WindowSource(
        window_px=reader.window_px,
        overlap_px=reader.overlap_px,
        layers=(len(reader.thresholds), 4 + len(reader.inputs)),
        read=partial(read, reader),
        predict=predict,
        batch=reader.batch,
    )


def _strips(
    bands: Iterable[RowBand], area: BaseGeometry, geobox: GeoBox
) -> Iterator[tuple[RowBand, BoolArray]]:
    """Yield strips of row bands, and which of their pixel centres lie in the area."""
    for band in bands:
        part = geobox[band.start : band.stop, :]
        inside = ~geometry_mask([area], out_shape=tuple(part.shape), transform=part.affine)
        for strip in band.strips(STRIP_ROWS):
            yield strip, inside[strip.start - band.start : strip.stop - band.start]
        del band  # before the next one comes together


def spread(grid: Lattice, geobox: GeoBox, size: int) -> list[GeoBox]:
    """Return whole-resolution windows spread evenly over the grid."""
    windows: Sequence[Window] = list(grid)
    wanted = max(1, min(len(windows), SAMPLE_PIXELS // size**2))
    chosen = np.unique(np.linspace(0, len(windows) - 1, wanted).round().astype(int))
    return [geobox[windows[index].slices] for index in chosen]


class _Count:
    def __init__(self, ids: Sequence[tuple[str, ...]]) -> None:
        self._ids = ids
        self._labels = np.zeros(256, np.int64)
        self._compared = np.zeros(len(CrossCheck), np.int64)
        self._origins = np.zeros((len(ids), 256), np.int64)

    def add(self, label: CodeArray, origins: CodeArray, compared: CodeArray) -> None:
        self._labels += np.bincount(label.ravel(), minlength=256)
        self._compared += np.bincount(compared.ravel(), minlength=len(CrossCheck))
        self._origins += [np.bincount(origin.ravel(), minlength=256) for origin in origins]

    @property
    def labels(self) -> dict[int, int]:
        return {value: int(n) for value, n in enumerate(self._labels) if n and value}

    @property
    def cross_checks(self) -> dict[int, int]:
        return {compared: int(self._compared[compared]) for compared in CrossCheck if compared}

    @property
    def scenes(self) -> dict[str, int]:
        return {
            scene: int(total[number])
            for ids, total in zip(self._ids, self._origins, strict=True)
            for number, scene in enumerate(ids, 1)
        }

    def require_something(self) -> None:
        seen = {int(Label.NO_MODEL), int(Label.OUT_OF_DOMAIN)}
        if any(value < Label.NO_IMAGERY or value in seen for value in self.labels):
            return
        if not self.labels:
            raise NothingObserved(
                "no pixel of the map has its centre in the area; give a smaller --resolution, or "
                "a larger --area"
            )
        counts = ", ".join(f"{n} {REASONS[Label(value)]}" for value, n in self.labels.items())
        raise NothingObserved(
            f"none of the {sum(self.labels.values())} pixels of the area could be used: {counts}; "
            "give other scenes, or another --area"
        )
