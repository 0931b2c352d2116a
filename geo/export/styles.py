"""Colours and styles: one table, as QML for QGIS, SLD for map servers and MapLibre for web maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

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
"""By layer, in the order of drawing: the last is on top. Blues and the ramp of damage differ in
lightness as well as in hue, for readers who are colour-blind (a test measures it)."""

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
    """Return the colours of a class raster whose event is that notation, such as "Flooded area"."""
    return {Label.EVENT: EVENT_CLASSES[notation].fill, **CLASS_COLOURS}


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of #rrggbb."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


_SLD_PIXEL_MM = 0.28  # a pixel of SLD 1.0 (OGC 02-070), section 10.2


def sld(theme: Theme) -> str:
    """Return the style of a layer as a Styled Layer Descriptor 1.0 (OGC 02-070)."""
    rules = "".join(_sld_rule(symbol, theme.field) for symbol in theme.symbols)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld"
 xmlns:ogc="http://www.opengis.net/ogc">
 <NamedLayer><Name>{theme.layer}</Name>
  <UserStyle><Name>{theme.layer}</Name>
   <FeatureTypeStyle>
{rules}   </FeatureTypeStyle>
  </UserStyle>
 </NamedLayer>
</StyledLayerDescriptor>
"""


def _sld_rule(symbol: Symbol, field: str | None) -> str:
    label, fill = escape(symbol.label), ""
    condition = (
        f"<ogc:Filter><ogc:PropertyIsEqualTo><ogc:PropertyName>{field}</ogc:PropertyName>"
        f"<ogc:Literal>{label}</ogc:Literal></ogc:PropertyIsEqualTo></ogc:Filter>"
    )
    if symbol.hatched:
        # The mark is not in the standard, and known to GeoServer, MapServer and QGIS.
        lines = _css({"stroke": symbol.outline, "stroke-width": "1"})
        fill = (
            "<Fill><GraphicFill><Graphic><Mark><WellKnownName>shape://slash</WellKnownName>"
            f"<Stroke>{lines}</Stroke></Mark><Size>8</Size></Graphic></GraphicFill></Fill>"
        )
    elif symbol.fill is not None:
        fill = f"<Fill>{_css({'fill': symbol.fill, 'fill-opacity': f'{symbol.opacity:g}'})}</Fill>"
    stroke = {"stroke": symbol.outline, "stroke-width": f"{symbol.width_mm / _SLD_PIXEL_MM:.2f}"}
    if symbol.dashed:
        stroke["stroke-dasharray"] = "6 4"
    return (
        f"    <Rule><Name>{label}</Name><Title>{label}</Title>{condition if field else ''}\n"
        f"     <PolygonSymbolizer>{fill}<Stroke>{_css(stroke)}</Stroke></PolygonSymbolizer>\n"
        "    </Rule>\n"
    )


def _css(parameters: Mapping[str, str]) -> str:
    return "".join(f'<CssParameter name="{k}">{v}</CssParameter>' for k, v in parameters.items())


_CSS_PIXEL_MM = 25.4 / 96  # a CSS pixel


def maplibre(layers: list[str]) -> dict[str, Any]:
    """Return a style (version 8) over a product's GeoJSON, with addresses relative to its folder.

    Hatching needs a picture, which a style cannot hold: hatched layers are a thin surface.
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
    """Return the style of a layer as a QGIS style document (3.22 and later)."""
    renderer, categories = 'type="singleSymbol"', ""
    if theme.field is not None:
        renderer = f'type="categorizedSymbol" attr="{theme.field}"'
        labels = [quoteattr(symbol.label) for symbol in theme.symbols]
        lines = "".join(
            f'   <category value={label} label={label} symbol="{i}" render="true" type="string"/>\n'
            for i, label in enumerate(labels)
        )
        categories = f"  <categories>\n{lines}  </categories>\n"
    symbols = "".join(_qml_symbol(symbol, i) for i, symbol in enumerate(theme.symbols))
    return _qgis(
        f' <renderer-v2 {renderer} symbollevels="0">\n{categories}  <symbols>\n{symbols}'
        "  </symbols>\n </renderer-v2>\n <layerGeometryType>2</layerGeometryType>\n"  # polygons
    )


def _qml_symbol(symbol: Symbol, number: int) -> str:
    properties = {
        "color": _rgba(symbol.fill or symbol.outline, symbol.opacity),
        "style": "no" if symbol.fill is None else "b_diagonal" if symbol.hatched else "solid",
        "outline_color": _rgba(symbol.outline, 1.0),
        "outline_style": "dash" if symbol.dashed else "solid",
        "outline_width": f"{symbol.width_mm:g}",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    options = "".join(
        f'     <Option type="QString" name="{name}" value="{value}"/>\n'
        for name, value in properties.items()
    )
    return (
        f'   <symbol type="fill" name="{number}" alpha="1" clip_to_extent="1" force_rhr="0">\n'
        '    <layer class="SimpleFill" enabled="1" locked="0"><Option type="Map">\n'
        f"{options}    </Option></layer>\n   </symbol>\n"
    )


def _rgba(colour: str, opacity: float) -> str:
    return ",".join(str(value) for value in (*rgb(colour), round(255 * opacity)))


def raster_qml(names: Mapping[int, str], colours: Mapping[int, tuple[int, int, int]]) -> str:
    """Return the QGIS style of a raster of codes, with those codes only that have a colour."""
    entries = "".join(
        f'   <paletteEntry value="{code}" label={quoteattr(names[code])} alpha="255"'
        f' color="#{bytes(colours[code]).hex()}"/>\n'
        for code in sorted(colours)
    )
    return _qgis(
        ' <pipe><rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\n'
        f"  <colorPalette>\n{entries}  </colorPalette>\n </rasterrenderer></pipe>\n"
    )


def ramp_qml(ramp: Mapping[int, str]) -> str:
    """Return the QGIS style of the first band of a raster of shares; `ramp` is #rrggbb by value."""
    low, high = min(ramp), max(ramp)
    items = "".join(
        f'   <item value="{value}" label="{value} %" color="{ramp[value]}" alpha="255"/>\n'
        for value in sorted(ramp)
    )
    return _qgis(
        ' <pipe><rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1"'
        f' classificationMin="{low}" classificationMax="{high}">\n'
        f'  <rastershader><colorrampshader minimumValue="{low}" maximumValue="{high}"'
        f' colorRampType="INTERPOLATED" classificationMode="1" clip="0">\n{items}'
        "  </colorrampshader></rastershader>\n </rasterrenderer></pipe>\n"
    )


def _qgis(content: str) -> str:
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    return f'{head}\n<qgis version="3.22.0" styleCategories="Symbology">\n{content}</qgis>\n'
