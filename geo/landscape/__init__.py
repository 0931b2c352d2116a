"""The made landscape: a flood that never was, seen as satellites would have seen it.

The place is real ground in Silesia (EPSG:32633) and nothing on it is: terrain, river,
fields, town and flood are drawn from a seed. It serves the demo and the tests, where the
truth must be known at every pixel, under cloud as well.
"""

from geo.landscape.make import Landscape, make_landscape
from geo.landscape.optical import BANDS
from geo.landscape.water import Truth

__all__ = ["BANDS", "Landscape", "Truth", "make_landscape"]
