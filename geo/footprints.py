"""Building footprints as the user has them: read, put into lon-lat, kept inside the area."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
import shapely
from pyarrow import parquet
from pyogrio.errors import DataLayerError as _LayerError
from pyogrio.errors import DataSourceError as _SourceError

from geo.antimeridian import polygons_only
from geo.area import AreaOfInterest, swap_hint
from geo.errors import FootprintsInvalid
from geo.extent import extent_text

Geometries: TypeAlias = npt.NDArray[np.object_]
Flags: TypeAlias = npt.NDArray[np.bool_]

MAX_FOOTPRINTS = 3_000_000

_SHP = b"\0\0\x27\x0a"
_MAGIC = (b"{", b"SQLite format 3\0", _SHP, b"fgb", b"PAR1")
"""First bytes of GeoJSON, GeoPackage, Shapefile, FlatGeobuf and GeoParquet. GDAL reads many
other formats, some of which name further files of the machine, or addresses."""
_BESIDE_SHP = (".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, eq=False)
class Footprints:
    """Buildings that meet the area."""

    geometries: Geometries
    """(buildings,) Polygon or MultiPolygon, lon-lat WGS 84, valid."""
    own: pd.DataFrame
    """The user's columns, in the same order."""
    sha256: str
    """Of the file."""
    notes: tuple[str, ...]
    """What was left out or mended, as sentences."""


def read_footprints(path: Path, area: AreaOfInterest, *, once: bool = True) -> Footprints:
    """Return the building footprints of a file that meet an area.

    Args:
        path: GeoJSON, GeoPackage, Shapefile, FlatGeobuf or GeoParquet, in any CRS.
        area: outside of which nothing is kept.
        once: leave out outlines that repeat an earlier one.

    Raises:
        FootprintsInvalid: where it cannot be read, has no CRS, no polygon, or none in the area.
    """
    frame = _read(path)
    if frame.crs is None:
        raise FootprintsInvalid(f"{path} has no CRS; give footprints in longitude and latitude")
    _check_degrees(path, frame)
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
    notes = _notes(path.name, polygons=polygons, broken=broken, meets=meets, again=again)
    kept = meets & ~again
    own = pd.DataFrame(frame.drop(columns=frame.geometry.name))[kept]
    return Footprints(geometries[kept], own.reset_index(drop=True), _sha256(path), notes)


def repeats(geometries: Geometries) -> Flags:
    """Return which outlines were there before, whatever corner and turn they begin with."""
    shapes = pd.Series(shapely.to_wkb(shapely.normalize(geometries)), dtype=object)
    return shapes.duplicated().to_numpy()


def _read(path: Path) -> gpd.GeoDataFrame:
    if not path.is_file():
        raise FootprintsInvalid(f"there is no file of footprints at {path}; check the path")
    try:
        frame = _opened(path)
    except (_SourceError, _LayerError, ValueError, OSError) as error:
        raise FootprintsInvalid(
            f"{path} cannot be read as vector data ({error}); give GeoJSON, GeoPackage, "
            "Shapefile, FlatGeobuf or GeoParquet"
        ) from error
    if not isinstance(frame, gpd.GeoDataFrame) or frame.empty:
        raise FootprintsInvalid(f"{path} holds no feature with a geometry; give footprints")
    return frame


def _check_degrees(path: Path, frame: gpd.GeoDataFrame) -> None:
    """Refuse metres that are called degrees, as files without their CRS have them."""
    if not frame.crs.is_geographic:
        return
    largest = float(np.nanmax(np.abs(frame.geometry.total_bounds)))
    if largest > 360:
        raise FootprintsInvalid(
            f"{path} says that its coordinates are degrees ({frame.crs.to_string()[:40]}) and has "
            f"{largest:.0f} among them, which are metres; give the file its right CRS"
        )


def _check_count(path: Path, count: int) -> None:
    if count > MAX_FOOTPRINTS:
        raise FootprintsInvalid(
            f"{path} holds {count:,} footprints, and at most {MAX_FOOTPRINTS:,} are taken; cut it "
            "to the area first"
        )


def _opened(path: Path) -> Any:
    """Return the features of a file that its first bytes show to be of a known format.

    Raises:
        ValueError: where they do not.
    """
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if not start.startswith(_MAGIC):
        raise ValueError("its first bytes are of another kind")
    if start.startswith(b"PAR1"):
        _check_count(path, parquet.read_metadata(path).num_rows)
        return gpd.read_parquet(path)
    # A shapefile says its length in words of 16 bits; GDAL reads what is cut off as no geometry.
    if start.startswith(_SHP) and 2 * int.from_bytes(start[24:28]) != path.stat().st_size:
        raise ValueError("it is truncated")
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) != 1:
        raise ValueError(f"it has {len(layers)} layers ({', '.join(layers)}); keep one")
    # Counted before they are read: three million outlines fill the memory of a laptop.
    _check_count(
        path, pyogrio.read_info(path, layer=layers[0], force_feature_count=True)["features"]
    )
    return gpd.read_file(path, layer=layers[0])


def _nowhere(path: Path, area: AreaOfInterest, geometries: Geometries) -> str:
    extent = shapely.box(*shapely.total_bounds(geometries))
    swapped = swap_hint(area, extent) is not None
    cure = "swap longitude and latitude in one of them" if swapped else "give those of the area"
    return (
        f"no footprint of {path.name} ({extent_text(geometries)}) lies in the area "
        f"({extent_text(area.geometry)}); {cure}"
    )


def _notes(
    name: str, *, polygons: Flags, broken: Flags, meets: Flags, again: Flags
) -> tuple[str, ...]:
    told = (
        (~polygons, "{} features of {} are no polygons and were left out"),
        (broken, "{} footprints of {} crossed themselves and were mended"),
        (polygons & ~meets, "{} footprints of {} lie outside the area and were left out"),
        (
            again,
            "{} footprints of {} repeat others and were counted once, with the columns of the "
            "first",
        ),
    )
    return tuple(text.format(flags.sum(), name) for flags, text in told if flags.any())


def _sha256(path: Path) -> str:
    """Return the digest of a file, of a Shapefile with the files that it is made of."""
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts += [part for s in _BESIDE_SHP if (part := path.with_suffix(s)).is_file()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()
