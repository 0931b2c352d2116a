import numpy as np
import pytest
import torch

from models.training.augment import Augmenter, changed, clouds, haze, only, remove_event, shifted
from models.training.config import Augmentation, InputSubset, Jitter
from models.training.dataset import Layout, Tile
from tests.models.training.plans import config

ALL = InputSubset(inputs=("s1-before", "s1-after", "s2-after"), weight=1)


@pytest.fixture
def inputs(tmp_path):
    return config(tmp_path).card.inputs


@pytest.fixture
def layout(inputs):
    return Layout.of(inputs, availability=True)


def tile(size=32, *, observed=1.0):
    """A tile whose channels all say where it is flooded."""
    rng = np.random.default_rng(4)
    flood = torch.from_numpy(rng.random((size, size)) < 0.4)
    observed = torch.from_numpy(rng.random((3, size, size)) < observed)
    per_band = observed[[0, 1, 2, 2]]
    channels = torch.cat([flood.float().expand(4, -1, -1) * per_band, observed.float()])
    return Tile(channels.half(), observed, flood[None], torch.ones_like(flood)[None])


def test_the_layout_is_the_order_of_the_stack(layout):
    assert layout.bands == {
        "s1-before": slice(0, 1),
        "s1-after": slice(1, 2),
        "s2-after": slice(2, 4),
    }
    assert layout.flags == {"s1-before": 4, "s1-after": 5, "s2-after": 6}


def test_image_and_label_move_together(inputs, layout):
    augment = Augmenter(inputs, layout, Augmentation(), (ALL,), 32)
    torch.manual_seed(0)
    for _ in range(20):
        channels, target, known = augment(tile())
        assert known.all()
        for band in range(4):
            np.testing.assert_array_equal(channels[band] > 0.5, target[0])


def test_all_eight_flips_and_turns_come_up(inputs, layout):
    augment = Augmenter(inputs, layout, Augmentation(), (ALL,), 32)
    torch.manual_seed(0)
    observed = {augment(tile())[1].numpy().tobytes() for _ in range(120)}
    flood = tile().target[0].numpy()
    assert observed == {
        np.ascontiguousarray(np.rot90(side, k)).tobytes()
        for side in (flood, flood[:, ::-1])
        for k in range(4)
    }


def test_what_comes_in_at_the_edges_is_not_seen_and_not_learned(inputs, layout):
    plan = Augmentation(affine=1.0, scale=(0.5, 0.5))
    channels, _, known = Augmenter(inputs, layout, plan, (ALL,), 32)(tile())
    assert 0.1 < known.float().mean() < 0.5
    assert not channels[:, ~known[0]].any()


def test_a_dropped_slot_is_zero_and_flagged(inputs, layout):
    subset = InputSubset(inputs=("s1-after",), weight=1)
    jitter = {units: Jitter(offset=1.0) for units in ("dB", "reflectance")}
    augment = Augmenter(inputs, layout, Augmentation(jitter=jitter), (subset,), 32)
    for channels, _, known in (augment(tile()), only(tile(), subset.inputs, layout)):
        assert not channels[[0, 2, 3, 4, 6]].any()
        assert (channels[5] == 1).all()
        assert known.all()


def test_a_pixel_that_only_an_image_before_saw_is_not_learned(inputs, layout):
    """Its label would be learned from what says nothing of it."""
    both = InputSubset(inputs=("s1-before", "s2-after"), weight=1)
    made = tile(observed=0.5)
    _, _, known = only(made, both.inputs, layout)
    np.testing.assert_array_equal(known[0], made.observed[2])
    augment = Augmenter(inputs, layout, Augmentation(flips=False), (both,), 32)
    np.testing.assert_array_equal(augment(made)[2][0], made.observed[2])


def test_a_pixel_that_no_kept_slot_saw_is_not_learned(layout):
    made = tile(observed=0.5)
    channels, _, known = only(made, ("s2-after",), layout)
    np.testing.assert_array_equal(known[0], made.observed[2])
    assert not channels[2:4, ~known[0]].any()


def test_subsets_come_up_by_their_weights(inputs, layout):
    subsets = (ALL.model_copy(update={"weight": 3}), InputSubset(inputs=("s1-after",), weight=1))
    augment = Augmenter(inputs, layout, Augmentation(flips=False), subsets, 32)
    torch.manual_seed(0)
    whole = np.mean([bool(augment(tile())[0][6].any()) for _ in range(400)])
    assert whole == pytest.approx(0.75, abs=0.07)


def test_jitter_is_one_gain_and_one_offset_a_band():
    torch.manual_seed(1)
    bands = torch.randn(2, 16, 16)
    moved = changed(bands, Jitter(gain=0.5, offset=1.0))
    for before, after in zip(bands, moved, strict=True):
        slope, offset = np.polyfit(before.ravel(), after.ravel(), 1)
        np.testing.assert_allclose(before * slope + offset, after, atol=1e-4)
    assert not torch.equal(moved, bands)
    assert torch.equal(changed(bands, Jitter()), bands)


def test_a_larger_tile_is_cut_and_a_smaller_one_is_padded(inputs, layout):
    augment = Augmenter(inputs, layout, Augmentation(), (ALL,), 32)
    for size in (20, 50):
        channels, target, known = augment(tile(size))
        assert channels.shape == (7, 32, 32)
        assert target.shape == known.shape == (1, 32, 32)
        assert known.sum() == min(size, 32) ** 2


