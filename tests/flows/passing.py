"""A step that checks what passes from one step of a map run to the next."""

import functools
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

MOST_BYTES = 200_000


class _Watched(pickle.Pickler):
    def persistent_id(self, value: Any) -> None:
        assert not isinstance(value, np.ndarray | pd.DataFrame), f"a {type(value)} passes"


def only_records(function: Callable[..., Any], /) -> Callable[..., Any]:
    """Call a step, and check that it takes and returns paths and small records.

    They pickle to less than 200 kB and hold no array and no table: another machine that sees
    the folder of the store could run the step.
    """

    @functools.wraps(function)
    def step(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        for value in (*arguments, *named.values(), result):
            out = io.BytesIO()
            _Watched(out).dump(value)
            assert out.tell() < MOST_BYTES, f"{type(value)} of {function.__name__}: {out.tell()}"
        return result

    return step
