"""The front page of a served store: its events, and the files of their current products."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from geo.manifest import read_json

_FILES = (
    "map.png", "overlays/*", "masks/*", "layers/*", "layers.gpkg", "rasters/*", "styles/*", "*.csv",
    "*.json",
)  # fmt: skip
"""What a product offers, in the order in which a reader wants it."""

_READ_WHOLE = {".csv", ".geojson", ".jpg", ".json", ".png", ".qml", ".sld"}
"""Endings of files that a reader takes in one piece, so that the redirect cannot mix two products.

GDAL asks anew for the redirect with every range (measured, GDAL 3.10): a GeoTIFF opened at
the stable address would hold blocks of two products once the pointer moves. Files that are
read in ranges are therefore offered at their own product's address.
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Aftermap store</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100%; height: auto; border: 1px solid #999 }}
</style>
</head>
<body>
<h1>Aftermap store</h1>
<p>Put an address into QGIS (Layer, Add Layer, Protocol HTTP) or into a web map. One with
<em>latest</em> in it always gives the newest product of its event; one with <em>products</em>
in it never changes. The catalogue is <a href="catalog.json">catalog.json</a> (STAC).</p>
{events}
</body>
</html>
"""


def index_html(root: Path) -> str:
    """Return the page, with every name escaped; its links are relative to the store's root."""
    events = [
        _event_html(folder)
        for folder in sorted(root.glob("events/*"))
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    return _PAGE.format(events="\n".join(events) or "<p>No event has been mapped yet.</p>")


def current_product(event: Path) -> str | None:
    """Return the id of the product that `latest.json` names, or None where it names none."""
    product = (read_json(event / "latest.json") or {}).get("product_id")
    if not isinstance(product, str) or not product or "/" in product or product.startswith("."):
        return None
    return product


def _event_html(event: Path) -> str:
    title = (read_json(event / "collection.json") or {}).get("title") or event.name
    heading = f"<h2>{escape(str(title))}</h2>"
    product = current_product(event)
    if product is None:
        return f"{heading}\n<p>Nothing is published for this event.</p>"
    names = _names(event / "products" / product)
    links = [(name, _address(event.name, product=product, name=name)) for name in names]
    rows = "\n".join(f'<li><a href="{href}">{escape(name)}</a></li>' for name, href in links)
    return f"{heading}\n<p>Product {escape(product)}</p>\n{_picture(links)}<ul>\n{rows}\n</ul>"


def _address(event: str, *, product: str, name: str) -> str:
    """Return where a file is offered: the stable address where that is safe."""
    stable = Path(name).suffix in _READ_WHOLE
    return quote(f"events/{event}/{'latest' if stable else f'products/{product}'}/{name}")


def _picture(links: list[tuple[str, str]]) -> str:
    pictures = [href for name, href in links if name == "map.png"]
    return "".join(f'<p><img src="{href}" alt="Map" loading="lazy"></p>\n' for href in pictures)


def _names(product: Path) -> list[str]:
    """Return the product's files, relative to it, without hidden ones and links."""
    return [
        path.relative_to(product).as_posix()
        for pattern in _FILES
        for path in sorted(product.glob(pattern))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]
