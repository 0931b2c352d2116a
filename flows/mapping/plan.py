"""From a request to a plan: which scenes, which area, which model, which grid, which product.

Nothing here reads pixels or imports torch, Prefect or geopandas: a request that was published
before, or is wrong, is answered at once.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import shapely
from odc.geo.geobox import GeoBox

import geo
import models
from flows.config import Settings
from flows.request import MapRequest
from geo.errors import FootprintsInvalid, NotOverlapping, TimeUnknown
from geo.raster.grid import GridChoice, crs_of, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene, distinct_ids, ordered
from geo.vector.area_of_interest import AreaOfInterest, extent_text, parse_area, swap_hint
from geo.vector.hazards import event_class
from models.cards.registry import CardRef, all_cards
from models.cards.selection import Choice, CloudSource, choose_finder, choose_model, cloud_sources
from models.cards.suitability import (
    Available,
    available,
    lacking,
    pixel_for,
    pixel_note,
    require_gradable,
    require_natural,
)
from models.errors import InputsMismatch

DAMAGED_AREA_M2 = 300.0
"""Smaller damaged areas are left out where no --min-area is given: one garden."""
_BESIDE_SHP = (".shx", ".dbf", ".prj", ".cpg")
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class Plan:
    """What every product depends on, of a map and of photos alike."""

    request: MapRequest
    choice: Choice
    product_id: str
    notes: tuple[str, ...]
    """What was concluded rather than given by the user, as sentences."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MapPlan(Plan):
    """Everything that a map depends on, decided before a pixel is read."""

    scenes: tuple[Scene, ...]
    area: AreaOfInterest
    geobox: GeoBox
    footprints_sha256: str | None
    """Of the file of building footprints; None where there is none."""
    finder: CardRef | None
    """What finds buildings and damaged ground in the images; None where nothing is to be found."""
    min_area_m2: float
    simplify_m: float
    clouds: tuple[CloudSource, ...]
    """Who masks the clouds of each optical scene."""

    @property
    def event(self) -> str:
        """The `notation` of what the event left."""
        task = self.choice.ref.card.task if self.choice.ref else None
        return event_class(self.request.hazard, task).notation


def find_scenes(request: MapRequest) -> tuple[Scene, ...]:
    """Return the scenes of a request, before and after.

    Raises:
        SourceInvalid: in all its kinds.
        TimeUnknown: where a before scene is not older than every after scene.
    """
    before = [s for spec in request.before for s in scenes_of(spec.as_source(), Phase.BEFORE)]
    after = [s for spec in request.after for s in scenes_of(spec.as_source(), Phase.AFTER)]
    _check_order(before, after)
    return distinct_ids([*before, *after])


def make_plan(request: MapRequest, scenes: Sequence[Scene], settings: Settings) -> MapPlan:
    """Return the plan of a request.

    Raises:
        AreaInvalid: where the area cannot be used.
        NotOverlapping: where the area and the scenes of a phase do not meet.
        NoModelFits: where no model can map what there is.
        ModelUnknown, InputsMismatch: where the named model is not there, or
            wants other imagery.
    """
    area = _area(request, scenes)
    meeting = _meeting(area, scenes)
    offers = [available(scene) for scene in meeting]
    choice = choose_model(
        offers,
        hazard=request.hazard,
        name=request.model,
        buildings=request.grades_buildings,
        extra=settings.models,
    )
    finder = _finder(request, choice, offers, settings)
    used = tuple(scene for scene in meeting if choice.reads(available(scene)))
    clouds = cloud_sources(used, request.clouds, all_cards(settings.models))
    if choice.ref is not None:
        require_natural(choice.ref.card, used, checked=request.domain_check)
    if choice.grader is not None:
        _require_gradable(choice.grader, request, used, area)
    geobox = _grid(request, area, used, choice)
    footprints = footprints_digest(request.buildings) if request.buildings else None
    pixel_m = abs(geobox.resolution.x)
    simplify_m = request.simplify_m if request.simplify_m is not None else pixel_m
    least_m2 = DAMAGED_AREA_M2 if request.damaged_areas else 10 * pixel_m**2
    smallest = request.min_area_m2 if request.min_area_m2 is not None else least_m2
    recipe = {
        "event": request.event,
        "hazard": request.hazard,
        "name": request.title,
        "area": area.canonical,
        "scenes": [_ingredient(scene) for scene in sorted(used, key=lambda s: (s.phase, s.id))],
        "model": choice.ref.card.digest if choice.ref else None,
        "grid": [crs_of(geobox), *geobox.affine[:6], *geobox.shape],
        "options": [smallest, simplify_m, request.prefer, request.domain_check],
        "clouds": [source.ingredient for source in sorted(clouds, key=lambda s: s.scene)],
        "buildings": footprints,
        "finder": finder.card.digest if finder else None,
        "damaged_areas": request.damaged_areas,
        "code": code_digest(),
    }
    return MapPlan(
        request=request,
        scenes=used,
        area=area,
        choice=choice,
        geobox=geobox,
        footprints_sha256=footprints,
        finder=finder,
        product_id=product_id(recipe),
        min_area_m2=smallest,
        simplify_m=simplify_m,
        clouds=clouds,
        notes=(
            *request.notes,
            *_notes(scenes, meeting=meeting, used=used, choice=choice),
            *_scale_note(request, used, choice),
        ),
    )


