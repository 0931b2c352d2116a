"""The files of a product of photos: masks, pictures, positions, summary and STAC item."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from flows.photo_report import PhotoSummary, photos_csv
from flows.request import MapRequest
from geo.camera import footprint_of
from geo.catalogue import write_item
from geo.durable import making
from geo.photo import Photo
from geo.workspace import Workspace
from geo.write.geojson import write_geojson
from models.photos import FOUND, NOT_ANALYSED, Answer

OVERLAY_PX = 1280
"""Longer side of a picture, for the eye."""
_WATER = (33, 113, 181)
"""Colour of water in the pictures: the outline of `geo.write.palette`."""
_GREY = (127, 127, 127)
_STRIPE_PX = 12
_FOOTPRINT = "Photo footprint, approximate"
_CAMERA = "Position of the camera, not of what it shows"
_ACCURACY = {
    _FOOTPRINT: "approximate: GPS of the camera, flat ground at the height of take-off",
    _CAMERA: "GPS of the camera; where the ground of the photo lies is not known",
}


def write_photo(folder: Path, name: str, photo: Photo, answer: Answer) -> tuple[str, str]:
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


def _overlay(photo: Photo, answer: Answer) -> Image.Image:
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
