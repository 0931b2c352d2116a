"""Every combination of what can be seen and found, and what must never be said of the unseen."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.raster.classify import NODATA_PERCENT, REASONS, Finding, Label, Observation, classify

THRESHOLD = 0.5
FLAGS = (False, True)
ONE = (1, 1)


def one(
    probabilities: dict[Finding, float], *, inside: bool = True, valid: bool = True,
    before: bool = True, reason: Label = Label.CLOUD,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Classify one pixel: label, hydrography, per cent of the event and of reference water."""
    done = classify(
        {finding: np.full(ONE, p, np.float32) for finding, p in probabilities.items()},
        dict.fromkeys(probabilities, THRESHOLD),
        Observation(
            np.full(ONE, inside), np.full(ONE, valid), np.full(ONE, before),
            np.full(ONE, 0 if valid else reason, np.uint8),
        ),
    )  # fmt: skip
    rasters = (done.label, done.hydrography, done.event_percent, done.reference_percent)
    assert all(raster.dtype == np.uint8 and raster.shape == ONE for raster in rasters)
    label, hydrography, event, reference = (int(raster[0, 0]) for raster in rasters)
    return label, hydrography, event, reference


WATER = {
    # (before seen, water before, water after): label, hydrography, event per cent
    (True, False, False): (Label.UNAFFECTED, 0, 20),
    (True, False, True): (Label.EVENT, 0, 70),
    (True, True, False): (Label.RECEDED_WATER, Label.RECEDED_WATER, 10),
    (True, True, True): (Label.REFERENCE_WATER, Label.REFERENCE_WATER, 10),
    (False, False, False): (Label.UNAFFECTED, 0, 20),
    (False, False, True): (Label.UNDATED_WATER, 0, 80),
    # What the probability before says where nothing was seen before counts for nothing.
    (False, True, False): (Label.UNAFFECTED, 0, 20),
    (False, True, True): (Label.UNDATED_WATER, 0, 80),
}


@pytest.mark.parametrize(("inside", "valid"), product(FLAGS, FLAGS))
@pytest.mark.parametrize("case", WATER)
def test_water_of_two_dates(case: tuple[bool, bool, bool], inside: bool, valid: bool) -> None:
    before, was_wet, is_wet = case
    label, hydrography, event = WATER[case]
    found = {
        Finding.WATER: 0.8 if is_wet else 0.2,
        Finding.REFERENCE_WATER: 0.9 if was_wet else 0.3,
    }
    reference = (90 if was_wet else 30) if before else NODATA_PERCENT
    if not valid:
        label, event = Label.CLOUD, NODATA_PERCENT
        hydrography = Label.CLOUD if before and was_wet else 0
    if not inside:
        label, hydrography, event, reference = Label.OUTSIDE, 0, NODATA_PERCENT, NODATA_PERCENT
    assert one(found, inside=inside, valid=valid, before=before) == (
        label, hydrography, event, reference,
    )  # fmt: skip


@pytest.mark.parametrize(("inside", "valid", "before", "is_wet"), product(FLAGS, repeat=4))
def test_water_of_one_date_is_never_called_flood(
    inside: bool, valid: bool, before: bool, is_wet: bool
) -> None:
    label = Label.UNDATED_WATER if is_wet else Label.UNAFFECTED
    label = label if valid else Label.CLOUD
    event = (80 if is_wet else 20) if valid and inside else NODATA_PERCENT
    found = {Finding.WATER: 0.8 if is_wet else 0.2}
    assert one(found, inside=inside, valid=valid, before=before) == (
        label if inside else Label.OUTSIDE, 0, event, NODATA_PERCENT,
    )  # fmt: skip


@pytest.mark.parametrize("finding", [Finding.FLOOD, Finding.BURNT])
@pytest.mark.parametrize(("inside", "valid", "before", "struck"), product(FLAGS, repeat=4))
def test_a_change(finding: Finding, inside: bool, valid: bool, before: bool, struck: bool) -> None:
    undated = finding is Finding.FLOOD and not before
    label = (Label.UNDATED_WATER if undated else Label.EVENT) if struck else Label.UNAFFECTED
    label = label if valid else Label.CLOUD
    event = (80 if struck else 20) if valid and inside else NODATA_PERCENT
    assert one({finding: 0.8 if struck else 0.2}, inside=inside, valid=valid, before=before) == (
        label if inside else Label.OUTSIDE, 0, event, NODATA_PERCENT,
    )  # fmt: skip


@pytest.mark.parametrize(("valid", "before", "was_wet", "struck"), product(FLAGS, repeat=4))
def test_what_was_water_before_is_not_flooded(
    valid: bool, before: bool, was_wet: bool, struck: bool
) -> None:
    found = {
        Finding.FLOOD: 0.8 if struck else 0.2,
        Finding.REFERENCE_WATER: 0.9 if was_wet else 0.3,
    }
    label, hydrography, event, reference = one(found, valid=valid, before=before)
    if not valid:
        expected = Label.CLOUD
    elif before and was_wet:
        expected = Label.REFERENCE_WATER
    elif struck:
        expected = Label.EVENT if before else Label.UNDATED_WATER
    else:
        expected = Label.UNAFFECTED
    assert label == expected
    wet_before = before and was_wet
    assert hydrography == ((Label.REFERENCE_WATER if valid else Label.CLOUD) if wet_before else 0)
    assert (event == NODATA_PERCENT) == (not valid)
    assert (reference == NODATA_PERCENT) == (not before)


