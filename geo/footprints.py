"""Building footprints as the user has them: read, put into lon-lat, kept inside the area."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyogrio.errors import DataLayerError as _LayerError
from pyogrio.errors import DataSourceError as _SourceError
from pyproj import CRS
from shapely.errors import GEOSException

from geo.antimeridian import polygons_only
from geo.area import AreaOfInterest, swap_hint
from geo.errors import FootprintsInvalid
from geo.extent import extent_text
from geo.footprint_files import Features, read_features

Geometries: TypeAlias = npt.NDArray[np.object_]
Flags: TypeAlias = npt.NDArray[np.bool_]

_BLOCK = 2**20
_BESIDE_SHP = (".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, eq=False)
class Footprints:
    """Buildings that meet the area."""

    geometries: Geometries
    """(buildings,) Polygon or MultiPolygon, lon-lat WGS 84, valid."""
    own: pd.DataFrame
    """The user's columns, in the same order."""
    sha256: str
    """Of the file; of the outlines where they were found in images."""
    notes: tuple[str, ...]
    """What was left out or mended, as sentences."""


def read_footprints(path: Path, area: AreaOfInterest, *, once: bool = True) -> Footprints:
    """Return the building footprints of a file that meet an area.

    Args:
        path: of a format of `geo.footprint_files`, in any CRS.
        area: outside of which nothing is kept.
        once: leave out outlines that repeat an earlier one.

    Raises:
        FootprintsInvalid: where it cannot be read, has no CRS, no polygon, or none in the area.
    """
    found = _read(path, area)
    frame, extent = found.frame, found.extent
    if frame.crs is None:
        raise FootprintsInvalid(f"{path} has no CRS; give footprints in longitude and latitude")
    _check_units(path, frame.crs, frame.total_bounds if extent is None else np.array(extent))
    if frame.empty and extent is not None:
        whole = gpd.GeoSeries([shapely.box(*extent)], crs=frame.crs).to_crs("EPSG:4326")
        raise FootprintsInvalid(_nowhere(path, area, whole.to_numpy()))
    frame = frame.to_crs("EPSG:4326")
    polygons = frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    if not polygons.any():
        raise FootprintsInvalid(f"{path} holds no polygon; give the outlines of buildings")
    broken = polygons & ~frame.geometry.is_valid.to_numpy()
    geometries = np.asarray(shapely.force_2d(frame.geometry.to_numpy()), dtype=object)
    geometries[broken] = [polygons_only(shapely.make_valid(g)) for g in geometries[broken]]
    meets = polygons & shapely.intersects(geometries, area.geometry)
    if not meets.any():
        raise FootprintsInvalid(_nowhere(path, area, geometries[polygons]))
    again = meets & repeats(geometries) if once else np.zeros_like(meets)
    notes = _notes(
        path.name, polygons=polygons, broken=broken, meets=meets, again=again, passed=found.passed
    )
    kept = meets & ~again
    own = pd.DataFrame(frame.drop(columns=frame.geometry.name))[kept]
    return Footprints(geometries[kept], own.reset_index(drop=True), _sha256(path), notes)


def repeats(geometries: Geometries) -> Flags:
    """Return which outlines were there before, whatever corner and turn they begin with."""
    shapes = pd.Series(shapely.to_wkb(shapely.normalize(geometries)), dtype=object)
    return shapes.duplicated().to_numpy()


def _read(path: Path, area: AreaOfInterest) -> Features:
    if not path.is_file():
        raise FootprintsInvalid(f"there is no file of footprints at {path}; check the path")
    try:
        found = read_features(path, area.geometry.bounds)
    except (_SourceError, _LayerError, ValueError, OSError, EOFError, GEOSException) as error:
        raise FootprintsInvalid(
            f"{path} cannot be read as vector data ({error}); give GeoJSON, GeoPackage, "
            "Shapefile, FlatGeobuf, GeoParquet, GeoJSON by lines, or a .csv with outlines in WKT"
        ) from error
    frame = found.frame
    if not isinstance(frame, gpd.GeoDataFrame) or (frame.empty and not found.passed):
        raise FootprintsInvalid(f"{path} holds no feature with a geometry; give footprints")
    return found


def _check_units(path: Path, crs: CRS, bounds: npt.NDArray[np.float64]) -> None:
    """Refuse metres that are called degrees, as files without their CRS have them, and back."""
    if not np.isfinite(bounds).any():
        return
    largest = float(np.nanmax(np.abs(bounds)))
    named = crs.to_string()[:40]
    if crs.is_geographic and largest > 360:
        raise FootprintsInvalid(
            f"{path} says that its coordinates are degrees ({named}) and has {largest:.0f} among "
            "them, which are metres; give the file its right CRS"
        )
    if not crs.is_geographic and largest <= 180:
        raise FootprintsInvalid(
            f"{path} says that its coordinates are metres ({named}) and none is above "
            f"{largest:.3g}, as in degrees; give the file its right CRS, such as EPSG:4326"
        )


def _nowhere(path: Path, area: AreaOfInterest, geometries: Geometries) -> str:
    extent = shapely.box(*shapely.total_bounds(geometries))
    swapped = swap_hint(area, extent) is not None
    cure = "swap longitude and latitude in one of them" if swapped else "give those of the area"
    return (
        f"no footprint of {path.name} ({extent_text(geometries)}) lies in the area "
        f"({extent_text(area.geometry)}); {cure}"
    )


def _notes(
    name: str, *, polygons: Flags, broken: Flags, meets: Flags, again: Flags, passed: int
) -> tuple[str, ...]:
    told = (
        ((~polygons).sum(), "{} features of {} are no polygons and were left out"),
        (broken.sum(), "{} footprints of {} crossed themselves and were mended"),
        (
            (polygons & ~meets).sum() + passed,
            "{} footprints of {} lie outside the area and were left out",
        ),
        (
            again.sum(),
            "{} footprints of {} repeat others and were counted once, with the columns of the "
            "first",
        ),
    )
    return tuple(text.format(count, name) for count, text in told if count)


def _sha256(path: Path) -> str:
    """Return the digest of a file, of a Shapefile with the files that it is made of."""
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts += [part for s in _BESIDE_SHP if (part := path.with_suffix(s)).is_file()]
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
