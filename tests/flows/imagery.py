"""Small radar images as files, with water where a test wants it, and the command that maps them."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.rasters import write_image

SIDE_PX = 128
INSIDE = "15.003,45.143,15.013,45.150"
"""A box within the images."""


def radar(path: Path, *, water_cols: int = 40, seed: int = 1, **profile: Any) -> Path:
    """Write a Sentinel-1 image of 128 x 128 pixels of 10 m, VV and VH in decibels.

    Args:
        water_cols: columns on the left that are water, 12 dB darker than land.
        profile: of the file, where it is to differ.
    """
    noise = np.random.default_rng(seed).normal(0, 1.5, (2, SIDE_PX, SIDE_PX))
    level = np.where(np.arange(SIDE_PX) < water_cols, -22.0, -10.0)
    pixels = (noise + level).astype(np.float32)
    return write_image(path, pixels, descriptions=("VV", "VH"), **{"nodata": np.nan, **profile})


def asked(*after: Path, sensor: str = "sentinel-1-grd", event: str = "drava-2024") -> list[str]:
    """Return the command that maps a flood on radar images, as words."""
    images = [text for path in after for text in ("--after", str(path))]
    return [
        "map", "--event", event, "--hazard", "flood", "--sensor", sensor, *images,
        "--direct", "--quiet",
    ]  # fmt: skip
