"""The Earth: areas, scenes, imagery, rasters, vectors, files of a product, the store."""
