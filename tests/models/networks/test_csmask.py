"""The networks of ukis-csmask: what they are given, and what is made of their answer."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pydantic import ValidationError
from scipy import ndimage
from skimage.measure import block_reduce

from flows.reports.progress import QuietProgress
from geo.raster.classify import Finding
from models.cards import registry
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import all_cards, find
from models.datasets.catalog import Kind, open_set
from models.errors import InputsMismatch, WeightsMismatch
from models.evaluation.evaluate import evaluate
from models.inference.model import load_model
from models.networks.csmask import CsmaskModel, averaged, mirrored
from models.networks.tensors import NO_STATISTICS
from tests.models.conftest import make_raster

CLOUD_CARDS = [ref for ref in all_cards() if ref.card.task is Task.CLOUD]
BANDS = ("blue", "green", "red", "nir")
REF = find("csmask-4b-l2a")
REACH, BUFFER = 64, 2


@dataclass
class Bright:
    """Stands for the network: blue above its mean is cloud, nir below its mean is shadow."""

    given: list = field(default_factory=list)

    def run(self, outputs, feed):
        (tile,) = feed["input"]
        self.given.append(tile)
        cloud = np.where(tile[0] > 0, 9.0, -9.0)
        shadow = np.where(tile[3] < 0, 5.0, -5.0)
        return [np.stack([np.zeros_like(cloud), cloud, shadow])[None]]


@pytest.fixture
def model():
    return CsmaskModel(REF.card, REF.card.architecture, Bright())


def image(shape, *, cloud=(), shadow=(), pixel_m=30.0):
    """Return ground with clouds and shadows at slices, in the order of the file, not the card's."""
    values = {band: np.full(shape, 0.1, np.float32) for band in ("nir", "red", "green", "blue")}
    values["nir"][:] = 0.5
    for part in cloud:
        values["blue"][part] = 0.8
    for part in shadow:
        values["nir"][part] = 0.02
    made = make_raster(values)
    return replace(made, geobox=GeoBox(shape, Affine.scale(pixel_m, -pixel_m), "EPSG:32613"))


def answer(model, raster):
    (planes,) = model.predict([{"image": raster}], NO_STATISTICS)
    return planes >= 0.5


def test_every_network_of_the_package_has_a_card_and_is_the_one_of_its_card():
    files = {ref.card.architecture.file for ref in CLOUD_CARDS}
    assert files == {path.name for path in REF.weights.parent.glob("*.onnx")}
    for ref in CLOUD_CARDS:
        assert ref.card.class_names == (Finding.CLOUD, Finding.CLOUD_SHADOW)
        assert ref.weights.is_file()


def test_another_network_than_the_cards_is_refused():
    other = replace(REF, card=REF.card.model_copy(update={"weights_sha256": "0" * 64}))
    with pytest.raises(WeightsMismatch, match=r"the card says 0000.*install ukis-csmask 1"):
        load_model(other)


def test_the_network_is_given_normalised_bands_in_the_order_of_its_card(model):
    raster = image((256, 256))
    answer(model, raster)
    (entry,) = REF.card.inputs
    (tile,) = model.session.given
    for band, mean, std, seen in zip(entry.bands, entry.mean, entry.std, tile, strict=True):
        np.testing.assert_allclose(seen, (raster.band(band) - mean) / std, rtol=1e-4)


def test_a_cloud_is_widened_by_its_buffer_and_no_more(model):
    cloud, _ = answer(model, image((256, 256), cloud=[np.s_[100:120, 100:130]]))
    expected = np.zeros((256, 256), bool)
    expected[100:120, 100:130] = True
    expected = ndimage.distance_transform_cdt(~expected, "taxicab") <= BUFFER
    np.testing.assert_array_equal(cloud, expected)


def test_shadow_counts_only_within_reach_of_a_cloud(model):
    dark = np.s_[50:60, :]
    _, without = answer(model, image((256, 256), shadow=[dark]))
    assert not without.any()  # dark water under a clear sky
    cloud = np.s_[0:20, 0:20]
    _, near = answer(model, image((256, 256), shadow=[dark], cloud=[cloud]))
    away = np.ones((256, 256))
    away[cloud] = 0
    reached = ndimage.distance_transform_edt(away) <= REACH
    expected = np.zeros((256, 256), bool)
    expected[dark] = reached[dark]
    assert expected.any() and not expected[dark].all()
    np.testing.assert_array_equal(near, expected)


def test_pixels_of_10_m_are_answered_in_cells_of_30_m(model):
    cloud, _ = answer(model, image((300, 300), cloud=[np.s_[90:120, 30:60]], pixel_m=10.0))
    coarse, _ = answer(model, image((100, 100), cloud=[np.s_[30:40, 10:20]]))
    np.testing.assert_array_equal(cloud, coarse.repeat(3, 0).repeat(3, 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 130), (97, 3), (130, 130), (300, 260)])
@pytest.mark.parametrize("pixel_m", [10.0, 30.0])
def test_every_shape_is_answered_where_it_was_seen(model, shape, pixel_m):
    raster = image(shape, pixel_m=pixel_m)
    raster.valid[0, 0] = False
    (planes,) = model.predict([{"image": raster}], NO_STATISTICS)
    assert planes.shape == (2, *shape)
    np.testing.assert_array_equal(np.isfinite(planes).all(axis=0), raster.valid)


