"""The map of a product as a picture, `map.png`: to look at, to print, to send by mail."""

from flows.draw.compose import compose, draw_map
from flows.draw.picture import MapPicture, Quicklook

__all__ = ["MapPicture", "Quicklook", "compose", "draw_map"]
