"""Photos: masks, pictures, positions and a summary of each, as the files of a product."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from flows.mapping.photo_plan import PhotoPlan
from flows.mapping.publish import Manifest
from flows.reports.progress import current_progress
from flows.reports.summary import ModelUsed, PhotoFound, PhotoSummary, photos_csv
from flows.request import MapRequest
from geo.errors import BandsUnknown, NothingObserved
from geo.export.geojson import write_geojson
from geo.imagery.photo import Photo, footprint_of, read_photo, why_no_footprint
from geo.scenes.radiometry import Colours
from geo.store.atomic_io import making
from geo.store.manifest import PHOTOS
from geo.store.stac import write_item
from geo.store.store import Workspace
from models.cards.registry import CardRef
from models.inference.model import Model, load_model
from models.inference.photos import FOUND, NOT_ANALYSED, PhotoMask, map_photo

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


def analyse_photos(plan: PhotoPlan, workspace: Workspace) -> PhotoSummary:
    """Find water in each photo, and write its mask and picture and what is known of its position.

    Raises:
        SceneUnreadable, BandsUnknown: for the first photo that cannot be used.
        NothingObserved: where not one pixel of any photo could be analysed.
    """
    ref = plan.choice.ref
    if ref is None:
        raise TypeError("a plan of photos has a model")
    model, progress = _model(plan, ref), current_progress()
    found: list[PhotoFound] = []
    positions: dict[str, Photo] = {}
    progress.start(f"{len(plan.photos)} photos", len(plan.photos))
    try:
        for name, path in plan.photos.items():
            photo = read_photo(path)
            _require_natural(photo, path, checked=plan.request.domain_check)
            answer = map_photo(model, photo, path.name)
            files = write_photo(workspace.folder, name, photo, answer)
            found.append(_found(path, photo, answer, files=files))
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
    return _summary(plan, ref, found)


def write_photo_records(plan: PhotoPlan, summary: PhotoSummary, workspace: Workspace) -> Manifest:
    """Write `summary.json`, `photos.csv` and the STAC item; return what the manifest says."""
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
            "aftermap:model": plan.choice.label,
            "aftermap:status": "draft",
        },
    )
    return {
        "kind": PHOTOS,
        "photos": [
            {"name": name, "file": path.name, "sha256": plan.digests[name]}
            for name, path in plan.photos.items()
        ],
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


def _require_natural(photo: Photo, path: Path, *, checked: bool) -> None:
    if checked and photo.colours is Colours.INFRARED:
        raise BandsUnknown(
            f"{path} looks like near infrared, red and green stored as red, green and blue: its "
            "plants are purple-red; give the photo in natural colours, or --no-domain-check to "
            "take it as it is"
        )


def _model(plan: PhotoPlan, ref: CardRef) -> Model:
    card = ref.card if plan.request.domain_check else ref.card.unchecked
    return load_model(replace(ref, card=card), device=plan.request.device)


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


def _summary(plan: PhotoPlan, ref: CardRef, found: Sequence[PhotoFound]) -> PhotoSummary:
    request, card = plan.request, ref.card
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
        notes=(*plan.notes, *_NOTES, *left_out),
    )
