"""Pictures of a building for the eye: the same place before and after, its outline drawn."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry.base import BaseGeometry

from flows.draw.frame import length_text, round_down
from flows.phrases import dates_text
from geo.grid import crs_of
from geo.masks import Masking
from geo.quicklook import for_eye, quicklook_scenes, shown_bands
from geo.raster import Raster
from geo.scene import Phase, Scene
from geo.scene_mosaic import Preference, SceneMosaic

SIDE_PX = 400
CONTEXT_M = 15.0
"""Least ground around a building, metres: its neighbours help to judge it."""
CONTEXT_PX = 20
"""Least ground around a building, pixels of the image."""
_UNSEEN, _OUTLINE, _HALO = (225, 225, 225), (255, 230, 0), (40, 40, 40)
_NOTHING_HIDDEN = Masking(provider=frozenset())
"""A mask of clouds may be wrong: the eye sees for itself."""


@dataclass(frozen=True)
class Picture:
    """One image of one building."""

    phase: Phase
    jpeg: bytes
    taken: str
    """When, as text."""
    seen: float
    """Share of the picture that an image shows, 0 to 1."""


class Photographer:
    """Takes pictures of buildings from the scenes of a product, window by window."""

    def __init__(self, scenes: Sequence[Scene], grid: GeoBox, prefer: Preference) -> None:
        """Take the scenes of both phases, the grid of the product and which scene comes first."""
        self._grid = grid
        self._scenes: Mapping[Phase, tuple[Scene, ...]] = {
            phase: quicklook_scenes(of_phase, prefer)
            for phase in Phase
            if (of_phase := [scene for scene in scenes if scene.phase is phase])
        }
        self._mosaics: dict[tuple[str, ...], SceneMosaic] = {}

    def pictures(self, building: BaseGeometry) -> list[Picture]:
        """Return a picture of a building from each phase that has an image, of one place.

        Args:
            building: its outline, lon-lat WGS 84.

        Raises:
            SceneUnreadable: where an image cannot be decoded.
        """
        window, outline = self._window(building)
        place = window.geographic_extent.geom
        found = []
        for phase, scenes in self._scenes.items():
            there = [scene for scene in scenes if scene.footprint.intersects(place)] or scenes[:1]
            mosaic = self._mosaic(there)
            raster = mosaic.read(window)
            jpeg = _jpeg(raster, outline)
            used = [mosaic.scenes[number - 1] for number in np.unique(raster.origin) if number]
            taken = dates_text([scene.taken for scene in used]) if used else "no image"
            found.append(Picture(phase, jpeg, taken, float(raster.valid.mean())))
        return found

    def _window(self, building: BaseGeometry) -> tuple[GeoBox, BaseGeometry]:
        """Return a square around a building, and its outline in pixels of that square."""
        crs = crs_of(self._grid)
        projected = gpd.GeoSeries([building], crs="EPSG:4326").to_crs(crs).iloc[0]
        west, south, east, north = projected.bounds
        longest = max(east - west, north - south)
        gsd_m = min(scene.gsd_m for scenes in self._scenes.values() for scene in scenes)
        side = longest + 2 * max(CONTEXT_M, CONTEXT_PX * gsd_m, longest / 2)
        pixel = side / SIDE_PX
        left, top = (west + east - side) / 2, (south + north + side) / 2
        to_crs = Affine(pixel, 0, left, 0, -pixel, top)
        to_pixel = ~to_crs
        outline = shapely.transform(
            projected, lambda xy: np.column_stack(to_pixel @ (xy[:, 0], xy[:, 1]))
        )
        return GeoBox((SIDE_PX, SIDE_PX), to_crs, crs), outline

    def _mosaic(self, scenes: Sequence[Scene]) -> SceneMosaic:
        """Return the reader of some scenes; its files stay open for the next building."""
        bands = shown_bands(scenes[0].bands)
        alike = [scene for scene in scenes if set(bands) <= set(scene.bands)]
        key = tuple(scene.id for scene in alike)
        if key not in self._mosaics:
            hidden = {scene.id: _NOTHING_HIDDEN for scene in alike}
            self._mosaics[key] = SceneMosaic(alike, bands, hidden)
        return self._mosaics[key]


def _jpeg(raster: Raster, outline: BaseGeometry) -> bytes:
    """Return a picture as JPEG, with the outline of the building and a scale bar."""
    pixels = np.moveaxis(np.round(255 * for_eye(raster)), 0, -1).astype(np.uint8)
    pixels[~raster.valid] = _UNSEEN
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    if not raster.valid.any():
        pen.text((SIDE_PX / 2, 24), "no image here", _HALO, _font(18), anchor="mm")
    _draw_outline(pen, outline)
    _draw_scale(pen, raster.geobox.resolution.x)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def _draw_outline(pen: ImageDraw.ImageDraw, outline: BaseGeometry) -> None:
    rings = [
        [tuple(xy) for xy in shapely.get_coordinates(ring)]
        for ring in shapely.get_rings(shapely.get_parts(outline))
    ]
    for colour, width in ((_HALO, 4), (_OUTLINE, 2)):
        for ring in rings:
            pen.line(ring, fill=colour, width=width, joint="curve")


def _draw_scale(pen: ImageDraw.ImageDraw, pixel_m: float) -> None:
    """Draw a bar of a round length in the lower left."""
    length_m = round_down(pixel_m * SIDE_PX / 3)
    bar_px, base = length_m / pixel_m, SIDE_PX - 14
    pen.rectangle((6, base - 24, 22 + bar_px, SIDE_PX - 6), fill=(255, 255, 255))
    pen.rectangle((14, base - 2, 14 + bar_px, base + 2), fill=_HALO)
    pen.text((14, base - 6), length_text(length_m), _HALO, _font(14), anchor="ls")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
