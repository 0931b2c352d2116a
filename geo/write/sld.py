"""SLD 1.0: how GeoServer, MapServer and other map servers draw a layer (OGC 02-070)."""

from xml.etree import ElementTree as ET

from geo.write.palette import Symbol, Theme

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
