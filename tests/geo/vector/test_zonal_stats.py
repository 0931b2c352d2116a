"""Zonal statistics against numpy on polygons that GDAL burns into a raster."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import rasterio.features
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import GridMismatch
from geo.types import CodeArray
from geo.vector.polygonize import Traced, to_shapely, trace
from geo.vector.zonal_stats import MeasuredBand, zonal_statistics


def burnt(traced: Traced, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Return the number of the polygon of each pixel, -1 for none."""
    polygons = to_shapely(traced, Affine.identity())
    numbered = [(polygon, number) for number, polygon in enumerate(polygons)]
    if not numbered:
        return np.full(shape, -1, np.int32)
    burnt: npt.NDArray[np.int32] = rasterio.features.rasterize(
        numbered, out_shape=shape, fill=-1, dtype="int32"
    )
    return burnt


def bands(percent: CodeArray, sources: CodeArray, *, height: int) -> Iterator[MeasuredBand]:
    for row in range(0, len(percent), height):
        yield percent[row : row + height], sources[:, row : row + height]


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    coarse=st.integers(1, 4),
    readings=st.integers(0, 3),
    height=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_statistics_are_those_of_the_pixels(
    shape: tuple[int, int], coarse: int, readings: int, height: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, 4, shape), np.ones((coarse, coarse)))[: shape[0], : shape[1]]
    traced = trace([mask.astype(np.uint8)], width=shape[1], keep=(1, 2, 3))
    traced = traced.select(rng.random(len(traced)) < 0.7)
    percent = rng.choice(np.array([0, 40, 100, 255, 255], np.uint8), shape)
    sources = rng.choice(np.array([0, 1, 2, 9, 255], np.uint8), (readings, *shape))

    zones = zonal_statistics(traced, bands(percent, sources, height=height), width=shape[1])

    number = burnt(traced, shape)
    assert len(zones.sources) == len(traced)
    for i in range(len(traced)):
        seen = percent[(number == i) & (percent != 255)]
        assert zones.percent[i] == pytest.approx(seen.mean() if len(seen) else np.nan, nan_ok=True)
        assert zones.sources[i] == tuple(set(band[number == i]) - {0} for band in sources)


def a_polygon() -> Traced:
    return trace([np.ones((4, 6), np.uint8)], width=6, keep=[1])


def test_no_polygon_gives_no_zone() -> None:
    none = a_polygon().select(np.array([False]))
    zones = zonal_statistics(none, [], width=6)
    assert (len(zones.percent), zones.sources) == (0, ())


@pytest.mark.parametrize(
    ("percent", "sources"),
    [((4, 5), (2, 4, 5)), ((4, 6), (2, 3, 6)), ((4, 6), (4, 6))],
)
def test_a_band_of_another_grid_is_refused(
    percent: tuple[int, ...], sources: tuple[int, ...]
) -> None:
    band = np.zeros(percent, np.uint8), np.zeros(sources, np.uint8)
    with pytest.raises(GridMismatch, match="ask for"):
        zonal_statistics(a_polygon(), [band], width=6)


def test_a_band_of_another_type_is_refused() -> None:
    band = np.zeros((4, 6), np.uint8), np.zeros((1, 4, 6), np.uint16)
    with pytest.raises(GridMismatch, match="uint16"):
        zonal_statistics(a_polygon(), [band], width=6)  # type: ignore[list-item]  # on purpose


def test_a_change_of_readings_is_refused() -> None:
    two = np.zeros((2, 6), np.uint8), np.zeros((2, 2, 6), np.uint8)
    one = np.zeros((2, 6), np.uint8), np.zeros((1, 2, 6), np.uint8)
    with pytest.raises(GridMismatch, match="bands before it"):
        zonal_statistics(a_polygon(), [two, one], width=6)


def test_rasters_that_end_above_a_polygon_are_refused() -> None:
    band = np.zeros((3, 6), np.uint8), np.zeros((1, 3, 6), np.uint8)
    with pytest.raises(GridMismatch, match=r"row 4.*row 3"):
        zonal_statistics(a_polygon(), [band], width=6)


def test_a_polygon_beyond_the_width_is_refused() -> None:
    band = np.zeros((4, 5), np.uint8), np.zeros((1, 4, 5), np.uint8)
    with pytest.raises(GridMismatch, match=r"column 6.*5"):
        zonal_statistics(a_polygon(), [band], width=5)
