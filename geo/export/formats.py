"""The files of a product, as data: a new output format is one entry of `FORMATS`."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from geo.export.styles import THEMES, Theme, maplibre, qml, ramp_qml, raster_qml, sld
from geo.store.atomic_io import making, writing

if TYPE_CHECKING:  # the server reads this table, and neither geopandas nor rasterio
    from geopandas import GeoDataFrame

    from geo.export.cog import RasterKind

Layers: TypeAlias = "Mapping[str, GeoDataFrame]"
"""Vector layers by name, see `geo.vector.schema.LAYERS`."""
LayersWriter: TypeAlias = Callable[[Layers, Path], None]
RasterWriter: TypeAlias = Callable[[Path, Path, "RasterKind"], None]
"""Writes a scratch GeoTIFF into a file."""


@dataclass(frozen=True)
class Format:
    """A kind of file in a product."""

    path: str
    """In the product; {name} is the name of a layer, of a raster or of a photo."""
    title: str
    media_type: str
    """As IANA, OGC or the STAC best practices have it."""
    role: str
    """In a STAC item: data, overview, style or metadata."""
    write_layers: LayersWriter | None = None
    """Called with one layer where `path` has {name}, otherwise with all of them."""
    write_raster: RasterWriter | None = None
    read_whole: bool = True
    """Whether readers take it in one request. GDAL follows a redirect anew for each range
    (measured, GDAL 3.10), and would mix two products once the pointer to the latest moves."""

    def name_in(self, path: str) -> str | None:
        """Return what {name} is in a path of this format ("" without {name}), or None."""
        pattern = re.escape(self.path).replace(r"\{name\}", "(?P<name>[^/.][^/]*)")
        match = re.fullmatch(pattern, path)
        return match and match.groupdict().get("name", "")


class ProductFile(NamedTuple):
    """A file of a product."""

    path: str
    name: str
    """Of the layer, raster or photo; empty where it is of all."""
    format: Format


def files_of_product(product: Path) -> Iterator[ProductFile]:
    """Yield the files of a product in the order of `FORMATS`, without links and hidden ones."""
    for known in FORMATS.values():
        for file in sorted(product.glob(known.path.format(name="*"))):
            path = file.relative_to(product).as_posix()
            name = known.name_in(path)
            if name is not None and file.is_file() and not file.is_symlink():
                yield ProductFile(path, name, known)


def format_of(path: str) -> Format | None:
    """Return the format of a file of a product, by its path in it; None for a file of no format."""
    return next((f for f in FORMATS.values() if f.name_in(path) is not None), None)


def media_type_of(path: str) -> str:
    """Return the media type of a file of a product, by its path in it."""
    known = format_of(path)
    return known.media_type if known else "application/octet-stream"


def write_layers(product: Path, layers: Layers) -> None:
    """Write vector layers in every format that there is for them."""
    for known in FORMATS.values():
        if known.write_layers is None:
            continue
        each = [{name: layer} for name, layer in layers.items()]
        for group in each if "{name}" in known.path else [layers]:
            known.write_layers(group, _ready(product, known, next(iter(group))))


def write_rasters(product: Path, rasters: Iterable[tuple[Path, "RasterKind"]]) -> None:
    """Write scratch GeoTIFFs in every format that there is for rasters."""
    writers = [(known, known.write_raster) for known in FORMATS.values()]
    for scratch, kind in rasters:
        for known, write in writers:
            if write is not None:
                write(scratch, _ready(product, known, kind.name), kind)


def _ready(product: Path, known: Format, name: str) -> Path:
    """Return the path of a file whose folder is there."""
    path = product / known.path.format(name=name)
    with writing(path.parent):
        path.parent.mkdir(exist_ok=True)
    return path


def _geojson(layers: Layers, path: Path) -> None:
    from geo.export.geojson import write_geojson  # noqa: PLC0415 - geopandas

    (layer,) = layers.values()
    write_geojson(layer, path)


def _geopackage(layers: Layers, path: Path) -> None:
    from geo.export.geopackage import write_geopackage  # noqa: PLC0415 - geopandas

    write_geopackage(layers, path)


def _style(render: Callable[[Theme], str]) -> LayersWriter:
    def write(layers: Layers, path: Path) -> None:
        (name,) = layers
        _write(path, render(THEMES[name]))

    return write


def _maplibre(layers: Layers, path: Path) -> None:
    _write(path, json.dumps(maplibre(list(layers)), indent=1) + "\n")


def _cog(scratch: Path, path: Path, kind: "RasterKind") -> None:
    from geo.export.cog import write_cog  # noqa: PLC0415 - rasterio

    write_cog(scratch, path, kind=kind)


def _categories(_: Path, path: Path, kind: "RasterKind") -> None:
    from geo.export.cog import categories_xml  # noqa: PLC0415 - rasterio

    if kind.categories:
        _write(path, categories_xml(kind.categories))


def _raster_qml(_: Path, path: Path, kind: "RasterKind") -> None:
    if kind.ramp:
        _write(path, ramp_qml(kind.ramp))
    elif kind.categories:
        _write(path, raster_qml(kind.categories, kind.colours))


def _write(path: Path, text: str) -> None:
    with making(path):
        path.write_text(text, encoding="utf-8")


_JSON, _QML = "application/json", "application/xml"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"

FORMATS: dict[str, Format] = {
    "map": Format("map.png", "Map", "image/png", "overview"),
    "overlay": Format("overlays/{name}.jpg", "Photo with its mask", "image/jpeg", "overview"),
    "mask": Format("masks/{name}.png", "Mask of a photo", "image/png", "overview"),
    "geojson": Format(
        "layers/{name}.geojson", "GeoJSON", "application/geo+json", "data", _geojson
    ),
    "layer-qml": Format(
        "layers/{name}.qml", "QGIS style of the GeoJSON beside it", _QML, "style", _style(qml)
    ),
    "geopackage": Format(
        "layers.gpkg", "GeoPackage of all layers, styles inside",
        "application/geopackage+sqlite3", "data", _geopackage, read_whole=False,
    ),
    "cog": Format(
        "rasters/{name}.tif", "Cloud-optimised GeoTIFF", _COG, "data", write_raster=_cog,
        read_whole=False,
    ),
    "categories": Format(
        "rasters/{name}.tif.aux.xml", "Names of the values, read by GDAL", "application/xml",
        "metadata", write_raster=_categories,
    ),
    "raster-qml": Format(
        "rasters/{name}.qml", "QGIS style, applied to the raster beside it", _QML, "style",
        write_raster=_raster_qml,
    ),
    "qml": Format("styles/{name}.qml", "QGIS style", _QML, "style", _style(qml)),
    "sld": Format(
        "styles/{name}.sld", "SLD 1.0 style for map servers", "application/vnd.ogc.sld+xml",
        "style", _style(sld),
    ),
    "maplibre": Format(
        "styles/maplibre.json", "MapLibre style of all layers", _JSON, "style", _maplibre
    ),
    "photos": Format("photos.csv", "Table of the photos", "text/csv", "metadata"),
    "summary": Format("summary.json", "Summary", _JSON, "metadata"),
    "item": Format("item.json", "STAC item", _JSON, "metadata"),
    "manifest": Format("manifest.json", "Files, inputs, versions and cost", _JSON, "metadata"),
}  # fmt: skip
"""By name, in the order in which a reader wants them."""
