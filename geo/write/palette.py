"""One table of colours: for the styles, the class raster and the picture of the map.

Blues and the ramp of damage are told apart by lightness as well as hue, so that they stay
apart for a reader who is colour-blind (a test measures it).
"""

from dataclasses import dataclass

from geo.classify import Label


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
_FLOOD, _UNDATED, _REFERENCE, _BURNT = "#08519c", "#6baed6", "#b8d6ec", "#8c2d04"
_GREY = "#7f7f7f"

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
              (Symbol("Flooded area", _FLOOD, _FLOOD, width_mm=0.1),
               Symbol("Flooded area or standing water", _UNDATED, "#2171b5", width_mm=0.1),
               Symbol("Flood trace", "#d9d46a", "#8f8b2f", width_mm=0.1),
               Symbol("Burnt area", _BURNT, _BURNT, width_mm=0.1),
               Symbol("Landslide", "#bf812d", "#543005", width_mm=0.1),
               Symbol("Damaged area", "#8860e8", "#5b3ab8", 0.35, 0.3))),
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
    Label.UNDATED_WATER: _UNDATED,
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
    fills = {symbol.label: symbol.fill for symbol in THEMES["observed_event"].symbols}
    event = fills[notation] or _GREY
    return {Label.EVENT: event, **CLASS_COLOURS}


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of #rrggbb."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
