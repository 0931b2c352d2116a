"""Patches: polygons of one class with their probability and the scenes that saw them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geo.attribute import Zones, zonal_statistics
from geo.classify import Label
from geo.grid import crs_of
from geo.polygons import PolygonArray, Traced, simplify, to_lonlat, to_shapely, trace
from geo.raster import CodeArray
from geo.scene import Phase
from geo.scratch import ScratchRasters
from geo.write.cog import row_bands

SceneIds: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Ids of the scenes before and of the scenes after."""

_NO_PATCHES = (Label.OUTSIDE, Label.UNAFFECTED, Label.COMPARED)
"""Labels of which there is nothing to draw."""
_BEFORE = (Label.REFERENCE_WATER, Label.RECEDED_WATER)
"""Labels whose probability is that of the before image."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Polygons in lon-lat, all arrays in the same order."""

    geometries: PolygonArray
    """(patches,) Polygon or MultiPolygon, WGS 84, outlines simplified."""
    labels: CodeArray
    """(patches,), a `Label`."""
    percent: npt.NDArray[np.float64]
    """(patches,), mean probability of its pixels, per cent; NaN where there is none."""
    scenes: tuple[SceneIds, ...]
    """For each patch the ids of the scenes before and after that its pixels came from."""

    def only(self, labels: Collection[int]) -> "Patches":
        """Return the patches of some labels."""
        which = np.flatnonzero(np.isin(self.labels, list(labels)))
        return Patches(
            self.geometries[which],
            self.labels[which],
            self.percent[which],
            tuple(self.scenes[index] for index in which),
        )


@dataclass(frozen=True)
class Outlines:
    """How outlines are made of pixels."""

    min_area_m2: float
    """Minimum mapping unit: smaller patches are left out, save those not analysed."""
    simplify_m: float
    """Tolerance of the simplification, metres; 0 keeps the edges of the pixels."""


def class_patches(
    rasters: ScratchRasters, geobox: GeoBox, outlines: Outlines
) -> tuple[Patches, Counter[int]]:
    """Return what was found, what was water before, and what was not analysed.

    They are one coverage: neighbours keep their common edges, whatever layer they go to.
    Beside them, the pixels by label in patches below the minimum mapping unit.
    """
    keep = [label for label in Label if label not in _NO_PATCHES]
    return _patches(lambda: _labels(rasters), rasters, geobox, keep=keep, outlines=outlines)


def hidden_water(
    rasters: ScratchRasters, geobox: GeoBox, outlines: Outlines
) -> tuple[Patches, Counter[int]]:
    """Return the water before that could not be seen after; it lies under "not analysed"."""
    keep = [Label.REFERENCE_WATER]
    return _patches(lambda: _hidden(rasters), rasters, geobox, keep=keep, outlines=outlines)


def together(one: Patches, other: Patches) -> Patches:
    """Return the patches of both."""
    return Patches(
        np.concatenate([one.geometries, other.geometries]),
        np.concatenate([one.labels, other.labels]),
        np.concatenate([one.percent, other.percent]),
        one.scenes + other.scenes,
    )


def _patches(
    bands: Callable[[], Iterator[CodeArray]],
    rasters: ScratchRasters,
    geobox: GeoBox,
    *,
    keep: Collection[int],
    outlines: Outlines,
) -> tuple[Patches, Counter[int]]:
    width = geobox.shape[1]
    traced = trace(bands(), width=width, keep=keep, min_pixels=_smallest(geobox, keep, outlines))
    zones = zonal_statistics(traced, _measured(rasters), width=width)
    polygons = to_shapely(traced, geobox.affine)
    if outlines.simplify_m > 0:
        polygons = simplify(polygons, tolerance_m=outlines.simplify_m)
    patches = Patches(
        geometries=to_lonlat(polygons, crs_of(geobox)),
        labels=traced.values,
        percent=zones.percent,
        scenes=_scenes(zones, rasters),
    )
    return patches, _left_out(bands(), traced, keep)


def _smallest(geobox: GeoBox, keep: Collection[int], outlines: Outlines) -> dict[int, int]:
    """Return by label the fewest pixels of a patch that is kept.

    A patch that was not seen is kept however small: leaving it out would call it dry.
    """
    pixel_m2 = abs(geobox.resolution.x * geobox.resolution.y)
    fewest = int(np.ceil(outlines.min_area_m2 / pixel_m2 - 1e-9))
    return {label: fewest for label in keep if label < Label.NO_IMAGERY}


def _left_out(bands: Iterator[CodeArray], traced: Traced, keep: Collection[int]) -> Counter[int]:
    """Return the pixels of each label that are in no polygon."""
    total = sum((np.bincount(band.ravel(), minlength=256) for band in bands), np.zeros(256, int))
    inside = np.bincount(traced.values, weights=traced.pixels, minlength=256).astype(int)
    return Counter({label: int(total[label] - inside[label]) for label in keep if total[label]})


def _measured(rasters: ScratchRasters) -> Iterator[tuple[CodeArray, CodeArray]]:
    """Yield for each row band the probability of its labels, and the scenes of its pixels."""
    files = (rasters.classes, rasters.probability, rasters.observed)
    for labels, percent, observed in zip(*map(row_bands, files), strict=True):
        before = np.isin(labels[0], _BEFORE)
        yield np.where(before, percent[1], percent[0]).astype(np.uint8), observed


def _scenes(zones: Zones, rasters: ScratchRasters) -> tuple[SceneIds, ...]:
    """Return the ids of the scenes before and after of each patch."""

    def ids(numbers: Sequence[frozenset[int]], phase: Phase) -> tuple[str, ...]:
        found = {
            names[number - 1]
            for (of_phase, names), seen in zip(rasters.readings, numbers, strict=True)
            if of_phase is phase
            for number in seen
        }
        return tuple(sorted(found))

    return tuple((ids(n, Phase.BEFORE), ids(n, Phase.AFTER)) for n in zones.sources)


def _labels(rasters: ScratchRasters) -> Iterator[CodeArray]:
    return (band[0] for band in row_bands(rasters.classes))


def _hidden(rasters: ScratchRasters) -> Iterator[CodeArray]:
    """Yield REFERENCE_WATER where there was water before and nothing was seen after."""
    for band in row_bands(rasters.hydrography):
        unseen = band[0] >= Label.NO_IMAGERY
        yield np.where(unseen, Label.REFERENCE_WATER, 0).astype(np.uint8)
