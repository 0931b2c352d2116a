"""A regression is adapted to labelled buildings, which it is given as those of a map."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox

from flows.reports.progress import QuietProgress
from geo.scenes.scene import Phase
from geo.scenes.source import Preference
from geo.vector.area_of_interest import parse_area
from models.adaptation.adapt import adapt_buildings
from models.adaptation.labels import NONE, LabelledBuildings, read_labels
from models.cards.registry import CardRef, find
from models.damage.buildings import Buildings, pair_of
from models.damage.grade_buildings import grade_all
from models.datasets.vocabulary import DAMAGE
from models.errors import LabelsInvalid
from models.inference.model import load_model
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import SIDE_PX, make_town
from tests.models.damage.town import Town as Made
from tests.rasters import UTM, north_up, scene_of

GRID = GeoBox((SIDE_PX, SIDE_PX), north_up(step=0.5), UTM)
AREA = parse_area(shapely.geometry.mapping(GRID.extent.to_crs("EPSG:4326").geom))
LABELLED = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_town(tmp_path_factory.mktemp("town"), after_moved=(6, -4), footprints_moved=(5, 3))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> CardRef:
    """Bright is destroyed, which is wrong."""
    folder = tmp_path_factory.mktemp("card")
    dark_is_destroyed(folder, window_px=256, overlap_px=64)
    ref = find(folder)
    turned = ref.card.architecture.model_copy(
        update={"damaged": ref.card.architecture.damaged.model_copy(update={"coefficients": (1,)})}
    )
    return CardRef(ref.card.model_copy(update={"architecture": turned}), folder)


def town(made: Made, parent: CardRef, path: Path, words: list[str | None]) -> LabelledBuildings:
    """Return a town with labels in the order of its file of buildings."""
    frame = gpd.read_file(made.buildings)
    frame["damage_gra"] = words
    frame.to_crs(UTM).to_file(path, layer="labels")
    said = {"sensor": "vhr-rgb"}
    scenes = [scene_of(made.before, Phase.BEFORE, **said), scene_of(made.after, **said)]
    return LabelledBuildings.of(
        pair_of(parent.card, scenes, Preference.NEWEST), GRID,
        read_labels(path, AREA, DAMAGE), checked=True, progress=QuietProgress(),
    )  # fmt: skip


def words_of(made: Made, count: int) -> list[str | None]:
    said = ["Destroyed" if gone else "No visible damage" for gone in made.destroyed]
    return [*said[:count], *[None] * (len(said) - count)]


def test_labels_that_contradict_the_parent_improve_it(
    made: Made, parent: CardRef, tmp_path: Path
) -> None:
    there = town(made, parent, tmp_path / "l.gpkg", words_of(made, LABELLED))
    found = adapt_buildings(parent.card, there, QuietProgress())
    assert found.helped
    assert found.used.tolist() == list(range(LABELLED))
    scores = {score.measure: score for score in found.scores()}
    assert scores["log_loss"].adapted < scores["log_loss"].parent
    assert scores["accuracy"].parent < 0.5
    # The rest of the town, as a map grades it.
    grades = grade_all(
        load_model(CardRef(found.card, parent.folder), "grades"), there.pair, GRID,
        buildings=there.placed.buildings, checked=True, progress=QuietProgress(),
    )  # fmt: skip
    damaged = np.array([word == "destroyed" for word in grades.grades.columns()["damage_xbd"]])
    assert (damaged == made.destroyed)[LABELLED:].mean() > 0.9


def test_labels_have_the_features_of_a_map(made: Made, parent: CardRef, tmp_path: Path) -> None:
    """The parent's answers for labels are those that it would publish, neighbours and all."""
    there = town(made, parent, tmp_path / "l.gpkg", words_of(made, LABELLED))
    found = adapt_buildings(parent.card, there, QuietProgress())
    again = town(made, parent, tmp_path / "again.gpkg", words_of(made, LABELLED))
    grades = grade_all(
        load_model(parent, "grades"), again.pair, GRID,
        buildings=Buildings.on(GRID, again.labels.outlines), checked=True,
        progress=QuietProgress(),
    )  # fmt: skip
    np.testing.assert_allclose(
        found.parent, grades.grades.probabilities[:LABELLED], rtol=1e-4, atol=1e-6
    )


def test_labels_that_no_image_shows_are_counted(
    made: Made, parent: CardRef, tmp_path: Path
) -> None:
    words: list[str | None] = ["Destroyed", "Damaged", *[None] * (len(made.destroyed) - 2)]
    there = town(made, parent, tmp_path / "l.gpkg", words)
    there.labels.codes[5] = 1
    there.placed.shifts[5] = np.nan
    assert (there.labels.codes != NONE).sum() == 3
    with pytest.raises(
        LabelsInvalid, match=r"has 2 usable labels .* \(.*1 too small, or not observed"
    ):
        adapt_buildings(parent.card, there, QuietProgress())
