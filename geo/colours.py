"""Colours: is what is stored as red, green and blue a picture in natural colours?

Two that are not are told from the pixels alone. A grey one has the same value in all bands. In a
composite of near infrared, red and green, plants are purple-red: brightest in the first band, and
the band of red, which they absorb, below that of green. Hardly anything on the ground has that
colour by daylight.

Of 251 pictures in natural colours (229 of flood_area, florence_vhr, joplin_xbd, joplin_vhr,
puerto_rico_maria, opencities_drone, naip_wetland) none is called infrared; the greatest share of
purple-red is 7 %. Of naip_wetland in near infrared, red and green the two of July are; that of
September, when hardly a plant was green, is not, nor are half of 82 chips of water_multispectral,
most of which show water and bare ground.
"""

from enum import StrEnum

import numpy as np

from geo.raster import FloatArray

RGB = ("red", "green", "blue")

GREY_STEP = 2.0
"""Of 255: the bands of a grey picture differ by rounding where it was compressed in colour."""
PURPLE = 1.4
"""The first band over the second, from which on a pixel is purple-red."""
INFRARED_FROM = 0.15
"""Least share of purple-red pixels of an infrared picture, and twice that of green ones."""
_GREEN = 1.03
"""The second band over each other one, from which on a pixel is green."""


class Colours(StrEnum):
    """What the bands red, green and blue of a picture hold."""

    NATURAL = "natural"
    GREY = "grey"
    INFRARED = "infrared"
    """Near infrared, red and green."""


def colours_of(pixels: FloatArray, *, top: float = 255.0) -> Colours:
    """Return what a picture holds; natural where nothing else can be shown.

    Args:
        pixels: (3, ...), as stored in the bands red, green and blue; NaN where not seen.
        top: the largest value that can be stored.
    """
    seen = pixels[:, np.isfinite(pixels).all(axis=0) & (pixels != 0).any(axis=0)]
    if not seen.shape[1]:
        return Colours.NATURAL
    if np.ptp(seen, axis=0).max() <= GREY_STEP * top / 255:
        # White alone, as snow or a burnt-out sky, is no sign of it.
        return Colours.GREY if np.ptp(seen) > GREY_STEP * top / 255 else Colours.NATURAL
    first, second, third = seen
    purple = float(((first > PURPLE * second) & (third > second)).mean())
    green = float(((second > _GREEN * first) & (second > _GREEN * third)).mean())
    infrared = purple > INFRARED_FROM and purple > 2 * green
    return Colours.INFRARED if infrared else Colours.NATURAL
