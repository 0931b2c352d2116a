"""Imagery: image files opened, georeferenced, warped onto a grid and mosaicked."""