def test_haze_is_strongest_in_the_blue_and_in_units_of_reflectance(inputs):
    bands = ("blue", "red", "swir22")
    entry = inputs[2].model_copy(
        update={"bands": bands, "mean": (0.0,) * 3, "std": (0.5, 0.1, 0.1)}
    )
    torch.manual_seed(2)
    added = torch.stack([haze(entry, Jitter(haze=0.1)).flatten() for _ in range(300)])
    reflectance = added * torch.tensor(entry.std)
    assert (reflectance[:, 0] > reflectance[:, 1]).all()
    assert (reflectance[:, 1] > reflectance[:, 2]).all()
    assert 0.095 < reflectance[:, 0].max() <= 0.1
    # The square of the ratio of the wavelengths, 0.492 and 2.202 um.
    np.testing.assert_allclose(reflectance[:, 2] / reflectance[:, 0], 0.0499, rtol=0.01)
    assert not haze(entry, Jitter()).any()


def test_holes_are_not_seen_and_another_image_answers_for_them(inputs, layout):
    jitter = {"reflectance": Jitter(holes=1.0)}
    augment = Augmenter(inputs, layout, Augmentation(jitter=jitter), (ALL,), 32)
    torch.manual_seed(3)
    for _ in range(20):
        channels, _, known = augment(tile())
        hole = channels[6] == 0
        assert 0.03 < hole.float().mean() < 0.7
        assert not channels[2:4, hole].any()
        assert (channels[4:6] == 1).all()
        assert known.all()


def test_what_lies_in_a_hole_of_the_only_image_is_not_learned(inputs, layout):
    subset = InputSubset(inputs=("s2-after",), weight=1)
    plan = Augmentation(jitter={"reflectance": Jitter(holes=1.0)})
    torch.manual_seed(3)
    channels, _, known = Augmenter(inputs, layout, plan, (subset,), 32)(tile())
    np.testing.assert_array_equal(known[0], channels[6] == 1)
    assert 0.3 < known.float().mean() < 0.97


def test_clouds_hang_together():
    """Far fewer of their pixels lie at an edge than of as many thrown at random."""
    torch.manual_seed(5)
    for _ in range(20):
        cover = clouds((128, 96)).numpy()
        edges = (cover[:, 1:] != cover[:, :-1]).mean()
        assert cover.shape == (128, 96)
        assert edges < 0.3 * 2 * cover.mean() * (1 - cover.mean())


def test_a_event_free_tile_shows_two_dates_without_a_flood_between(inputs, layout):
    """Each way comes up: twice before, twice after, or the flood going away; and nothing else."""
    assert layout.pairs == ((0, 1),)  # the optical image after has none before
    before, after = torch.zeros(4, 4), torch.ones(4, 4)
    channels = torch.stack([before, after, after, after, *[torch.ones(4, 4)] * 3])
    observed = torch.stack([after > 0, after > 0, after > 0])
    torch.manual_seed(6)
    shown = set()
    for _ in range(40):
        event_free, there = remove_event(
            channels, observed, layout, names=("s1-before", "s1-after")
        )
        assert there.all()
        shown.add((float(event_free[0].mean()), float(event_free[1].mean())))
    assert shown == {(0.0, 0.0), (1.0, 1.0), (1.0, 0.0)}
    np.testing.assert_array_equal(channels[:2], torch.stack([before, after]))
    for _ in range(10):
        alone, _ = remove_event(channels, observed, layout, names=("s1-after",))
        assert not alone[1].any()


def test_nothing_is_to_be_found_in_a_event_free_tile(inputs, layout):
    pair = InputSubset(inputs=("s1-before", "s1-after"), weight=1)
    augment = Augmenter(inputs, layout, Augmentation(without_event=0.5), (pair,), 32)
    torch.manual_seed(7)
    found = [bool(augment(tile())[1].any()) for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def rare(size=128):
    """A tile with one small thing to find, far from its middle."""
    made = tile(size)
    target = torch.zeros_like(made.target)
    target[0, 10:14, 100:104] = True
    return Tile(made.channels, made.observed, target, made.known)


def test_examples_are_centred_on_what_is_rare(inputs, layout):
    torch.manual_seed(8)
    for share, low, high in ((0.0, 0.0, 0.3), (1.0, 1.0, 1.0), (0.5, 0.4, 0.75)):
        augment = Augmenter(inputs, layout, Augmentation(centred=share), (ALL,), 32)
        found = np.mean([bool(augment(rare())[1].any()) for _ in range(100)])
        assert low <= found <= high, share


def test_an_image_after_is_shifted_and_one_before_and_the_labels_are_not(layout):
    made = tile(40)
    torch.manual_seed(9)
    ways = set()
    for _ in range(60):
        channels, observed = shifted(made.channels, made.observed, layout, most_px=2)
        np.testing.assert_array_equal(channels[0], made.channels[0])
        rows, cols = (slice(4, 36) for _ in range(2))
        (way,) = (
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(
                channels[1, rows, cols],
                made.channels[1, 4 - down : 36 - down, 4 - right : 36 - right],
            )
        )
        ways.add(way)
        # What comes in at the edges was not observed, and is as many rows and columns as it moved.
        assert (~observed[1]).sum() == 1600 - (40 - abs(way[0])) * (40 - abs(way[1]))
        assert observed[0].all()
    assert len(ways) > 15
