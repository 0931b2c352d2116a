"""The styles of a product, beside its layers and in a folder of their own.

SLD 1.0: how GeoServer, MapServer and other map servers draw a layer (OGC 02-070).

MapLibre style: how a web map draws a product.

One table of colours: for the styles, the class raster and the picture of the map.

Blues and the ramp of damage are told apart by lightness as well as hue, so that they stay
apart for a reader who is colour-blind (a test measures it).

QML: how QGIS (3.22 and later) draws a layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from geo.raster.classify import Label
from geo.vector.hazards import EVENT_CLASSES, STANDING


@dataclass(frozen=True)
class Symbol:
    """How one kind of feature is drawn."""

    label: str
    """In the legend; for a value of `Theme.field`, that value."""
    fill: str | None
    """Colour as #rrggbb; None where only the outline is drawn."""
    outline: str
    """Colour as #rrggbb."""
    opacity: float = 0.8
    """Of the fill, 0 to 1."""
    width_mm: float = 0.2
    """Of the outline; 0 draws none."""
    dashed: bool = False
    hatched: bool = False
    """Filled with slanting lines instead of a surface."""


@dataclass(frozen=True)
class Theme:
    """How a layer is drawn."""

    layer: str
    field: str | None
    """The field whose value picks the symbol by its label; None where there is one symbol."""
    symbols: tuple[Symbol, ...]


_DARK = "#333333"
_REFERENCE, _GREY = "#b8d6ec", "#7f7f7f"

THEMES: dict[str, Theme] = {
    theme.layer: theme
    for theme in (
        Theme("area_of_interest", None,
              (Symbol("Area of interest", None, "#000000", width_mm=0.6),)),
        Theme("image_footprint", None,
              (Symbol("Image footprint", None, "#4d4d4d", width_mm=0.4, dashed=True),)),
        Theme("not_analysed", None,
              (Symbol("Not analysed", _GREY, _GREY, width_mm=0.1, hatched=True),)),
        Theme("hydrography", "notation",
              (Symbol("Reference water", _REFERENCE, "#6baed6", width_mm=0.1),
               Symbol("Reference water, receded", "#f7fbff", "#6baed6", width_mm=0.3,
                      dashed=True))),
        Theme("observed_event", "notation",
              tuple(Symbol(left.notation, left.fill, left.outline, left.opacity, left.outline_mm)
                    for left in EVENT_CLASSES.values())),
        Theme("built_up", "damage_gra",
              (Symbol("Destroyed", "#b2182b", _DARK, 1.0, 0.1),
               Symbol("Damaged", "#f07f1f", _DARK, 1.0, 0.1),
               Symbol("Possibly damaged", "#fee44a", _DARK, 1.0, 0.1),
               Symbol("No visible damage", "#2e9e72", _DARK, 1.0, 0.1),
               Symbol("Not Analysed", "#d0d0d0", _DARK, 1.0, 0.1))),
    )
}  # fmt: skip
"""By layer, in the order of drawing: the last lies on top."""

CLASS_COLOURS: dict[Label, str] = {
    Label.UNAFFECTED: "#f2efe6",
    Label.UNDATED_WATER: STANDING.fill,
    Label.REFERENCE_WATER: _REFERENCE,
    Label.RECEDED_WATER: "#f7fbff",
    Label.COMPARED: "#fff7e0",
    Label.NO_IMAGERY: "#969696",
    Label.NO_DATA: _GREY,
    Label.CLOUD: "#d9d9d9",
    Label.CLOUD_SHADOW: "#636363",
    Label.RADAR_SHADOW: "#525252",
    Label.OUT_OF_DOMAIN: "#9970ab",
    Label.NO_MODEL: "#c2a5cf",
}
"""Of a class raster, by label; `Label.EVENT` is drawn as its notation, OUTSIDE not at all."""


PERCENT_RAMP: dict[int, str] = {0: "#fcfbfd", 50: "#9e9ac8", 100: "#3f007d"}
"""Of a probability, per cent: of no hazard's own colour."""


def class_colours(notation: str) -> dict[Label, str]:
    """Return the colours of a class raster whose event is that notation, "Flooded area" say."""
    return {Label.EVENT: EVENT_CLASSES[notation].fill, **CLASS_COLOURS}


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of #rrggbb."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


_PIXEL_MM = 0.28
"""A pixel of the standard, section 10.2."""
_NAMESPACES = {
    "version": "1.0.0",
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
}


