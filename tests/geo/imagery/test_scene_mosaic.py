"""Several scenes as one raster: whose pixel it is, and why nobody saw it."""

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely.geometry import box

from geo.errors import BandsMissing, SourceInvalid
from geo.imagery.mosaic import MAX_SCENES, SceneMosaic
from geo.raster.classify import Label
from geo.scenes.scene import Phase, Scene, ordered
from geo.scenes.sensors import Units
from geo.scenes.source import Preference
from tests.rasters import UTM, WEST, counts, north_up, scene_of, write_image

GRID = GeoBox((20, 40), north_up(), UTM)


def a_scene(name: str = "x", **fields: Any) -> Scene:
    return Scene(
        **{
            "id": name, "acquisition": name, "revision": "0" * 16, "sensor_name": "vhr-rgb",
            "phase": Phase.AFTER, "taken": None, "footprint": box(0, 0, 1, 1), "assets": (),
            "units": Units.BITS_8, "gsd_m": 1.0, "crs": UTM,
        } | fields
    )  # fmt: skip


def day(number: int) -> datetime:
    return datetime(2020, 1, number, tzinfo=UTC)


def clouded(folder: Path, name: str, *, level: int, west: float = WEST, **codes: slice) -> Scene:
    """Write a scene of one value, 20 x 20, with classes of Sen2Cor in some of its columns."""
    pixels = np.full((1, 20, 20), level, np.uint16)
    mask = np.full((1, 20, 20), 4, np.uint8)
    for code, cols in codes.items():
        mask[:, :, cols] = int(code.strip("c"))
    for band, values in (("B08", pixels), ("SCL", mask)):
        write_image(folder / name / f"{name}_{band}.tif", values, transform=north_up(west=west))
    return scene_of(folder / name, sensor="sentinel-2-l2a", baseline="02.13")


def test_the_first_scene_that_saw_a_pixel_gives_it(tmp_path: Path) -> None:
    first = clouded(tmp_path, "a", level=2000, c9=slice(0, 5), c3=slice(5, 8))
    second = clouded(tmp_path, "b", level=3000, c9=slice(0, 2))
    raster = SceneMosaic([first, second], ["nir"]).read(GRID[:, :20])
    assert raster.sources == ("a", "b")
    origin = np.repeat([0, 2, 1], [2, 6, 12])
    np.testing.assert_array_equal(raster.origin, np.tile(origin, (20, 1)))
    values = np.array([np.nan, 0.2, 0.3], np.float32)[origin]
    np.testing.assert_array_equal(raster.pixels[0, 0], values)
    np.testing.assert_array_equal(raster.valid, raster.origin > 0)
    assert (raster.reason[:, :2] == Label.CLOUD).all() and (raster.reason[:, 2:] == 0).all()


def test_scenes_beside_each_other_and_the_gap_between_them(tmp_path: Path) -> None:
    left = clouded(tmp_path, "a", level=2000)
    right = clouded(tmp_path, "b", level=3000, west=WEST + 250, c0=slice(0, 5))
    raster = SceneMosaic([left, right], ["nir"]).read(GRID)
    assert (raster.origin[:, :20] == 1).all() and (raster.origin[:, 30:] == 2).all()
    assert (raster.reason[:, 20:25] == Label.NO_IMAGERY).all()
    assert (raster.reason[:, 25:30] == Label.NO_DATA).all()
    assert (raster.origin[:, 20:30] == 0).all() and np.isnan(raster.pixels[:, :, 20:30]).all()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_most_telling_reason_stays(tmp_path: Path, order: tuple[int, ...]) -> None:
    """No imagery says less than no data, and no data less than cloud."""
    scenes = [
        clouded(tmp_path, "a", level=2000, c0=slice(0, 20)),
        clouded(tmp_path, "b", level=2000, c9=slice(0, 10)),
        clouded(tmp_path, "c", level=2000, west=WEST + 10_000),
    ]
    raster = SceneMosaic([scenes[i] for i in order], ["nir"]).read(GRID)
    assert (raster.reason[:, :10] == Label.CLOUD).all()
    assert (raster.reason[:, 10:20] == 0).all()
    assert (raster.reason[:, 20:] == Label.NO_IMAGERY).all()


