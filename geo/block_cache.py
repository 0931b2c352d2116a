"""GDAL's cache of decoded blocks: one for the whole process, whoever reads or writes."""

from collections.abc import Iterator
from contextlib import contextmanager

import rasterio

CACHE_BYTES = 128 * 2**20
"""Holds a row of tiles of the widest scenes, twice over; GDAL's own choice is a twentieth of the
machine's memory."""


@contextmanager
def fixed_block_cache() -> Iterator[None]:
    """Keep the cache at a size that depends on neither the machine nor the scene.

    Set once around all work: the size is of the process, not of the thread or of the file, so
    that whoever changed it in between would empty it under the others' hands.
    """
    # A number goes to GDAL as bytes: 64 would be a cache that holds nothing.
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        yield
