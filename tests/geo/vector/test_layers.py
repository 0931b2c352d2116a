"""Features come out with the schema's columns, valid, ordered, and named the same every time."""

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import LayerInvalid
from geo.vector.hazards import Hazard
from geo.vector.layers import Provenance, build_layer, empty_layer, rename_clashes
from geo.vector.schema import FIELDS, LAYERS, FieldType, schema_markdown

COMMON = Provenance("valencia-2024", Hazard.FLOOD, "p-0123", "ndwi 0123456789ab")
FLOOD = {
    "notation": "Flooded area",
    "confidence": 87,
    "area_ha": 1.25,
    "observed_at": "2024-10-31T10:58:51Z",
    "or_src_id": "a",
    "dmg_src_id": "b",
    "sensor": "Sentinel-2 L2A",
    "sensor_gsd": 10,
    "water_class": 1,
}
UNSEEN = {
    "area_ha": 1.0,
    "observed_at": None,
    "or_src_id": None,
    "dmg_src_id": None,
    "sensor": None,
    "sensor_gsd": None,
}

with np.errstate(invalid="ignore"):
    NOWHERE = shapely.from_wkt("POLYGON ((0 0, nan 1, 1 1, 0 0))")


def squares(*corners: tuple[float, float], side: float = 0.01) -> list[shapely.Polygon]:
    return [shapely.box(x, y, x + side, y + side) for x, y in corners]


def flood(geometries: list[shapely.Polygon], **columns: object) -> pd.DataFrame:
    return build_layer(
        "observed_event", geometries=geometries, common=COMMON, columns={**FLOOD, **columns}
    )


def test_columns_are_the_schema_in_order() -> None:
    layer = flood(squares((1, 2), (3, 4)))
    wanted = [field.name for field in FIELDS] + ["water_class", "geometry"]
    assert list(layer.columns) == wanted
    assert layer.crs.to_epsg() == 4326
    assert layer["confidence"].dtype == "Int64"
    assert layer["area_ha"].dtype == "float64"
    assert layer["event_type"].unique().tolist() == ["5-Flood"]


@pytest.mark.parametrize("name", LAYERS)
def test_empty_layers_have_the_columns_and_types_of_full_ones(name: str) -> None:
    empty = empty_layer(name)
    assert len(empty) == 0
    assert list(empty.columns) == [*(f.name for f in LAYERS[name].fields), "geometry"]
    built = build_layer(
        name,
        geometries=[],
        common=COMMON,
        columns={f.name: None for f in LAYERS[name].fields if f.name != "id"},
    )
    pd.testing.assert_series_equal(built.dtypes, empty.dtypes)


def test_sorted_by_notation_then_north_to_south_then_west_to_east() -> None:
    layer = flood(
        squares((0, 40), (1, 50), (0, 50), (0, 60)),
        notation=["Flood trace", "Flooded area", "Flooded area", "Flood trace"],
    )
    assert layer["notation"].tolist() == ["Flood trace"] * 2 + ["Flooded area"] * 2
    assert layer.geometry.bounds["miny"].tolist() == [60, 40, 50, 50]
    assert layer.geometry.bounds["minx"].tolist() == [0, 0, 0, 1]


@settings(max_examples=30, deadline=None)
@given(
    corners=st.lists(
        st.tuples(st.floats(-170, 170), st.floats(-80, 80)), min_size=1, max_size=8, unique=True
    ),
    seed=st.integers(0, 99),
)
def test_neither_order_nor_ring_start_matter(corners: list[tuple[float, float]], seed: int) -> None:
    polygons = squares(*corners)
    order = np.random.default_rng(seed).permutation(len(polygons))
    rolled = [
        shapely.Polygon(np.roll(shapely.get_coordinates(polygons[i])[:-1], seed % 4, axis=0)[::-1])
        for i in order
    ]
    one, other = flood(polygons), flood(rolled)
    assert one["id"].is_unique
    pd.testing.assert_frame_equal(one.drop(columns="geometry"), other.drop(columns="geometry"))
    assert (one.geometry.to_wkb() == other.geometry.to_wkb()).all()


