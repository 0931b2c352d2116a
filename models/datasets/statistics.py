"""Statistics of the bands of a labelled set, for the normalisation and the domain of a model."""

from collections.abc import Sequence

import numpy as np

from geo.types import FloatArray
from models.cards.inputs import BandStatistics, CardInput
from models.datasets.base import LabelledSet, fill_inputs
from models.errors import DataInvalid
from models.networks.tensors import select

SAMPLES = 200
"""Samples, spread over a set, that the statistics are taken from."""
_EVERY = 7
"""Of their pixels, one in so many: no divisor of a tile's width, so no column is favoured."""


def band_statistics(
    inputs: Sequence[CardInput], labelled: LabelledSet, *, model: str
) -> dict[str, tuple[BandStatistics, ...]]:
    """Return the statistics of each band, by input, in physical units.

    Args:
        inputs: of a card.
        labelled: images.
        model: its name, for the message.

    Raises:
        InputsMismatch: where the images of the set do not fill the inputs.
        DataInvalid: where a sample cannot be read, or a band has no value.
    """
    filled = fill_inputs(inputs, labelled.kinds, model=model)
    count = min(len(labelled), SAMPLES)
    spread = np.linspace(0, len(labelled) - 1, count).round().astype(int)
    kept: dict[str, list[FloatArray]] = {name: [] for name in filled}
    for sample in (labelled[int(index)] for index in spread):
        for entry in inputs:
            if entry.name in filled:
                raster = sample.images[filled[entry.name]]
                kept[entry.name].append(select(entry, raster)[:, raster.valid][:, ::_EVERY])
    return {
        name: tuple(_statistics(row, name=name) for row in np.concatenate(parts, axis=1))
        for name, parts in kept.items()
    }


def _statistics(values: FloatArray, *, name: str) -> BandStatistics:
    if not values.size:
        raise DataInvalid(f"not one pixel of the images for {name} is valid; check their nodata")
    low, middle, high = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return BandStatistics(
        mean=float(values.mean()),
        std=float(values.std()) or 1.0,
        percentiles=(low, middle, high),
    )
