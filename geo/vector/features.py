"""From the rasters of a run to the layers of its product."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from odc.geo.geobox import GeoBox

from geo.export.cog import ScratchRasters, row_bands
from geo.raster.classify import NOTATION, REASONS, Label
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase, Scene
from geo.types import CodeArray, Float64Array, ObjectArray
from geo.vector.area_of_interest import AreaOfInterest
from geo.vector.buildings import BuildingGrades, Footprints, ungraded
from geo.vector.hazards import EVENT_CLASSES
from geo.vector.layers import Column, Provenance, build_layer, empty_layer, rename_clashes
from geo.vector.polygonize import area_ha, simplify, to_lonlat, to_shapely, trace
from geo.vector.schema import OUTLINE_FOUND, OUTLINE_GIVEN
from geo.vector.zonal_stats import ZonalStatistics, zonal_statistics

SceneIds: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Ids of the scenes before and of the scenes after."""

_NO_PATCHES = (Label.OUTSIDE, Label.UNAFFECTED, Label.COMPARED)
_BEFORE = (Label.REFERENCE_WATER, Label.RECEDED_WATER)
"""Labels whose probability is that of the before image."""
_EVENT_PHASE = {Phase.BEFORE: "Pre-event", Phase.AFTER: "Post-event"}


@dataclass(frozen=True, eq=False)
class Patches:
    """Polygons of one class each, in lon-lat; all arrays in the same order."""

    geometries: ObjectArray
    """(patches,) Polygon or MultiPolygon, WGS 84, outlines simplified."""
    labels: CodeArray
    """(patches,), a `Label`."""
    percent: Float64Array
    """(patches,), mean probability of its pixels, per cent; NaN where there is none."""
    scenes: tuple[SceneIds, ...]
    """For each patch the ids of the scenes before and after that its pixels came from."""

    def only(self, labels: Collection[int]) -> "Patches":
        """Return the patches of some labels."""
        which = np.flatnonzero(np.isin(self.labels, list(labels)))
        scenes = tuple(self.scenes[index] for index in which)
        return Patches(self.geometries[which], self.labels[which], self.percent[which], scenes)

    def __add__(self, other: "Patches") -> "Patches":
        return Patches(
            np.concatenate([self.geometries, other.geometries]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.percent, other.percent]),
            self.scenes + other.scenes,
        )


@dataclass(frozen=True)
class Outlines:
    """How outlines are made of pixels."""

    min_area_m2: float
    """Minimum mapping unit: smaller patches are left out, save those not analysed."""
    simplify_m: float
    """Tolerance of the simplification, metres; 0 keeps the edges of the pixels."""


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a product, and what the minimum mapping unit kept out of them."""

    frames: Mapping[str, gpd.GeoDataFrame]
    """By layer name, EPSG:4326."""
    below_mmu_pixels: Counter[int]
    """Pixels by label in patches below the minimum mapping unit."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LayersRecord:
    """The same of layers in files."""

    names: tuple[str, ...]
    below_mmu_pixels: Mapping[int, int]
    notes: tuple[str, ...]


def vectorise(
    rasters: ScratchRasters,
    geobox: GeoBox,
    *,
    area: AreaOfInterest,
    scenes: Sequence[Scene],
    footprints: Footprints | None,
    grades: BuildingGrades | None = None,
    certainty: Float64Array | None = None,
    outlines: Outlines,
    event: str,
    common: Provenance,
) -> Layers:
    """Return every layer of a product.

    Args:
        grades: of the footprints; None where no grader was run.
        certainty: (footprints,) probability of a building, per cent; None where they were given.
        event: the `notation` of what the event left, see `geo.vector.hazards.event_class`.
    """
    # One coverage: neighbours keep their common edges, whatever layer they go to.
    keep = [label for label in Label if label not in _NO_PATCHES]
    classes, below = _patches(
        lambda: (band[0] for band in row_bands(rasters.classes)), rasters, geobox,
        keep=keep, outlines=outlines,
    )  # fmt: skip
    # Water that was there before and could not be observed after lies under "not analysed".
    hidden, below_hidden = _patches(
        lambda: _hidden_water(rasters), rasters, geobox,
        keep=[Label.REFERENCE_WATER], outlines=outlines,
    )  # fmt: skip
    water = classes.only([Label.REFERENCE_WATER, Label.RECEDED_WATER]) + hidden
    maker = _LayerMaker({scene.id: scene for scene in scenes}, common)
    built_up, notes = maker.built_up(footprints, grades, certainty)
    frames = {
        "observed_event": maker.observed_event(
            classes.only([Label.EVENT, Label.UNDATED_WATER]), event
        ),
        "built_up": built_up,
        "hydrography": maker.hydrography(water),
        "not_analysed": maker.not_analysed(classes.only(REASONS)),
        "image_footprint": maker.image_footprint(scenes),
        "area_of_interest": build_layer(
            "area_of_interest",
            geometries=[area.geometry],
            common=common,
            columns={"area_ha": area.area_km2 * 100},
        ),
    }
    return Layers(frames, below + below_hidden, notes)


def _patches(
    bands: Callable[[], Iterator[CodeArray]],
    rasters: ScratchRasters,
    geobox: GeoBox,
    *,
    keep: Collection[int],
    outlines: Outlines,
) -> tuple[Patches, Counter[int]]:
    """Return polygons, and the pixels by label in those below the minimum mapping unit. What was
    not observed is kept however small: leaving it out would call it dry."""
    width = geobox.shape[1]
    pixel_m2 = abs(geobox.resolution.x * geobox.resolution.y)
    fewest = int(np.ceil(outlines.min_area_m2 / pixel_m2 - 1e-9))
    smallest = {label: fewest for label in keep if label < Label.NO_IMAGERY}
    traced = trace(bands(), width=width, keep=keep, min_pixels=smallest)
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
    total = sum((np.bincount(band.ravel(), minlength=256) for band in bands()), np.zeros(256, int))
    inside = np.bincount(traced.values, weights=traced.pixels, minlength=256).astype(int)
    below = {label: int(total[label] - inside[label]) for label in keep if total[label]}
    return patches, Counter(below)