@pytest.mark.parametrize(("inside", "valid", "before"), product(FLAGS, repeat=3))
def test_without_a_model_nothing_is_said(inside: bool, valid: bool, before: bool) -> None:
    label = (Label.NO_MODEL if valid else Label.CLOUD) if inside else Label.OUTSIDE
    nothing = (0, NODATA_PERCENT, NODATA_PERCENT)
    assert one({}, inside=inside, valid=valid, before=before) == (label, *nothing)


@pytest.mark.parametrize("finding", [Finding.WATER, Finding.FLOOD])
def test_the_threshold_itself_counts(finding: Finding) -> None:
    assert one({finding: THRESHOLD})[0] in (Label.UNDATED_WATER, Label.EVENT)
    assert one({finding: np.nextafter(np.float32(THRESHOLD), 0)})[0] == Label.UNAFFECTED


@pytest.mark.parametrize(
    ("probability", "percent"), [(0, 0), (1, 100), (1.0000001, 100), (0.996, 100)]
)
def test_per_cent_end_at_100(probability: float, percent: int) -> None:
    assert one({Finding.BURNT: probability})[2] == percent


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_stays(reason: Label) -> None:
    assert one({Finding.WATER: 1.0}, valid=False, reason=reason)[0] == reason


MODELS: list[tuple[Finding, ...]] = [
    (), (Finding.WATER,), (Finding.WATER, Finding.REFERENCE_WATER), (Finding.FLOOD,),
    (Finding.FLOOD, Finding.REFERENCE_WATER), (Finding.BURNT,),
]  # fmt: skip


@given(seed=st.integers(0, 999), findings=st.sampled_from(MODELS))
@settings(max_examples=60, deadline=None)
def test_the_unseen_is_never_called_dry_or_struck(seed: int, findings: tuple[Finding, ...]) -> None:
    rng = np.random.default_rng(seed)
    shape = (12, 17)
    inside, valid, before = (rng.random(shape) < 0.7 for _ in range(3))
    reason = np.where(valid, 0, rng.choice(list(map(int, REASONS)), shape)).astype(np.uint8)
    found = {finding: rng.random(shape).astype(np.float32) for finding in findings}
    for probability in found.values():
        probability[rng.random(shape) < 0.1] = np.nan  # blending leaves any value where not valid
    done = classify(
        found, dict.fromkeys(findings, THRESHOLD), Observation(inside, valid, before, reason)
    )
    np.testing.assert_array_equal(done.label == Label.OUTSIDE, ~inside)
    unseen = inside & ~valid
    np.testing.assert_array_equal(done.label[unseen], reason[unseen])
    seen = inside & valid
    said = done.label[seen]
    assert ((said >= Label.UNAFFECTED) & (said <= Label.RECEDED_WATER)).all() or not findings
    assert (said == Label.NO_MODEL).all() or findings
    has_event = seen & bool(findings)
    np.testing.assert_array_equal(done.event_percent == NODATA_PERCENT, ~has_event)
    has_reference = inside & before & (Finding.REFERENCE_WATER in findings)
    np.testing.assert_array_equal(done.reference_percent == NODATA_PERCENT, ~has_reference)
    for percent in (done.event_percent, done.reference_percent):
        assert ((percent <= 100) | (percent == NODATA_PERCENT)).all()
    # Flood needs a dry "before"; hydrography needs a wet one.
    if Finding.BURNT not in findings:
        assert before[done.label == Label.EVENT].all()
    assert (inside & before)[done.hydrography > 0].all()
    water = np.isin(done.label, (Label.REFERENCE_WATER, Label.RECEDED_WATER))
    np.testing.assert_array_equal(done.hydrography[water], done.label[water])
    assert (done.hydrography[unseen & (done.hydrography > 0)] >= Label.NO_IMAGERY).all()


def test_the_labels_that_files_hold_do_not_move() -> None:
    assert {label.name: label.value for label in Label} == {
        "OUTSIDE": 0, "UNAFFECTED": 1, "EVENT": 2, "UNDATED_WATER": 3, "REFERENCE_WATER": 4,
        "RECEDED_WATER": 5, "COMPARED": 6, "NO_IMAGERY": 10, "NO_DATA": 11, "CLOUD": 12,
        "CLOUD_SHADOW": 13, "RADAR_SHADOW": 14, "OUT_OF_DOMAIN": 15, "NO_MODEL": 16,
    }  # fmt: skip
    assert set(REASONS) == {label for label in Label if label >= Label.NO_IMAGERY}
