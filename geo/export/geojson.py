"""GeoJSON as RFC 7946 has it, the same bytes every time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo.store.atomic_io import making
from geo.types import Float64Array

_LONG = re.compile(r"\.\d{8,}")
"""Decimals that GEOS may have written with more digits than the number needs: one in a thousand."""
_CHUNK = 5_000  # features turned into text at once


def write_geojson(layer: gpd.GeoDataFrame, path: Path) -> None:
    """Write a layer of `geo.vector.layers` as a FeatureCollection, one feature a line.

    Longitude and latitude have 7 decimals, exteriors are counter-clockwise, cut at the
    antimeridian. There is no `crs` member (section 4), and what is unknown is null.
    """
    with making(path), path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type":"FeatureCollection",')
        if len(layer):
            file.write(f'"bbox":{_compact(_bbox(layer))},')
        file.write('"features":[')
        file.writelines(_features(layer))
        file.write("\n]}\n")


def _features(layer: gpd.GeoDataFrame) -> Iterator[str]:
    separator = "\n"
    for start in range(0, len(layer), _CHUNK):
        chunk = layer.iloc[start : start + _CHUNK]
        table = chunk.drop(columns=chunk.geometry.name)
        names = list(table.columns)
        rows = zip(*(_values(table[name]) for name in names), strict=True)
        for geometry, row in zip(shapely.to_geojson(chunk.geometry), rows, strict=True):
            properties = dict(zip(names, row, strict=True))
            yield (
                f'{separator}{{"type":"Feature","id":{_compact(properties["id"])},'
                f'"geometry":{_shortest(geometry)},"properties":{_compact(properties)}}}'
            )
            separator = ",\n"


def _shortest(geometry: str) -> str:
    """Return GeoJSON with the fewest digits that give the same numbers."""
    parts, done = [], 0
    for long in _LONG.finditer(geometry):
        start = 1 + max(geometry.rfind(mark, done, long.start()) for mark in "[,")
        parts += [geometry[done:start], repr(float(geometry[start : long.end()]))]
        done = long.end()
    return "".join([*parts, geometry[done:]])


def _values(column: pd.Series) -> list[object]:
    """Return plain values, with None for what JSON cannot hold."""
    if pd.api.types.is_float_dtype(column):
        column = column.where(np.isfinite(column))
    values: list[object] = column.astype(object).where(column.notna(), None).tolist()
    return values


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _bbox(layer: gpd.GeoDataFrame) -> list[float]:
    """Return west, south, east, north; west > east across the antimeridian (section 5.2)."""
    parts = shapely.bounds(shapely.get_parts(layer.geometry.to_numpy()))
    west, south, east, north = _total(parts)
    around_a_pole = np.any(parts[:, 2] - parts[:, 0] > 180)
    if west == -180 and east == 180 and not around_a_pole:
        eastern = parts[:, 0] >= 0
        west, east = _total(parts[eastern])[0], _total(parts[~eastern])[2]
    return [west, south, east, north]


def _total(bounds: Float64Array) -> tuple[float, float, float, float]:
    low, high = bounds.min(axis=0), bounds.max(axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])
