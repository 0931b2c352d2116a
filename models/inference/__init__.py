"""Inference: the loop over windows, from scenes to probability and class rasters."""
