import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from skimage.filters import threshold_otsu
from sklearn.mixture import GaussianMixture

from geo.raster.indices import GaussianPair, otsu, two_modes

EDGES = np.linspace(-3.0, 5.0, 41)
CENTRES = (EDGES[:-1] + EDGES[1:]) / 2
COUNTS = st.lists(st.integers(0, 500), min_size=40, max_size=40).filter(
    lambda counts: sum(count > 0 for count in counts) > 1
)


def between_variance(counts, index):
    """Variance between the classes of bins up to `index` and beyond, from its definition."""
    low, high = counts[: index + 1], counts[index + 1 :]
    if not low.sum() or not high.sum():
        return -np.inf
    means = (
        np.average(CENTRES[: index + 1], weights=low),
        np.average(CENTRES[index + 1 :], weights=high),
    )
    return low.sum() * high.sum() / counts.sum() ** 2 * (means[0] - means[1]) ** 2


def two_normals(*, share=0.3, apart=4.0, size=20_000, seed=1):
    rng = np.random.default_rng(seed)
    low = rng.normal(-1.5, 0.5, int(size * share))
    return np.concatenate([low, rng.normal(-1.5 + apart, 0.6, size - low.size)])


@given(st.lists(st.integers(1, 500), min_size=40, max_size=40))
@settings(max_examples=50, deadline=None)
def test_otsu_agrees_with_scikit_image(counts):
    """Its threshold is the centre of the last bin below; ours is the edge above that bin."""
    theirs = threshold_otsu(hist=(np.array(counts), CENTRES))
    assert otsu(np.array(counts, float), EDGES) == pytest.approx(theirs + 0.1)


@given(COUNTS)
@settings(max_examples=50, deadline=None)
def test_otsu_finds_the_greatest_variance_between_classes(counts):
    counts = np.array(counts, float)
    best = max(between_variance(counts, index) for index in range(39))
    found = int(np.flatnonzero(EDGES[1:] >= otsu(counts, EDGES) - 1e-9)[0])
    assert between_variance(counts, found) == pytest.approx(best)


def test_thresholds_part_two_clear_modes_in_the_gap():
    counts, _ = np.histogram(two_normals(), EDGES)
    assert -0.6 < otsu(counts.astype(float), EDGES) < 1.4


@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_the_mixture_agrees_with_scikit_learn(share):
    values = two_normals(share=share)
    counts, _ = np.histogram(values, EDGES)
    ours = two_modes(counts.astype(float), EDGES).pair()
    theirs = GaussianMixture(2, random_state=0).fit(values[:, None])
    order = np.argsort(theirs.means_[:, 0])
    assert (ours.low_mean, ours.high_mean) == pytest.approx(theirs.means_[order, 0], abs=0.03)
    assert ours.low_share == pytest.approx(theirs.weights_[order[0]], abs=0.02)
    assert ours.low_std == pytest.approx(theirs.covariances_[order[0], 0, 0] ** 0.5, abs=0.03)


def test_a_single_mode_is_not_two_whatever_the_split_says():
    """The halves of one normal distribution have an Ashman's D of 2.65."""
    rng = np.random.default_rng(3)
    tiles = [np.histogram(rng.normal(1, 0.7, 4096), EDGES)[0] for _ in range(50)]
    assert (two_modes(np.array(tiles, float), EDGES).ashman_d < 2).all()


def test_two_modes_apart_have_the_separation_they_were_made_with():
    counts, _ = np.histogram(two_normals(share=0.3, apart=4.0), EDGES)
    modes = two_modes(counts.astype(float), EDGES)
    assert float(modes.ashman_d) == pytest.approx(2**0.5 * 4 / (0.25 + 0.36) ** 0.5, rel=0.03)
    assert float(modes.smaller_share) == pytest.approx(0.3, abs=0.01)


PAIRS = st.builds(
    GaussianPair,
    low_mean=st.floats(-3, -0.5),
    low_std=st.floats(0.1, 2),
    low_share=st.floats(0.05, 0.95),
    high_mean=st.floats(0.5, 3),
    high_std=st.floats(0.1, 2),
)


@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_the_log_odds_are_those_of_the_densities_between_the_means(pair):
    values = np.linspace(pair.low_mean, pair.high_mean, 50).astype(np.float32)
    low = norm.logpdf(values, pair.low_mean, pair.low_std) + np.log(pair.low_share)
    high = norm.logpdf(values, pair.high_mean, pair.high_std) + np.log(1 - pair.low_share)
    np.testing.assert_allclose(pair.log_odds_high(values), high - low, rtol=1e-3, atol=1e-2)


@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_the_log_odds_never_fall(pair):
    odds = pair.log_odds_high(np.linspace(-20, 20, 400).astype(np.float32))
    assert (np.diff(odds) >= -1e-3 * np.abs(odds[1:]).clip(1)).all()
