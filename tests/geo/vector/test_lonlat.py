"""Long edges are cut before they are bent: the oracle cuts every edge."""

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely import MultiPolygon, Polygon, box

from geo.vector.polygonize import area_ha, to_lonlat

SMALL = box(500_000, 5_000_000, 500_400, 5_000_400)
WITH_A_HOLE = Polygon(
    box(600_000, 5_100_000, 600_450, 5_100_450).exterior,
    [box(600_100, 5_100_100, 600_200, 5_100_200).exterior],
)
LONG = box(400_000, 5_200_000, 412_000, 5_200_100)
LONG_INSIDE = Polygon(
    shapely.segmentize(box(700_000, 5_000_000, 705_000, 5_005_000), 400).exterior,
    [box(701_000, 5_001_000, 703_000, 5_003_000).exterior],
)


@pytest.mark.parametrize("polygon", [SMALL, WITH_A_HOLE, LONG, LONG_INSIDE])
def test_vertices_are_those_of_a_polygon_cut_everywhere(polygon: Polygon) -> None:
    transformer = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    expected = np.column_stack(
        transformer.transform(*shapely.get_coordinates(shapely.segmentize(polygon, 500.0)).T)
    )
    (made,) = to_lonlat(np.array([polygon], dtype=object), "EPSG:32633")
    together = to_lonlat(np.array([SMALL, polygon, WITH_A_HOLE], dtype=object), "EPSG:32633")
    found = shapely.get_coordinates(made)
    assert made.equals_exact(together[1])
    assert len(found) == len(expected)
    assert {tuple(vertex) for vertex in found} == {
        tuple(vertex) for vertex in np.round(expected, 7) + 0.0
    }


def test_the_area_of_a_large_multipolygon_is_that_of_its_parts() -> None:
    parts = [box(10, 45, 12, 46), box(20, 45, 20.05, 45.05)]
    whole, *each = area_ha(np.array([MultiPolygon(parts), *parts], dtype=object))
    assert whole == pytest.approx(sum(each), rel=1e-12)
