"""Sample: draw buildings of a product, and lay out what somebody needs to judge them by eye.

Pictures of a building for the eye: the same place before and after, its outline drawn.

`sample.html`: a page of before and after pictures that works without a network.

Whoever looks chooses a grade beside each building and saves the answers as CSV, or prints the
page, or writes into sample.csv. The page holds no grade of the machine, so that nobody is led.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry.base import BaseGeometry

from flows.config import RequestInvalid
from flows.drawing.layout import length_text, round_down
from flows.reports.text import dates_text
from flows.review.answers import blank_csv
from flows.review.inputs import (
    NAME,
    Places,
    SampleRecord,
    grid_of,
    outlines,
    published_grades,
    record_of,
    scenes_again,
)
from geo.imagery.dataset import fixed_block_cache
from geo.imagery.mosaic import SceneMosaic, as_picture, quicklook_scenes, shown_bands
from geo.imagery.reader import Masking
from geo.raster.grid import crs_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Preference
from geo.store.atomic_io import make_folder, replace_file, write_file, writing
from geo.store.manifest import Product
from geo.types import Raster
from models.evaluation.sample_design import GRADES, Design, draw
from models.inference.windows import ProgressReceiver

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
    pixels = np.moveaxis(np.round(255 * as_picture(raster)), 0, -1).astype(np.uint8)
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


_MEANING = {
    "Destroyed": "collapsed, burnt out, washed away or under water or mud for the most part; gone",
    "Damaged": "part of the walls or of the roof has fallen in, or water or mud stands all around",
    "Possibly damaged": "part of the roof covering is missing, cracks, partly burnt, water near it",
    "No visible damage": "nothing to be seen",
    "?": "the pictures do not tell: cloud, shadow, no image; never was a building",
}
"""After the joint damage scale of xBD (Gupta et al. 2019, arXiv:1911.09296, figure 2)."""


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    file: str
    """Relative to the page."""
    phase: str
    taken: str
    seen: float


@dataclass(frozen=True)
class Entry:
    """A building on the page."""

    number: int
    id: str
    lon: float
    lat: float
    pictures: Sequence[Shown]


def page_html(entries: Sequence[Entry], *, event: str, product_id: str) -> str:
    """Return the page."""
    meanings = "\n".join(
        f"<dt>{escape(grade)}</dt><dd>{escape(what)}</dd>" for grade, what in _MEANING.items()
    )
    return _PAGE.format(
        event=escape(event),
        product=escape(product_id, quote=True),
        count=len(entries),
        meanings=meanings,
        style=_STYLE,
        script=_SCRIPT,
        entries="\n".join(_page_entry(entry) for entry in entries),
    )


def _page_entry(entry: Entry) -> str:
    pictures = "\n".join(_figure(shown, entry.number) for shown in entry.pictures)
    choices = "\n".join(_choice(grade, entry.number) for grade in (*GRADES, "?"))
    return (
        f'<section id="b{entry.number}" data-number="{entry.number}" '
        f'data-id="{escape(entry.id, quote=True)}">\n'
        f'<h2>{entry.number}</h2>\n<div class="pair">\n{pictures}\n</div>\n'
        f"<fieldset><legend>Building {entry.number}</legend>\n{choices}\n</fieldset>\n"
        f'<p class="where">{escape(entry.id)} · {entry.lat:.6f}, {entry.lon:.6f}</p>\n</section>'
    )


def _figure(shown: Shown, number: int) -> str:
    part = 0.0 < shown.seen < 0.99
    unseen = f", {1 - shown.seen:.0%} of it without an image" if part else ""
    alt = f"Building {number} {shown.phase} the event, outlined; {shown.taken}{unseen}"
    return (
        f'<figure><img src="{escape(shown.file, quote=True)}" alt="{escape(alt, quote=True)}" '
        f'width="400" height="400" loading="lazy">'
        f"<figcaption><b>{shown.phase.capitalize()}</b> {escape(shown.taken + unseen)}</figcaption>"
        "</figure>"
    )


def _choice(grade: str, number: int) -> str:
    told = escape("? cannot tell" if grade == "?" else grade)
    return (
        f'<label><input type="radio" name="g{number}" value="{escape(grade, quote=True)}"> '
        f"{told}</label>"
    )


_STYLE = """
body { font: 16px/1.45 sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem;
  color: #111; background: #fff }
h2 { margin: 0; font-size: 1.6rem; width: 3rem; float: left }
dt { font-weight: bold; float: left; clear: left; width: 11rem } dd { margin: 0 0 .3rem 11rem }
section { border-top: 2px solid #444; padding: .8rem 0; page-break-inside: avoid;
  break-inside: avoid; overflow: hidden }
.pair { margin-left: 3rem }
figure { display: inline-block; margin: 0 .6rem .3rem 0; max-width: 48% }
img { max-width: 100%; height: auto; display: block; background: #e1e1e1 }
figcaption { font-size: .9rem }
fieldset { margin: .2rem 0 0 3rem; border: 1px solid #888; padding: .1rem .6rem .4rem }
label { display: inline-block; padding: .35rem .9rem .35rem .2rem; cursor: pointer }
.where { margin: .2rem 0 0 3rem; font-size: .8rem; color: #555 }
#bar { position: sticky; bottom: 0; background: #fff; border-top: 2px solid #444; padding: .6rem 0 }
button { font: inherit; padding: .4rem 1rem }
@media print { #bar { display: none } body { max-width: none; font-size: 12px } }
"""

# Old words only (no arrow functions, no templates): offices have old browsers.
_SCRIPT = """
(function () {
  var key = "aftermap-sample-" + document.body.getAttribute("data-product");
  var kept = {};
  var sections = document.querySelectorAll("section");
  try { kept = JSON.parse(localStorage.getItem(key)) || {}; } catch (e) { kept = {}; }
  function count() {
    var n = document.querySelectorAll("input:checked").length;
    document.getElementById("done").textContent = n + " of " + sections.length + " answered";
  }
  function each(list, act) { for (var i = 0; i < list.length; i++) { act(list[i]); } }
  each(sections, function (section) {
    var id = section.getAttribute("data-id");
    each(section.querySelectorAll("input"), function (input) {
      input.checked = kept[id] === input.value;
      input.addEventListener("change", function () {
        kept[id] = input.value;
        try { localStorage.setItem(key, JSON.stringify(kept)); } catch (e) { /* not kept */ }
        count();
      });
    });
  });
  document.getElementById("save").addEventListener("click", function () {
    var rows = ["number,id,seen_grade"];
    each(sections, function (section) {
      var chosen = section.querySelector("input:checked");
      rows.push([section.getAttribute("data-number"), section.getAttribute("data-id"),
        chosen ? chosen.value : ""].join(","));
    });
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\\r\\n") + "\\r\\n"], {type: "text/csv"}));
    link.download = "answers.csv";
    document.body.appendChild(link);
    link.click();
    document.body.removeChild(link);
  });
  count();
})();
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Buildings to check by eye: {event}</title>
<style>{style}</style>
</head>
<body data-product="{product}">
<h1>{event}: {count} buildings to check by eye</h1>
<p>Product {product}. For each number, look at the outlined building before and after, and choose
what you see. If it stands elsewhere than its outline, judge the building, not the outline. You may
stop at any time: the order is random, so the first ones are a fair sample by themselves.</p>
<dl>
{meanings}
</dl>
<p>Then press “Save the answers” at the foot of the page (your choices are kept in this browser
until then), or write the grades into the column <code>seen_grade</code> of
<code>sample.csv</code>, and run
<code>aftermap validate {product} --answers FILE --sample FOLDER-OF-THIS-PAGE</code>.</p>
<main>
{entries}
</main>
<div id="bar">
<button type="button" id="save">Save the answers</button> <span id="done"></span>
</div>
<script>{script}</script>
</body>
</html>
"""


PAGE, TABLE, PICTURES = "sample.html", "sample.csv", "pictures"


@dataclass(frozen=True)
class SampleRequest:
    """What is drawn, and where it goes."""

    out: Path
    """A folder without a sample."""
    total: int
    design: Design
    seed: int


@fixed_block_cache()
def draw_sample(
    product: Product, request: SampleRequest, *, places: Places, progress: ProgressReceiver
) -> SampleRecord:
    """Draw buildings and write `sample.csv`, `sample.html` with its pictures, and `sample.json`.

    Raises:
        RequestInvalid: where there is a sample already, no building, or an image is not as it was.
        SampleInvalid: where too few are drawn.
        StoreError: where the folder cannot be written.
    """
    out = request.out
    for name in (NAME, TABLE):
        if (out / name).exists():
            raise RequestInvalid(
                f"{out} holds a sample already ({name}), perhaps with answers; give another --out"
            )
    graded = published_grades(product)
    drawn = draw(graded, total=request.total, design=request.design, seed=request.seed)
    record = record_of(product, graded, drawn, design=request.design, seed=request.seed)
    scenes = scenes_again(product, places)
    prefer = Preference(product.manifest["request"]["prefer"])
    photographer = Photographer(scenes, grid_of(product), prefer)
    found = outlines(product, record.ids)
    with writing(out):
        make_folder(out / PICTURES)
        entries = _entries(record.ids, found, photographer, out, progress)
        page = page_html(entries, event=product.event_id, product_id=product.product_id)
        write_file(out / PAGE, page.encode())
        rows = [(entry.number, entry.id, entry.lon, entry.lat) for entry in entries]
        write_file(out / TABLE, blank_csv(rows).encode())
        # Last: a folder with it is a whole sample.
        replace_file(out / NAME, (record.model_dump_json(indent=1) + "\n").encode())
    return record


def _entries(
    ids: Sequence[str],
    outlines_of: Mapping[str, BaseGeometry],
    photographer: Photographer,
    out: Path,
    progress: ProgressReceiver,
) -> list[Entry]:
    """Write the pictures of all buildings."""
    progress.start("pictures", len(ids))
    entries = []
    try:
        for number, name in enumerate(ids, 1):
            entries.append(_entry(number, name, outlines_of[name], photographer, out))
            progress.advance()
    finally:
        progress.finish()
    return entries


def _entry(
    number: int, name: str, outline: BaseGeometry, photographer: Photographer, out: Path
) -> Entry:
    """Write the pictures of a building and return its place on the page."""
    shown = []
    for picture in photographer.pictures(outline):
        file = f"{PICTURES}/{number:04d}-{picture.phase}.jpg"
        write_file(out / file, picture.jpeg)
        shown.append(Shown(file, str(picture.phase), picture.taken, picture.seen))
    centre = outline.representative_point()
    return Entry(number, name, centre.x, centre.y, shown)


def sample_rows(record: SampleRecord) -> Sequence[dict[str, object]]:
    """Return a row a stratum, for people."""
    return [
        {
            "published grade": one.name,
            "buildings": one.buildings,
            "drawn": one.drawn,
            "chance": f"{one.chance:.2%}",
        }
        for one in record.strata
    ]