def test_ids_change_with_what_the_feature_is() -> None:
    ids = {
        flood(squares((1, 2)))["id"][0],
        flood(squares((1, 2.5)))["id"][0],
        flood(squares((1, 2)), notation="Flood trace")["id"][0],
        build_layer(
            "observed_event",
            geometries=squares((1, 2)),
            common=Provenance("valencia-2024", Hazard.FLOOD, "p-other", None),
            columns=FLOOD,
        )["id"][0],
    }
    assert len(ids) == 4
    assert all(i.startswith("observed_event-") for i in ids)


def test_identical_features_are_told_apart() -> None:
    twins = flood(squares((1, 2), (1, 2), (1, 2)))["id"]
    assert twins.is_unique
    assert twins.tolist() == flood(squares((1, 2), (1, 2), (1, 2)))["id"].tolist()


def test_geometries_are_rounded_and_counter_clockwise() -> None:
    clockwise = shapely.Polygon(
        [(1.123456789, 2), (1, 3), (2, 3), (2, 2)], [[(1.5, 2.5), (1.6, 2.5), (1.6, 2.6)]]
    ).reverse()
    geometry = flood([clockwise]).geometry[0]
    assert geometry.exterior.is_ccw
    assert not geometry.interiors[0].is_ccw
    assert 1.1234568 in shapely.get_coordinates(geometry)
    lonlat = shapely.get_coordinates(geometry)
    np.testing.assert_array_equal(lonlat, np.round(lonlat, 7))


def test_a_polygon_that_rounding_would_break_stays_valid() -> None:
    spike = shapely.Polygon([(0, 0), (1, 0), (1, 1), (0.5, 1.2e-8), (0, 1)])
    sliver = shapely.Polygon([(0, 0), (1, 0), (1, 2e-8)])
    layer = flood([spike, sliver])
    assert layer.geometry.is_valid.all()
    areas = shapely.area(layer.geometry.to_numpy())
    assert (areas > 0).all()
    assert areas.max() == pytest.approx(spike.area, rel=1e-6)


def test_shared_edges_stay_shared() -> None:
    left = shapely.box(0, 0, 1 / 3, 1)
    right = shapely.box(1 / 3, 0, 1, 1)
    layer = flood([left, right])
    assert shapely.coverage_is_valid(layer.geometry.to_numpy())


@pytest.mark.parametrize(
    ("columns", "both_sides"),
    [
        ({"notation": "Wet"}, ("'Wet'", "Flooded area")),
        ({"confidence": 101}, ("101", "0 to 100")),
        ({"confidence": 12.5}, ("12.5", "integer")),
        ({"confidence": float("inf")}, ("inf", "integer")),
        ({"water_class": 8}, ("8", "99")),
        ({"area_ha": -1}, ("-1", "real from 0")),
        ({"area_ha": None}, ("area_ha", "null")),
        ({"observed_at": "31/10/2024"}, ("31/10/2024", "T")),
        ({"sensor": 3}, ("3", "text")),
        ({"colour": "red"}, ("colour", "notation")),
        ({"confidence": [1, 2]}, ("2 values", "1 features")),
    ],
)
def test_a_wrong_value_is_refused_with_both_sides(
    columns: dict[str, object], both_sides: tuple[str, str]
) -> None:
    with pytest.raises(LayerInvalid) as refused:
        flood(squares((1, 2)), **columns)
    assert all(side in str(refused.value) for side in both_sides)


def test_a_missing_column_is_named() -> None:
    columns = {name: value for name, value in FLOOD.items() if name != "sensor"}
    with pytest.raises(LayerInvalid, match="needs sensor"):
        build_layer("observed_event", geometries=[], common=COMMON, columns=columns)


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LayerInvalid, match=r"'flood'.*observed_event"):
        empty_layer("flood")


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.Point(1, 2),
        shapely.Polygon(),
        shapely.box(200, 0, 201, 1),
        shapely.box(500000, 4000000, 500010, 4000010),
        NOWHERE,
    ],
)
def test_only_lonlat_polygons_are_taken(geometry: shapely.Geometry) -> None:
    with pytest.raises(LayerInvalid):
        flood([geometry])


