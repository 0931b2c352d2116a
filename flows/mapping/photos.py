"""The walk of photos: pictures that lie nowhere in, masks and a summary of each out.

From a request of photos to a plan: which photos, which model, which product.

The files of a product of photos: masks, pictures, positions, summary and STAC item.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from flows.config import RequestInvalid, Settings
from flows.mapping.map_run import Step, direct
from flows.mapping.plan import code_digest
from flows.reports.progress import Meter
from flows.reports.summary import ModelUsed, PhotoFound, PhotoSummary, photos_csv
from flows.request import MapRequest
from geo.errors import BandsUnknown, NothingObserved
from geo.export.geojson import write_geojson
from geo.imagery.photo import Photo, footprint_of, is_of_camera, read_photo, why_no_footprint
from geo.imagery.xyz_tiles import is_tree
from geo.scenes.radiometry import Colours
from geo.scenes.scene import Phase
from geo.scenes.source import PICTURE_SUFFIXES, Source, expanded, photos_of, placed_of
from geo.store.atomic_io import making
from geo.store.manifest import PHOTOS, Origins, Product
from geo.store.stac import rebuild, write_item
from geo.store.store import LocalStore, Workspace
from models.cards.registry import CardRef, all_cards, find
from models.cards.selection import TASKS_OF, matching
from models.cards.suitability import Available
from models.errors import NoModelFits
from models.inference.model import Model, load_model
from models.inference.photos import (
    BANDS,
    FOUND,
    NOT_ANALYSED,
    SENSOR,
    PhotoMask,
    map_photo,
    require_photos,
)
from models.inference.windows import ProgressReceiver

OVERLAY_PX = 1280
"""Longer side of a picture, for the eye."""
_WATER = (33, 113, 181)
"""Colour of water in the pictures: the outline of `geo.export.styles`."""
_GREY = (127, 127, 127)
_STRIPE_PX = 12
_FOOTPRINT = "Photo footprint, approximate"
_CAMERA = "Position of the camera, not of what it shows"
_ACCURACY = {
    _FOOTPRINT: "approximate: GPS of the camera, flat ground at the height of take-off",
    _CAMERA: "GPS of the camera; where the ground of the photo lies is not known",
}


def write_photo(folder: Path, name: str, photo: Photo, answer: PhotoMask) -> tuple[str, str]:
    """Write the mask of a photo, and the photo with the mask on it; return their paths.

    Raises:
        StoreError: where the disk does not take them.
    """
    mask, overlay = f"masks/{name}.png", f"overlays/{name}.jpg"
    for path in (mask, overlay):
        (folder / path).parent.mkdir(exist_ok=True)
    with making(folder / mask):
        Image.fromarray(answer.mask).save(folder / mask, optimize=True)
    with making(folder / overlay):
        _overlay(photo, answer).save(folder / overlay, quality=85)
    return mask, overlay


def write_positions(
    folder: Path, photos: Mapping[str, Photo], request: MapRequest, product_id: str
) -> None:
    """Write what is known of the positions of photos: footprints, or where the camera was.

    Args:
        photos: by file name; their pixels are not looked at.
    """
    areas: dict[str, BaseGeometry] = {}
    points: dict[str, BaseGeometry] = {}
    for name, photo in photos.items():
        if photo.pose is None:
            continue
        area = footprint_of(photo.pose)
        if area is not None:
            areas[name] = area
        else:
            points[name] = Point(photo.pose.lonlat)
    for layer, notation, shapes in (
        ("photo_footprint", _FOOTPRINT, areas),
        ("camera_position", _CAMERA, points),
    ):
        if not shapes:
            continue
        (folder / "layers").mkdir(exist_ok=True)
        table = {
            "id": [f"{product_id}-{layer}-{number}" for number in range(1, len(shapes) + 1)],
            "event_id": request.event,
            "photo": list(shapes),
            "notation": notation,
            "position_accuracy": _ACCURACY[notation],
            "observed_at": [photos[name].taken for name in shapes],
            "product_id": product_id,
        }
        frame = gpd.GeoDataFrame(
            table, geometry=shapely.set_precision(list(shapes.values()), 1e-7), crs="EPSG:4326"
        )
        write_geojson(frame, folder / "layers" / f"{layer}.geojson")


def write_records(summary: PhotoSummary, workspace: Workspace) -> None:
    """Write `summary.json`, `photos.csv` and the STAC item."""
    folder = workspace.folder
    text = summary.model_dump_json(indent=2) + "\n"
    (folder / "summary.json").write_text(text, encoding="utf-8")
    (folder / "photos.csv").write_text(photos_csv(summary), encoding="utf-8")
    write_item(
        folder,
        event_id=summary.event_id,
        product_id=summary.product_id,
        area=None,
        bounds=None,
        times=[],
        undated=datetime.now(UTC).replace(microsecond=0),
        properties={
            "title": summary.event_name,
            "aftermap:kind": summary.kind,
            "aftermap:hazard": summary.hazard,
            "aftermap:model": f"{summary.model.name} {summary.model.digest12}",
            "aftermap:status": "draft",
        },
    )


def _overlay(photo: Photo, answer: PhotoMask) -> Image.Image:
    """Return the photo with water in blue and what was not analysed in grey stripes."""
    rows, cols = answer.mask.shape
    scale = min(1.0, OVERLAY_PX / max(rows, cols))
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    picture = np.asarray(Image.fromarray(photo.pixels).resize(size, Image.Resampling.BOX))
    mask = np.asarray(Image.fromarray(answer.mask).resize(size, Image.Resampling.NEAREST))
    y, x = np.mgrid[: size[1], : size[0]]
    striped = (x + y) // (_STRIPE_PX // 2) % 2 == 0
    shown = picture.astype(np.float32)
    for where, colour, share in (
        (mask == FOUND, _WATER, 0.55),
        ((mask == NOT_ANALYSED) & striped, _GREY, 0.8),
    ):
        shown[where] = (1 - share) * shown[where] + share * np.array(colour, np.float32)
    return Image.fromarray(shown.round().astype(np.uint8))


_OF_MAPS = (
    "area", "before", "buildings", "find_buildings", "damaged_areas", "resolution_m", "crs",
    "min_area_m2", "simplify_m",
)  # fmt: skip
"""What a request may say of a map, and not of photos."""


@dataclass(frozen=True)
class PhotoPlan:
    """Everything that a product of photos depends on."""

    request: MapRequest
    photos: Mapping[str, Path]
    """By the name that each has in the product."""
    digests: Mapping[str, str]
    """sha256 by the same name."""
    ref: CardRef
    """The model."""
    why: str
    """Why this model, a sentence."""
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


def plan_photos(request: MapRequest, photos: Sequence[Path], settings: Settings) -> PhotoPlan:
    """Return the plan of a request of photos.

    Raises:
        RequestInvalid: where it asks for what only a map has.
        NoModelFits, ModelUnknown, InputsMismatch: where no model answers for photos.
    """
    fields = MapRequest.model_fields
    if said := [name for name in _OF_MAPS if getattr(request, name) != fields[name].default]:
        raise RequestInvalid(
            f"{photos[0].name} is a photo that lies nowhere, and {', '.join(said)} is of maps; "
            "leave it out, or georeference the photo"
        )
    ref, why = _choose(request, settings)
    named = _named(photos)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}
    recipe = {
        "event": request.event, "hazard": request.hazard, "name": request.title,
        "photos": [(name, path.name, digests[name]) for name, path in named.items()],
        "model": ref.card.digest,
        "domain_check": request.domain_check, "code": code_digest(),
    }  # fmt: skip
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    product_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    return PhotoPlan(request, named, digests, ref, why, product_id)


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


def _choose(request: MapRequest, settings: Settings) -> tuple[CardRef, str]:
    """Return the model that was asked for or the first that fits, and why it."""
    if request.model == "none":
        raise RequestInvalid("a photo without a model says nothing; name another --model")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        require_photos(ref.card)
        return ref, f"{ref.card.name} was asked for"
    offer = Available(Phase.AFTER, SENSOR, BANDS)
    match = matching(all_cards(settings.models), hazard=request.hazard, available=[offer])
    if match.fits:
        ref = match.fits[0]
        require_photos(ref.card)
        return ref, f"{ref.card.name} is the first choice that fits photos"
    tasks = TASKS_OF[request.hazard]
    reasons = [m.reason for m in match.misfits if m.ref.card.task in tasks]
    raise NoModelFits(
        f"no model can find a {request.hazard} in photos: "
        f"{'; '.join(dict.fromkeys(reasons)) or 'none looks for it'}; give a --model of your own"
    )


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


_NOTES = (
    "a photo does not say where it lies: shares are of its pixels, not of the ground, and what is "
    "near the camera counts for more",
    "one photo does not tell a flood from water that is always there",
    "nothing masks clouds, smoke and fog in photos, and a cloud may be called flooded with a high "
    "confidence: look at the pictures",
)
# No rule masks clouds here, because none was found that spares the flood. Of brightness, colour and
# roughness 24 rules were measured: those that find any of the cloud of florence_vhr, at most 12 %
# of that picture where 39 % were called water, take 8 to 32 % of the labelled flood of flood_area
# as well, which mirrors the same sky; nor does the share of what was called water that looks like
# cloud tell the two apart (0.30 in florence_vhr, above 0.5 in 52 of 229 photos of floods).


@dataclass(frozen=True)
class PublishedPhotos:
    """A product of photos that can be read."""

    folder: Path
    event_id: str
    product_id: str
    summary: PhotoSummary
    new: bool
    """False where the same inputs had been published before, and nothing was computed."""


def walk_photos(
    request: MapRequest,
    photos: Sequence[Path],
    settings: Settings,
    progress: ProgressReceiver,
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


def analyse_photos(
    plan: PhotoPlan, workspace: Workspace, progress: ProgressReceiver
) -> PhotoSummary:
    """PhotoMask for each photo, and write its mask and picture.

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
            _require_natural(photo, path, checked=plan.request.domain_check)
            answer = map_photo(model, photo, path.name)
            mask, overlay = write_photo(workspace.folder, name, photo, answer)
            found.append(_found(path, photo, answer, files=(mask, overlay)))
            positions[path.name] = replace(photo, pixels=photo.pixels[:0], valid=photo.valid[:0])
            progress.advance(1)
    finally:
        progress.finish()
    if all(photo.not_analysed_share == 1 for photo in found):
        notes = next((f": {photo.note}" for photo in found if photo.note), "")
        raise NothingObserved(
            f"none of the {len(found)} photos has a pixel that could be analysed{notes}; give "
            "other photos"
        )
    write_positions(workspace.folder, positions, plan.request, plan.product_id)
    return _summary(plan, found)


