"""Grading of buildings: where a pair of images and footprints lie, and how each building fared."""
