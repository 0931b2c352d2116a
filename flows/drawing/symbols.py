"""Polygons of a layer as patches, drawn as `geo.export.styles` has them."""

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from geo.export.styles import Symbol, Theme
from geo.types import ObjectArray

HATCH = "/////"
_POINTS_PER_MM = 72 / 25.4
_VEIL = "#ffffff99"
"""Under a hatch, so that it shows on dark ground as well; #rrggbbaa."""
_DASHES = (0, (4, 2))


def draw_theme(axes: Axes, layer: gpd.GeoDataFrame, theme: Theme) -> None:
    """Draw a layer, symbol by symbol in the order of the theme.

    Args:
        axes: in the units of the layer's CRS.
        layer: in the CRS of the map; may hold no feature.
        theme: how the layer is drawn.
    """
    for symbol in theme.symbols:
        draw_polygons(axes, of_symbol(layer, theme, symbol), symbol, name=theme.layer)


def of_symbol(layer: gpd.GeoDataFrame, theme: Theme, symbol: Symbol) -> gpd.GeoDataFrame:
    """Return the features that a symbol stands for."""
    if theme.field is None or layer.empty:
        return layer
    return layer[layer[theme.field] == symbol.label]


def draw_polygons(axes: Axes, layer: gpd.GeoDataFrame, symbol: Symbol, *, name: str) -> None:
    """Draw every polygon of a layer with one symbol; the patches carry `name` as their gid."""
    if layer.empty:
        return
    for patch in symbol_patches(_outline(layer.geometry.to_numpy()), symbol):
        patch.set_gid(name)
        # Not add_patch: it measures every vertex to fit a view that is fixed anyway.
        axes.add_artist(patch)


def symbol_patches(outline: Outline, symbol: Symbol) -> list[PathPatch]:
    """Return the patches that draw a shape with a symbol, the lowest first."""
    width = symbol.width_mm * _POINTS_PER_MM
    line = _DASHES if symbol.dashed else "solid"
    edge = PathPatch(outline, fill=False, edgecolor=symbol.outline, linewidth=width, linestyle=line)
    if symbol.fill is None:
        return [edge]
    if symbol.hatched:
        veil = PathPatch(outline, facecolor=_VEIL, linewidth=0)
        edge.set_hatch(HATCH)
        return [veil, edge]
    surface = PathPatch(outline, facecolor=symbol.fill, alpha=symbol.opacity, linewidth=0)
    return [surface, edge]


def _outline(polygons: ObjectArray) -> Outline:
    """Return one path that holds all the polygons, holes turned against their shells."""
    _, points, offsets = shapely.to_ragged_array(shapely.orient_polygons(polygons))
    rings = offsets[0]
    codes = np.full(len(points), Outline.LINETO, dtype=Outline.code_type)
    codes[rings[:-1]] = Outline.MOVETO
    codes[rings[1:] - 1] = Outline.CLOSEPOLY
    return Outline(points[:, :2], codes)
