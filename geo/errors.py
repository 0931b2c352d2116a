"""What can be wrong with areas, imagery and stores, as nouns.

    GeoError
    ├── AreaInvalid          the area of interest cannot be used
    ├── SourceInvalid        a file or folder cannot be used as imagery
    │   ├── SceneUnreadable  not a raster, truncated, or damaged
    │   ├── MissingCRS       pixels without a place on the Earth
    │   ├── SensorUnknown    nothing says which sensor took it
    │   ├── BandsUnknown     nothing says which band is which
    │   ├── BandsMissing     the bands are known, and not the ones needed
    │   ├── UnitsMismatch    the values contradict the declared units
    │   └── TimeUnknown      no acquisition time where one is needed
    ├── NotOverlapping       two places that should meet do not
    ├── NotAligned           before and after do not lie on each other
    ├── NothingObserved      there is no valid pixel in the area
    ├── GridMismatch         two rasters that should share a grid do not
    ├── FootprintsInvalid    building footprints cannot be used
    ├── LayerInvalid         features contradict the schema of their layer
    └── StoreError           the store cannot be read or written

Every message is one sentence or two: what is wrong, both sides, and the cure. The
command line prints it and nothing else.
"""


class GeoError(Exception):
    """Base of everything that this room raises on purpose."""


class AreaInvalid(GeoError):
    """The area of interest cannot be used."""


class SourceInvalid(GeoError):
    """A file or a folder cannot be used as imagery."""


class SceneUnreadable(SourceInvalid):
    """Not a raster, truncated, or damaged."""


class MissingCRS(SourceInvalid):
    """Pixels without a place on the Earth."""


class SensorUnknown(SourceInvalid):
    """Nothing says which sensor took the image."""


class BandsUnknown(SourceInvalid):
    """Nothing says which band is which."""


class BandsMissing(SourceInvalid):
    """The bands are known, and not the ones that are needed."""


class UnitsMismatch(SourceInvalid):
    """The values contradict the units that were declared."""


class TimeUnknown(SourceInvalid):
    """No acquisition time where one is needed, or an impossible one."""


class NotOverlapping(GeoError):
    """Two places that should meet do not."""


class NotAligned(GeoError):
    """The images before and after do not lie on each other, and no shift can mend it."""


class NothingObserved(GeoError):
    """There is no valid pixel in the area."""


class GridMismatch(GeoError):
    """Two rasters that should share a grid do not."""


class FootprintsInvalid(GeoError):
    """Building footprints cannot be used."""


class LayerInvalid(GeoError):
    """Features contradict the schema of their layer."""


class StoreError(GeoError):
    """The store cannot be read or written."""
