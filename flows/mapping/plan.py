"""From a request to a plan: which scenes, which area, which model, which grid, which product.

Which model maps, and which finds buildings: what was asked for, or the first that fits.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import shapely
from odc.geo.geobox import GeoBox

import geo
import models
from flows.config import NothingFits, Settings
from flows.request import MapRequest
from geo.errors import NotOverlapping, TimeUnknown
from geo.imagery.mosaic import ordered
from geo.raster.grid import GridChoice, crs_of, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene, distinct_ids
from geo.vector.area_of_interest import AreaOfInterest, extent_text, parse_area, swap_hint
from geo.vector.buildings import Footprints, read_footprints
from geo.vector.hazards import event_class
from models.cards.inputs import Task
from models.cards.registry import CardRef, all_cards, find
from models.cards.selection import (
    TASKS_OF,
    accepts,
    finders,
    lacking,
    matching,
    misfit,
    pixel_for,
    pixel_note,
    require_fit,
    require_natural,
    require_suited,
)
from models.damage.detection import LEAST_M2
from models.errors import InputsMismatch
from models.inference.clouds import CloudSource, cloud_sources
from models.inference.scene_inputs import available


@dataclass(frozen=True)
class Choice:
    """The model of a product, and why it."""

    ref: CardRef | None
    """None where no model is run."""
    why: str
    """A sentence for the summary."""

    @property
    def name(self) -> str:
        """Name of the model, or "no model"."""
        return self.ref.card.name if self.ref else "no model"

    @property
    def grader(self) -> CardRef | None:
        """The model, where it is one that grades buildings."""
        return self.ref if self.ref is not None and self.ref.card.task is Task.DAMAGE else None

    @property
    def label(self) -> str | None:
        """Name and 12 digits of the digest, as in `model` of every feature."""
        return f"{self.ref.card.name} {self.ref.card.digest[:12]}" if self.ref else None


def choose_model(request: MapRequest, scenes: Sequence[Scene], settings: Settings) -> Choice:
    """Return the model that was asked for, or the first that fits.

    Raises:
        NothingFits: with the reason of every model of the hazard.
        ModelUnknown, InputsMismatch: for a model that was asked for.
    """
    offers = [available(scene) for scene in scenes]
    if request.model == "none":
        return Choice(None, "no model was run, as asked")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        if ref.card.task is Task.CLOUD:
            raise InputsMismatch(
                f"{ref.card.name} finds clouds, not a {request.hazard}; name another --model, and "
                "say with --clouds how clouds are masked"
            )
        require_fit(ref.card, offers)
        _require_footprints(ref, request)
        return Choice(ref, f"{ref.card.name} was asked for")
    match = matching(
        all_cards(settings.models),
        hazard=request.hazard,
        available=offers,
        buildings=request.grades_buildings,
    )
    if match.fits:
        ref, *others = match.fits
        passed = f"; {', '.join(o.card.name for o in others)} would fit as well" if others else ""
        read = _said_of([scene for scene in scenes if takes(ref, scene)])
        return Choice(
            ref,
            f"{ref.card.name} is the first choice that fits the imagery; it reads {read}{passed}",
        )
    tasks = TASKS_OF[request.hazard]
    graded = [
        m.ref.card
        for m in match.misfits
        if m.ref.card.task is Task.DAMAGE and misfit(m.ref.card, offers) is None
    ]
    pixels_only = tuple(task for task in tasks if task is not Task.DAMAGE)
    # Without footprints, and a pair to grade them in, nobody waits for grades.
    named = tasks if request.grades_buildings or graded or not pixels_only else pixels_only
    reasons = [m.reason for m in match.misfits if m.ref.card.task in named]
    # A pair that could be graded is worth asking for footprints; other imagery is looked at.
    if request.grades_buildings or (set(tasks) <= {Task.DAMAGE} and not graded):
        why = "; ".join(dict.fromkeys(reasons)) or "there is no model for it"
        return Choice(None, f"no model fits a {request.hazard} in this imagery: {why}")
    raise NothingFits(
        f"no model can map a {request.hazard} here: {'; '.join(dict.fromkeys(reasons))}; give "
        "other imagery, a --model of your own, or --model none for a product without analysis"
    )


def _require_footprints(ref: CardRef, request: MapRequest) -> None:
    # Who names a model that finds buildings, and gives none, wants them found.
    if ref.card.task is not Task.DAMAGE or request.grades_buildings or ref.card.finds_buildings:
        return
    raise InputsMismatch(
        f"{ref.card.name} grades buildings and finds none itself; give their footprints with "
        "--buildings, or have another model find them with --find-buildings"
    )


def choose_finder(
    request: MapRequest, choice: Choice, scenes: Sequence[Scene], settings: Settings
) -> CardRef | None:
    """Return what finds buildings and damaged ground: the grader itself where it can.

    Raises:
        NothingFits: where something is to be found and no model can.
    """
    grader = choice.grader
    if grader is None:
        if request.find_buildings or request.damaged_areas:
            raise NothingFits(
                f"buildings and damaged areas are found to grade damage, and {choice.name} does "
                f"not: {choice.why}; leave out --find-buildings and --damaged-areas, or name a "
                "grader with --model"
            )
        return None
    if request.buildings is not None and not request.damaged_areas:
        return None
    if grader.card.finds_buildings:
        return grader
    fits = finders(
        all_cards(settings.models),
        available=[available(scene) for scene in scenes if takes(grader, scene)],
        resolution_m=grader.card.resolution_m,
    )
    if not fits:
        raise NothingFits(
            f"no model finds buildings in this imagery at the {grader.card.resolution_m:g} m that "
            f"{grader.card.name} grades them at; give footprints with --buildings, without "
            "--damaged-areas"
        )
    return fits[0]


def reads(choice: Choice, scene: Scene) -> bool:
    """Whether the model takes the scene; without a model every scene is looked at."""
    return choice.ref is None or takes(choice.ref, scene)


def takes(ref: CardRef, scene: Scene) -> bool:
    return any(accepts(entry, available(scene)) for entry in ref.card.inputs)


def _said_of(scenes: Sequence[Scene]) -> str:
    """Return which sensors took scenes, and when: "Sentinel-1 GRD before and after"."""
    phases: dict[str, list[str]] = {}
    for scene in sorted(scenes, key=lambda scene: scene.phase is Phase.AFTER):
        phases.setdefault(scene.sensor.title, []).append(scene.phase.value)
    return ", ".join(
        f"{title} {' and '.join(dict.fromkeys(when))}" for title, when in sorted(phases.items())
    )


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a product depends on, decided before a pixel is mapped."""

    request: MapRequest
    scenes: tuple[Scene, ...]
    area: AreaOfInterest
    choice: Choice
    geobox: GeoBox
    footprints: Footprints | None
    """None where there is no file of them."""
    finder: CardRef | None
    """What finds buildings and damaged ground in the images; None where nothing is to be found."""
    product_id: str
    min_area_m2: float
    simplify_m: float
    clouds: tuple[CloudSource, ...]
    """Who masks the clouds of each optical scene."""
    notes: tuple[str, ...]
    """What was concluded rather than told, as sentences."""

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


