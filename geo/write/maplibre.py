"""MapLibre style: how a web map draws a product."""

from typing import Any

from geo.write.palette import THEMES, Symbol, Theme

_PIXEL_MM = 25.4 / 96
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
    widths = {symbol.label: round(symbol.width_mm / _PIXEL_MM, 2) for symbol in symbols}
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
