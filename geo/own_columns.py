"""The user's own columns: carried beside ours, under names that meet nothing."""

import json
from typing import Any

import numpy as np
import pandas as pd

from geo.errors import LayerInvalid
from geo.schema import LAYERS

_DTYPES: dict[frozenset[type], str] = {
    frozenset({bool}): "boolean",
    frozenset({int}): "Int64",
    frozenset({float}): "float64",
    frozenset({int, float}): "float64",
}
"""Of columns that hold nothing else but nulls; any other is text."""
_RESERVED = frozenset({"fid", "geom", "geometry"})
"""Names that GeoPackage and GeoJSON keep for themselves."""


def rename_clashes(layer: str, own: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the user's columns with names that meet neither ours nor each other.

    A name that is taken gets `_src` behind it. Case is ignored, as GeoPackage ignores it.

    Args:
        layer: name of the layer that they will stand in.
        own: the user's columns, without the geometry.

    Returns:
        The columns, and the new name of each that was renamed, by its old one.
    """
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

    Numbers and truth values stay; times, and columns of mixed kinds, become text as they
    read, and lists and mappings become JSON, which every format can hold.

    Raises:
        LayerInvalid: where rows differ in number, or a name is taken.
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
    if pd.api.types.is_numeric_dtype(column):
        return column
    values = [_scalar(value) for value in column]
    kinds = frozenset(type(value) for value in values if value is not None)
    if kinds in _DTYPES:
        return pd.Series(values, dtype=_DTYPES[kinds], name=column.name)
    texts = [None if value is None else str(value) for value in values]
    return pd.Series(texts, dtype=object, name=column.name)


def _scalar(value: Any) -> str | bool | int | float | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=_plain_part, ensure_ascii=False, sort_keys=True)
    if pd.isna(value):
        return None
    return value if isinstance(value, str | bool | int | float) else str(value)


def _plain_part(value: Any) -> Any:
    """Return what JSON can hold of a part of a nested value."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)
