"""The page of a detector on made tiles, whose answer follows from their pixels."""

import json
import re

import numpy as np
import pytest
from skimage.io import imread

from flows.cli.app import run
from flows.reports.progress import QuietProgress
from models.cards.card import ModelCard, read_card
from models.cards.registry import find
from models.datasets.catalog import open_set
from models.evaluation.model_page import (
    draw_calibration,
    draw_groups,
    draw_worst,
    measure,
    page_text,
    read_plan,
    with_scores,
    write_page,
)
from models.networks.detectors import DetectorModel
from tests.models.datasets.made import write_ombria

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PLAN = """
about = "Made for a test."
not_for = ["Anything but this test."]

[[sets]]
name = "Made tiles"
kind = "ombria"
folder = "tiles"
split = "test"
about = "Tiles that a test made."
groups = "a block of numbers"
origin = "this test"
licence = "none stated"
thumbnails = true
subsets = [
  { name = "both", drop = ["s1-before", "s1-after"] },
  { name = "after", drop = ["s1-before", "s1-after", "s2-before"] },
]
"""


def water(*, above=0.0):
    """Return the detector of water above an NDWI."""
    card = find("ndwi-water").card.model_dump()
    card["architecture"]["parameters"]["water"]["fixed"] = above
    card["scores"] = ()
    changed = ModelCard.model_validate(card)
    return DetectorModel.of(changed)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of data: nine tiles in three groups, and the plan of the page."""
    folder = tmp_path_factory.mktemp("data")
    numbers = [20 * group + number for group in range(3) for number in (1, 2, 3)]
    write_ombria(folder / "tiles", numbers, split="test")
    (folder / "page.toml").write_text(PLAN)
    return folder


def measured(root, *, model=None):
    plan = read_plan(root / "page.toml")
    return measure(model or water(), plan, root=root, progress=QuietProgress())


def written(root, folder, **how):
    plan = read_plan(root / "page.toml")
    return write_page(plan, measured(root, **how), find("ndwi-water"), folder)


@pytest.fixture(scope="module")
def page(root, tmp_path_factory):
    """The folder of a page, and its text."""
    folder = tmp_path_factory.mktemp("page")
    path = written(root, folder)
    return folder, path.read_text()


def test_a_page_is_titled_as_the_shelf_wants_and_shows_every_picture(page):
    folder, text = page
    assert text.startswith("# ndwi-water\n")
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert {path.name for path in folder.iterdir()} == {*shown, "README.md", "card.json"}
    assert len(shown) == 3
    for name in shown:
        assert (folder / name).stat().st_size < 200_000
        assert imread(folder / name).std() > 0


def test_the_page_names_the_card_that_lies_beside_it(page):
    folder, text = page
    card = read_card(folder / "card.json")
    assert all(f" {score.value:.3f}" in text for score in card.scores)
    assert [s.measure for s in card.scores] == ["iou", "ece", "iou"]
    assert card.tested_on == "Made tiles, test (9 images)"


def test_the_table_of_a_page_is_what_evaluate_prints(page, root, capsys):
    _, text = page
    arguments = ["evaluate", "--model", "ndwi-water", "--dataset", "ombria", "--root"]
    arguments += [str(root / "tiles"), "--split", "test", "--drop", "s1-before", "--drop"]
    assert run([*arguments, "s1-after", "--json", "--direct"]) == 0
    printed = json.loads(capsys.readouterr().out)
    row = next(line for line in text.splitlines() if line.startswith("| both "))
    for name in ("iou", "precision", "recall", "f1", "iou_per_tile_mean", "ece"):
        assert f" {printed[name]:.3f} " in row, name


def test_the_same_measurements_give_the_same_bytes(page, root, tmp_path):
    folder, _ = page
    written(root, tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_scores_of_other_seeds_and_folds_are_kept_while_they_hold(root, tmp_path):
    sets = measured(root)
    card = with_scores(find("ndwi-water").card, sets)
    ious = (card.scores[0].value, 0.5, 0.75)
    seeds = card.scores[0].model_copy(update={"trainings": ious, "trainings_differ_in": "seed"})
    folds = {"trainings": (0.25, 0.5), "trainings_differ_in": "fold", "split": "2 folds"}
    kept = (seeds, *card.scores[1:], card.scores[0].model_copy(update=folds))
    card = card.model_copy(update={"scores": kept})
    assert with_scores(card, sets).scores == kept
    plan = read_plan(root / "page.toml")
    mean, deviation = np.mean(ious), np.std(ious, ddof=1)
    assert f"3 seeds {mean:.3f} ± {deviation:.3f}" in page_text(card, plan, sets)
    # Another model: those of other seeds are of no use any more.
    moved = with_scores(card, measured(root, model=water(above=0.3)))
    assert moved.scores[0].trainings == ()
    assert moved.scores[-1] == kept[-1]


def test_the_worst_tiles_are_those_of_least_iou(root):
    part = measured(root)[0]
    ious = {tile.name: tile.counts.iou for tile in part.scores.tiles}
    shown = [entry.counts.name for entry in part.worst]
    assert [ious[name] for name in shown] == sorted(ious.values())[:6]
    labelled = open_set(part.plan.kind, root / "tiles", split="test")
    samples = {sample.name: sample for sample in labelled}
    for entry in part.worst:
        assert [image.bands for image in entry.images] == [
            samples[shown[0]].images["s2-after"].bands
        ]
        np.testing.assert_array_equal(entry.sample.target, samples[entry.counts.name].target)


@pytest.mark.parametrize(
    ("line", "images"), [("thumbnails = false", 0), ("pictures = false", None)]
)
def test_a_plan_leaves_out_images_or_pictures_of_tiles(root, tmp_path, line, images):
    plan = tmp_path / "page.toml"
    plan.write_text(PLAN.replace("thumbnails = true", line))
    sets = measure(water(), read_plan(plan), root=root, progress=QuietProgress())
    text = write_page(read_plan(plan), sets, find("ndwi-water"), tmp_path).read_text()
    if images is None:
        assert not sets[0].worst
        assert not [path for path in tmp_path.iterdir() if path.suffix == ".jpg"]
        assert "worst.jpg" not in text and "calibration.png" in text
        return
    assert [len(tile.images) for tile in sets[0].worst] == [images] * len(sets[0].worst)
    assert "the images are not shown" in text


def test_pictures_follow_their_figures(root):
    moved, part = measured(root, model=water(above=0.2))[0], measured(root)[0]
    both, after = (row.scores for row in moved.rows)
    other = part.scores
    assert draw_calibration(both, "water") == draw_calibration(after, "water")
    assert draw_calibration(both, "water") != draw_calibration(other, "water")
    assert draw_groups(moved) != draw_groups(part)
    assert draw_worst(moved.worst, threshold=0.5) != draw_worst(part.worst, threshold=0.5)
