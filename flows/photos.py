"""The walk of photos: pictures that lie nowhere in, masks and a summary of each out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from flows.cost import Meter
from flows.find import code_digest
from flows.photo_files import write_photo, write_positions, write_records
from flows.photo_plan import PhotoPlan, plan_photos
from flows.photo_report import PhotoFound, PhotoSummary
from flows.report import ModelUsed
from flows.request import MapRequest
from flows.settings import Settings
from flows.walk import Step, direct
from geo.camera import footprint_of, why_no_footprint
from geo.catalogue import rebuild
from geo.colours import Colours
from geo.errors import BandsUnknown, NothingObserved
from geo.manifest import PHOTOS, Product
from geo.origins import Origins
from geo.photo import Photo, read_photo
from geo.source import expanded
from geo.store import LocalStore
from geo.workspace import Workspace
from models.mapping import Progress
from models.photos import Answer, answer_photo
from models.predict import Model, load

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
            _require_natural(photo, path, checked=plan.request.domain_check)
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
    return load(replace(plan.ref, card=used), device=plan.request.device)


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
