"""One map of the picture: the image, the layers over it, and the frame."""

from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from flows.draw.frame import View, latitude_ticks, longitude_ticks
from flows.draw.layers import BUILDING_BEFORE, draw_polygons, draw_theme
from flows.draw.picture import Quicklook
from flows.draw.sidebar import BODY, INK, SMALL
from geo.raster import FloatArray
from geo.write.palette import THEMES, Symbol

UNSEEN = "#e8e8e8"
"""Where the image holds nothing."""
HALO = Symbol("Area of interest", None, "#ffffff", width_mm=1.0)
"""Under the outline of the area, which would be lost on dark ground."""

_AREA = "area_of_interest"
_AFTER = tuple(name for name in THEMES if name not in ("image_footprint", _AREA))
"""What is drawn over the image after the event, the lowest first; footprints would hide it."""


def draw_panel(
    axes: Axes,
    quicklook: Quicklook,
    layers: Mapping[str, gpd.GeoDataFrame],
    *,
    view: View,
    before: bool,
) -> None:
    """Draw one map.

    Args:
        axes: empty, of the shape of the view.
        layers: by name, in the CRS of the quicklook.
        before: whether it shows the time before the event, and so none of its traces.
    """
    buildings = "built_up" in layers and not layers["built_up"].empty
    _draw_image(axes, quicklook, faded=0.15 if buildings else 0.45)
    if before and buildings:
        draw_polygons(axes, layers["built_up"], BUILDING_BEFORE, name="built_up")
    elif not before:
        for name in _AFTER:
            if name in layers:
                draw_theme(axes, layers[name], THEMES[name])
    draw_polygons(axes, layers[_AREA], HALO, name=_AREA)
    draw_theme(axes, layers[_AREA], THEMES[_AREA])
    _draw_frame(axes, quicklook, view)


def _draw_image(axes: Axes, quicklook: Quicklook, *, faded: float) -> None:
    """Draw the image, paler and greyer than it is, so that the layers stand out."""
    box = quicklook.geobox.boundingbox
    axes.set_facecolor(UNSEEN)
    axes.imshow(
        _faded(quicklook.pixels, quicklook.valid, share=faded),
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="antialiased",
        aspect="auto",
        zorder=0,
    )


def _faded(pixels: FloatArray, valid: npt.NDArray[np.bool_], *, share: float) -> FloatArray:
    """Return red, green, blue and opacity, (rows, cols, 4), mixed with grey and white."""
    coloured = np.clip(np.nan_to_num(pixels), 0, 1)
    grey = coloured.mean(axis=0, keepdims=True)
    mixed = (1 - share) * (coloured + share * (grey - coloured)) + share
    return np.concatenate([mixed, valid[None]]).transpose(1, 2, 0).astype(np.float32)


def _draw_frame(axes: Axes, quicklook: Quicklook, view: View) -> None:
    """Fix the view, and mark longitude below and latitude on the left."""
    axes.set(xlim=(view.left, view.right), ylim=(view.bottom, view.top))
    meridians = longitude_ticks(view, quicklook.crs)
    parallels = latitude_ticks(view, quicklook.crs)
    axes.set_xticks([tick.at for tick in meridians], [tick.label for tick in meridians])
    axes.set_yticks(
        [tick.at for tick in parallels],
        [tick.label for tick in parallels],
        rotation=90,
        va="center",
    )
    axes.tick_params(labelsize=SMALL, length=4, width=0.6, pad=2, labelcolor=INK)
    axes.set_title(quicklook.label, loc="left", fontsize=BODY, color=INK, pad=4)
