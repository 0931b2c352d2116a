"""The steps that make the files of a map: plain functions of paths and small records.

What is large goes into files of the workspace: rasters and buildings into its scratch folder,
layers and pictures into the product. The next step reads them there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio

from flows.drawing.map import MapPicture, Quicklook, draw_map, legend_numbers, map_facts
from flows.mapping.plan import MapPlan
from flows.mapping.publish import Manifest
from flows.mapping.records import model_record, scene_record
from flows.reports.progress import current_progress
from flows.reports.summarise import summarise
from flows.reports.summary import Summary
from flows.reports.text import time_text
from geo.errors import FootprintsInvalid
from geo.export.cog import PROBABILITY, class_kind, observed_kind
from geo.export.formats import write_layers, write_rasters
from geo.imagery.dataset import fixed_block_cache
from geo.imagery.mosaic import coarse_grid, quicklook, quicklook_scenes
from geo.raster.classify import Finding
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase
from geo.store.stac import write_item
from geo.store.store import Workspace
from geo.vector.buildings import (
    BuildingGrades,
    Footprints,
    FoundBuildings,
    outline_buildings,
    read_footprints,
)
from geo.vector.features import LayersRecord, Outlines, vectorise
from geo.vector.layers import Provenance
from models.cards.architecture import NetworkArchitecture
from models.cards.registry import CardRef, all_cards
from models.damage.alignment import Placement, place
from models.damage.buildings import Buildings, pair_of
from models.damage.detection import DamagedGround, search
from models.damage.features import LEAST_PX
from models.damage.grade_buildings import grade_all
from models.inference.clouds import maskings
from models.inference.cross_check import cross_checked
from models.inference.map_scenes import Mapped, map_scenes
from models.inference.model import load_model
from models.inference.scene_inputs import Reader, reader_for
from models.networks.tensors import SceneStatistics


@dataclass(frozen=True)
class BuildingsRecord:
    """What is known of the buildings of a product, and where the rest lies."""

    raster: Path | None = None
    """Probability of building and of damage, see `models.damage.detection.SEARCHED`."""
    outlines: Path | None = None
    """GeoParquet of the outlines that were found; None where footprints were given."""
    found: int | None = None
    """Number of them."""
    grades: Path | None = None
    """Of the buildings in their order; None without a grader."""
    alignment: Mapping[str, Any] | None = None
    """The shift between images and footprints, as the manifest states it."""
    notes: tuple[str, ...] = ()
    """The same in sentences."""
    statistics: SceneStatistics | None = None
    """Of the scenes, as the grader took them."""


def write_found(found: FoundBuildings, folder: Path) -> Path:
    """Write outlines that were found; return the file."""
    path = folder / "found.parquet"
    columns = {"certainty": found.certainty, "sha256": found.footprints.sha256}
    frame = gpd.GeoDataFrame(
        columns, geometry=list(found.footprints.geometries), crs="EPSG:4326",
        index=pd.RangeIndex(len(found)),
    )  # fmt: skip
    frame.to_parquet(path, index=False)
    return path


def read_found(path: Path) -> FoundBuildings:
    """Return the outlines of a file that `write_found` wrote."""
    frame = gpd.read_parquet(path)
    digest = str(frame["sha256"].iloc[0]) if len(frame) else ""
    own = pd.DataFrame(index=pd.RangeIndex(len(frame)))
    geometries = np.asarray(frame.geometry.to_numpy(), dtype=object)
    return FoundBuildings(Footprints(geometries, own, digest, ()), frame["certainty"].to_numpy())


def write_grades(grades: BuildingGrades, folder: Path) -> Path:
    """Write the grades of buildings; return the file."""
    path = folder / "grades.npz"
    texts = json.dumps({"reasons": grades.reasons, "scenes": grades.scenes})
    np.savez(path, probabilities=grades.probabilities, texts=np.array(texts))
    return path


def read_grades(path: Path) -> BuildingGrades:
    """Return the grades of a file that `write_grades` wrote."""
    with np.load(path, allow_pickle=False) as file:
        texts = json.loads(str(file["texts"]))
        probabilities = file["probabilities"]
    scenes = tuple((tuple(before), tuple(after)) for before, after in texts["scenes"])
    return BuildingGrades(probabilities, tuple(texts["reasons"]), scenes)


_GPKG = "layers.gpkg"


@fixed_block_cache()
def assess_buildings(plan: MapPlan, workspace: Workspace) -> BuildingsRecord | None:
    """Find buildings where that is requested, and grade those found or given; None without them.

    Raises:
        NotAligned: where the images before and after cannot be compared.
        FootprintsInvalid: where the given footprints cannot be used.
    """
    given = given_footprints(plan)
    if plan.choice.grader is None and plan.finder is None:
        return None
    record, placement = BuildingsRecord(), None
    footprints = given
    if plan.finder is not None:
        raster, placement, found = _search(plan, plan.finder, given, workspace)
        record = replace(record, raster=raster, alignment=placement.as_json())
        if found is not None:
            path = write_found(found, workspace.scratch)
            record = replace(record, outlines=path, found=len(found))
            footprints = found.footprints
    if plan.choice.grader is None or footprints is None:
        return record
    return _grade(plan, plan.choice.grader, footprints, placement, record, workspace)


def given_footprints(plan: MapPlan) -> Footprints | None:
    """Return the building footprints of a request; None where it gives none.

    Raises:
        FootprintsInvalid: where they cannot be used, or have changed since the plan was made.
    """
    if plan.request.buildings is None:
        return None
    footprints = read_footprints(plan.request.buildings, plan.area)
    if footprints.sha256 != plan.footprints_sha256:
        raise FootprintsInvalid(f"{plan.request.buildings} changed during the run; map again")
    return footprints


def _search(
    plan: MapPlan, ref: CardRef, given: Footprints | None, workspace: Workspace
) -> tuple[Path, Placement, FoundBuildings | None]:
    """Look for buildings and damaged ground in the images, into a raster."""
    request, progress = plan.request, current_progress()
    finder = load_model(ref, "footprints", device=request.device)
    pair = pair_of(ref.card, plan.scenes, request.prefer)
    outlines = Buildings.on(plan.geobox, given.geometries) if given else None
    raster = workspace.scratch / "searched.tif"
    try:
        placement = place(
            pair, plan.geobox, outlines, checked=request.domain_check, progress=progress
        )
        search(finder, pair, plan.geobox, after=placement.after, path=raster, progress=progress)
    finally:
        progress.finish()
    if given is not None:
        return raster, placement, None
    found = outline_buildings(
        raster, plan.geobox, area=plan.area, least=ref.card.threshold(Finding.BUILDING),
        fewest_px=LEAST_PX,
    )  # fmt: skip
    return raster, placement, found


def _grade(  # noqa: PLR0917 (what grading needs, each of another kind)
    plan: MapPlan,
    ref: CardRef,
    footprints: Footprints,
    placement: Placement | None,
    record: BuildingsRecord,
    workspace: Workspace,
) -> BuildingsRecord:
    """Measure the shift between images and footprints, and grade each building."""
    request, progress = plan.request, current_progress()
    try:
        graded = grade_all(
            load_model(ref, "grades", device=request.device),
            pair_of(ref.card, plan.scenes, request.prefer),
            plan.geobox,
            buildings=Buildings.on(plan.geobox, footprints.geometries),
            checked=request.domain_check,
            placement=placement,
            progress=progress,
        )
    finally:
        progress.finish()
    return replace(
        record,
        grades=write_grades(graded.grades, workspace.scratch),
        alignment=graded.placement.as_json(),
        notes=graded.placement.notes(),
        statistics=graded.domain.statistics,
    )


@fixed_block_cache()
def map_pixels(
    plan: MapPlan, workspace: Workspace, buildings: BuildingsRecord | None = None
) -> Mapped:
    """Read, predict, blend and classify; see `models.inference.map_scenes.map_scenes`."""
    progress = current_progress()
    try:
        return map_scenes(
            _reader(plan, buildings),
            area=plan.area.projected(crs_of(plan.geobox)),
            geobox=plan.geobox,
            folder=workspace.scratch,
            notation=plan.event,
            progress=progress,
        )
    finally:
        progress.finish()


def _reader(plan: MapPlan, buildings: BuildingsRecord | None) -> Reader:
    """Return the scenes as the model wants them, and what checks its answer."""
    request, ref = plan.request, plan.choice.ref
    if plan.choice.grader is not None:
        coverage = pair_of(plan.choice.grader.card, plan.scenes, request.prefer).coverage
        measured = buildings.statistics if buildings else None
        raster = buildings.raster if buildings else None
        if raster is None or plan.finder is None or not request.damaged_areas:
            return replace(coverage, measured=measured)
        return DamagedGround(
            inputs=coverage.inputs,
            compares=True,
            measured=measured,
            searched=raster,
            grid=plan.geobox,
            least=plan.finder.card.threshold(Finding.DAMAGED),
        )
    if ref is not None and not request.domain_check:
        ref = replace(ref, card=ref.card.unchecked)
    model = load_model(ref, device=request.device) if ref else None
    masked = maskings(plan.scenes, plan.clouds)
    reader = reader_for(model, plan.scenes, request.prefer, masked)
    if model is None:
        return reader
    return cross_checked(reader, model.card, all_cards(), hazard=request.hazard)


def make_layers(
    plan: MapPlan, mapped: Mapped, buildings: BuildingsRecord | None, workspace: Workspace
) -> LayersRecord:
    """Make the vector layers and write them in the formats of a product."""
    request = plan.request
    found = read_found(buildings.outlines) if buildings and buildings.outlines else None
    layers = vectorise(
        mapped.rasters,
        plan.geobox,
        area=plan.area,
        scenes=plan.scenes,
        footprints=given_footprints(plan) if found is None else found.footprints,
        grades=read_grades(buildings.grades) if buildings and buildings.grades else None,
        certainty=None if found is None else found.certainty,
        outlines=Outlines(plan.min_area_m2, plan.simplify_m),
        event=plan.event,
        common=Provenance(request.event, request.hazard, plan.product_id, plan.choice.label),
    )
    write_layers(workspace.folder, layers.frames)
    return LayersRecord(tuple(layers.frames), dict(layers.below_mmu_pixels), layers.notes)


def make_summary(
    plan: MapPlan,
    mapped: Mapped,
    buildings: BuildingsRecord | None,
    layers: LayersRecord,
    workspace: Workspace,
) -> Summary:
    """Return what was found, in numbers; see `flows.reports.summarise`."""
    frames = {
        name: pyogrio.read_dataframe(workspace.folder / _GPKG, layer=name, read_geometry=False)
        for name in layers.names
    }
    return summarise(plan, mapped, buildings, layers, frames)


def make_rasters(plan: MapPlan, mapped: Mapped, workspace: Workspace) -> None:
    """Write the scratch rasters in the formats of a product."""
    scratch = mapped.rasters
    rasters = [
        (scratch.classes, class_kind(plan.event)),
        (scratch.observed, observed_kind(scratch.inputs)),
    ]
    if plan.choice.ref is not None and plan.choice.grader is None:
        rasters.append((scratch.probability, PROBABILITY))
    write_rasters(workspace.folder, rasters)


@fixed_block_cache()
def draw(plan: MapPlan, layers: LayersRecord, summary: Summary, workspace: Workspace) -> None:
    """Draw `map.png`."""
    request = plan.request
    phases = {scene.phase for scene in plan.scenes}
    picture = MapPicture(
        title=request.title,
        subtitle=f"{request.hazard.capitalize()}, {plan.choice.label or 'imagery only'}",
        layers={n: gpd.read_file(workspace.folder / _GPKG, layer=n) for n in layers.names},
        after=_quicklook(plan, Phase.AFTER),
        before=_quicklook(plan, Phase.BEFORE) if phases == set(Phase) else None,
        numbers=legend_numbers(summary),
        facts=map_facts(summary),
    )
    draw_map(picture, workspace.folder / "map.png")


def _quicklook(plan: MapPlan, phase: Phase) -> Quicklook:
    """Return the picture of a phase that has a scene."""
    of_phase = [scene for scene in plan.scenes if scene.phase is phase]
    scenes = quicklook_scenes(of_phase, plan.request.prefer)
    grid = coarse_grid(plan.geobox)
    pixels, valid = quicklook(scenes, grid)
    label = f"{phase.capitalize()}: {scenes[0].sensor.title}, {time_text(scenes[0].taken)}"
    return Quicklook(pixels, valid, grid, label)


def write_records(
    plan: MapPlan,
    mapped: Mapped,
    buildings: BuildingsRecord | None,
    summary: Summary,
    workspace: Workspace,
) -> Manifest:
    """Write `summary.json` and the STAC item; return what only a map says in its manifest."""
    text = summary.model_dump_json(indent=2) + "\n"
    (workspace.folder / "summary.json").write_text(text, encoding="utf-8")
    times = [scene.taken for scene in plan.scenes if scene.taken is not None]
    write_item(
        workspace.folder,
        event_id=summary.event_id,
        product_id=summary.product_id,
        area=plan.area.geometry,
        bounds=plan.area.bounds,
        times=times,
        undated=datetime.now(UTC).replace(microsecond=0),
        properties={
            "title": summary.event_name,
            "gsd": min(scene.gsd_m for scene in plan.scenes),
            "aftermap:hazard": summary.hazard,
            "aftermap:model": plan.choice.label,
            "aftermap:share_observed": summary.observed_share,
            "aftermap:share_analysed": summary.analysed_share,
            "aftermap:scenes": [scene.id for scene in plan.scenes],
            "aftermap:status": "draft",
        },
    )
    return _manifest(plan, mapped, buildings)


def _manifest(plan: MapPlan, mapped: Mapped, buildings: BuildingsRecord | None) -> Manifest:
    graded = buildings is not None and buildings.grades is not None
    own: dict[str, Any] = {
        "scenes": [scene_record(scene) for scene in plan.scenes],
        **({"finder": model_record(plan.finder)} if plan.finder else {}),
        "clouds": [source.as_json() for source in plan.clouds],
        "scene_statistics": {name: part.as_json() for name, part in mapped.statistics.items()},
        **({"alignment": buildings.alignment} if buildings and graded else {}),
        "grid": {
            "crs": crs_of(plan.geobox), "transform": list(plan.geobox.affine[:6]),
            "shape": list(plan.geobox.shape),
        },
        "options": {"min_area_m2": plan.min_area_m2, "simplify_m": plan.simplify_m},
        "cost": {"windows": mapped.windows, "views": _views(plan)},
    }  # fmt: skip
    return own


def _views(plan: MapPlan) -> int:
    """Return how many views of each window the model computes."""
    architecture = plan.choice.ref.card.architecture if plan.choice.ref else None
    return architecture.symmetries if isinstance(architecture, NetworkArchitecture) else 1
