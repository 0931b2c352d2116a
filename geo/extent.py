"""How messages name a place."""

from typing import Any

import shapely


def extent_text(geometries: Any) -> str:
    """Return the extent of one or several lon-lat geometries for a sentence."""
    west, south, east, north = shapely.total_bounds(geometries)
    return f"longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
