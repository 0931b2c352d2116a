"""What can be wrong with areas, imagery and stores; a message says what is wrong and the cure."""


class GeoError(Exception):
    """Base of all errors that geo raises on purpose."""


class AreaInvalid(GeoError):
    """The area of interest cannot be used."""


class SourceInvalid(GeoError):
    """A file or a folder cannot be used as imagery."""


class SceneUnreadable(SourceInvalid):
    """No raster, or a truncated or damaged one."""


class MissingCRS(SourceInvalid):
    """Pixels without a coordinate reference system, or without a position in it."""


class SensorUnknown(SourceInvalid):
    """It is not known which sensor took the image."""


class BandsUnknown(SourceInvalid):
    """It is not known which band is which."""


class BandsMissing(SourceInvalid):
    """The bands are known, and not the ones that are needed."""


class UnitsMismatch(SourceInvalid):
    """The values contradict the declared units."""


class TimeUnknown(SourceInvalid):
    """No acquisition time where one is needed, or a text that is none."""


class NotOverlapping(GeoError):
    """Two extents that should overlap do not."""


class NotAligned(GeoError):
    """The images before and after are not co-registered, and no shift aligns them."""


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
