import numpy as np
import pytest

from models.datasets.base import Sample
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location
from models.training.config import LabelFilter
from models.training.dataset import accepted_labels

BANDS = ("green", "nir", "swir16")
MNDWI = LabelFilter(index="mndwi", wet_below=0.0, dry_above=0.5)


def sample(*, wet, bands=BANDS, valid=True):
    """Pixels of water, of dry ground, and of something between."""
    water, ground, between = (0.10, 0.05, 0.02), (0.10, 0.30, 0.30), (0.10, 0.12, 0.08)
    pixels = np.array([water, ground, between], np.float32).T[:, None][: len(bands)]
    observed = np.full((1, 3), valid)
    image = raster_without_location(pixels, valid=observed, bands=bands, source="made")
    return Sample("made", "0", {"image": image}, np.full((1, 3), wet), np.ones((1, 3), bool))


def test_dry_ground_labelled_water_and_the_reverse_are_left_out():
    assert accepted_labels(sample(wet=True), MNDWI).tolist() == [[True, False, True]]
    assert accepted_labels(sample(wet=False), MNDWI).tolist() == [[False, True, True]]
    ndwi = MNDWI.model_copy(update={"index": "ndwi", "dry_above": 0.3})
    assert accepted_labels(sample(wet=False), ndwi).tolist() == [[False, True, True]]


def test_without_a_filter_or_a_valid_pixel_every_label_is_used():
    assert accepted_labels(sample(wet=True), None).all()
    assert accepted_labels(sample(wet=True, valid=False), MNDWI).all()


def test_an_image_without_the_bands_of_the_index_is_said_so():
    with pytest.raises(DataInvalid, match=r"needs green and swir16; .* made have green, nir$"):
        accepted_labels(sample(wet=True, bands=("green", "nir")), MNDWI)
