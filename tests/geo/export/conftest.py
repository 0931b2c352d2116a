"""One small product's layers: every notation, holes, an empty layer, the user's columns."""

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from geo.vector.hazards import Hazard
from geo.vector.layers import Provenance, build_layer, empty_layer
from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, LAYERS

COMMON = Provenance("valencia-2024", Hazard.FLOOD, "p-0123", "ndwi 0123456789ab")
SEEN = {
    "confidence": 87,
    "area_ha": 1.25,
    "observed_at": "2024-10-31T10:58:51Z",
    "or_src_id": None,
    "dmg_src_id": "S2B_a,S2B_b",
    "sensor": "Sentinel-2 L2A",
    "sensor_gsd": 10.0,
}


def squares(count: int, *, row: int) -> list[shapely.Polygon]:
    y = 39.4 + row * 0.01
    return [
        shapely.box(i / 100, y, i / 100 + 0.008, y + 0.008).difference(
            shapely.box(i / 100 + 0.002, y + 0.002, i / 100 + 0.004, y + 0.004)
        )
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def layers() -> dict[str, gpd.GeoDataFrame]:
    notations = LAYERS["observed_event"].notations
    both = shapely.MultiPolygon(squares(2, row=9))
    own = pd.DataFrame(
        {
            "name": ["Escuela n.º 3", None, 'a "b"', "<c>", "d"],
            "storeys": [1.0, None, 2.5, float("inf"), 3.0],
            "public": [True, False, True, True, False],
            "osm": [2**53, 1, 2, 3, 4],
            "open": pd.Series([True, None, False, None, True], dtype=object),
            "tags": [{"roof": "tin"}, [], None, [1, 2], {}],
        }
    )
    return {
        "observed_event": build_layer(
            "observed_event",
            geometries=[*squares(len(notations), row=0), both],
            common=COMMON,
            columns={
                **SEEN,
                "notation": [*notations, "Flooded area"],
                "water_class": [1, 4, 2, None, None, None, 1],
            },
        ),
        "built_up": build_layer(
            "built_up",
            geometries=squares(5, row=1),
            common=COMMON,
            columns={
                **SEEN,
                "confidence": [1, None, 3, 4, 5],
                "damage_gra": DAMAGE_GRA,
                "damage_xbd": DAMAGE_XBD,
            },
            own=own,
        ),
        "hydrography": empty_layer("hydrography"),
        "not_analysed": build_layer(
            "not_analysed",
            geometries=squares(2, row=2),
            common=COMMON,
            columns={**SEEN, "confidence": None, "reason": ["cloud", "no imagery"]},
        ),
        "image_footprint": build_layer(
            "image_footprint",
            geometries=squares(1, row=3),
            common=COMMON,
            columns={**SEEN, "confidence": None, "src_id": "S2B_a", "eventphase": "Post-event"},
        ),
        "area_of_interest": build_layer(
            "area_of_interest",
            geometries=squares(1, row=4),
            common=COMMON,
            columns={"area_ha": 3000},
        ),
    }
