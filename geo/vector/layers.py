"""Features of a layer: checked against the schema, named and ordered the same every time."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo.errors import LayerInvalid
from geo.types import ObjectArray
from geo.vector.area_files import Polygonal, polygons_only
from geo.vector.hazards import Hazard
from geo.vector.schema import LAYERS, Field, FieldType, Layer, Value

_RESERVED = frozenset({"fid", "geom", "geometry"})
"""Names that GeoPackage and GeoJSON keep for themselves."""


def rename_clashes(layer: str, own: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the user's columns, `_src` behind a name that is taken in any case, and the new name
    of each that was renamed, by its old one."""
    taken = _RESERVED | {field.name for field in LAYERS[layer].fields}
    names: list[str] = []
    for column in own.columns:
        new = str(column)
        while new.lower() in taken:
            new += "_src"
        taken |= {new.lower()}
        names.append(new)
    renamed = {str(a): b for a, b in zip(own.columns, names, strict=True) if str(a) != b}
    return own.set_axis(names, axis="columns"), renamed


def attach(ours: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Return our columns and, behind them, the user's.

    Numbers and truth values stay; times and mixed columns become text, lists and mappings JSON.
    """
    if len(own) != len(ours):
        raise LayerInvalid(f"there are {len(ours)} features and {len(own)} rows of the user's own")
    names = {str(name).lower() for name in own.columns}
    if taken := sorted(names & ({*ours.columns} | _RESERVED)):
        raise LayerInvalid(f"the user's columns {', '.join(taken)} meet ours; rename them first")
    return pd.concat([ours, own.reset_index(drop=True).apply(_plain)], axis="columns")


def _plain(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    typed = column if pd.api.types.is_numeric_dtype(column) else column.convert_dtypes()
    if pd.api.types.is_numeric_dtype(typed):
        return typed
    texts = [_text(value) for value in column]
    return pd.Series(texts, dtype=object, name=column.name)


def _text(value: Any) -> str | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=_plain_part, ensure_ascii=False, sort_keys=True)
    return None if pd.isna(value) else str(value)


def _plain_part(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


Column: TypeAlias = Value | Sequence[Value] | npt.NDArray[Any]
"""One value for all features, or one a feature."""

DECIMALS = 7
"""Decimals of longitude and latitude: 1 cm."""


@dataclass(frozen=True)
class Provenance:
    """What every feature of a product says of where it came from."""

    event_id: str
    hazard: Hazard
    product_id: str
    model: str | None
    """Name of the model and 12 digits of its digest; None where no model was run."""
    status: str = "draft"
    det_method: str = "Automatic extraction"

    @property
    def columns(self) -> dict[str, Value]:
        """Values of the columns that it fills."""
        return {
            "event_id": self.event_id,
            "event_type": self.hazard.entry.event_type,
            "product_id": self.product_id,
            "model": self.model,
            "status": self.status,
            "det_method": self.det_method,
        }


def build_layer(
    name: str,
    *,
    geometries: Sequence[Polygonal] | ObjectArray,
    common: Provenance,
    columns: Mapping[str, Column],
    own: pd.DataFrame | None = None,
) -> gpd.GeoDataFrame:
    """Return a layer in EPSG:4326 with the columns of its schema, and no other.

    Features are ordered by notation, then from north to south, west to east. Coordinates are
    rounded to 7 decimals; a polygon too small to survive that keeps its own.

    Args:
        geometries: (features,) Polygon or MultiPolygon, lon-lat WGS 84, cut at the antimeridian.
        columns: beside those of `common`, by name; a single value holds for all features.
        own: the user's columns, (features,) rows; names must not meet ours, see `rename_clashes`.

    Raises:
        LayerInvalid: where a column is missing or unknown, or a value is not allowed.
    """
    layer = layer_named(name)
    polygons = _rounded(_checked_polygons(layer, geometries))
    given = {**layer.defaults, **common.columns, **columns}
    _check_names(layer, given)
    frame = pd.DataFrame(
        {
            field.name: _checked(layer, field, _spread(layer, field, given[field.name], polygons))
            for field in layer.fields
            if field.name != "id"
        }
    )
    frame.insert(0, "id", pd.Series(_ids(layer, frame, polygons), dtype=object))
    if own is not None:
        frame = attach(frame, own)
    return _sorted(gpd.GeoDataFrame(frame, geometry=polygons, crs="EPSG:4326"))


def empty_layer(name: str) -> gpd.GeoDataFrame:
    """Return a layer with its columns and no feature."""
    layer = layer_named(name)
    columns = {f.name: _checked(layer, f, pd.Series([], dtype=object)) for f in layer.fields}
    return gpd.GeoDataFrame(columns, geometry=[], crs="EPSG:4326")


def layer_named(name: str) -> Layer:
    """Return the layer of that name, or raise LayerInvalid with the names that exist."""
    if name not in LAYERS:
        raise LayerInvalid(f"no layer {name!r}; the layers are {', '.join(LAYERS)}")
    return LAYERS[name]


def _checked_polygons(layer: Layer, geometries: Sequence[Polygonal] | ObjectArray) -> ObjectArray:
    polygons = np.empty(len(geometries), dtype=object)
    polygons[:] = geometries
    kinds = np.isin(shapely.get_type_id(polygons), (3, 6)) & ~shapely.is_empty(polygons)
    if not kinds.all():
        found = polygons[np.argmin(kinds)]
        raise LayerInvalid(
            f"layer {layer.name} holds polygons that are not empty; feature "
            f"{np.argmin(kinds)} is {str(found)[:60]}"
        )
    lonlat = shapely.get_coordinates(polygons)
    outside = ~(np.abs(lonlat) <= (180, 90)).all(axis=1)
    if outside.any():
        raise LayerInvalid(
            f"layer {layer.name} is in longitude -180 to 180 and latitude -90 to 90; one "
            f"vertex is {lonlat[np.argmax(outside)].tolist()}: reproject, cut at the antimeridian"
        )
    return polygons


def _rounded(polygons: ObjectArray) -> ObjectArray:
    # Adding zero turns -0.0 into 0.0, which is written and hashed differently.
    rounded = shapely.transform(polygons, lambda lonlat: np.round(lonlat, DECIMALS) + 0.0)
    for i in np.flatnonzero(~shapely.is_valid(rounded)):
        mended = polygons_only(shapely.make_valid(rounded[i]))
        rounded[i] = polygons[i] if mended.is_empty else mended
    oriented: ObjectArray = shapely.orient_polygons(shapely.normalize(rounded))
    return oriented


def _check_names(layer: Layer, given: Mapping[str, Column]) -> None:
    wanted = {field.name for field in layer.fields} - {"id"}
    if missing := sorted(wanted - set(given)):
        raise LayerInvalid(f"layer {layer.name} needs {', '.join(missing)}; give each column")
    if unknown := sorted(set(given) - wanted):
        raise LayerInvalid(
            f"layer {layer.name} has no {', '.join(unknown)}; its columns are "
            f"{', '.join(field.name for field in layer.fields)}"
        )


def _spread(layer: Layer, field: Field, value: Column, polygons: ObjectArray) -> pd.Series:
    if value is None or isinstance(value, str | int | float):
        return pd.Series([value] * len(polygons), dtype=object)
    if len(value) != len(polygons):
        raise LayerInvalid(
            f"{layer.name}.{field.name} has {len(value)} values for {len(polygons)} features"
        )
    return pd.Series(value, dtype=object)


def _checked(layer: Layer, field: Field, values: pd.Series) -> pd.Series:
    """Return the column in its type; a null is None in text, NA in integers, NaN in reals."""
    null = values.isna()
    if null.any() and not field.nullable:
        raise LayerInvalid(f"{layer.name}.{field.name} cannot be null; {null.sum()} values are")
    present = values[~null].drop_duplicates()
    wrong = [value for value in present if not _allowed(field, value)]
    if wrong:
        raise LayerInvalid(
            f"{layer.name}.{field.name} holds {wrong[0]!r}; allowed is {_described(field)}"
        )
    if field.kind is FieldType.INTEGER:
        return values.where(~null, None).astype("Int64")
    if field.kind is FieldType.REAL:
        return values.astype("float64").round(field.decimals or DECIMALS) + 0.0
    return values.where(~null, None)


def _allowed(field: Field, value: object) -> bool:
    if field.kind is FieldType.TEXT:
        if not isinstance(value, str) or value == "":
            return False
        listed = not field.values or value in field.values
        return listed and (field.pattern is None or re.fullmatch(field.pattern, value) is not None)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    if field.kind is FieldType.INTEGER and not float(value).is_integer():
        return False
    low, high = field.limits or (-np.inf, np.inf)
    return (not field.values or value in field.values) and bool(low <= value <= high)


def _described(field: Field) -> str:
    if field.values:
        return ", ".join(str(value) for value in field.values)
    if field.limits is not None:
        return f"{field.kind} from {field.limits[0]:g} to {field.limits[1]:g}"
    return f"{field.kind} like {field.pattern}" if field.pattern else f"{field.kind}, not empty"


def _ids(layer: Layer, frame: pd.DataFrame, polygons: ObjectArray) -> list[str]:
    """Return ids made of what the features are; equal ones are counted apart."""
    identities = zip(*(frame[name] for name in ("product_id", *layer.identity)), strict=True)
    digests = [
        hashlib.sha256("\x1f".join((layer.name, *texts)).encode() + wkb).hexdigest()[:12]
        for texts, wkb in zip(identities, shapely.to_wkb(polygons), strict=True)
    ]
    again = pd.Series(digests, dtype=object).groupby(digests).cumcount()
    return [
        f"{layer.name}-{digest}-{count}" if count else f"{layer.name}-{digest}"
        for digest, count in zip(digests, again, strict=True)
    ]


def _sorted(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    bounds = frame.bounds
    notation = frame["notation"].to_numpy(dtype=str)
    order = np.lexsort((frame["id"].to_numpy(dtype=str), bounds["minx"], -bounds["maxy"], notation))
    return frame.iloc[order].reset_index(drop=True)
