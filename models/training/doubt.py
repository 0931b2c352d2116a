"""Labels that contradict the picture that they are of."""

import numpy as np

from geo.indices import mndwi, ndwi
from geo.raster import BoolArray, FloatArray, Raster
from models.data.sample import Sample
from models.errors import DataInvalid
from models.training.config import Doubt

_BANDS = {"ndwi": ("green", "nir"), "mndwi": ("green", "swir16")}


def believed(sample: Sample, doubt: Doubt | None) -> BoolArray:
    """Return where the label of a sample is believed, (rows, cols).

    Where the index is not defined, or no image has its bands valid, the label is believed.

    Raises:
        DataInvalid: where no image of the sample has the bands of the index.
    """
    if doubt is None:
        return np.ones_like(sample.target)
    image = _image_for(sample, doubt)
    value = _index(image, doubt)
    contradicted = np.where(sample.target, value < doubt.wet_below, value > doubt.dry_above)
    believed: BoolArray = ~(contradicted & image.valid)
    return believed


def _image_for(sample: Sample, doubt: Doubt) -> Raster:
    wanted = _BANDS[doubt.index]
    for image in sample.images.values():
        if set(wanted) <= set(image.bands):
            return image
    raise DataInvalid(
        f"labels are doubted by {doubt.index}, which needs {' and '.join(wanted)}; the images of "
        f"{sample.name} have {'; '.join(', '.join(i.bands) for i in sample.images.values())}"
    )


def _index(image: Raster, doubt: Doubt) -> FloatArray:
    green, other = (image.pixels[image.bands.index(band)] for band in _BANDS[doubt.index])
    return ndwi(green, other) if doubt.index == "ndwi" else mndwi(green, other)
