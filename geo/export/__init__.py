"""Exports: the file formats of a product, and its styles."""
