"""The walk of photos: pictures that lie nowhere in, masks and a summary of each out."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from flows.cost import Meter
from flows.errors import NothingFits, RequestInvalid
from flows.find import Choice, code_digest
from flows.photo_files import write_photo, write_positions, write_records
from flows.photo_report import PhotoFound, PhotoSummary
from flows.report import ModelUsed
from flows.request import MapRequest
from flows.settings import Settings
from flows.walk import Step, direct
from geo.camera import footprint_of, why_no_footprint
from geo.catalogue import rebuild
from geo.errors import NothingObserved
from geo.manifest import Product
from geo.origins import Origins
from geo.photo import Photo, is_of_camera, read_photo
from geo.scene import Phase
from geo.source import PICTURE_SUFFIXES, Source, expanded, photos_of, placed_of
from geo.store import LocalStore
from geo.tiles import is_tree
from geo.workspace import Workspace
from models.mapping import Progress
from models.matching import TASKS_OF, Available, matching
from models.photos import BANDS, SENSOR, Answer, answer_photo, require_photos
from models.predict import Model, load
from models.registry import all_cards, find

Out = TypeVar("Out")

_NOTES = (
    "a photo does not say where it lies: shares are of its pixels, not of the ground, and what is "
    "near the camera counts for more",
    "one photo does not tell a flood from water that is always there",
    "clouds, smoke and fog in photos are not masked: what lies under them is answered as if it "
    "were seen",
)
_OF_MAPS = ("area", "before", "buildings", "resolution_m", "crs", "min_area_m2", "simplify_m")
"""What a request may say of a map, and not of photos."""


@dataclass(frozen=True)
class PublishedPhotos:
    """A product of photos that can be read."""

    folder: Path
    event_id: str
    product_id: str
    summary: PhotoSummary
    new: bool
    """False where the same inputs had been published before, and nothing was computed."""


@dataclass(frozen=True)
class PhotoPlan:
    """Everything that a product of photos depends on."""

    request: MapRequest
    photos: Mapping[str, Path]
    """By the name that each has in the product."""
    digests: Mapping[str, str]
    """sha256 by the same name."""
    choice: Choice
    product_id: str


def photos_in(request: MapRequest) -> tuple[Path, ...]:
    """Return the photos of a request; none where its images are georeferenced.

    Pictures beside GeoTIFFs are previews of them, unless they say which camera took them.

    Raises:
        RequestInvalid: where both are asked for at once.
    """
    photos: dict[Path, None] = {}
    placed: list[Path] = []
    for source in (spec.as_source() for spec in request.after):
        here, lying = _sorted_out(source)
        photos |= dict.fromkeys(here)
        placed += lying
    if photos and placed:
        raise RequestInvalid(
            f"{next(iter(photos)).name} is a photo that lies nowhere, and {placed[0].name} is "
            "georeferenced; map photos and georeferenced images in two requests"
        )
    return tuple(photos)


def walk_photos(
    request: MapRequest,
    photos: Sequence[Path],
    settings: Settings,
    progress: Progress,
    *,
    step: Step = direct,
) -> PublishedPhotos:
    """Analyse photos and publish the product, or find it published already.

    Raises:
        GeoError, ModelError, FlowError: with one clear sentence; nothing was published.
    """
    meter = Meter.start()
    store = LocalStore(request.store)
    store.repair(request.event)
    plan = step(plan_photos)(request, photos, settings)
    if (product := store.find(request.event, plan.product_id)) is not None:
        rebuild(store, request.event)
        return _read(product, new=False)
    with store.workspace(request.event, plan.product_id) as workspace:
        summary = step(analyse_photos)(plan, workspace, progress)
        write_records(summary, workspace)
        return step(publish_photos)(store, plan, workspace, meter)


def plan_photos(request: MapRequest, photos: Sequence[Path], settings: Settings) -> PhotoPlan:
    """Return the plan of a request of photos.

    Raises:
        RequestInvalid: where it asks for what only a map has.
        NothingFits, ModelUnknown, InputsMismatch: where no model answers for photos.
    """
    if said := [name for name in _OF_MAPS if getattr(request, name) not in (None, ())]:
        raise RequestInvalid(
            f"{photos[0].name} is a photo that lies nowhere, and {', '.join(said)} is of maps; "
            "leave it out, or georeference the photo"
        )
    choice = _choose(request, settings)
    named = _named(photos)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}
    recipe = {
        "event": request.event, "hazard": request.hazard, "name": request.title,
        "photos": [(name, path.name, digests[name]) for name, path in named.items()],
        "model": choice.ref.card.digest if choice.ref else None,
        "domain_check": request.domain_check, "code": code_digest(),
    }  # fmt: skip
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return PhotoPlan(
        request, named, digests, choice, hashlib.sha256(text.encode()).hexdigest()[:16]
    )


def analyse_photos(plan: PhotoPlan, workspace: Workspace, progress: Progress) -> PhotoSummary:
    """Answer for each photo, and write its mask and picture.

    Raises:
        SceneUnreadable, BandsUnknown: for the first photo that cannot be used.
        NothingObserved: where not one pixel of any photo could be analysed.
    """
    model = _model(plan)
    found: list[PhotoFound] = []
    positions: dict[str, Photo] = {}
    progress.start(f"{len(plan.photos)} photos", len(plan.photos))
    try:
        for name, path in plan.photos.items():
            photo = read_photo(path)
            answer = answer_photo(model, photo, path.name)
            mask, overlay = write_photo(workspace.folder, name, photo, answer)
            found.append(_found(path, photo, answer, files=(mask, overlay)))
            positions[path.name] = replace(photo, pixels=photo.pixels[:0], valid=photo.valid[:0])
            progress.advance(1)
    finally:
        progress.finish()
    if all(photo.not_analysed_share == 1 for photo in found):
        notes = next((f": {photo.note}" for photo in found if photo.note), "")
        raise NothingObserved(
            f"none of the {len(found)} photos has a pixel that could be analysed{notes}; give other "
            "photos"
        )
    write_positions(workspace.folder, positions, plan.request, plan.product_id)
    return _summary(plan, found)


def publish_photos(
    store: LocalStore, plan: PhotoPlan, workspace: Workspace, meter: Meter
) -> PublishedPhotos:
    """Make the product visible, all at once, and bring the catalogues up to date."""
    request, ref = plan.request, plan.choice.ref
    manifest = {
        "kind": "photos",
        "request": request.portable(),
        "photos": [
            {"name": name, "file": path.name, "sha256": plan.digests[name]}
            for name, path in plan.photos.items()
        ],
        "model": {"name": ref.card.name, "version": ref.card.version, "digest": ref.card.digest}
        if ref else None,
        "versions": {name: version(name) for name in ("aftermap", "numpy", "pillow")},
        "code_sha256": code_digest(),
        "cost": meter.read().as_json(),
    }  # fmt: skip
    publication = store.publish(workspace, manifest)
    after = [str(expanded(Path(spec.path)).absolute()) for spec in request.after]
    folder = str(ref.folder.absolute()) if ref else None
    store.record_origins(request.event, plan.product_id, Origins([], after, folder))
    rebuild(store, request.event)
    return _read(publication.product, new=publication.ours)


def _sorted_out(source: Source) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the photos of a source, and its georeferenced images."""
    folder = expanded(Path(source.path))
    if folder.is_dir() and is_tree(folder):
        return (), (folder,)
    photos, placed = photos_of(source), placed_of(source)
    previews = placed and not any(path.suffix.lower() in PICTURE_SUFFIXES for path in placed)
    if previews:
        photos = tuple(path for path in photos if is_of_camera(path))
    return photos, placed


