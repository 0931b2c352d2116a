"""The store: products published atomically, their manifests and their STAC catalog."""
