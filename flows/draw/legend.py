"""The legend: which classes the map shows, with their symbols and numbers."""

from typing import TypeAlias

import geopandas as gpd

from flows.draw.layers import BUILDING_BEFORE, of_symbol
from flows.draw.picture import MapPicture
from flows.draw.sidebar import BODY, GAP_PX, HEADING, Gap, Item, Lines, legend_entry
from flows.draw.text import Ruler
from geo.write.palette import THEMES, Symbol, Theme

Row: TypeAlias = tuple[str, str, Symbol | None]

_ORDER = ("observed_event", "hydrography", "built_up", "not_analysed", "area_of_interest")
"""What matters most comes first; the order of drawing is another."""


def legend_items(picture: MapPicture, *, ruler: Ruler, width_px: float) -> list[Item]:
    """Return the rows of the legend.

    A class is in it where a feature has it, or where there is a number for it: that nothing
    was found is worth a row.
    """
    items: list[Item] = [Lines(["Legend"], size=HEADING, bold=True, gap_px=6)]
    for name in _ORDER:
        rows = [
            legend_entry(ruler, label, number, symbol=symbol, width_px=width_px)
            for label, number, symbol in _rows(name, picture)
        ]
        if rows and name == "built_up":
            items.append(Lines(["Buildings, number"], size=BODY, gap_px=4))
        items += [*rows, Gap(8 if rows and rows[-1].symbol is None else 0)]
    return [*items, Gap(GAP_PX)]


def _rows(name: str, picture: MapPicture) -> list[Row]:
    """Return label, number and symbol of a layer's rows; a reason has no symbol of its own."""
    theme, layer, numbers = THEMES[name], picture.layers.get(name), picture.numbers
    rows: list[Row] = [
        (symbol.label, numbers.get(symbol.label, ""), symbol)
        for symbol in theme.symbols
        if symbol.label in numbers or _drawn(layer, theme, symbol)
    ]
    if name == "not_analysed" and layer is not None:
        rows += [(reason, numbers.get(reason, ""), None) for reason in sorted(set(layer["reason"]))]
    if name == "built_up" and len(picture.panels) == 2:
        rows.append((BUILDING_BEFORE.label, "", BUILDING_BEFORE))
    return rows


def _drawn(layer: gpd.GeoDataFrame | None, theme: Theme, symbol: Symbol) -> bool:
    return layer is not None and not of_symbol(layer, theme, symbol).empty
