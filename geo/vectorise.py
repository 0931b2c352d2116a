"""From the rasters of a run to the layers of its product."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from odc.geo.geobox import GeoBox

from geo.area import AreaOfInterest
from geo.classify import NOTATION, REASONS, Label
from geo.footprints import Footprints
from geo.grades import BuildingGrades, ungraded
from geo.layers import Column, Provenance, build_layer, empty_layer
from geo.own_columns import rename_clashes
from geo.patches import Outlines, Patches, SceneIds, class_patches, hidden_water, together
from geo.polygons import area_ha
from geo.scene import Phase, Scene
from geo.schema import OUTLINE_FOUND, OUTLINE_GIVEN, Hazard
from geo.scratch import ScratchRasters

Reals: TypeAlias = npt.NDArray[np.float64]

WATER_CLASS: dict[int, int] = {
    Label.EVENT: 1,
    Label.UNDATED_WATER: 4,
    Label.REFERENCE_WATER: 0,
    Label.RECEDED_WATER: 0,
}
"""UNOSAT `Water_Class` by label."""


DAMAGED_AREA = "Damaged area"
_NO_WATER = ("Burnt area", DAMAGED_AREA)


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a product, and what the minimum mapping unit kept out of them."""

    frames: Mapping[str, gpd.GeoDataFrame]
    """By layer name, EPSG:4326."""
    below_mmu_pixels: Counter[int]
    """Pixels by label in patches below the minimum mapping unit."""
    notes: tuple[str, ...]


def event_notation(hazard: Hazard, *, graded: bool = False) -> str:
    """Return the `notation` of what a hazard leaves; where buildings are graded, damage."""
    if graded:
        return DAMAGED_AREA
    return "Burnt area" if hazard is Hazard.WILDFIRE else "Flooded area"


def vectorise(
    rasters: ScratchRasters,
    geobox: GeoBox,
    *,
    area: AreaOfInterest,
    scenes: Sequence[Scene],
    footprints: Footprints | None,
    grades: BuildingGrades | None = None,
    certainty: Reals | None = None,
    outlines: Outlines,
    event: str,
    common: Provenance,
) -> Layers:
    """Return every layer of a product.

    Args:
        grades: of the footprints; None where no grader was run.
        certainty: (footprints,) probability that each is a building, per cent; None where they
            were given rather than found.
        scenes: all scenes of the product; `image_footprint` has a feature for each.
        event: the `notation` of what the event left, see `event_notation`.
        common: what every feature says of its product.
    """
    told = _Told({scene.id: scene for scene in scenes}, common, event)
    classes, below = class_patches(rasters, geobox, outlines)
    # Water that was there before and could not be seen after lies under "not analysed".
    hidden, below_hidden = hidden_water(rasters, geobox, outlines)
    water = together(classes.only([Label.REFERENCE_WATER, Label.RECEDED_WATER]), hidden)
    built_up, notes = _built_up(footprints, grades, certainty, told)
    frames = {
        "observed_event": told.event(classes.only([Label.EVENT, Label.UNDATED_WATER])),
        "built_up": built_up,
        "hydrography": told.hydrography(water),
        "not_analysed": told.not_analysed(classes.only(REASONS)),
        "image_footprint": told.footprints(scenes),
        "area_of_interest": build_layer(
            "area_of_interest",
            geometries=[area.geometry],
            common=common,
            columns={"notation": "Area of interest", "area_ha": area.area_km2 * 100},
        ),
    }
    return Layers(frames, below + below_hidden, notes)


