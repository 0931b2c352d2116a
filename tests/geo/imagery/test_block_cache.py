"""The block cache has the size that it is said to have, in bytes."""

import rasterio
from rasterio.env import get_gdal_config

from geo.imagery.dataset import CACHE_BYTES, fixed_block_cache


def size() -> int:
    """Return the size that GDAL works with, bytes."""
    return int(get_gdal_config("GDAL_CACHEMAX"))


def test_the_size_holds_whatever_is_opened_inside_and_is_given_back() -> None:
    before = size()
    with fixed_block_cache():
        assert size() == CACHE_BYTES == 128 * 2**20
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            assert size() == CACHE_BYTES
        assert size() == CACHE_BYTES
    assert size() == before
