"""Pictures in natural colours are told from grey ones and from near infrared stored as red."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from geo.scenes.radiometry import Colours, colours_of

RNG = np.random.default_rng(3)
GRASS, SOIL, ROOF = (90, 110, 60), (150, 120, 90), (170, 60, 50)


def scene(*parts: tuple[float, ...]) -> Any:
    """Return equal parts of colours, with noise: (3, rows, cols)."""
    flat = np.repeat(np.array(parts, float), 1000, axis=0).T
    return (flat + RNG.normal(0, 5, flat.shape)).clip(1, 255).reshape(3, -1, 20)


def test_the_colours_of_the_ground_are_natural() -> None:
    assert colours_of(scene(GRASS, SOIL, ROOF)) is Colours.NATURAL
    assert colours_of(scene(ROOF)) is Colours.NATURAL


def test_plants_in_near_infrared_are_noticed() -> None:
    # Grass reflects half of the near infrared, 5 % of red and 8 % of green.
    assert colours_of(scene((180, 50, 75), (140, 110, 100), (30, 30, 40))) is Colours.INFRARED
    assert colours_of(scene((180, 50, 75), GRASS)) is Colours.NATURAL


def test_grey_is_grey_whatever_its_bits_and_rounding() -> None:
    grey = np.repeat(RNG.integers(1, 255, (1, 60, 60)), 3, axis=0).astype(float)
    assert colours_of(grey) is Colours.GREY
    assert colours_of(grey + RNG.integers(0, 2, grey.shape)) is Colours.GREY
    assert colours_of(grey * 257, top=65_535) is Colours.GREY
    grey[0] += 9
    assert colours_of(grey) is Colours.NATURAL


@pytest.mark.parametrize("value", [np.nan, 0, 255])
def test_nothing_and_white_alone_show_nothing(value: float) -> None:
    assert colours_of(np.full((3, 9, 9), value)) is Colours.NATURAL


def real(folder: Path) -> Iterator[Any]:
    """Yield pictures in natural colours, coarsely."""
    photos = sorted((folder / "flood_area" / "images").iterdir())
    for path in [*photos, *sorted((folder / "florence_vhr").iterdir())]:
        with Image.open(path) as photo:
            photo.draft("RGB", (320, 320))
            yield np.moveaxis(np.asarray(photo.convert("RGB"))[::2, ::2], 2, 0)
    patterns = ("joplin_xbd/*_disaster.tif", "joplin_vhr/*/*.tif", "puerto_rico_maria/*.tif",
                "opencities_drone/*_920.tif", "naip_wetland/*.tif")  # fmt: skip
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        yield coarse(path, (1, 2, 3))


def coarse(path: Path, bands: tuple[int, ...]) -> Any:
    with rasterio.open(path) as image:
        return image.read(bands, out_shape=(len(bands), 256, 256))


@pytest.mark.data
def test_no_real_picture_is_taken_for_another(data_dir: Path) -> None:
    found = [colours_of(pixels.astype(np.float32)) for pixels in real(data_dir)]
    assert (len(found), set(found)) == (251, {Colours.NATURAL})


@pytest.mark.data
def test_wetlands_in_summer_are_noticed_in_near_infrared(data_dir: Path) -> None:
    found = {
        path.stem[-8:-4]: colours_of(coarse(path, (4, 1, 2)).astype(np.float32))
        for path in (data_dir / "naip_wetland").iterdir()
    }
    assert found["2012"] is found["2014"] is Colours.INFRARED
    assert found["2015"] is Colours.NATURAL  # in September hardly a plant is green
