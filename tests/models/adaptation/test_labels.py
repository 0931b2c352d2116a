"""Labels as people make them: what counts, what is left out, what is refused with one sentence."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geo.errors import FootprintsInvalid
from geo.vector.buildings import read_footprints
from models.adaptation.labels import (
    NONE,
    Labels,
    labels_of_buildings,
    read_labels,
    require_enough,
)
from models.datasets.vocabulary import DAMAGE, FLOOD
from models.errors import LabelsInvalid
from tests.models.adaptation.label_files import area, square, write_labels
from tests.rasters import UTM

GRADES = ["Destroyed", "No visible damage", None, "minor-damage", "Not Analysed", ""]


def read(path: Path) -> Labels:
    return read_labels(path, area(), DAMAGE)


def checked(path: Path) -> Labels:
    labels = read(path)
    require_enough(labels, labels.labelled)
    return labels


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_labels_come_in_any_format_and_crs(tmp_path: Path, suffix: str) -> None:
    path = write_labels(tmp_path / "labels.gpkg", GRADES)
    if suffix != ".gpkg":
        frame = gpd.read_file(path).to_crs("EPSG:4326")
        path = path.with_suffix(suffix)
        if suffix == ".parquet":
            frame.to_crs("EPSG:3857").to_parquet(path)
        else:
            frame.to_file(path)
    labels = checked(path)
    assert labels.codes.tolist() == [3, 0, NONE, 1, NONE, NONE]
    assert labels.counts(labels.labelled) == {"no-damage": 1, "minor-damage": 1, "destroyed": 1}
    assert labels.skipped == {"without a label": 2, "labelled as unknown": 1}
    assert labels.column == "damage_gra"
    assert labels.file == path.name
    there = gpd.GeoSeries(labels.outlines, crs="EPSG:4326").to_crs(UTM)
    assert there.area.to_numpy() == pytest.approx(np.full(6, 144.0), rel=1e-4)


def test_the_column_that_says_something_is_read(tmp_path: Path) -> None:
    path = write_labels(
        tmp_path / "l.gpkg", [None] * 3, DAMAGE_XBD=["destroyed", "no-damage", "no-damage"]
    )
    assert checked(path).column == "DAMAGE_XBD"


def test_what_was_extracted_automatically_is_no_label_until_it_was_reviewed(tmp_path: Path) -> None:
    path = write_labels(
        tmp_path / "l.gpkg", ["Destroyed", "Damaged", "Destroyed"],
        det_method=["Automatic extraction"] * 2 + ["Photo-interpretation"],
        status=["draft", "reviewed", "draft"],
    )  # fmt: skip
    labels = read(path)
    assert labels.codes.tolist() == [NONE, 2, 3]
    assert labels.skipped == {"extracted automatically and not reviewed": 1}


def test_an_outline_that_repeats_counts_once_with_its_label(tmp_path: Path) -> None:
    again = shapely.Polygon(square(0).exterior.coords[1:])
    shapes = [square(0), square(1), square(2), again, square(1)]
    words = [None, "Damaged", "No visible damage", "Destroyed", "Damaged"]
    labels = checked(write_labels(tmp_path / "l.gpkg", words, outlines=shapes))
    assert sorted(labels.codes.tolist()) == [0, 2, 3]
    assert "2 polygons of l.gpkg repeat others and were counted once" in labels.notes


def test_an_outline_that_crosses_itself_is_mended(tmp_path: Path) -> None:
    west, south, east, north = square(0).bounds
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    path = write_labels(
        tmp_path / "l.gpkg", ["Destroyed", "Damaged", "Damaged"],
        outlines=[bow, square(1), square(2)],
    )  # fmt: skip
    labels = checked(path)
    assert shapely.is_valid(labels.outlines).all()
    assert any("1 footprints of l.gpkg crossed themselves" in note for note in labels.notes)


def _far(number: int) -> Any:
    return shapely.transform(square(number), lambda points: points + 9000)


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["Destroyed", "Broken", "kaputt"], {}, "'Broken', 'kaputt' in damage_gra; the words are "
                                                "No visible damage, "),
        (["a", "b", "c"], {"column": "grade"}, "no column damage_gra or damage_xbd or subtype, it "
                                               "has grade; add one"),
        (["Destroyed", "Damaged", None], {}, r"l.gpkg has 2 usable labels in damage_gra "
                                             r"\(1 without a label\); give at least"),
        ([None] * 5, {}, "has 0 usable labels"),
        (["Destroyed"] * 4, {}, "all 4 usable labels of l.gpkg are destroyed; label polygons of "
                                "another class"),
        (["Destroyed", "Damaged"] * 101, {}, "has 202 labels in damage_gra, the most is 200"),
        (["Destroyed", "Damaged"], {"outlines": [square(3), square(3)]},
         "has both destroyed and major-damage for one place, at longitude 15.00"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, words: list[str | None], options: dict[str, Any], said: str
) -> None:
    path = write_labels(tmp_path / "l.gpkg", words, **options)
    with pytest.raises(LabelsInvalid, match=said):
        checked(path)


def test_labels_elsewhere_and_in_no_place_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabelsInvalid, match="there is no file of labels at"):
        read(tmp_path / "nothing.gpkg")
    words = ["Destroyed", "Damaged", "Damaged"]
    far = write_labels(tmp_path / "far.gpkg", words, outlines=[_far(n) for n in range(3)])
    with pytest.raises(FootprintsInvalid, match=r"far.gpkg .* lies in the area"):
        read(far)
    frame = gpd.read_file(write_labels(tmp_path / "l.gpkg", words)).to_crs("EPSG:4326")
    swapped = frame.set_geometry(
        shapely.transform(frame.geometry.to_numpy(), lambda points: points[:, ::-1]),
        crs="EPSG:4326",
    )
    swapped.to_file(tmp_path / "swapped.geojson")
    with pytest.raises(FootprintsInvalid, match="swap longitude and latitude"):
        read(tmp_path / "swapped.geojson")


def test_labels_take_the_buildings_that_they_lie_on(tmp_path: Path) -> None:
    footprints = gpd.GeoDataFrame(geometry=[square(number) for number in range(5)], crs=UTM)
    footprints.to_file(tmp_path / "all.gpkg")
    buildings = read_footprints(tmp_path / "all.gpkg", area())
    inside = [square(number, side=9.0) for number in (3, 1, 4)]
    words = ["Destroyed", "No visible damage", "Damaged", "Damaged"]
    path = write_labels(tmp_path / "l.gpkg", words, outlines=[*inside, square(30)])
    labels = labels_of_buildings(read(path), buildings)
    assert labels.codes.tolist() == [NONE, 0, NONE, 3, 2]
    assert labels.skipped == {"on no building": 1}
    assert (labels.outlines == buildings.geometries).all()


def test_labels_on_no_building_and_two_on_one_are_one_sentence(tmp_path: Path) -> None:
    gpd.GeoDataFrame(geometry=[square(0)], crs=UTM).to_file(tmp_path / "all.gpkg")
    buildings = read_footprints(tmp_path / "all.gpkg", area())
    words = ["Destroyed", "No visible damage"]
    beside = write_labels(tmp_path / "b.gpkg", words, outlines=[square(7), square(9)])
    with pytest.raises(LabelsInvalid, match=r"none of the 2 labels of b.gpkg is on one of the 1"):
        labels_of_buildings(read(beside), buildings)
    both = [square(0, side=9.0), square(0, side=8.0)]
    path = write_labels(tmp_path / "two.gpkg", words, outlines=both)
    with pytest.raises(LabelsInvalid, match=r"has both destroyed and no-damage for one place"):
        labels_of_buildings(read(path), buildings)


def test_flood_polygons_say_yes_and_no(tmp_path: Path) -> None:
    path = write_labels(
        tmp_path / "l.gpkg", ["Flooded area", "dry", "Reference water", None], column="notation"
    )
    labels = read_labels(path, area(), FLOOD)
    assert labels.codes.tolist() == [1, 0, 0, NONE]
    assert labels.counts(labels.labelled) == {"dry or other": 2, "flooded": 1}
