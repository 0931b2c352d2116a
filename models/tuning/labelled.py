"""LabelledTile: a tile of a scene in which a few polygons have a label."""

from dataclasses import dataclass

from models.data.xbd import IntArray
from models.training.tiles import Tile


@dataclass(frozen=True, eq=False)
class LabelledTile:
    """A tile of which the inside of a few polygons is known."""

    tile: Tile
    """`target` and `known`, (findings, rows, cols), hold the labels; known in polygons only."""
    polygons: IntArray
    """(rows, cols): 0 none, k the k-th label polygon. Numbers run over all tiles from 1 on, and a
    polygon lies whole in one tile."""
