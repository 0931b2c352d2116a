"""What a network is said to have been moved by, against other ways to compute it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from affine import Affine
from captum.attr import FeatureAblation
from odc.geo.geobox import GeoBox
from scipy.special import logit
from shapely.geometry import box

from flows.reports.progress import QuietProgress
from geo.errors import GridMismatch
from geo.export.cog import CODES, PROBABILITY, RowBandWriter
from geo.raster.classify import Label
from geo.raster.windows import lattice
from geo.scenes.scene import Phase
from models.cards.card import ModelCard
from models.cards.registry import find
from models.errors import InputsMismatch
from models.evaluation.attribution import integrated_gradients, occlude
from models.evaluation.explain import explain
from models.evaluation.explained_polygon import (
    ExplainedPolygon,
    ModelRun,
    PolygonWindow,
    ProductRasters,
    PublishedProbability,
    combine_runs,
    polygon_window,
)
from models.inference.model import load_model
from models.inference.scene_inputs import Joint, SceneInput
from models.networks.network import NetworkModel
from models.networks.tensors import NO_STATISTICS, channels_of, stack

torch.set_num_threads(1)
SHAPE = (90, 70)
GRID = GeoBox(SHAPE, Affine(10, 0, 500_000, 0, -10, 4_500_000), "EPSG:32613")
STATISTICS = {"all": NO_STATISTICS}
POLYGON = (slice(40, 52), slice(20, 33))
"""Rows and columns of the grid."""


@pytest.fixture
def mosaics(raster):
    """Two whole images that can be read in parts, with a hole in the one before."""
    rng = np.random.default_rng(3)

    def mosaic(hole):
        bands = {name: rng.uniform(0, 0.5, SHAPE) for name in ("nir", "green")}
        bands["nir"][hole] = np.nan
        whole = raster(bands)

        def read(geobox):
            col, row = (round(v) for v in ~GRID.affine @ (geobox.affine.c, geobox.affine.f))
            rows, cols = (slice(a, a + n) for a, n in zip((row, col), geobox.shape, strict=True))
            return raster({n: whole.pixels[i, rows, cols] for i, n in enumerate(whole.bands)})

        return SimpleNamespace(read=read, scenes=())

    return mosaic(np.s_[60:64, 10:20]), mosaic(np.s_[0:0, 0:0])


@pytest.fixture
def case(mosaics, save_network):
    """A tiny network of random weights, asked about a polygon of the middle."""
    model = load_model(find(save_network(window_px=64, overlap_px=16)), device="cpu")
    return case_of(model, mosaics)


def case_of(model, mosaics, asked=PublishedProbability.EVENT):
    readings = tuple(
        SceneInput(f"s2-{phase}", phase, mosaic)
        for phase, mosaic in zip((Phase.BEFORE, Phase.AFTER), mosaics, strict=True)
    )
    view = slice(30, 70), slice(10, 50)
    own = np.zeros(SHAPE, bool)
    own[POLYGON] = True
    region = PolygonWindow(
        GRID[view], *view, own[view], np.full((40, 40), 50, np.uint8), int(own.sum())
    )
    return ExplainedPolygon(model, Joint(model, readings), STATISTICS, GRID, region, asked)


def linear(card_json, weights):
    """Return a network that is a weighted sum of its channels, pixel by pixel."""
    card = ModelCard.model_validate(card_json(window_px=64, overlap_px=16))
    network = torch.nn.Conv2d(6, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([weights, [0.0] * 6])[..., None, None])
        network.bias.copy_(torch.tensor([-0.4, 0.0]))
    return NetworkModel(card, network, torch.device("cpu"))


def test_a_weighted_sum_is_shared_out_as_the_weighted_values(card_json, mosaics):
    weights = [0.5, -2.0, 1.0, 0.25, 0.1, -0.3]
    case = case_of(linear(card_json, weights), mosaics)
    attributions, (balance,) = integrated_gradients(case, case.centred_window(), QuietProgress())
    pixels = stack(case.model.card, [case.centred_window().rasters])[0]
    here = case.centred_window().here
    shares = np.asarray(weights, np.float32)[:, None, None] * pixels / case.window.pixels.sum()
    shares = np.where(case.window.pixels, shares[:, *here], 0)
    before, after = attributions
    assert [before.image, after.image] == ["s2-before", "s2-after"]
    np.testing.assert_allclose(before.pixels, shares[[0, 1, 4]].sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(after.pixels, shares[[2, 3, 5]].sum(axis=0), atol=1e-6)
    assert after.bands == pytest.approx({"nir": shares[2].sum(), "green": shares[3].sum()})
    assert after.presence == pytest.approx(-0.3)
    assert balance.at_baseline == pytest.approx(-0.4)
    assert balance.gap == pytest.approx(0, abs=1e-5)


def test_attributions_add_up_to_what_the_images_changed(case):
    """The completeness axiom (Sundararajan et al. 2017, proposition 1)."""
    attributions, (balance,) = integrated_gradients(
        case, case.centred_window(), QuietProgress(), steps=200
    )
    moved = balance.log_odds - balance.at_baseline
    assert abs(moved) > 0.01
    assert sum(each.total for each in attributions) == pytest.approx(moved, rel=0.02)
    assert balance.gap == pytest.approx(moved - balance.attributed)


def test_the_log_odds_that_are_shared_out_are_those_of_the_prediction(case):
    close = case.centred_window()
    _, (balance,) = integrated_gradients(case, close, QuietProgress(), steps=1)
    answer = case.model.predict([close.rasters], NO_STATISTICS)[0, 0][close.here]
    assert balance.log_odds == pytest.approx(logit(answer)[case.window.pixels].mean(), abs=1e-4)


def test_leaving_out_an_image_is_predicting_without_it(case):
    """Against the model's own way to miss an optional image."""
    close = case.centred_window()
    before = occlude(case, close)[0]
    own = case.window.pixels
    with_it, without = (
        case.model.predict([inputs], NO_STATISTICS)[0, 0][close.here][own].mean()
        for inputs in (close.rasters, {**close.rasters, "s2-before": None})
    )
    assert (before.image, before.band) == ("s2-before", None)
    assert before.without == pytest.approx(without, abs=1e-6)
    assert before.change == pytest.approx(without - with_it, abs=1e-6)


