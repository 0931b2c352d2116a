"""The Earth: areas, scenes, grids, pixels, polygons, layers, the store."""
