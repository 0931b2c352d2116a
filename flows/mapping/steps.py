"""The steps of the walk: plain functions that take and return paths and small records."""

from dataclasses import replace
from datetime import UTC, datetime

from flows.drawing.layout import MapPicture, Quicklook
from flows.drawing.map import draw_map, legend_numbers, map_facts
from flows.mapping.plan import Plan
from flows.mapping.records import Published, manifest_of, origins_of, read_published
from flows.reports.progress import Meter
from flows.reports.summary import Summary
from flows.request import MapRequest
from geo.export.cog import PROBABILITY, class_kind, observed_kind
from geo.export.formats import write_layers, write_rasters
from geo.imagery.mosaic import coarse_grid, quicklook, quicklook_scenes
from geo.raster.classify import Finding
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase
from geo.store.stac import rebuild, write_item
from geo.store.store import LocalStore, SceneState, Workspace
from geo.vector.buildings import Footprints, outline_buildings
from geo.vector.features import Layers, Outlines, vectorise
from geo.vector.layers import Provenance
from models.cards.registry import all_cards
from models.damage.alignment import place
from models.damage.buildings import Buildings, pair_of
from models.damage.detection import DamagedGround, Searched, search
from models.damage.features import LEAST_PX
from models.damage.grade_buildings import Graded, grade_all
from models.inference.clouds import maskings
from models.inference.cross_check import cross_checked
from models.inference.map_scenes import Mapped, map_scenes
from models.inference.model import load_model
from models.inference.scene_inputs import Reader, reader_for
from models.inference.windows import ProgressReceiver


def open_store(request: MapRequest) -> LocalStore:
    """Return the store of a request, once what killed runs left in it is mended.

    Raises:
        StoreError: where it cannot be written.
    """
    store = LocalStore(request.store)
    store.repair(request.event)
    return store


def find_published(store: LocalStore, plan: Plan) -> Published | None:
    """Return the product of a plan where it was published before."""
    product = store.find(plan.request.event, plan.product_id)
    if product is None:
        return None
    published = read_published(product.folder, new=False)
    # A run that was killed once its product was visible left these undone.
    _record_scenes(store, plan, published.summary, only_missing=True)
    store.record_origins(plan.request.event, plan.product_id, origins_of(plan))
    rebuild(store, plan.request.event)
    return published


def map_pixels(
    plan: Plan,
    workspace: Workspace,
    progress: ProgressReceiver,
    *,
    searched: Searched | None = None,
    graded: Graded | None = None,
) -> Mapped:
    """Read, predict, blend and classify; see `models.inference.map_scenes.map_scenes`."""
    try:
        return map_scenes(
            _reader(plan, searched=searched, graded=graded),
            area=plan.area.projected(crs_of(plan.geobox)),
            geobox=plan.geobox,
            folder=workspace.scratch,
            notation=plan.event,
            progress=progress,
        )
    finally:
        progress.finish()


def _reader(plan: Plan, *, searched: Searched | None, graded: Graded | None) -> Reader:
    """Return the scenes as the model wants them, and what checks its answer."""
    request, ref = plan.request, plan.choice.ref
    if plan.choice.grader is not None:
        coverage = pair_of(plan.choice.grader.card, plan.scenes, request.prefer).coverage
        measured = graded.trust.statistics if graded else None
        if searched is None or plan.finder is None or not request.damaged_areas:
            return replace(coverage, measured=measured)
        return DamagedGround(
            inputs=coverage.inputs,
            compares=True,
            measured=measured,
            searched=searched.raster,
            grid=plan.geobox,
            least=plan.finder.card.threshold(Finding.DAMAGED),
        )
    if ref is not None and not request.domain_check:
        ref = replace(ref, card=ref.card.unchecked)
    model = load_model(ref, device=request.device) if ref else None
    masked = maskings(plan.scenes, plan.clouds)
    reader = reader_for(model, plan.scenes, request.prefer, masked)
    return (
        cross_checked(reader, model.card, all_cards(), hazard=request.hazard) if model else reader
    )


def find_buildings(plan: Plan, workspace: Workspace, progress: ProgressReceiver) -> Searched | None:
    """Look for buildings and damaged ground in the images; None where that is not asked for.

    Raises:
        NotAligned: where the images before and after cannot be compared.
    """
    request, ref = plan.request, plan.finder
    if ref is None:
        return None
    finder = load_model(ref, "footprints", device=request.device)
    pair = pair_of(ref.card, plan.scenes, request.prefer)
    there = plan.footprints
    given = Buildings.on(plan.geobox, there.geometries) if there else None
    raster = workspace.scratch / "searched.tif"
    try:
        placement = place(pair, plan.geobox, given, checked=request.domain_check, progress=progress)
        search(finder, pair, plan.geobox, after=placement.after, path=raster, progress=progress)
    finally:
        progress.finish()
    if given is not None:
        return Searched(placement, raster, None)
    found = outline_buildings(
        raster, plan.geobox, area=plan.area, least=ref.card.threshold(Finding.BUILDING),
        fewest_px=LEAST_PX,
    )  # fmt: skip
    return Searched(placement, raster, found)


