"""A random sample of the buildings of a product, with pictures to check them by."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry.base import BaseGeometry

from flows.config import RequestInvalid
from flows.drawing.layout import round_down
from flows.reports.text import dates_text
from flows.review.answers import COLUMNS, RECORD, TABLE, SampleRecord, published_grades
from flows.review.product_inputs import InputPaths, product_grid, product_scenes
from flows.review.sample_page import PAGE, SampledBuilding, page_html
from geo.imagery.dataset import fixed_block_cache
from geo.imagery.mosaic import SceneMosaic, as_picture, quicklook_scenes, shown_bands
from geo.imagery.reader import Masking
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Preference
from geo.store.atomic_io import make_folder, replace_file, write_file, writing
from geo.store.manifest import Product
from geo.types import Raster
from models.evaluation.sampling import Design, draw
from models.inference.windows import ProgressReceiver

PICTURES = "pictures"
SIDE_PX = 400
CONTEXT_M = 15.0
"""Least ground around a building, metres: its neighbours help to judge it."""
CONTEXT_PX = 20
"""Least ground around a building, pixels of the image."""
_NO_IMAGE, _OUTLINE, _HALO = (225, 225, 225), (255, 230, 0), (40, 40, 40)
_UNMASKED = Masking(provider=frozenset())
"""A cloud mask may be wrong: whoever checks sees the cloud."""


@dataclass(frozen=True)
class SampleRequest:
    """What is drawn, and where it is written."""

    out: Path
    """A folder without a sample."""
    total: int
    design: Design
    seed: int


@fixed_block_cache()
def draw_sample(
    product: Product, request: SampleRequest, *, paths: InputPaths, progress: ProgressReceiver
) -> SampleRecord:
    """Draw buildings and write `sample.csv`, `sample.html` with its pictures, and `sample.json`.

    Raises:
        RequestInvalid: where there is a sample already, no building, or an image is not as it was.
        SampleInvalid: where too few are drawn.
        StoreError: where the folder cannot be written.
    """
    out = request.out
    for name in (RECORD, TABLE):
        if (out / name).exists():
            raise RequestInvalid(
                f"{out} holds a sample already ({name}), perhaps with answers; give another --out"
            )
    graded = published_grades(product)
    drawn = draw(graded, total=request.total, design=request.design, seed=request.seed)
    record = SampleRecord(
        event_id=product.event_id,
        product_id=product.product_id,
        design=request.design,
        seed=request.seed,
        strata=drawn.strata,
        ids=drawn.ids,
    )
    prefer = Preference(product.manifest["request"]["prefer"])
    pictures = _Pictures(product_scenes(product, paths), product_grid(product), prefer, out)
    outlines = _outlines(product, drawn.ids)
    progress.start("pictures", len(drawn.ids))
    with writing(out):
        make_folder(out / PICTURES)
        entries = []
        try:
            for number, name in enumerate(drawn.ids, 1):
                centre = outlines[name].representative_point()
                shown = pictures.write(number, outlines[name])
                entries.append(SampledBuilding(number, name, centre.x, centre.y, shown))
                progress.advance()
        finally:
            progress.finish()
        page = page_html(entries, event=product.event_id, product_id=product.product_id)
        write_file(out / PAGE, page.encode())
        rows = [f"{e.number},{e.id},{e.lon:.6f},{e.lat:.6f}," for e in entries]
        write_file(out / TABLE, "\r\n".join([",".join(COLUMNS), *rows, ""]).encode())
        # Last: a folder with it is a whole sample.
        replace_file(out / RECORD, (record.model_dump_json(indent=1) + "\n").encode())
    return record


def sample_rows(record: SampleRecord) -> list[dict[str, object]]:
    """Return a row a stratum, for people."""
    return [
        {
            "published grade": one.name,
            "buildings": one.buildings,
            "drawn": one.drawn,
            "probability": f"{one.drawn / one.buildings:.2%}",
        }
        for one in record.strata
    ]


def _outlines(product: Product, ids: Sequence[str]) -> dict[str, BaseGeometry]:
    """Return the outlines of some buildings by id, lon-lat WGS 84."""
    path = product.folder / "layers.gpkg"
    frame: gpd.GeoDataFrame = pyogrio.read_dataframe(path, layer="built_up", columns=["id"])
    wanted = frame[frame["id"].isin(ids)]
    return dict(zip(wanted["id"], wanted.geometry, strict=True))


class _Pictures:
    def __init__(
        self, scenes: Sequence[Scene], grid: GeoBox, prefer: Preference, out: Path
    ) -> None:
        self._out = out
        self._crs = crs_of(grid)
        self._scenes: Mapping[Phase, tuple[Scene, ...]] = {
            phase: quicklook_scenes(of_phase, prefer)
            for phase in Phase
            if (of_phase := [scene for scene in scenes if scene.phase is phase])
        }
        self._mosaics: dict[tuple[str, ...], SceneMosaic] = {}

    def write(self, number: int, building: BaseGeometry) -> list[tuple[str, str, str]]:
        """Write pictures of one place, one a phase with an image; building: lon-lat WGS 84."""
        window, outline = self._window(building)
        place = window.geographic_extent.geom
        found = []
        for phase, scenes in self._scenes.items():
            there = [scene for scene in scenes if scene.footprint.intersects(place)] or scenes[:1]
            mosaic = self._mosaic(there)
            raster = mosaic.read(window)
            file = f"{PICTURES}/{number:04d}-{phase}.jpg"
            write_file(self._out / file, _jpeg(raster, outline))
            used = [mosaic.scenes[index - 1] for index in np.unique(raster.origin) if index]
            taken = dates_text([scene.taken for scene in used]) if used else "no image"
            found.append((file, str(phase), taken))
        return found

    def _window(self, building: BaseGeometry) -> tuple[GeoBox, BaseGeometry]:
        """Return a square around a building, and its outline in pixels of that square."""
        projected = gpd.GeoSeries([building], crs="EPSG:4326").to_crs(self._crs).iloc[0]
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
        return GeoBox((SIDE_PX, SIDE_PX), to_crs, self._crs), outline

    def _mosaic(self, scenes: Sequence[Scene]) -> SceneMosaic:
        """Return the reader of some scenes; its files stay open for the next building."""
        bands = shown_bands(scenes[0].bands)
        alike = [scene for scene in scenes if set(bands) <= set(scene.bands)]
        key = tuple(scene.id for scene in alike)
        if key not in self._mosaics:
            self._mosaics[key] = SceneMosaic(alike, bands, dict.fromkeys(key, _UNMASKED))
        return self._mosaics[key]


def _jpeg(raster: Raster, outline: BaseGeometry) -> bytes:
    pixels = np.moveaxis(np.round(255 * as_picture(raster)), 0, -1).astype(np.uint8)
    pixels[~raster.valid] = _NO_IMAGE
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    rings = shapely.get_rings(shapely.get_parts(outline))
    for colour, width in ((_HALO, 4), (_OUTLINE, 2)):
        for ring in rings:
            points = [tuple(xy) for xy in shapely.get_coordinates(ring)]
            pen.line(points, fill=colour, width=width, joint="curve")
    pixel_m = raster.geobox.resolution.x
    length_m = round_down(pixel_m * SIDE_PX / 3)
    bar_px, base = length_m / pixel_m, SIDE_PX - 14
    pen.rectangle((6, base - 24, 22 + bar_px, SIDE_PX - 6), fill=(255, 255, 255))
    pen.rectangle((14, base - 2, 14 + bar_px, base + 2), fill=_HALO)
    pen.text((14, base - 6), f"{length_m:g} m", _HALO, ImageFont.load_default(14), anchor="ls")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()
