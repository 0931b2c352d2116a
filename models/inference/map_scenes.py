"""Scenes in, class, probability and origin rasters out: the loop over windows, classified.

Memory follows the width of the grid and the window, never its height.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
from models.inference.scene_inputs import CrossCheck, Reader, SceneInput, WindowInputs, read
from models.inference.windows import ProgressReceiver, row_bands
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
        reader: the scenes as the model wants them, and the model.
        area: the area of interest in the CRS of the grid.
        folder: where the scratch rasters go.
        notation: what the event is called in the class raster, "Flooded area" say.

    Raises:
        SceneUnreadable: where pixels cannot be decoded.
        NothingObserved: where not one pixel of the area could be used.
        StoreError: where the disk has no room.
    """
    rows, cols = geobox.shape
    grid = lattice((rows, cols), size=reader.window_px, overlap=reader.overlap_px)
    statistics = reader.scene_statistics(spread(grid, geobox, reader.window_px))
    out = ScratchRasters.in_folder(folder, [(r.phase, _ids(r)) for r in reader.inputs])
    count = _Count(reader.inputs)
    bands = row_bands(
        _SceneWindows(reader, statistics), geobox, title=_title(reader), progress=progress
    )
    with _Writers(out, geobox, notation) as write:
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


class _Writers:
    """The scratch rasters, open side by side."""

    def __init__(self, out: ScratchRasters, geobox: GeoBox, notation: str) -> None:
        self._stack = ExitStack()
        self._kinds = (
            (out.classes, class_kind(notation), 1),
            (out.hydrography, CODES, 1),
            (out.probability, PROBABILITY, 2),
            (out.observed, observed_kind(out.inputs), len(out.inputs)),
        )
        self._geobox = geobox
        self._files: list[RowBandWriter] = []

    def __enter__(self) -> Self:
        bands = sum(n for _, _, n in self._kinds)
        require_room(self._kinds[0][0].parent, scratch_bytes(self._geobox, bands))
        self._files = [
            self._stack.enter_context(RowBandWriter(path, geobox=self._geobox, kind=kind, bands=n))
            for path, kind, n in self._kinds
        ]
        return self

    def __call__(self, done: Classified, observed: CodeArray) -> None:
        percent = np.stack([done.event_percent, done.reference_percent])
        for file, rows in zip(
            self._files, (done.label, done.hydrography, percent, observed), strict=True
        ):
            file.write(rows)

    def __exit__(self, *failure: Any) -> bool | None:
        return self._stack.__exit__(*failure)


def _ids(reading: SceneInput) -> tuple[str, ...]:
    return tuple(scene.id for scene in reading.mosaic.scenes)


def _title(reader: Reader) -> str:
    """Return which scenes are being mapped, the first by name."""
    names = [name for reading in reader.inputs for name in _ids(reading)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


@dataclass(frozen=True)
class _SceneWindows:
    """A reader as the loop over windows wants it, once the scenes are measured."""

    reader: Reader
    statistics: Mapping[str, SceneStatistics]

    @property
    def window_px(self) -> int:
        return self.reader.window_px

    @property
    def overlap_px(self) -> int:
        return self.reader.overlap_px

    @property
    def batch(self) -> int:
        return self.reader.batch

    @property
    def layers(self) -> tuple[int, int]:
        return len(self.reader.thresholds), 4 + len(self.reader.inputs)

    def read(self, geobox: GeoBox) -> WindowInputs:
        return read(self.reader, geobox)

    def predict(self, batch: Sequence[WindowInputs]) -> list[tuple[FloatArray, CodeArray]]:
        """Return probabilities; and valid, valid before, reason, cross-check, origins."""
        return [
            (
                part.probabilities,
                np.stack(
                    [part.valid, part.valid_before, part.reason, part.cross_check, *part.origins]
                ).astype(np.uint8),
            )
            for part in self.reader.predict(batch, self.statistics)
        ]


def _strips(
    bands: Iterable[RowBand], area: BaseGeometry, geobox: GeoBox
) -> Iterator[tuple[RowBand, BoolArray]]:
    """Yield strips of row bands, and which of their pixel centres lie in the area."""
    for band in bands:
        inside = _inside(area, geobox, band)
        for strip in band.strips(STRIP_ROWS):
            yield strip, inside[strip.start - band.start : strip.stop - band.start]
        del band  # before the next one comes together


def _inside(area: BaseGeometry, geobox: GeoBox, band: RowBand) -> BoolArray:
    """Return which pixel centres of a row band lie in the area."""
    part = geobox[band.start : band.stop, :]
    outside = geometry_mask([area], out_shape=tuple(part.shape), transform=part.affine)
    return np.asarray(~outside)


def spread(grid: Lattice, geobox: GeoBox, size: int) -> list[GeoBox]:
    """Return whole-resolution windows spread evenly over the grid."""
    windows: Sequence[Window] = list(grid)
    wanted = max(1, min(len(windows), SAMPLE_PIXELS // size**2))
    chosen = np.unique(np.linspace(0, len(windows) - 1, wanted).round().astype(int))
    return [geobox[windows[index].slices] for index in chosen]


class _Count:
    """Counts labels and scenes while row bands go by."""

    def __init__(self, readings: Sequence[SceneInput]) -> None:
        self._ids = [_ids(reading) for reading in readings]
        self._labels = np.zeros(256, np.int64)
        self._compared = np.zeros(len(CrossCheck), np.int64)
        self._origins = np.zeros((len(readings), 256), np.int64)

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
        total = sum(self.labels.values())
        if not total:
            raise NothingObserved(
                "no pixel of the map has its centre in the area; give a smaller --resolution, or "
                "a larger --area"
            )
        raise NothingObserved(
            f"none of the {total} pixels of the area could be used: "
            + ", ".join(f"{count} {REASONS[Label(value)]}" for value, count in self.labels.items())
            + "; give other scenes, or another --area"
        )