def grade(plan: Plan, searched: Searched | None, progress: ProgressReceiver) -> Graded | None:
    """Measure where images and footprints lie, and grade each building; None without a grader.

    Raises:
        NotAligned: where the images before and after cannot be compared.
    """
    request, ref = plan.request, plan.choice.grader
    footprints = _footprints(plan, searched)
    if ref is None or footprints is None:
        return None
    grader = load_model(ref, "grades", device=request.device)
    pair = pair_of(ref.card, plan.scenes, request.prefer)
    buildings = Buildings.on(plan.geobox, footprints.geometries)
    try:
        return grade_all(
            grader, pair, plan.geobox, buildings=buildings, checked=request.domain_check,
            placement=searched.placement if searched else None, progress=progress,
        )  # fmt: skip
    finally:
        progress.finish()


def _footprints(plan: Plan, searched: Searched | None) -> Footprints | None:
    """Return the footprints that were given, or else those that were found."""
    found = searched.buildings if searched else None
    return plan.footprints if found is None else found.footprints


def make_layers(
    plan: Plan,
    mapped: Mapped,
    searched: Searched | None,
    graded: Graded | None,
    workspace: Workspace,
) -> Layers:
    """Make the vector layers and write them in the formats of a product."""
    request = plan.request
    found = searched.buildings if searched else None
    layers = vectorise(
        mapped.rasters,
        plan.geobox,
        area=plan.area,
        scenes=plan.scenes,
        footprints=_footprints(plan, searched),
        grades=graded.grades if graded else None,
        certainty=None if found is None else found.certainty,
        outlines=Outlines(plan.min_area_m2, plan.simplify_m),
        event=plan.event,
        common=Provenance(request.event, request.hazard, plan.product_id, plan.choice.label),
    )
    write_layers(workspace.folder, layers.frames)
    return layers


def make_rasters(plan: Plan, mapped: Mapped, workspace: Workspace) -> None:
    """Write the scratch rasters in the formats of a product."""
    scratch = mapped.rasters
    rasters = [
        (scratch.classes, class_kind(plan.event)),
        (scratch.observed, observed_kind(scratch.inputs)),
    ]
    if plan.choice.ref is not None and plan.choice.grader is None:
        rasters.append((scratch.probability, PROBABILITY))
    write_rasters(workspace.folder, rasters)


def draw(plan: Plan, layers: Layers, summary: Summary, workspace: Workspace) -> None:
    """Draw `map.png`."""
    request = plan.request
    phases = {scene.phase for scene in plan.scenes}
    picture = MapPicture(
        title=request.title,
        subtitle=f"{request.hazard.capitalize()}, {plan.choice.label or 'imagery only'}",
        layers=layers.frames,
        after=_quicklook(plan, Phase.AFTER),
        before=_quicklook(plan, Phase.BEFORE) if phases == set(Phase) else None,
        numbers=legend_numbers(summary),
        facts=map_facts(summary),
    )
    draw_map(picture, workspace.folder / "map.png")


def write_records(plan: Plan, summary: Summary, workspace: Workspace) -> None:
    """Write `summary.json` and the STAC item."""
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


def publish(
    store: LocalStore,
    plan: Plan,
    mapped: Mapped,
    workspace: Workspace,
    *,
    graded: Graded | None,
    meter: Meter,
) -> Published:
    """Make the product visible, all at once, and bring the catalogues up to date.

    Args:
        graded: the buildings; None without a grader.
        meter: started with the walk.
    """
    publication = store.publish(workspace, manifest_of(plan, mapped, graded, meter.read()))
    published = read_published(publication.product.folder, new=publication.ours)
    _record_scenes(store, plan, published.summary)
    store.record_origins(plan.request.event, plan.product_id, origins_of(plan))
    rebuild(store, plan.request.event)
    return published


def _record_scenes(
    store: LocalStore, plan: Plan, summary: Summary, *, only_missing: bool = False
) -> None:
    """Write down what became of the scenes of a product."""
    used = {scene.id for scene in summary.scenes if scene.used_share}
    for scene in plan.scenes:
        if only_missing and store.has_scene(plan.request.event, scene.acquisition):
            continue
        why = None if scene.id in used else "no pixel of it was used"
        state = SceneState.PUBLISHED if scene.id in used else SceneState.DEGRADED
        store.record_scene(plan.request.event, scene.acquisition, state=state, why=why)


def _quicklook(plan: Plan, phase: Phase) -> Quicklook:
    """Return the picture of a phase that has a scene."""
    of_phase = [scene for scene in plan.scenes if scene.phase is phase]
    scenes = quicklook_scenes(of_phase, plan.request.prefer)
    grid = coarse_grid(plan.geobox)
    pixels, valid = quicklook(scenes, grid)
    when = ", ".join(text for text in (scenes[0].taken_text, scenes[0].sensor.title) if text)
    return Quicklook(pixels, valid, grid, f"{phase.capitalize()}: {when}")
