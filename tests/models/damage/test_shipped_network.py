"""The scores on the card of damage-vhr, measured again on the tile that it did not learn from."""

import numpy as np
import pytest
import rasterio
import shapely
import torch
from rasterio.enums import Resampling
from rasterio.warp import reproject
from sklearn.metrics import f1_score

from flows.reports.progress import QuietProgress
from geo.imagery.mosaic import SceneMosaic
from geo.raster.grid import GridChoice, crs_of, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase
from geo.scenes.source import Source
from geo.vector.area_of_interest import parse_area
from models.cards.registry import find
from models.damage.grader import graded_mask
from models.datasets.xbd import open_xbd
from models.evaluation.evaluate import evaluate_damage
from models.inference.model import load_model

torch.set_num_threads(1)
CLOSE = 0.005
NAME, OTHER_TILE, ACCRA = "damage-vhr", "00000002", "665946_tile_920"


@pytest.mark.data
def test_the_network_is_worth_what_its_card_says(data_dir):
    ref = find(NAME)
    scores = [
        score
        for score in ref.card.scores
        if score.dataset == "xBD" and score.trainings_differ_in is None
    ]
    assert {score.split for score in scores} == {OTHER_TILE}
    labelled = open_xbd(data_dir / "joplin_xbd", OTHER_TILE)
    grader = load_model(ref, "grades", device="cpu")
    done = evaluate_damage(grader, labelled, progress=QuietProgress()).as_json()
    for score in scores:
        assert done[score.measure] == pytest.approx(score.value, abs=CLOSE), score.metric
        assert done["n"] == score.n


@pytest.mark.data
def test_it_hardly_finds_a_roof_of_accra_as_its_card_says(data_dir):
    """One picture stands for both dates; a pixel is roof where most of its mask of 2 cm is."""
    ref = find(NAME)
    (score,) = [score for score in ref.card.scores if score.split == ACCRA]
    scenes = scenes_of(
        Source(str(data_dir / "opencities_drone" / f"{ACCRA}.tif"), sensor="drone-rgb"),
        Phase.BEFORE,
    )
    area = parse_area(shapely.geometry.mapping(scenes[0].footprint))
    grid = lay_grid(area, scenes, GridChoice(resolution_m=ref.card.resolution_m))
    picture = SceneMosaic(scenes, ("red", "green", "blue")).read(grid).pixels
    roofs = np.zeros(grid.shape, np.float32)
    with rasterio.open(data_dir / "opencities_drone" / f"{ACCRA}_mask.tif") as mask:
        reproject(
            mask.read(1).astype(np.float32), roofs, src_transform=mask.transform, src_crs=mask.crs,
            dst_transform=grid.affine, dst_crs=crs_of(grid), resampling=Resampling.average,
        )  # fmt: skip
    finder = load_model(ref, "footprints", device="cpu")
    found = graded_mask(ref.card, finder.probabilities(picture, picture)) > 0
    f1 = f1_score((roofs >= 127.5).ravel(), found.ravel())
    assert f1 == pytest.approx(score.value, abs=0.02)


def test_it_answers_where_both_dates_were_seen_and_only_there():
    grader = load_model(find(NAME), "grades", device="cpu")
    before, after = np.random.default_rng(1).uniform(0, 255, (2, 3, 70, 130)).astype(np.float32)
    after[1, :5] = np.nan
    answer = grader.probabilities(before, after)
    assert np.isnan(answer[:, :5]).all()
    assert ((answer[:, 5:] >= 0) & (answer[:, 5:] <= 1)).all()
    # So bad or worse: none of them is likelier than the one before.
    assert (np.diff(answer[1:, 5:], axis=0) <= 0).all()


def test_its_card_says_that_it_learned_from_one_tornado():
    assert "one tornado" in find(NAME).card.limits[0]
