"""A coarse look at a file, whose memory does not follow its size."""

from pathlib import Path

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from geo.georeference import NOTHING_TOLD, Georeference
from geo.image import open_image, read_stored, unreadable
from geo.raster import FloatArray

_STRIP_ROWS = 16
"""Rows of the sample read at once."""


def read_sample(
    path: Path,
    indexes: list[int],
    shape_px: tuple[int, int],
    told: Georeference = NOTHING_TOLD,
) -> FloatArray:
    """Return a coarse look at the bands, (bands, rows, cols) float32, NaN where missing.

    Raises:
        SceneUnreadable: where the file breaks off or is damaged.
    """
    rows, cols = shape_px
    with open_image(path, told) as dataset:
        step = dataset.height / rows
        try:
            # In strips, so that GDAL decodes a block once for all bands and then forgets it.
            strips = [
                read_stored(
                    dataset,
                    indexes,
                    window=Window(0, top * step, dataset.width, height * step),
                    shape=(height, cols),
                )
                for top in range(0, rows, _STRIP_ROWS)
                for height in (min(_STRIP_ROWS, rows - top),)
            ]
        except RasterioIOError as error:
            raise unreadable(path, error) from error
    looks = [np.where(missing, np.float32(np.nan), values) for values, missing in strips]
    return np.concatenate(looks, axis=1)