def test_a_scene_below_finished_ones_is_not_read(tmp_path: Path) -> None:
    whole = clouded(tmp_path, "a", level=2000)
    below = clouded(tmp_path, "b", level=3000)
    mosaic = SceneMosaic([whole, below], ["nir"])
    for path in below.paths:
        path.unlink()
    assert (mosaic.read(GRID[:, :20]).origin == 1).all()


def test_a_scene_without_the_band_is_named(tmp_path: Path) -> None:
    with pytest.raises(BandsMissing, match="a lacks red"):
        SceneMosaic([clouded(tmp_path, "a", level=2000)], ["red"])


def test_more_scenes_than_eight_bits_tell_apart_are_refused() -> None:
    scenes = [a_scene(str(number)) for number in range(MAX_SCENES + 1)]
    assert len(SceneMosaic(scenes[:MAX_SCENES], []).scenes) == 254
    with pytest.raises(SourceInvalid, match="255 scenes of one phase, and at most 254"):
        SceneMosaic(scenes, [])


def test_the_newest_comes_first_and_the_undated_last() -> None:
    scenes = [a_scene("old", taken=day(1)), a_scene("none"), a_scene("new", taken=day(9))]
    for order in permutations(scenes):
        assert [s.id for s in ordered(order, Preference.NEWEST)] == ["new", "old", "none"]


def test_the_least_cloudy_comes_first_and_the_newer_of_equals() -> None:
    scenes = [
        a_scene("a", taken=day(1), cloud_cover=5), a_scene("b", taken=day(9), cloud_cover=50),
        a_scene("c", taken=day(5), cloud_cover=5), a_scene("d", taken=day(2), cloud_cover=0.0),
    ]  # fmt: skip
    for order in permutations(scenes):
        assert "".join(s.id for s in ordered(order, Preference.LEAST_CLOUDY)) == "dcab"


def test_a_cloud_cover_that_nobody_states_is_refused() -> None:
    scenes = [a_scene("a", cloud_cover=5), a_scene("b"), a_scene("c")]
    with pytest.raises(SourceInvalid, match="the cloud cover of b, c is not known"):
        ordered(scenes, Preference.LEAST_CLOUDY)


@given(
    st.lists(
        st.tuples(st.none() | st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=6
    ),
    st.sampled_from(Preference), st.randoms(),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_the_order_does_not_depend_on_how_they_came(
    facts: list[tuple[int | None, int]], preference: Preference, random: Any
) -> None:
    scenes = [
        a_scene(str(i), taken=None if when is None else day(when), cloud_cover=float(cover))
        for i, (when, cover) in enumerate(facts)
    ]
    known = ordered(scenes, preference)
    random.shuffle(scenes)
    assert ordered(scenes, preference) == known
    assert set(known) == set(scenes)


def test_values_of_any_scene_are_its_own(tmp_path: Path) -> None:
    scenes = []
    for seed in range(3):
        values = counts(seed + 2, 20, 20)[:1] + 10
        place = north_up(west=WEST + 100 * seed)
        path = write_image(tmp_path / f"{seed}.tif", values, transform=place)
        scenes.append(scene_of(path, sensor="sentinel-2-l1c", bands=("nir",), baseline="02.13"))
    raster = SceneMosaic(scenes, ["nir"]).read(GRID)
    for number, scene in enumerate(scenes, 1):
        alone = SceneMosaic([scene], ["nir"]).read(GRID)
        own = raster.origin == number
        assert own.any()
        np.testing.assert_array_equal(raster.pixels[:, own], alone.pixels[:, own])
