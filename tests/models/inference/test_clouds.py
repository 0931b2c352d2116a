"""Whose mask is taken, and that a map is read through it the same from every window."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy import ndimage
from shapely.geometry import mapping

from geo.imagery.reader import Masking
from geo.raster.classify import Label
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.scene import Phase
from geo.scenes.source import Clouds, Preference
from geo.vector.area_of_interest import parse_area
from models.cards.card import ModelCard
from models.cards.registry import all_cards, find
from models.cards.selection import cloud_sources, unmasked_notes
from models.errors import InputsMismatch
from models.inference.clouds import CloudSquares, maskings
from models.inference.scene_inputs import read, reader_for
from models.networks.tensors import NO_STATISTICS, SceneStatistics, stack
from tests.models.conftest import network_card
from tests.rasters import NORTH, UTM, WEST, decibels, north_up, scene_of, write_image

CARDS = all_cards()
SIX = ("blue", "green", "red", "nir", "swir16", "swir22")
CARD = find("csmask-4b-l2a").card
STEP = 10.0
ROWS, COLS = 420, 500
CLOUDED = (np.s_[60:120, 90:150], np.s_[300:330, 360:420])


@dataclass
class Bright:
    """A model of clouds: red above 0.5, and shadow in the 40 cells to their east."""

    card: ModelCard = CARD
    asked: list = field(default_factory=list)

    def scene_statistics(self, samples):
        return NO_STATISTICS

    def predict(self, batch, statistics):
        (inputs,) = batch
        raster = inputs["image"]
        self.asked.append(tuple(raster.geobox.affine[:6]))
        cloud = raster.valid & (np.nan_to_num(raster.band("red")) > 0.5)
        shadow = ndimage.maximum_filter1d(cloud, 81, axis=1)
        planes = np.where(raster.valid, np.stack([cloud, shadow]), np.nan)
        return planes[None].astype(np.float32)


def optical(folder, *, bands=("blue", "green", "red", "nir"), name="opt", **extra):
    """Write a scene of two clouds on ground, 10 m, and return it."""
    pixels = np.full((len(bands), ROWS, COLS), 2000, np.uint16)
    for part in CLOUDED:
        pixels[(slice(None), *part)] = 9000
    pixels[:, :, :30] = 0  # beside the swath
    names = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11"}
    for band, values in {**dict(zip(bands, pixels, strict=True)), **extra}.items():
        file = f"{name}_{names.get(band, band.upper())}.tif"
        write_image(folder / name / file, values[None], transform=north_up(step=STEP))
    return scene_of(folder / name, sensor="sentinel-2-l2a", baseline="02.13")


def grid(rows, cols, *, row=0, col=0):
    return GeoBox(
        (rows, cols), north_up(west=WEST + STEP * col, north=NORTH - STEP * row, step=STEP), UTM
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return optical(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def whole(scene):
    return CloudSquares(scene, Bright())(grid(ROWS, COLS))


def test_clouds_and_shadows_lie_where_they_are_on_the_ground(whole):
    assert set(np.unique(whole)) == {0, Label.CLOUD, Label.CLOUD_SHADOW}
    cloud = np.zeros((ROWS, COLS), bool)
    for part in CLOUDED:
        cloud[part] = True
    # The corner of the image, 500000 and 5000000 m, lies within a cell of 30 m, so that cells
    # along the edge of a cloud hold both.
    surely, perhaps = (
        grow(cloud, iterations=3, structure=np.ones((3, 3)))
        for grow in (ndimage.binary_erosion, ndimage.binary_dilation)
    )
    assert (whole[surely] == Label.CLOUD).all()
    assert not (whole[~perhaps] == Label.CLOUD).any()
    assert (whole[63:117, 160:250] == Label.CLOUD_SHADOW).all()
    assert not whole[200:280].any()


@settings(max_examples=10, deadline=None)
@given(
    row=st.integers(0, 300), col=st.integers(0, 380), rows=st.integers(1, 120),
    cols=st.integers(1, 120),
)  # fmt: skip
def test_every_window_sees_the_same(scene, whole, row, col, rows, cols):
    part = CloudSquares(scene, Bright())(grid(rows, cols, row=row, col=col))
    np.testing.assert_array_equal(part, whole[row : row + rows, col : col + cols])


def test_a_square_is_asked_for_once_and_never_where_the_scene_saw_nothing(scene):
    model = Bright()
    squares = CloudSquares(scene, model)
    for row in range(0, ROWS, 100):
        for col in range(0, COLS, 100):
            squares(grid(100, 100, row=row, col=col))
    assert len(set(model.asked)) == len(model.asked) > 1
    before = len(model.asked)
    assert not squares(grid(50, 50, row=5 * ROWS)).any()
    assert len(model.asked) == before


def test_a_coarser_map_takes_the_cell_at_the_centre_of_its_pixels(scene, whole):
    coarse = GeoBox((ROWS // 10, COLS // 10), north_up(step=100), UTM)
    found = CloudSquares(scene, Bright())(coarse)
    np.testing.assert_array_equal(found, whole[5::10, 5::10])


SCL = {"scl": np.full((ROWS, COLS), 4, np.uint8)}


@pytest.mark.parametrize(
    ("bands", "extra", "wanted", "name"),
    [
        (SIX[:4], {}, "auto", "csmask-4b-l2a 1.0.0"),
        (SIX[:4], SCL, "auto", "the provider's scl"),
        (SIX[:4], SCL, "network", "csmask-4b-l2a 1.0.0"),
        (SIX[:4], SCL, "provider", "the provider's scl"),
        (SIX[:4], SCL, "off", None),
        (SIX[:4], {}, "provider", None),
        (("green", "nir"), {}, "auto", None),
    ],
)
def test_whose_mask_is_taken(tmp_path, bands, extra, wanted, name):
    there = optical(tmp_path, bands=bands, **extra)
    (source,) = cloud_sources([there], Clouds(wanted), CARDS)
    assert source.name == name
    assert bool(unmasked_notes([source])) == (name is None)


def test_all_six_bands_are_better_than_four_and_level_1c_has_networks_of_its_own(tmp_path):
    for sensor, name in (
        ("sentinel-2-l1c", "csmask-6b-l1c"), ("sentinel-2-l2a", "csmask-6b-l2a"),
        ("landsat-c1-sr", "csmask-6b-l2a"),
    ):  # fmt: skip
        pixels = np.full((6, 9, 9), 500, np.int16)  # darker than the offset of baseline 04.00
        there = scene_of(
            write_image(tmp_path / f"{sensor}.tif", pixels, descriptions=SIX), sensor=sensor
        )
        (source,) = cloud_sources([there], Clouds.AUTO, CARDS)
        assert source.ref is not None and source.ref.card.name == name


def test_what_cannot_be_masked_is_said_with_both_sides_and_refused_where_it_was_asked_for(tmp_path):
    there = optical(tmp_path, bands=("green", "nir"))
    (note,) = unmasked_notes(cloud_sources([there], Clouds.AUTO, CARDS))
    assert note.startswith("clouds and their shadows were not masked in opt: it has no mask")
    assert "blue, green, red, nir, swir16, swir22 of Sentinel-2 L2A, and it has green, nir" in note
    with pytest.raises(InputsMismatch, match=r"opt: the networks.*give them, or leave it to"):
        cloud_sources([there], Clouds.NETWORK, CARDS)


def test_radar_has_no_clouds(tmp_path):
    path = write_image(tmp_path / "s1.tif", decibels(1, 9, 9), descriptions=("VV",))
    assert cloud_sources([scene_of(path, sensor="sentinel-1-grd")], Clouds.NETWORK, CARDS) == ()


def test_the_provider_is_believed_on_clouds_only_where_its_mask_is_taken(tmp_path):
    codes = np.full((ROWS, COLS), 4, np.uint8)
    codes[:10], codes[10:20], codes[20:30] = 9, 3, 0
    there = optical(tmp_path, scl=codes)
    for wanted, cloud in ((Clouds.AUTO, True), (Clouds.OFF, False)):
        masks = maskings([there], cloud_sources([there], wanted, CARDS))
        reader = reader_for(None, [there], Preference.NEWEST, masks)
        (raster,) = read(reader, grid(ROWS, COLS)).values()
        seen = raster.reason[:, 40]
        assert (seen[:10] == (Label.CLOUD if cloud else 0)).all()
        assert (seen[10:20] == (Label.CLOUD_SHADOW if cloud else 0)).all()
        assert (seen[20:30] == Label.NO_DATA).all() and not seen[30:].any()


@dataclass
class Always:
    """A model of the map that answers 0.9 wherever it may."""

    card: ModelCard
    given: list = field(default_factory=list)

    def scene_statistics(self, samples):
        return SceneStatistics()

    def predict(self, batch, statistics):
        self.given += batch
        shape = next(iter(batch[0].values())).valid.shape
        return np.full((len(batch), len(self.card.classes), *shape), 0.9, np.float32)


def radar_and_optical(**optional):
    slots = network_card()["inputs"]
    radar = slots[1] | {
        "name": "s1-after", "phase": "after", "sensors": ["sentinel-1-grd"], "bands": ["vv"],
        "units": "dB", "mean": [-12.0], "std": [4.0], "required": False,
    }  # fmt: skip
    architecture = network_card()["architecture"] | {"in_channels": 5}
    after = slots[1] | {"required": False} | optional
    return ModelCard.model_validate(network_card(inputs=[radar, after], architecture=architecture))


def half_clouded(geobox):
    codes = np.zeros(tuple(geobox.shape), np.uint8)
    codes[:, : codes.shape[1] // 2] = Label.CLOUD
    return codes


@pytest.mark.parametrize("required", [False, True])
def test_radar_answers_under_cloud_unless_the_model_needs_the_optical_image(
    tmp_path, scene, required
):
    pixels = decibels(1, ROWS, COLS)
    radar = scene_of(
        write_image(tmp_path / "s1.tif", pixels, descriptions=("VV",)), sensor="sentinel-1-grd"
    )
    model = Always(radar_and_optical(required=required))
    masks = {scene.id: Masking(found=half_clouded)}
    reader = reader_for(model, [radar, scene], Preference.NEWEST, masks)
    box = grid(64, 64, row=200, col=200)
    seen = read(reader, box)
    (answered,) = reader.predict([seen], {"all": SceneStatistics()})
    under_cloud = np.zeros((64, 64), bool)
    under_cloud[:, :32] = True
    np.testing.assert_array_equal(answered.valid, ~under_cloud if required else ~under_cloud | True)
    assert (answered.reason[~answered.valid] == Label.CLOUD).all()
    # What the network is told: no pixels of the optical image there, and its flag is 0.
    channels = stack(model.card, model.given)[0]
    np.testing.assert_array_equal(channels[-1], ~under_cloud)
    assert (channels[-2] == 1).all() and not channels[1:3][:, under_cloud].any()


def test_one_date_of_clouds_is_not_analysed_and_before_only_not_dated(scene):
    card = find("ndwi-water").card
    before, after = scene.in_phase(Phase.BEFORE), scene
    masks = {scene.id: Masking(found=half_clouded)}
    reader = reader_for(Always(card), [before, after], Preference.NEWEST, masks)
    seen = read(reader, grid(64, 64, row=200, col=200))
    (answered,) = reader.predict([seen], {"before": SceneStatistics(), "after": SceneStatistics()})
    for valid in (answered.valid, answered.valid_before):
        assert not valid[:, :32].any() and valid[:, 32:].all()
    assert (answered.reason[:, :32] == Label.CLOUD).all()


@pytest.mark.data
def test_flood_water_is_not_taken_for_shadow(data_dir):
    """At 10 m, with shadows that have no cloud, 56 % of it was; with a black frame, 43 %."""
    folder = data_dir / "sen1floods11"
    there = scene_of(folder / "Spain_7370579_S2Hand.tif", sensor="sentinel-2-l1c")
    sources = cloud_sources([there], Clouds.AUTO, CARDS)
    assert [source.name for source in sources] == ["csmask-6b-l1c 1.0.0"]
    found = maskings([there], sources)[there.id].found
    codes = found(lay_grid(parse_area(mapping(there.footprint)), [there], GridChoice()))
    assert (codes == Label.CLOUD).mean() < 0.005
    assert (codes == Label.CLOUD_SHADOW).mean() < 0.005