def make_plan(request: MapRequest, scenes: Sequence[Scene], settings: Settings) -> Plan:
    """Return the plan of a request.

    Raises:
        AreaInvalid: where the area cannot be used.
        NotOverlapping: where the area and the scenes of a phase do not meet.
        NothingFits: where no model can map what there is.
        ModelUnknown, InputsMismatch: where the model that was asked for is not there, or
            wants other imagery.
    """
    area = _area(request, scenes)
    meeting = _meeting(area, scenes)
    choice = choose_model(request, meeting, settings)
    finder = choose_finder(request, choice, meeting, settings)
    used = tuple(scene for scene in meeting if reads(choice, scene))
    clouds = cloud_sources(used, request.clouds, all_cards(settings.models))
    if choice.ref is not None:
        require_natural(choice.ref.card, used, checked=request.domain_check)
    if choice.grader is not None:
        _require_gradable(choice.grader, request, used, area)
    geobox = _grid(request, area, used, choice)
    footprints = read_footprints(request.buildings, area) if request.buildings else None
    pixel_m = abs(geobox.resolution.x)
    simplify_m = request.simplify_m if request.simplify_m is not None else pixel_m
    least_m2 = LEAST_M2 if request.damaged_areas else 10 * pixel_m**2
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
        "buildings": footprints.sha256 if footprints else None,
        "finder": finder.card.digest if finder else None,
        "damaged_areas": request.damaged_areas,
        "code": code_digest(),
    }
    return Plan(
        request=request,
        scenes=used,
        area=area,
        choice=choice,
        geobox=geobox,
        footprints=footprints,
        finder=finder,
        product_id=_digest(recipe)[:16],
        min_area_m2=smallest,
        simplify_m=simplify_m,
        clouds=clouds,
        notes=(
            *_notes(scenes, meeting=meeting, used=used, choice=choice),
            *_scale_note(request, used, choice),
        ),
    )


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
    require_suited(ref.card, scenes, area)


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
    """Return a sentence where the pixel of the map is neither the image's nor what was asked."""
    if choice.ref is None or request.resolution_m is not None:
        return ()
    note = pixel_note(choice.ref.card, _lead(request, scenes)[0])
    return (note,) if note else ()


def _notes(
    scenes: Sequence[Scene], *, meeting: Sequence[Scene], used: Sequence[Scene], choice: Choice
) -> tuple[str, ...]:
    """Return what was concluded rather than told, and which scenes play no part."""
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


def _digest(recipe: object) -> str:
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