@dataclass(frozen=True)
class _Told:
    """Turns patches into layers: knows the scenes by id and what all features share."""

    by_id: Mapping[str, Scene]
    common: Provenance
    notation: str
    """Of what the event left."""

    def event(self, patches: Patches) -> gpd.GeoDataFrame:
        """Return `observed_event`; the water class is empty where the event is no water."""
        notation = {**NOTATION, Label.EVENT: self.notation}
        dry = self.notation in _NO_WATER
        columns: dict[str, Column] = {
            "notation": [notation[label] for label in patches.labels],
            "water_class": None if dry else [WATER_CLASS[label] for label in patches.labels],
        }
        return self._layer("observed_event", patches, {**columns, **self._seen_in(patches)})

    def hydrography(self, patches: Patches) -> gpd.GeoDataFrame:
        """Return `hydrography`."""
        columns: dict[str, Column] = {
            "notation": [NOTATION[label] for label in patches.labels],
            "water_class": [WATER_CLASS[label] for label in patches.labels],
        }
        return self._layer("hydrography", patches, {**columns, **self._seen_in(patches)})

    def not_analysed(self, patches: Patches) -> gpd.GeoDataFrame:
        """Return `not_analysed`; it has the scenes that saw the place without being usable."""
        reasons: Column = [REASONS[Label(label)] for label in patches.labels]
        columns = {**self._seen_in(patches), "confidence": None, "reason": reasons}
        return self._layer("not_analysed", patches, columns)

    def footprints(self, scenes: Sequence[Scene]) -> gpd.GeoDataFrame:
        """Return `image_footprint`."""
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

    def buildings(
        self,
        footprints: Footprints,
        grades: BuildingGrades,
        certainty: Reals | None,
        own: pd.DataFrame,
    ) -> gpd.GeoDataFrame:
        """Return `built_up`: the buildings and their grades, with the user's columns."""
        columns: dict[str, Column] = {
            **self._scenes(grades.scenes),
            **grades.columns(),
            **_outline(certainty),
            "area_ha": area_ha(footprints.geometries),
        }
        return build_layer(
            "built_up",
            geometries=footprints.geometries,
            common=self.common,
            columns=columns,
            own=own,
        )

    def _layer(
        self, name: str, patches: Patches, columns: Mapping[str, Column]
    ) -> gpd.GeoDataFrame:
        return build_layer(
            name,
            geometries=patches.geometries,
            common=self.common,
            columns={"area_ha": area_ha(patches.geometries), **columns},
        )

    def _seen_in(self, patches: Patches) -> dict[str, Column]:
        """Return the columns that say which scenes a patch came from."""
        percent: list[int | None] = [
            None if np.isnan(value) else int(np.rint(value)) for value in patches.percent
        ]
        return {**self._scenes(patches.scenes), "confidence": percent}

    def _scenes(self, ids: Sequence[SceneIds]) -> dict[str, Column]:
        sources = [self._sources(before, after) for before, after in ids]
        names = ("or_src_id", "dmg_src_id", "observed_at", "sensor", "sensor_gsd")
        return {name: [s[name] for s in sources] for name in names}

    def _sources(self, before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
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


_EVENT_PHASE = {Phase.BEFORE: "Pre-event", Phase.AFTER: "Post-event"}


def _outline(certainty: Reals | None) -> dict[str, Column]:
    """Return the columns that say whose outlines the buildings have."""
    if certainty is None:
        return {"outline_src": OUTLINE_GIVEN, "p_building": None}
    return {"outline_src": OUTLINE_FOUND, "p_building": certainty}


def _built_up(
    footprints: Footprints | None,
    grades: BuildingGrades | None,
    certainty: Reals | None,
    told: _Told,
) -> tuple[gpd.GeoDataFrame, tuple[str, ...]]:
    """Return `built_up`, and notes on the user's columns."""
    if footprints is None:
        return empty_layer("built_up"), ()
    own, renamed = rename_clashes("built_up", footprints.own)
    notes = tuple(
        f"the column {old} of the footprints is named {new}, because {old} is ours"
        for old, new in renamed.items()
    )
    graded = ungraded(len(footprints.geometries)) if grades is None else grades
    return told.buildings(footprints, graded, certainty, own), (*footprints.notes, *notes)