def sld(theme: Theme) -> str:
    """Return the style of a layer as a Styled Layer Descriptor."""
    root = ET.Element("StyledLayerDescriptor", _NAMESPACES)
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "Name").text = theme.layer
    style = ET.SubElement(named, "UserStyle")
    ET.SubElement(style, "Name").text = theme.layer
    rules = ET.SubElement(style, "FeatureTypeStyle")
    for symbol in theme.symbols:
        _add_rule(rules, symbol, field=theme.field)
    ET.indent(root, " ")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _add_rule(rules: ET.Element, symbol: Symbol, *, field: str | None) -> None:
    rule = ET.SubElement(rules, "Rule")
    ET.SubElement(rule, "Name").text = symbol.label
    ET.SubElement(rule, "Title").text = symbol.label
    if field is not None:
        equal = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
        ET.SubElement(equal, "ogc:PropertyName").text = field
        ET.SubElement(equal, "ogc:Literal").text = symbol.label
    polygon = ET.SubElement(rule, "PolygonSymbolizer")
    if symbol.hatched:
        _add_hatch(ET.SubElement(polygon, "Fill"), symbol)
    elif symbol.fill is not None:
        fill = ET.SubElement(polygon, "Fill")
        _add_parameters(fill, {"fill": symbol.fill, "fill-opacity": f"{symbol.opacity:g}"})
    _add_parameters(ET.SubElement(polygon, "Stroke"), _stroke(symbol))


def _add_hatch(fill: ET.Element, symbol: Symbol) -> None:
    graphic = ET.SubElement(ET.SubElement(fill, "GraphicFill"), "Graphic")
    mark = ET.SubElement(graphic, "Mark")
    # Not in the standard, and known to GeoServer, MapServer and QGIS.
    ET.SubElement(mark, "WellKnownName").text = "shape://slash"
    _add_parameters(ET.SubElement(mark, "Stroke"), {"stroke": symbol.outline, "stroke-width": "1"})
    ET.SubElement(graphic, "Size").text = "8"


def _stroke(symbol: Symbol) -> dict[str, str]:
    stroke = {"stroke": symbol.outline, "stroke-width": f"{symbol.width_mm / _PIXEL_MM:.2f}"}
    return {**stroke, "stroke-dasharray": "6 4"} if symbol.dashed else stroke


def _add_parameters(element: ET.Element, parameters: dict[str, str]) -> None:
    for name, value in parameters.items():
        ET.SubElement(element, "CssParameter", name=name).text = value


_CSS_PIXEL_MM = 25.4 / 96
"""A CSS pixel."""


def maplibre(layers: list[str]) -> dict[str, Any]:
    """Return a style (version 8) over the GeoJSON of a product.

    The addresses of the sources are relative to the folder of the product, where the page
    lies that shows them. Hatching needs a picture that a style alone cannot hold: hatched
    layers are drawn as a thin surface.

    Args:
        layers: names of those that the product holds.
    """
    themes = [theme for name, theme in THEMES.items() if name in layers]
    sources = {
        theme.layer: {"type": "geojson", "data": f"layers/{theme.layer}.geojson"}
        for theme in themes
    }
    background = {
        "id": "background", "type": "background", "paint": {"background-color": "#faf8f3"}
    }  # fmt: skip
    return {
        "version": 8,
        "name": "Aftermap",
        "sources": sources,
        "layers": [background, *(layer for theme in themes for layer in _layers(theme))],
    }


def _layers(theme: Theme) -> list[dict[str, Any]]:
    filled = [symbol for symbol in theme.symbols if symbol.fill is not None]
    layers = [_fill(theme, filled)] if filled else []
    for dashed in (False, True):
        drawn = [symbol for symbol in theme.symbols if symbol.dashed is dashed]
        if drawn:
            layers.append(_line(theme, drawn, dashed=dashed))
    return layers


def _fill(theme: Theme, symbols: list[Symbol]) -> dict[str, Any]:
    colours = {symbol.label: symbol.fill for symbol in symbols}
    opacities = {symbol.label: 0.3 if symbol.hatched else symbol.opacity for symbol in symbols}
    return {
        "id": f"{theme.layer}-fill",
        "type": "fill",
        "source": theme.layer,
        "paint": {
            "fill-color": _match(theme, colours),
            "fill-opacity": _match(theme, opacities),
            "fill-antialias": False,
        },
    }


