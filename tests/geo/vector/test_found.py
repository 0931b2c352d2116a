"""Outlines of found buildings: each once and whole, and of no pixel that was not seen."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy import ndimage

from geo.vector.area_of_interest import AreaOfInterest, parse_area
from geo.vector.buildings import FoundBuildings, outline_buildings
from tests.rasters import UTM, north_up, write_image

SHAPE = (1100, 300)
"""More rows than two bands of tiles."""
GRID = GeoBox(SHAPE, north_up(step=0.5), UTM)


def area_of(grid: GeoBox) -> AreaOfInterest:
    return parse_area(shapely.geometry.mapping(grid.extent.to_crs("EPSG:4326").geom))


def percent(seed: int = 3) -> Any:
    """Return blobs, some of which run over the edges of the bands, and a strip not seen."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, 6)
    shares = np.clip(50 + 30 * smooth / smooth.std(), 0, 100).round().astype(np.uint8)
    shares[505:520, 100:140] = 90
    shares[510, 120] = 0
    shares[:, 200:210] = 255
    return shares


def found(folder: Path, shares: Any, *, area: AreaOfInterest | None = None,
          simplify_m: float = 0) -> FoundBuildings:  # fmt: skip
    path = write_image(folder / "searched.tif", np.stack([shares, np.zeros_like(shares)]),
                       transform=north_up(step=0.5), nodata=255)  # fmt: skip
    return outline_buildings(
        path, GRID, area=area or area_of(GRID), least=0.6, fewest_px=30, simplify_m=simplify_m
    )


def drawn(buildings: FoundBuildings) -> Any:
    shapes = gpd.GeoSeries(buildings.footprints.geometries, crs="EPSG:4326").to_crs(UTM)
    pairs = [(shape, k) for k, shape in enumerate(shapes, 1)]
    return rasterize(pairs, SHAPE, transform=GRID.affine, dtype="int32")


def test_outlines_are_the_pieces_of_the_mask(tmp_path: Path) -> None:
    shares = percent()
    buildings = found(tmp_path, shares)
    pieces, _ = ndimage.label((shares >= 60) & (shares <= 100))
    sizes = np.bincount(pieces.ravel())
    kept = np.flatnonzero(sizes >= 30)[1:]
    numbers = drawn(buildings)
    assert (numbers > 0)[np.isin(pieces, kept)].all()
    filled, _ = ndimage.label((numbers > 0) & ~np.isin(pieces, kept), np.ones((3, 3)))
    assert 0 < np.bincount(filled.ravel())[1:].max() < 30 and numbers[510, 120]
    assert len(buildings) == len(kept) == len(buildings.footprints.geometries)
    own = np.where(np.isin(pieces, kept), numbers, 0)
    means = ndimage.mean(shares, own, np.arange(1, len(kept) + 1))
    np.testing.assert_allclose(buildings.certainty, means, atol=1e-6)
    # One that lies across two bands is one.
    assert len(np.unique(numbers[505:520, 100:140])) == 1


def test_simplified_outlines_keep_their_pixels_and_lose_their_steps(tmp_path: Path) -> None:
    plain, simple = (found(tmp_path, percent(), simplify_m=metres) for metres in (0, 1.5))
    one, other = drawn(plain) > 0, drawn(simple) > 0
    assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.95
    corners = [shapely.get_num_coordinates(b.footprints.geometries).sum() for b in (plain, simple)]
    assert corners[1] < corners[0] / 3
    assert shapely.is_valid(simple.footprints.geometries).all()


def test_only_those_that_meet_the_area_are_kept_and_they_are_whole(tmp_path: Path) -> None:
    half = area_of(GRID[:, :120])
    every, some = found(tmp_path, percent()), found(tmp_path, percent(), area=half)
    meets = shapely.intersects(every.footprints.geometries, half.geometry)
    assert 0 < len(some) == meets.sum() < len(every)
    assert shapely.equals(some.footprints.geometries, every.footprints.geometries[meets]).all()
    assert some.footprints.sha256 != every.footprints.sha256


@pytest.mark.parametrize("value", [0, 59, 255])
def test_where_there_is_nothing_nothing_is_found(tmp_path: Path, value: int) -> None:
    buildings = found(tmp_path, np.full(SHAPE, value, np.uint8), simplify_m=1.5)
    assert len(buildings) == 0
    assert buildings.footprints.own.shape == (0, 0)
