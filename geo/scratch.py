"""The rasters that a run leaves in its workspace, between classes and polygons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from geo.classify import Label
from geo.scene import Phase
from geo.write.cog import RasterKind

CODES = RasterKind("class", ("class",), int(Label.OUTSIDE), "nearest")
"""A raster of labels before it has colours and names."""


@dataclass(frozen=True)
class ScratchRasters:
    """Where they lie, and whose pixels they hold; all uint8 on the grid of the request."""

    classes: Path
    """A `Label` a pixel."""
    hydrography: Path
    """Where there was water before, what became of it: see `geo.classify.Classified`."""
    probability: Path
    """Per cent, 255 nodata; band 1 the event, band 2 the reference water."""
    observed: Path
    """One band a reading: the number of the scene that was seen, from 1; 0 none."""
    readings: tuple[tuple[Phase, tuple[str, ...]], ...]
    """Phase and scene ids, in the order of their numbers, of each band of `observed`."""

    @classmethod
    def in_folder(cls, folder: Path, readings: Sequence[tuple[Phase, tuple[str, ...]]]) -> Self:
        """Return the rasters of a workspace."""
        return cls(
            classes=folder / "class.tif",
            hydrography=folder / "hydrography.tif",
            probability=folder / "probability.tif",
            observed=folder / "observed.tif",
            readings=tuple(readings),
        )


def observed_kind(readings: Sequence[tuple[Phase, tuple[str, ...]]]) -> RasterKind:
    """Return the kind of the raster of scene numbers; its bands say which scenes they number."""
    texts = tuple(
        f"scene seen {phase} the event: " + ", ".join(f"{i} {s}" for i, s in enumerate(ids, 1))
        for phase, ids in readings
    )
    return RasterKind("observed", texts, 0, "nearest")