def _line(theme: Theme, symbols: list[Symbol], *, dashed: bool) -> dict[str, Any]:
    colours = {symbol.label: symbol.outline for symbol in symbols}
    widths = {symbol.label: round(symbol.width_mm / _CSS_PIXEL_MM, 2) for symbol in symbols}
    paint = {"line-color": _match(theme, colours), "line-width": _match(theme, widths)}
    line = {
        "id": f"{theme.layer}-{'dashes' if dashed else 'line'}",
        "type": "line",
        "source": theme.layer,
        "paint": {**paint, "line-dasharray": [4, 2]} if dashed else paint,
    }
    if theme.field is None:
        return line
    return {**line, "filter": ["in", ["get", theme.field], ["literal", list(colours)]]}


def _match(theme: Theme, values: dict[str, Any]) -> Any:
    """Return the value by the theme's field; the last one where nothing matches."""
    *_, last = values.values()
    if theme.field is None or len(values) == 1:
        return last
    pairs = [item for pair in values.items() for item in pair]
    return ["match", ["get", theme.field], *pairs, last]


def qml(theme: Theme) -> str:
    """Return the style of a layer as a QGIS style document."""
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    if theme.field is None:
        renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0")
    else:
        renderer = ET.SubElement(
            root, "renderer-v2", type="categorizedSymbol", attr=theme.field, symbollevels="0"
        )
        categories = ET.SubElement(renderer, "categories")
        for i, symbol in enumerate(theme.symbols):
            ET.SubElement(
                categories, "category", value=symbol.label, label=symbol.label, symbol=str(i),
                render="true", type="string",
            )  # fmt: skip
    symbols = ET.SubElement(renderer, "symbols")
    for i, symbol in enumerate(theme.symbols):
        _add_symbol(symbols, symbol, name=str(i))
    ET.SubElement(root, "layerGeometryType").text = "2"  # polygons
    return _document(root)


def raster_qml(names: Mapping[int, str], colours: Mapping[int, tuple[int, int, int]]) -> str:
    """Return the style of a raster of codes: those that have a colour, and no other.

    Without it QGIS lists every one of the 256 entries of a palette.

    Args:
        names: what the codes mean.
        colours: red, green and blue, 0 to 255.
    """
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for code in sorted(colours):
        red, green, blue = colours[code]
        ET.SubElement(
            palette, "paletteEntry", value=str(code), label=names[code], alpha="255",
            color=f"#{red:02x}{green:02x}{blue:02x}",
        )  # fmt: skip
    return _document(root)


def ramp_qml(ramp: Mapping[int, str]) -> str:
    """Return the style of the first band of a raster of shares.

    Without it QGIS mixes the bands as red and green.

    Args:
        ramp: colours as #rrggbb by value; those between are mixed.
    """
    low, high = str(min(ramp)), str(max(ramp))
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ET.SubElement(
        ET.SubElement(root, "pipe"), "rasterrenderer", type="singlebandpseudocolor", band="1",
        opacity="1", alphaBand="-1", classificationMin=low, classificationMax=high,
    )  # fmt: skip
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"), "colorrampshader", minimumValue=low,
        maximumValue=high, colorRampType="INTERPOLATED", classificationMode="1", clip="0",
    )  # fmt: skip
    for value in sorted(ramp):
        ET.SubElement(
            shader, "item", value=str(value), label=f"{value} %", color=ramp[value], alpha="255"
        )
    return _document(root)


def _document(root: ET.Element) -> str:
    ET.indent(root, " ")
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _add_symbol(symbols: ET.Element, symbol: Symbol, *, name: str) -> None:
    element = ET.SubElement(
        symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    layer = ET.SubElement(element, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    options = ET.SubElement(layer, "Option", type="Map")
    for key, value in _properties(symbol).items():
        ET.SubElement(options, "Option", type="QString", name=key, value=value)


def _properties(symbol: Symbol) -> dict[str, str]:
    """Return a symbol in the words of QGIS's simple fill."""
    return {
        "color": _rgba(symbol.fill or symbol.outline, symbol.opacity),
        "style": "no" if symbol.fill is None else "b_diagonal" if symbol.hatched else "solid",
        "outline_color": _rgba(symbol.outline, 1.0),
        "outline_style": "dash" if symbol.dashed else "solid",
        "outline_width": f"{symbol.width_mm:g}",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }


def _rgba(colour: str, opacity: float) -> str:
    return ",".join(str(value) for value in (*rgb(colour), round(255 * opacity)))