def test_what_was_not_seen_hides_nothing_and_is_not_asked_about_where_nothing_was_seen(model):
    raster = image((256, 256), cloud=[np.s_[:, :128]], shadow=[np.s_[:, 150:160]])
    raster.valid[:, :128] = False
    assert not answer(model, raster).any()  # the shadow's cloud lies where nothing was seen
    raster.valid[:] = False
    assert not answer(model, raster).any()
    assert len(model.session.given) == 1


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), seen_cols=st.integers(1, 12), lost=st.integers(0, 11))
def test_the_edge_of_a_scene_is_a_mirror(rows, seen_cols, lost):
    lost = min(lost, seen_cols - 1)
    there = np.random.default_rng(rows).random((2, rows, seen_cols)).astype(np.float32)
    cells = np.pad(there, ((0, 0), (0, 0), (0, lost)))
    seen = np.pad(np.ones((rows, seen_cols), bool), ((0, 0), (0, lost)))
    expected = np.pad(there, ((0, 0), (0, 0), (0, lost)), mode="reflect")
    np.testing.assert_array_equal(mirrored(cells, seen), expected)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(st.integers(1, 15), st.integers(1, 15)), seed=st.integers(0, 99))
def test_only_what_was_seen_is_mirrored(shape, seed):
    rng = np.random.default_rng(seed)
    seen = rng.random(shape) < 0.4
    seen[rng.integers(shape[0]), rng.integers(shape[1])] = True
    cells = np.where(seen, rng.random((3, *shape)), np.nan).astype(np.float32)
    filled = mirrored(cells, seen)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[:, seen], cells[:, seen])


def test_scaled_reflectance_is_refused(model):
    raster = image((20, 20))
    with pytest.raises(InputsMismatch, match="looks like scaled reflectance"):
        model.scene_statistics([{"image": replace(raster, pixels=raster.pixels * 10_000)}])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 20), cols=st.integers(1, 20), step=st.integers(1, 5), seed=st.integers(0, 9)
)
def test_cells_are_the_mean_of_what_was_seen_in_them(rows, cols, step, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.random((2, rows, cols)).astype(np.float32)
    valid = rng.random((rows, cols)) > 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of an empty block
        expected = block_reduce(
            np.where(valid, pixels, np.nan), (1, step, step), np.nanmean, cval=np.nan
        )
    found, seen = averaged(pixels, valid, step=step)
    np.testing.assert_array_equal(seen, np.isfinite(expected[0]))
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": [{"name": "cloud", "threshold": 0.5}]}, "the card has cloud in 4 bands"),
        (
            {"architecture": {"file": "model_6b_l2a.onnx"}},
            "the card has cloud and cloud_shadow in 4",
        ),
        ({"architecture": {"shadow_reach_px": 65}}, "a margin of 65 px on both sides"),
        ({"resolution_m": None}, "one input and a resolution_m"),
        ({"weights_sha256": None}, "needs weights_sha256"),
        ({"task": "water"}, "the task water has the class water"),
    ],
)
def test_a_card_that_contradicts_its_network_is_refused(changes, said):
    card = REF.card.model_dump(mode="json")
    architecture = card["architecture"] | changes.pop("architecture", {})
    with pytest.raises(ValidationError, match=said):
        ModelCard.model_validate(card | {"architecture": architecture} | changes)


def test_a_package_that_is_not_there_is_said_so(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(WeightsMismatch, match="package ukis_csmask, which is not installed"):
        load_model(REF)


@pytest.mark.data
def test_clouds_are_found_as_well_as_the_card_says(data_dir):
    labelled = open_set(Kind.ON_CLOUD_N, data_dir / "clouds_sentinel2")
    scores = evaluate(load_model(REF), labelled, progress=QuietProgress()).as_json()
    print(f"On Cloud N: IoU of cloud {scores['iou']:.3f}")
    (said,) = REF.card.scores
    assert scores["iou"] == pytest.approx(said.value, abs=0.002)
    assert scores["finding"] == "cloud"


@pytest.mark.data
def test_the_package_itself_finds_the_same(data_dir):
    """It tiles and mirrors otherwise, so the two differ along edges of clouds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of images below 256 px
        from ukis_csmask.mask import CSmask  # noqa: PLC0415 - loads onnxruntime

        sample = open_set(Kind.ON_CLOUD_N, data_dir / "clouds_sentinel2")[0]
        raster = sample.images["image"]
        cells, _ = averaged(raster.pixels, raster.valid, step=3)
        theirs = CSmask(
            np.ascontiguousarray(cells.transpose(1, 2, 0)), list(BANDS), "l2a",
            intra_op_num_threads=1, providers=["CPUExecutionProvider"],
        ).csm[..., 0]  # fmt: skip
    network = load_model(REF)
    ours = network._classes(cells).argmax(axis=0)
    assert (ours == theirs).mean() > 0.9
    swapped = network._classes(cells[::-1]).argmax(axis=0)
    assert (swapped == theirs).mean() < 0.85
