"""QML: how QGIS (3.22 and later) draws a layer."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from geo.write.palette import Symbol, Theme, rgb


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