def _finder(
    request: MapRequest, choice: Choice, offers: Sequence[Available], settings: Settings
) -> CardRef | None:
    """Return what finds buildings or damaged ground; None where nothing is to be found."""
    graded = choice.grader is not None
    found = request.damaged_areas or request.find_buildings or (graded and not request.buildings)
    if not found or (graded and request.buildings and not request.damaged_areas):
        return None
    return choose_finder(choice, offers, extra=settings.models)


def _require_gradable(
    ref: CardRef, request: MapRequest, scenes: Sequence[Scene], area: AreaOfInterest
) -> None:
    """Check what a grader is given, before anything is read whole."""
    wanted = ref.card.resolution_m
    if request.resolution_m is not None and wanted is not None and request.resolution_m != wanted:
        raise InputsMismatch(
            f"{ref.card.name} grades buildings at {wanted:g} m, and --resolution says "
            f"{request.resolution_m:g}; leave it out"
        )
    require_gradable(ref.card, scenes, area)


def code_digest() -> str:
    """Return the version and the sha256 of the code that makes pixels and polygons."""
    digest = hashlib.sha256(version("aftermap").encode())
    for package in (geo, models):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def _check_order(before: Sequence[Scene], after: Sequence[Scene]) -> None:
    same = {scene.revision for scene in before} & {scene.revision for scene in after}
    if same:
        name = next(scene.id for scene in after if scene.revision in same)
        raise TimeUnknown(
            f"{name} was given as before and as after; give the image of one of the two instead"
        )
    late = max((s for s in before if s.taken), key=_taken, default=None)
    early = min((s for s in after if s.taken), key=_taken, default=None)
    if late and early and _taken(late) >= _taken(early):
        raise TimeUnknown(
            f"before comes after: {late.id} was taken {late.taken_text} and {early.id} "
            f"{early.taken_text}; swap --before and --after, or correct their dates"
        )


def _taken(scene: Scene) -> float:
    return scene.taken.timestamp() if scene.taken else 0.0


def _area(request: MapRequest, scenes: Sequence[Scene]) -> AreaOfInterest:
    if request.area is not None:
        return parse_area(request.area)
    footprints = [scene.footprint for scene in scenes if scene.phase is Phase.AFTER]
    return parse_area(shapely.geometry.mapping(shapely.union_all(footprints)))


def _meeting(area: AreaOfInterest, scenes: Sequence[Scene]) -> tuple[Scene, ...]:
    """Return the scenes that meet the area."""
    used = tuple(s for s in scenes if s.footprint.intersects(area.geometry))
    for phase in {scene.phase for scene in scenes}:
        if any(scene.phase is phase for scene in used):
            continue
        extent = shapely.union_all([s.footprint for s in scenes if s.phase is phase])
        cure = swap_hint(area, extent) or "give the area of the imagery, or imagery of the area"
        raise NotOverlapping(
            f"the area ({extent_text(area.geometry)}) and the {phase} scenes "
            f"({extent_text(extent)}) do not overlap; {cure}"
        )
    return used


def _grid(
    request: MapRequest, area: AreaOfInterest, scenes: Sequence[Scene], choice: Choice
) -> GeoBox:
    card = choice.ref.card if choice.ref else None
    lead = _lead(request, scenes)
    resolution = request.resolution_m or (pixel_for(card, lead[0]) if card else None)
    block = card.stride_px if card else 1
    return lay_grid(area, lead, GridChoice(request.crs, resolution, block))


def _lead(request: MapRequest, scenes: Sequence[Scene]) -> tuple[Scene, ...]:
    """Return the scenes after the event, the one whose pixels matter most first."""
    after = [scene for scene in scenes if scene.phase is Phase.AFTER]
    return ordered(after, request.prefer)


def _scale_note(request: MapRequest, scenes: Sequence[Scene], choice: Choice) -> tuple[str, ...]:
    """Return a sentence where the pixel of the map is neither the image's nor the requested one."""
    if choice.ref is None or request.resolution_m is not None:
        return ()
    note = pixel_note(choice.ref.card, _lead(request, scenes)[0])
    return (note,) if note else ()


def _notes(
    scenes: Sequence[Scene], *, meeting: Sequence[Scene], used: Sequence[Scene], choice: Choice
) -> tuple[str, ...]:
    """Return what was concluded rather than given, and which scenes play no part."""
    notes = [note for scene in used for note in scene.notes]
    if outside := [scene.id for scene in scenes if scene not in meeting]:
        notes.append(f"{', '.join(outside)} lie outside the area and were not used")
    if passed := [scene.id for scene in meeting if scene not in used]:
        notes.append(f"{choice.name} does not read {', '.join(passed)}: they were not used")
    if choice.ref is not None:
        notes += lacking(choice.ref.card, [available(scene) for scene in meeting])
    return tuple(dict.fromkeys(notes))


def _ingredient(scene: Scene) -> list[object]:
    assets = [(asset.band, asset.path.name, asset.index) for asset in scene.assets]
    return [
        scene.id, scene.phase, scene.revision, scene.sensor_name, scene.units, scene.offset,
        scene.taken_text, scene.cloud_cover, scene.backscatter, assets,
    ]  # fmt: skip


def product_id(recipe: Mapping[str, object]) -> str:
    """Return the id of the product that a recipe makes: 16 digits of its sha256."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def footprints_digest(path: Path) -> str:
    """Return the sha256 of a file of footprints, of a Shapefile with what it is made of.

    Raises:
        FootprintsInvalid: where there is none.
    """
    if not path.is_file():
        raise FootprintsInvalid(f"there is no file of footprints at {path}; check the path")
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts += [p for s in _BESIDE_SHP if (p := path.with_suffix(s)).is_file()]
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