def test_leaving_out_is_captums_feature_ablation(case):
    close = case.centred_window()
    channels = channels_of(case.model.card)
    masks = torch.tensor([0 if c.input_name == "s2-before" else 1 for c in channels])[
        None, :, None, None
    ]
    own = torch.from_numpy(case.window.pixels)

    def mean(pixels):
        return torch.sigmoid(case.model.log_odds(pixels)[:, 0, *close.here][:, own]).mean(dim=1)

    pixels = torch.from_numpy(stack(case.model.card, [close.rasters]))
    with torch.inference_mode():
        ablated = FeatureAblation(mean).attribute(pixels, feature_mask=masks.expand(pixels.shape))
    for effect, channel in zip(occlude(case, close), (0, 2), strict=True):
        assert effect.change == pytest.approx(-float(ablated[0, channel, 0, 0]), abs=1e-6)


def test_the_windows_are_blended_as_the_map_blends_them(case):
    whole = np.zeros(SHAPE)
    for window in lattice(SHAPE, size=64, overlap=16):
        seen = {r.name: r.mosaic.read(GRID[window.slices]) for r in case.reader.inputs}
        whole[window.slices] += case.model.predict([seen], NO_STATISTICS)[0, 0] * window.weight
    explained = explain(case, QuietProgress())
    np.testing.assert_allclose(
        explained.probability, whole[case.window.rows, case.window.cols], atol=1e-5
    )
    assert explained.mean == pytest.approx(whole[POLYGON].mean(), abs=1e-5)
    hole = np.zeros(SHAPE, bool)
    hole[60:64, 10:20] = True
    np.testing.assert_array_equal(
        explained.observed["s2-before"], ~hole[case.window.rows, case.window.cols]
    )


def test_a_flood_of_water_is_the_lesser_of_wet_after_and_dry_before():
    wet = ModelRun("after", {}, output=0, layer=0)
    dry = ModelRun("before", {}, output=0, layer=1, negated=True)
    after, before = np.array([0.9, 0.9, 0.2]), np.array([0.0, 0.7, 0.1])
    np.testing.assert_allclose(combine_runs({wet: after, dry: before}), [0.9, 0.3, 0.2])


def test_a_model_without_that_answer_is_refused(mosaics, card_json):
    card = card_json(window_px=64, overlap_px=16)
    card["classes"], card["architecture"]["classes"] = card["classes"][:1], 1
    network = torch.nn.Conv2d(6, 1, 1)
    model = NetworkModel(ModelCard.model_validate(card), network, torch.device("cpu"))
    with pytest.raises(InputsMismatch, match="no probability of the water before"):
        explain(case_of(model, mosaics, PublishedProbability.WATER_BEFORE), QuietProgress())


def rasters(folder, labels, percent):
    """Write the rasters of a product."""
    paths = folder / "class.tif", folder / "probability.tif"
    values = labels[None], np.stack([percent, percent])
    for path, kind, bands in zip(paths, (CODES, PROBABILITY), values, strict=True):
        with RowBandWriter(path, geobox=GRID, kind=kind, bands=len(bands)) as write:
            write.write(bands)
    return ProductRasters(*paths, band=1)


def corner(row, col):
    return GRID.affine @ (col, row)


@pytest.mark.parametrize("rows", [(0, 9), (40, 52), (81, 90)])
@pytest.mark.parametrize("cols", [(0, 4), (30, 43), (60, 70)])
@pytest.mark.parametrize("max_px", [8, 64, 512])
def test_a_region_holds_the_pixels_of_its_polygon(tmp_path, rows, cols, max_px):
    labels = np.full(SHAPE, Label.UNAFFECTED, np.uint8)
    labels[slice(*rows), slice(*cols)] = Label.EVENT
    percent = np.random.default_rng(1).integers(0, 100, SHAPE).astype(np.uint8)
    outline = box(*corner(rows[1], cols[0]), *corner(rows[0], cols[1]))
    region = polygon_window(
        outline, rasters(tmp_path, labels, percent), GRID, labels=[Label.EVENT], max_px=max_px
    )
    there = region.rows, region.cols
    np.testing.assert_array_equal(region.pixels, labels[there] == Label.EVENT)
    np.testing.assert_array_equal(region.percent, percent[there])
    assert region.polygon_pixels == (labels == Label.EVENT).sum()
    assert region.pixels.any()
    assert region.geobox == GRID[there]
    assert max(region.pixels.shape) <= max_px
    if max_px == 512:
        assert region.pixels.sum() == region.polygon_pixels


def test_a_polygon_of_another_product_is_refused(tmp_path):
    labels = np.full(SHAPE, Label.UNAFFECTED, np.uint8)
    made = rasters(tmp_path, labels, labels)
    with pytest.raises(GridMismatch, match="no pixel of the polygon"):
        polygon_window(
            box(*corner(9, 2), *corner(2, 9)), made, GRID, labels=[Label.EVENT], max_px=64
        )