def test_not_analysed_has_its_reason_and_no_confidence() -> None:
    layer = build_layer(
        "not_analysed",
        geometries=squares((1, 2)),
        common=COMMON,
        columns={**UNSEEN, "reason": "cloud shadow"},
    )
    assert layer["notation"][0] == "Not analysed"
    assert layer["confidence"].isna().all()
    with pytest.raises(LayerInvalid, match="no imagery"):
        build_layer(
            "not_analysed",
            geometries=squares((1, 2)),
            common=COMMON,
            columns={**UNSEEN, "reason": "lazy"},
        )


def test_buildings_carry_the_columns_of_the_user() -> None:
    own = pd.DataFrame(
        {
            "name": ["school", None],
            "ID": [7, 8],
            "storeys": [2.0, np.nan],
            "tags": [{"roof": "tin"}, ["a"]],
            "surveyed": pd.to_datetime(["2020-01-02", None]),
            "use": pd.Series(["shop", None], dtype="category"),
            "open": pd.Series([True, None], dtype=object),
            "rooms": pd.Series([3, None], dtype=object),
            "code": pd.Series([3, "3b"], dtype=object),
        }
    )
    renamed, names = rename_clashes("built_up", own)
    assert names == {"ID": "ID_src"}
    layer = build_layer(
        "built_up", geometries=squares((1, 2), (1, 1)), common=COMMON, columns=UNSEEN, own=renamed
    )
    assert layer["damage_gra"].tolist() == ["Not Analysed"] * 2
    assert layer["damage_xbd"].tolist() == ["un-classified"] * 2
    assert layer["ID_src"].tolist() == [7, 8]
    assert layer["name"].tolist() == ["school", None]
    assert layer["tags"].tolist() == ['{"roof": "tin"}', '["a"]']
    assert layer["surveyed"].tolist() == ["2020-01-02 00:00:00", None]
    assert layer["use"].tolist() == ["shop", None]
    assert layer["open"].tolist() == [True, pd.NA]
    assert layer["rooms"].tolist() == [3, pd.NA]
    assert layer["code"].tolist() == ["3", "3b"]


def test_clashes_are_renamed_whatever_their_case() -> None:
    own = pd.DataFrame([[1, 2, 3, 4, 5]], columns=["Area_HA", "fid", "Name", "NAME", "fid_src"])
    renamed, names = rename_clashes("built_up", own)
    assert list(renamed) == ["Area_HA_src", "fid_src", "Name", "NAME_src", "fid_src_src"]
    assert names["Area_HA"] == "Area_HA_src"
    assert "Name" not in names


def test_clashes_that_nobody_renamed_are_refused() -> None:
    with pytest.raises(LayerInvalid, match="status"):
        build_layer(
            "built_up",
            geometries=squares((1, 2)),
            common=COMMON,
            columns=UNSEEN,
            own=pd.DataFrame({"Status": ["ok"]}),
        )


def test_every_hazard_has_a_listed_event_type() -> None:
    listed = next(field.values for field in FIELDS if field.name == "event_type")
    assert {hazard.entry.event_type for hazard in Hazard} == set(listed)


def test_the_table_of_fields_names_every_field_of_every_layer() -> None:
    table = schema_markdown()
    for layer in LAYERS.values():
        for field in layer.fields:
            assert f"`{field.name}`" in table
            assert field.meaning
    assert table.count("\n") == 2 + len(FIELDS) - 1 + sum(
        1 + len(layer.extra) for layer in LAYERS.values()
    )
    assert all(f.kind in FieldType for layer in LAYERS.values() for f in layer.fields)
