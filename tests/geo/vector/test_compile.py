"""Compiled functions work where nothing can be written."""

import pytest
from numba.core import caching

from geo.vector._kernels import compiled


def test_without_a_folder_to_keep_code_in_it_compiles_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def twice(number: int) -> int:
        return 2 * number

    assert compiled(twice)(21) == 42
