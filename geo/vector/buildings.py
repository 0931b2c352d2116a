"""Buildings: footprints of a file, outlines traced from a probability, and their grades."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox
from pyogrio.errors import DataLayerError as _LayerError
from pyogrio.errors import DataSourceError as _SourceError
from pyproj import CRS
from shapely.errors import GEOSException

from geo.errors import FootprintsInvalid
from geo.export.cog import row_bands
from geo.raster.classify import NODATA_PERCENT
from geo.raster.grid import crs_of
from geo.types import BoolArray, Float64Array, FloatArray, ObjectArray
from geo.vector.area_files import polygons_only
from geo.vector.area_of_interest import AreaOfInterest, extent_text, swap_hint
from geo.vector.footprint_files import Features, read_features
from geo.vector.polygonize import simplify, to_lonlat, to_shapely, trace
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, GRADE_PROBABILITIES, NO_GRADER
from geo.vector.zonal_stats import zonal_statistics

_BESIDE_SHP = (".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, eq=False)
class Footprints:
    """Buildings that meet the area."""

    geometries: ObjectArray
    """(buildings,) Polygon or MultiPolygon, lon-lat WGS 84, valid."""
    own: pd.DataFrame
    """The user's columns, in the same order."""
    sha256: str
    """Of the file; of the outlines where they were found in images."""
    notes: tuple[str, ...]
    """What was left out or mended, as sentences."""


