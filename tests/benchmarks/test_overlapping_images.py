import csv
import subprocess
import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from tests.benchmarks.overlapping_images import groups_of
from tests.models.datasets.made import write_image


def ground(seed, size=200):
    """Fields and paths: detail at several scales."""
    noise = np.random.default_rng(seed).random((2, size, size), np.float32)
    return sum(gaussian_filter(noise, (0, s, s)) * s for s in (1, 2, 4)) * 1000


def chips():
    """Two places: three chips of the first that overlap in a chain, one of the second."""
    first, second = ground(1), ground(2)
    return [
        first[:, :64, :64],
        second[:, :64, :64],
        # Another light: another gain and offset.
        first[:, 24:88, 16:80] * 1.4 + 50,
        first[:, 60:124, 40:104],
    ]


def test_chips_that_overlap_directly_or_through_another_share_a_group():
    one, other, two, three = groups_of(chips())
    assert one == two == three
    assert other != one


def test_chips_without_detail_are_places_of_their_own():
    flat = np.full((1, 32, 32), 7, np.float32)
    assert len(set(groups_of([flat, flat]).tolist())) == 2


def test_the_command_writes_a_group_for_each_file(tmp_path):
    for number, chip in enumerate(chips()):
        write_image(tmp_path / f"{number}.tif", chip.astype(np.uint16))
    command = [sys.executable, "-m", "tests.benchmarks.overlapping_images", str(tmp_path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = {row["stem"]: row["group"] for row in csv.DictReader(out.splitlines())}
    assert rows["0"] == rows["2"] == rows["3"] != rows["1"]
