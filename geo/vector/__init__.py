"""Vectors: areas of interest, polygons, buildings, zonal statistics, layers and their schema."""