def publish_photos(
    store: LocalStore, plan: PhotoPlan, workspace: Workspace, meter: Meter
) -> PublishedPhotos:
    """Make the product visible, all at once, and bring the catalogues up to date."""
    request, ref = plan.request, plan.ref
    manifest = {
        "kind": PHOTOS,
        "request": request.portable(),
        "photos": [
            {"name": name, "file": path.name, "sha256": plan.digests[name]}
            for name, path in plan.photos.items()
        ],
        "model": {"name": ref.card.name, "version": ref.card.version, "digest": ref.card.digest},
        "versions": {name: version(name) for name in ("aftermap", "numpy", "pillow")},
        "code_sha256": code_digest(),
        "cost": meter.read().as_json(),
    }  # fmt: skip
    publication = store.publish(workspace, manifest)
    after = [str(expanded(Path(spec.path)).absolute()) for spec in request.after]
    folder = str(ref.folder.absolute())
    store.record_origins(request.event, plan.product_id, Origins([], after, folder))
    rebuild(store, request.event)
    return _read(publication.product, new=publication.ours)


def _require_natural(photo: Photo, path: Path, *, checked: bool) -> None:
    if checked and photo.colours is Colours.INFRARED:
        raise BandsUnknown(
            f"{path} looks like near infrared, red and green stored as red, green and blue: its "
            "plants are purple-red; give the photo in natural colours, or --no-domain-check to "
            "take it as it is"
        )


def _model(plan: PhotoPlan) -> Model:
    card = plan.ref.card
    used = card if plan.request.domain_check else card.unchecked
    return load_model(replace(plan.ref, card=used), device=plan.request.device)


def _found(path: Path, photo: Photo, answer: PhotoMask, *, files: tuple[str, str]) -> PhotoFound:
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
    request, card = plan.request, plan.ref.card
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
            why=plan.why,
            calibrated=card.calibration is not None,
        ),
        notes=(*_NOTES, *left_out),
    )


def _read(product: Product, *, new: bool) -> PublishedPhotos:
    text = (product.folder / "summary.json").read_text(encoding="utf-8")
    summary = PhotoSummary.model_validate_json(text)
    return PublishedPhotos(product.folder, product.event_id, product.product_id, summary, new)
