"""Sample: draw buildings of a product, and lay out what somebody needs to judge them by eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from flows.errors import RequestInvalid
from flows.evidence import Places, grid_of, scenes_again
from flows.validation.answers import blank_csv
from flows.validation.buildings import outlines, published_grades
from flows.validation.page import Entry, Shown, page_html
from flows.validation.pictures import Photographer
from flows.validation.record import NAME, SampleRecord, record_of
from geo.block_cache import fixed_block_cache
from geo.durable import make_folder, replace_file, write_file, writing
from geo.manifest import Product
from geo.scene_mosaic import Preference
from models.mapping import Progress
from models.validation import Design, draw

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
    product: Product, request: SampleRequest, *, places: Places, progress: Progress
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
    progress: Progress,
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
