"""A network asked everywhere: the windows leave no trace, and what was not seen has no answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from flows.reports.progress import QuietProgress
from geo.raster.coregistration import BlockShift, ShiftField
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from models.damage.buildings import pair_of
from models.damage.detection import search
from tests.models.damage.finder import SeesRoofs
from tests.models.damage.town import HOUSE_PX, SIDE_PX, Town, image, make_town
from tests.rasters import UTM, north_up, scene_of

GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(step=0.5), UTM)
STILL = ShiftField((), 4.0)


def searched(town: Town, folder: Path, *, after: ShiftField = STILL, **card: Any) -> Any:
    """Return both bands, (2, rows, cols)."""
    finder = SeesRoofs.made(**card)
    said = {"sensor": "vhr-rgb"}
    scenes = [scene_of(town.before, Phase.BEFORE, **said), scene_of(town.after, **said)]
    pair, path = pair_of(finder.card, scenes, Preference.NEWEST), folder / "searched.tif"
    search(finder, pair, GRID, after=after, path=path, progress=QuietProgress())
    with rasterio.open(path) as file:
        return file.read()


def moved(down: float, right: float, *, torn: bool = False) -> ShiftField:
    """Return blocks that all lie as far off, or those on the right each somewhere else."""
    far = {100: 40, 300: -40, 500: 40} if torn else {}
    return ShiftField(
        tuple(
            BlockShift(row, col, down + (far.get(row, 0) if col == 500 else 0), right, 9)
            for row in (100, 300, 500)
            for col in (100, 300, 500)
        ),
        4.0,
    )


def test_windows_of_any_size_say_the_same(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    small = searched(town, tmp_path, window_px=128, overlap_px=32)
    np.testing.assert_array_equal(searched(town, tmp_path, window_px=1024), small)
    built, damage = small
    assert set(np.unique(built)) == {2, 95} and set(np.unique(damage)) == {10, 90}
    assert (built == 95).sum() == len(town.destroyed) * HOUSE_PX**2


def test_what_an_image_did_not_see_has_no_answer(tmp_path: Path) -> None:
    town = make_town(tmp_path)
    unseen = np.zeros((SIDE_PX, SIDE_PX), bool)
    unseen[:120] = True
    with rasterio.open(town.after) as file:
        pixels = file.read()
    after = image(tmp_path / "hole" / "after.tif", pixels, mask=~unseen)
    bands = searched(Town(town.before, after, town.buildings, town.destroyed), tmp_path)
    assert (bands == 255).tolist() == [unseen.tolist()] * 2


def test_the_image_after_is_read_where_it_lies(tmp_path: Path) -> None:
    there = searched(make_town(tmp_path), tmp_path)
    town = make_town(tmp_path, after_moved=(9, -12))
    found = searched(town, tmp_path, after=moved(9, -12))
    inner = np.s_[:, 20:-20, 20:-20]
    assert (found[inner] == there[inner]).mean() > 0.999
    assert (searched(town, tmp_path)[inner] == there[inner]).mean() < 0.95


def test_damage_is_not_judged_where_the_blocks_contradict_each_other(tmp_path: Path) -> None:
    built, damage = searched(
        make_town(tmp_path), tmp_path, after=moved(0, 0, torn=True), window_px=128, overlap_px=32
    )
    assert (damage[:, 600:] == 255).all() and not (damage[:, :200] == 255).any()
    assert not (built == 255).any()


@pytest.mark.parametrize("window_px", [64, 512])
def test_memory_is_of_the_window_and_the_width(tmp_path: Path, window_px: int) -> None:
    asked: list[tuple[int, ...]] = []

    class Watched(SeesRoofs):
        def probabilities(self, before: Any, after: Any) -> Any:
            asked.append(before.shape)
            return super().probabilities(before, after)

    town = make_town(tmp_path)
    finder = Watched(SeesRoofs.made(window_px=window_px, overlap_px=16).card)
    said = {"sensor": "vhr-rgb"}
    scenes = [scene_of(town.before, Phase.BEFORE, **said), scene_of(town.after, **said)]
    pair = pair_of(finder.card, scenes, Preference.NEWEST)
    search(finder, pair, GRID, after=STILL, path=tmp_path / "s.tif", progress=QuietProgress())
    assert {shape[1:] for shape in asked} == {(window_px, window_px)}
