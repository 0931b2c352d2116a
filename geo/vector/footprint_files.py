"""Files of building footprints as they are distributed, read where they meet an area.

GeoJSON, GeoPackage, Shapefile and FlatGeobuf by GDAL; GeoParquet, as Overture has it; GeoJSON line
by line, as Microsoft has it; tables with outlines in WKT, as Google has them. The last two may be
gzipped. Of more than `MANY` features only those that meet the area's box are held.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyarrow import parquet
from pyproj import CRS, Transformer

from geo.errors import FootprintsInvalid

MANY = 100_000
MAX_FOOTPRINTS = 3_000_000
"""That are held in memory at once."""

_SHP = b"\0\0\x27\x0a"
_GZIP = b"\x1f\x8b"
_MAGIC = (b"{", b"SQLite format 3\0", _SHP, b"fgb", b"PAR1")
"""First bytes of GeoJSON, GeoPackage, Shapefile, FlatGeobuf and GeoParquet. GDAL reads many
other formats, some of which name further files of the machine, or addresses."""
_WKT = ("geometry", "wkt", "geom", "the_geom")
"""Names of the column of outlines in a table, small."""
_CHUNK = 50_000
"""Features that are looked at at once."""

Bounds: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a file that may meet an area."""

    frame: gpd.GeoDataFrame
    """As in the file: its CRS, its columns."""
    passed: int
    """Features beside the area's box, which were not held."""
    extent: Bounds | None
    """Of all features in the CRS of the file; None where the frame holds all of them."""


def read_features(path: Path, box: Bounds) -> Features:
    """Return the features of a file, of a large one those that meet a lon-lat box.

    Raises:
        FootprintsInvalid: where there are too many.
        ValueError, OSError and what pyogrio raises: where it cannot be read.
    """
    start = _start(path)
    if start.startswith(b"PAR1"):
        return _of_parquet(path, box)
    if start.startswith(b"{") and _is_line(start):
        return _of_parts(path, _lines(path), box)
    if start.startswith(_MAGIC):
        return _by_gdal(path, start, box)
    if ".csv" in [suffix.lower() for suffix in path.suffixes]:
        return _of_parts(path, _table(path), box)
    raise ValueError("its first bytes are of another kind")


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, or of what was gzipped, without a mark and blanks."""
    with _opened(path) as file:
        start = bytes(file.read(65_536))
    return start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _is_line(start: bytes) -> bool:
    line, _, _ = start.partition(b"\n")
    try:
        return bool(json.loads(line).get("type") == "Feature")
    except ValueError:
        return False


def _check_count(path: Path, count: int) -> None:
    if count > MAX_FOOTPRINTS:
        raise FootprintsInvalid(
            f"{path} holds {count:,} footprints in the area, and at most {MAX_FOOTPRINTS:,} are "
            "taken; cut it, or the area"
        )


def _of_parquet(path: Path, box: Bounds) -> Features:
    count = parquet.read_metadata(path).num_rows
    geo = json.loads((parquet.read_schema(path).metadata or {}).get(b"geo", b"{}"))
    column = geo.get("columns", {}).get(geo.get("primary_column"), {})
    if count <= MANY or "covering" not in column:
        _check_count(path, count)
        return Features(gpd.read_parquet(path), 0, None)
    crs = CRS.from_user_input(column.get("crs") or "OGC:CRS84")
    frame = gpd.read_parquet(path, bbox=_in_crs(box, crs))
    _check_count(path, len(frame))
    return Features(frame, count - len(frame), column.get("bbox"))


def _by_gdal(path: Path, start: bytes, box: Bounds) -> Features:
    # A shapefile says its length in words of 16 bits; GDAL reads what is cut off as no geometry.
    if start.startswith(_SHP) and 2 * int.from_bytes(start[24:28]) != path.stat().st_size:
        raise ValueError("it is truncated")
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) != 1:
        raise ValueError(f"it has {len(layers)} layers ({', '.join(layers)}); keep one")
    info = pyogrio.read_info(path, layer=layers[0], force_feature_count=True)
    if info["features"] <= MANY or info["crs"] is None:
        _check_count(path, info["features"])
        return Features(gpd.read_file(path, layer=layers[0]), 0, None)
    there = _in_crs(box, CRS.from_user_input(info["crs"]))
    ids, _ = pyogrio.read_bounds(path, layer=layers[0], bbox=there)
    _check_count(path, len(ids))
    frame = gpd.read_file(path, layer=layers[0], bbox=there)
    whole = pyogrio.read_info(path, layer=layers[0], force_total_bounds=True)["total_bounds"]
    return Features(frame, info["features"] - len(frame), whole)


def _in_crs(box: Bounds, crs: CRS) -> Bounds:
    project = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return project.transform_bounds(*box)


def _of_parts(path: Path, parts: Iterator[gpd.GeoDataFrame], box: Bounds) -> Features:
    area, kept, total = shapely.box(*box), [], 0
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for part in parts:
        total += len(part)
        bounds = part.geometry.total_bounds
        extent[:2], extent[2:] = np.fmin(extent[:2], bounds[:2]), np.fmax(extent[2:], bounds[2:])
        near = shapely.intersects(shapely.envelope(part.geometry.to_numpy()), area)
        kept.append(part[near])
        _check_count(path, sum(map(len, kept)))
    if not kept:
        raise ValueError("it holds no feature")
    frame = pd.concat(kept, ignore_index=True)
    return Features(gpd.GeoDataFrame(frame, crs="OGC:CRS84"), total - len(frame), tuple(extent))


def _lines(path: Path) -> Iterator[gpd.GeoDataFrame]:
    """Yield the features of lines of GeoJSON, which are in longitude and latitude (RFC 8142)."""
    with _opened(path) as file:
        while lines := list(islice(file, _CHUNK)):
            features = [json.loads(line) for line in lines if line.strip()]
            yield gpd.GeoDataFrame(
                [_own(feature) for feature in features],
                geometry=shapely.from_geojson([json.dumps(f.get("geometry")) for f in features]),
                crs="OGC:CRS84",
            )


def _own(feature: dict[str, Any]) -> dict[str, Any]:
    named = {"id": feature["id"]} if "id" in feature else {}
    return named | (feature.get("properties") or {})


def _table(path: Path) -> Iterator[gpd.GeoDataFrame]:
    """Yield the rows of a table with outlines in WKT, lon-lat; other values are read as text."""
    with _opened(path) as file:
        for rows in pd.read_csv(file, dtype=str, chunksize=_CHUNK):
            names = [name for name in rows.columns if str(name).lower() in _WKT]
            if not names:
                raise ValueError(f"it has no column of outlines in WKT, named {', '.join(_WKT)}")
            outlines = shapely.from_wkt(rows[names[0]].to_numpy())
            own = rows.drop(columns=names[0]).apply(_numbers)
            yield gpd.GeoDataFrame(own, geometry=outlines, crs="OGC:CRS84")


def _numbers(column: pd.Series) -> pd.Series:
    """Return numbers for texts that all are; 007 is a name."""
    texts = column.dropna()
    if texts.str.match(r"-?0\d").any():
        return column
    numbers = pd.to_numeric(texts, errors="coerce")
    return column if numbers.isna().any() else pd.to_numeric(column)