def _hidden_water(rasters: ScratchRasters) -> Iterator[CodeArray]:
    for band in row_bands(rasters.hydrography):
        unseen = band[0] >= Label.NO_IMAGERY
        yield np.where(unseen, Label.REFERENCE_WATER, 0).astype(np.uint8)


def _measured(rasters: ScratchRasters) -> Iterator[tuple[CodeArray, CodeArray]]:
    """Yield for each row band the probability of its labels, and the scenes of its pixels."""
    files = (rasters.classes, rasters.probability, rasters.observed)
    for labels, percent, observed in zip(*map(row_bands, files), strict=True):
        before = np.isin(labels[0], _BEFORE)
        yield np.where(before, percent[1], percent[0]).astype(np.uint8), observed


def _scenes(zones: ZonalStatistics, rasters: ScratchRasters) -> tuple[SceneIds, ...]:
    def ids(numbers: Sequence[frozenset[int]], phase: Phase) -> tuple[str, ...]:
        found = {
            names[number - 1]
            for (of_phase, names), seen in zip(rasters.inputs, numbers, strict=True)
            if of_phase is phase
            for number in seen
        }
        return tuple(sorted(found))

    return tuple((ids(n, Phase.BEFORE), ids(n, Phase.AFTER)) for n in zones.sources)


@dataclass(frozen=True)
class _LayerMaker:
    by_id: Mapping[str, Scene]
    common: Provenance

    def observed_event(self, patches: Patches, event: str) -> gpd.GeoDataFrame:
        names = {**NOTATION, Label.EVENT: event}
        notations = [names[label] for label in patches.labels]
        water = [EVENT_CLASSES[name].water_class for name in notations]
        return self._layer("observed_event", patches, notation=notations, water_class=water)

    def hydrography(self, patches: Patches) -> gpd.GeoDataFrame:
        notations = [NOTATION[label] for label in patches.labels]
        return self._layer("hydrography", patches, notation=notations)

    def not_analysed(self, patches: Patches) -> gpd.GeoDataFrame:
        reasons = [REASONS[Label(label)] for label in patches.labels]
        return self._layer("not_analysed", patches, confidence=None, reason=reasons)

    def image_footprint(self, scenes: Sequence[Scene]) -> gpd.GeoDataFrame:
        shapes = np.array([scene.footprint for scene in scenes], dtype=object)
        columns: dict[str, Column] = {
            "src_id": [scene.id for scene in scenes],
            "eventphase": [_EVENT_PHASE[scene.phase] for scene in scenes],
            "observed_at": [scene.taken_text for scene in scenes],
            "sensor": [scene.sensor.title for scene in scenes],
            "sensor_gsd": [scene.gsd_m for scene in scenes],
            "area_ha": area_ha(shapes),
        }
        return build_layer(
            "image_footprint", geometries=shapes, common=self.common, columns=columns
        )

    def built_up(
        self,
        footprints: Footprints | None,
        grades: BuildingGrades | None,
        certainty: Float64Array | None,
    ) -> tuple[gpd.GeoDataFrame, tuple[str, ...]]:
        if footprints is None:
            return empty_layer("built_up"), ()
        own, renamed = rename_clashes("built_up", footprints.own)
        notes = tuple(
            f"the column {old} of the footprints is named {new}, because {old} is ours"
            for old, new in renamed.items()
        )
        graded = ungraded(len(footprints.geometries)) if grades is None else grades
        columns: dict[str, Column] = {
            **self._sources(graded.scenes),
            **graded.columns(),
            "outline_src": OUTLINE_GIVEN if certainty is None else OUTLINE_FOUND,
            "p_building": certainty,
            "area_ha": area_ha(footprints.geometries),
        }
        frame = build_layer(
            "built_up",
            geometries=footprints.geometries,
            common=self.common,
            columns=columns,
            own=own,
        )
        return frame, (*footprints.notes, *notes)

    def _layer(self, name: str, patches: Patches, **columns: Column) -> gpd.GeoDataFrame:
        percent = [None if np.isnan(value) else round(value) for value in patches.percent]
        given: dict[str, Column] = {
            **self._sources(patches.scenes),
            "confidence": percent,
            "area_ha": area_ha(patches.geometries),
            **columns,
        }
        return build_layer(name, geometries=patches.geometries, common=self.common, columns=given)

    def _sources(self, ids: Sequence[SceneIds]) -> dict[str, Column]:
        columns = [self._source(before, after) for before, after in ids]
        names = ("or_src_id", "dmg_src_id", "observed_at", "sensor", "sensor_gsd")
        return {name: [values[name] for values in columns] for name in names}

    def _source(self, before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
        scenes = [self.by_id[name] for name in (*before, *after)]
        shown = [self.by_id[name] for name in after or before]
        times = [scene.taken_text for scene in shown if scene.taken_text is not None]
        return {
            "or_src_id": ",".join(before) or None,
            "dmg_src_id": ",".join(after) or None,
            "observed_at": max(times, default=None),
            "sensor": ", ".join(sorted({scene.sensor.title for scene in scenes})) or None,
            "sensor_gsd": min((scene.gsd_m for scene in scenes), default=None),
        }