def read_footprints(path: Path, area: AreaOfInterest, *, once: bool = True) -> Footprints:
    """Return the footprints of a file, in any CRS, that meet an area; `once` leaves out repeats.

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
        raise FootprintsInvalid(_outside(path, area, whole.to_numpy()))
    frame = frame.to_crs("EPSG:4326")
    polygons = frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    if not polygons.any():
        raise FootprintsInvalid(f"{path} holds no polygon; give the outlines of buildings")
    broken = polygons & ~frame.geometry.is_valid.to_numpy()
    geometries = np.asarray(shapely.force_2d(frame.geometry.to_numpy()), dtype=object)
    geometries[broken] = [polygons_only(shapely.make_valid(g)) for g in geometries[broken]]
    meets = polygons & shapely.intersects(geometries, area.geometry)
    if not meets.any():
        raise FootprintsInvalid(_outside(path, area, geometries[polygons]))
    again = meets & repeats(geometries) if once else np.zeros_like(meets)
    counts = {
        "are no polygons and were left out": (~polygons).sum(),
        "crossed themselves and were mended": broken.sum(),
        "lie outside the area and were left out": (polygons & ~meets).sum() + found.passed,
        "repeat others and were counted once, with the columns of the first": again.sum(),
    }
    notes = tuple(f"{n} footprints of {path.name} {what}" for what, n in counts.items() if n)
    kept = meets & ~again
    own = pd.DataFrame(frame.drop(columns=frame.geometry.name))[kept]
    return Footprints(geometries[kept], own.reset_index(drop=True), _sha256(path), notes)


def repeats(geometries: ObjectArray) -> BoolArray:
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


def _check_units(path: Path, crs: CRS, bounds: Float64Array) -> None:
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


def _outside(path: Path, area: AreaOfInterest, geometries: ObjectArray) -> str:
    extent = shapely.box(*shapely.total_bounds(geometries))
    swapped = swap_hint(area, extent) is not None
    cure = "swap longitude and latitude in one of them" if swapped else "give those of the area"
    return (
        f"no footprint of {path.name} ({extent_text(geometries)}) lies in the area "
        f"({extent_text(area.geometry)}); {cure}"
    )


def _sha256(path: Path) -> str:
    """Return the digest of a file, of a Shapefile with the files that it is made of."""
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts += [part for s in _BESIDE_SHP if (part := path.with_suffix(s)).is_file()]
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


GRADES = DAMAGE_XBD[3::-1]
"""From no-damage to destroyed, the order of the probabilities."""


@dataclass(frozen=True, eq=False)
class BuildingGrades:
    """What a grader says of buildings, all in their order."""

    probabilities: FloatArray
    """(buildings, 4), of `GRADES`; NaN where the grader has no answer."""
    reasons: tuple[str | None, ...]
    """Why a building has no grade, one of `geo.vector.schema.NOT_GRADED`; None where it has one."""
    scenes: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    """Ids of the scenes before and after that each was seen in."""

    def columns(self) -> Mapping[str, list[str | float | int | None]]:
        """Return the damage columns of `built_up`; probabilities stay beside "Not Analysed"."""
        graded = np.array([reason is None for reason in self.reasons], np.bool_)
        probabilities = np.where(graded[:, None], self.probabilities, 0)
        # The likeliest grade, or the last entry of the value lists: not analysed.
        best = np.where(graded, np.argmax(probabilities, axis=1), len(GRADES))
        top = np.rint(100 * np.max(probabilities, axis=1)).astype(int)
        percent = np.round(100.0 * self.probabilities.astype(np.float64), 1)
        return {
            "damage_gra": [(*DAMAGE_GRA[3::-1], DAMAGE_GRA[-1])[k] for k in best],
            "damage_xbd": [(*GRADES, DAMAGE_XBD[-1])[k] for k in best],
            "confidence": [int(p) if g else None for p, g in zip(top, graded, strict=True)],
            "reason": list(self.reasons),
            **{
                name: [None if np.isnan(value) else float(value) for value in column]
                for name, column in zip(GRADE_PROBABILITIES, percent.T, strict=True)
            },
        }


def ungraded(count: int) -> BuildingGrades:
    """Return the grades of buildings that no grader was run on."""
    no_scenes: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    return BuildingGrades(
        np.full((count, len(GRADES)), np.nan, np.float32),
        (NO_GRADER,) * count,
        (no_scenes,) * count,
    )


SIMPLIFY_M = 1.0
"""Tolerance of their outlines: a network draws round blobs, not walls. Of what damage-vhr 0.1.0
finds on tile 00000002 of joplin_xbd a quarter of the corners is left, and the F1 of building pixels
stays 0.479; at 1.5 m it is 0.477, at 3 m 0.464."""


@dataclass(frozen=True, eq=False)
class FoundBuildings:
    """Outlines of buildings, and how sure it is that there is one."""

    footprints: Footprints
    certainty: Float64Array
    """(buildings,), mean probability of the pixels of each, per cent."""

    def __len__(self) -> int:
        return len(self.certainty)


def outline_buildings(
    probability: Path,
    geobox: GeoBox,
    *,
    area: AreaOfInterest,
    least: float,
    fewest_px: int,
    simplify_m: float = SIMPLIFY_M,
) -> FoundBuildings:
    """Return the buildings that meet an area, traced from probabilities on a projected grid.

    Args:
        probability: uint8, per cent in its first band, 255 where not observed.
        least: probability from which a pixel is of a building.
        fewest_px: smaller ones are left out, and smaller holes are filled.
        simplify_m: tolerance of the outlines; 0 keeps the edges of the pixels.
    """
    width = geobox.shape[1]
    bands = (band[0] for band in row_bands(probability))
    built = ((p >= 100 * least) & (p != NODATA_PERCENT) for p in bands)
    classes = (band.astype(np.uint8) for band in built)
    traced = trace(classes, width=width, keep=[1], min_pixels={1: fewest_px})
    # No scene: which image shows a building is known when it is graded.
    measured = ((band[0], np.zeros_like(band[:1])) for band in row_bands(probability))
    zones = zonal_statistics(traced, measured, width=width)
    polygons = to_shapely(traced, geobox.affine)
    pixel_m2 = abs(geobox.resolution.x * geobox.resolution.y)
    polygons = _without_specks(polygons, least_m2=fewest_px * pixel_m2)
    if simplify_m > 0:
        polygons = simplify(polygons, tolerance_m=simplify_m)
    lonlat = to_lonlat(polygons, crs_of(geobox))
    meets = shapely.intersects(lonlat, area.geometry)
    geometries = lonlat[meets]
    digest = hashlib.sha256(b"".join(shapely.to_wkb(geometries))).hexdigest()
    own = pd.DataFrame(index=pd.RangeIndex(len(geometries)))
    return FoundBuildings(Footprints(geometries, own, digest, ()), zones.percent[meets])


def _without_specks(polygons: ObjectArray, *, least_m2: float) -> ObjectArray:
    """Return polygons without their small holes: a chimney is no courtyard."""
    whole = polygons.copy()
    for index in np.flatnonzero(shapely.get_num_interior_rings(polygons)):
        holes = shapely.get_rings(polygons[index])[1:]
        kept = [hole for hole in holes if shapely.Polygon(hole).area >= least_m2]
        whole[index] = shapely.Polygon(polygons[index].exterior, kept)
    return whole
