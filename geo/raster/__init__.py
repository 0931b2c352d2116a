"""Rasters in memory: grids, windows, classes, indices, coregistration."""