def _choose(request: MapRequest, settings: Settings) -> Choice:
    if request.model == "none":
        raise RequestInvalid("a photo without a model says nothing; name another --model")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        require_photos(ref.card)
        return Choice(ref, f"{ref.card.name} was asked for")
    offer = Available(Phase.AFTER, SENSOR, BANDS)
    match = matching(all_cards(settings.models), hazard=request.hazard, available=[offer])
    if match.fits:
        ref = match.fits[0]
        require_photos(ref.card)
        return Choice(ref, f"{ref.card.name} is the first choice that fits photos")
    tasks = TASKS_OF[request.hazard]
    reasons = [m.reason for m in match.misfits if m.ref.card.task in tasks]
    raise NothingFits(
        f"no model can find a {request.hazard} in photos: "
        f"{'; '.join(dict.fromkeys(reasons)) or 'none looks for it'}; give a --model of your own"
    )


def _model(plan: PhotoPlan) -> Model:
    ref = plan.choice.ref
    if ref is None:
        raise NothingFits("there is no model for photos; name one with --model")
    card = ref.card if plan.request.domain_check else ref.card.unchecked
    return load(replace(ref, card=card), device=plan.request.device)


def _named(photos: Sequence[Path]) -> dict[str, Path]:
    """Return photos by names that are unique, and plain enough for any disk and address."""
    named: dict[str, Path] = {}
    for path in photos:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip(".-") or "photo"
        number, name = 1, stem
        while name in named:
            number, name = number + 1, f"{stem}-{number + 1}"
        named[name] = path
    return named


def _found(path: Path, photo: Photo, answer: Answer, *, files: tuple[str, str]) -> PhotoFound:
    rows, cols = answer.mask.shape
    pose = photo.pose
    why = why_no_footprint(pose) if pose else "the photo does not say where it was taken"
    shown = pose is not None and footprint_of(pose) is not None
    approximate = "approximate: GPS of the camera, flat ground, no distortion of the lens"
    return PhotoFound(
        photo=path.name,
        mask=files[0],
        overlay=files[1],
        width_px=cols,
        height_px=rows,
        taken=photo.taken,
        flooded_share=answer.found_share,
        confidence=None if answer.confidence is None else round(answer.confidence, 1),
        not_analysed_share=answer.not_analysed_share,
        not_analysed=answer.reasons,
        position="footprint" if shown else "camera" if pose else "none",
        position_note=approximate if shown else why or "the lens sees the sky",
        lon=pose.lonlat[0] if pose else None,
        lat=pose.lonlat[1] if pose else None,
        note=answer.note,
    )


def _summary(plan: PhotoPlan, found: Sequence[PhotoFound]) -> PhotoSummary:
    request, ref = plan.request, plan.choice.ref
    if ref is None:
        raise NothingFits("there is no model for photos; name one with --model")
    card = ref.card
    left_out = [f"{photo.photo}: {photo.note}" for photo in found if photo.note]
    return PhotoSummary(
        event_id=request.event,
        event_name=request.title,
        hazard=request.hazard,
        product_id=plan.product_id,
        photos=tuple(found),
        model=ModelUsed(
            name=card.name,
            version=card.version,
            digest12=card.digest[:12],
            why=plan.choice.why,
            calibrated=card.calibration is not None,
        ),
        notes=(*_NOTES, *left_out),
    )


def _read(product: Product, *, new: bool) -> PublishedPhotos:
    text = (product.folder / "summary.json").read_text(encoding="utf-8")
    summary = PhotoSummary.model_validate_json(text)
    return PublishedPhotos(product.folder, product.event_id, product.product_id, summary, new)
