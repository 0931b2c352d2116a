"""A pair of pictures without footprints: buildings and damaged ground are found, or refused."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from flows.config import RequestInvalid, Settings
from flows.mapping import steps
from flows.mapping.map_run import map_event
from flows.mapping.photo_plan import plan_photos
from flows.mapping.plan import find_scenes, make_plan
from flows.mapping.records import Published
from flows.reports.progress import QuietProgress
from flows.request import MapRequest, make_request
from flows.review.explain_feature import find_feature
from geo.raster.classify import Label
from geo.store.manifest import read_product
from geo.vector.schema import OUTLINE_FOUND, OUTLINE_GIVEN
from models.cards.registry import CardRef
from models.errors import InputsMismatch, NoModelFits
from models.inference.model import load_model
from tests.flows.passing import only_records
from tests.models.damage.finder import NAMES, SeesRoofs, write_finder
from tests.models.damage.made_card import dark_is_destroyed
from tests.models.damage.town import Town, image, make_town
from tests.rasters import UTM

OFF = (6, -4)
"""How far the image after lies off: 3 m down and 2 m to the left."""


def no_network(ref: CardRef, purpose: str = "pixels", *, device: str) -> Any:
    """Stand for the network of a card that has no weights."""
    found = purpose == "footprints"
    return SeesRoofs(ref.card) if found else load_model(ref, purpose, device=device)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("found")


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    dark_is_destroyed(folder / "models" / "dark")
    write_finder(folder / "models" / "roofs")
    return Settings(models=folder / "models")


@pytest.fixture(scope="module")
def town(folder: Path) -> Town:
    """A town whose west is destroyed; the image after misses the houses in the north."""
    whole = make_town(folder, after_moved=OFF, gone_west=True)
    with rasterio.open(whole.after) as file:
        pixels = file.read()
    seen = np.ones(pixels.shape[1:], bool)
    seen[:130] = False
    after = image(folder / "hole" / "after.tif", pixels, mask=seen)
    return Town(whole.before, after, whole.buildings, whole.destroyed)


def asked(town: Town, store: Path, **fields: Any) -> MapRequest:
    def picture(path: Path) -> dict[str, str]:
        return {"path": str(path), "sensor": "vhr-rgb"}

    return make_request(**{
        "event": "joplin", "hazard": "storm", "before": [picture(town.before)],
        "after": [picture(town.after)], "store": str(store),
    } | fields)  # fmt: skip


def mapped(town: Town, store: Path, settings: Settings, **fields: Any) -> Published:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "load_model", no_network)
        return map_event(asked(town, store, **fields), settings, QuietProgress(), step=only_records)


@pytest.fixture(scope="module")
def published(town: Town, settings: Settings, folder: Path) -> Published:
    return mapped(
        town, folder / "store", settings, find_buildings=True, damaged_areas=True,
        model="dark-is-destroyed",
    )  # fmt: skip


def layer(published: Published, name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(published.folder / "layers" / f"{name}.geojson").to_crs(UTM)


def houses(town: Town) -> tuple[gpd.GeoDataFrame, Any]:
    """Return the houses that both images show, and which of them are destroyed."""
    frame = gpd.read_file(town.buildings).to_crs(UTM)
    top = rasterio.open(town.after).bounds.top - 0.5 * (130 - OFF[0])
    seen = (frame.bounds["maxy"] < top).to_numpy()
    return frame[seen].reset_index(drop=True), town.destroyed[seen]


def test_the_houses_that_both_images_show_are_found_and_graded(
    published: Published, town: Town
) -> None:
    truth, gone = houses(town)
    found = layer(published, "built_up")
    one, other = shapely.STRtree(found.geometry.to_numpy()).query(truth.geometry, "intersects")
    np.testing.assert_array_equal(one, np.arange(len(truth)))
    shapes, outlines = truth.geometry.to_numpy(), found.geometry.to_numpy()[other]
    shared = shapely.area(shapely.intersection(shapes, outlines))
    assert (shared / shapely.area(shapely.union(shapes, outlines)) > 0.95).all()
    assert len(np.unique(other)) == len(truth)
    expected = np.where(gone, "Destroyed", "No visible damage")
    assert found["damage_gra"].to_numpy()[other].tolist() == expected.tolist()
    assert set(found["outline_src"]) == {OUTLINE_FOUND}
    assert found["p_building"].between(94, 96).all()
    assert found["model"].str.startswith("dark-is-destroyed ").all()


def test_the_ground_of_the_west_is_damaged(published: Published, town: Town) -> None:
    truth, gone = houses(town)
    areas = layer(published, "observed_event")
    assert set(areas["notation"]) == {"Damaged area"}
    assert areas["water_class"].isna().all()
    assert (areas["area_ha"] >= 0.03).all() and areas["confidence"].between(50, 100).all()
    damaged = areas.union_all()
    middles = truth.geometry.centroid
    assert middles[gone].within(damaged).all()
    # The column that stands beside the destroyed ones may lie in the damage; the next may not.
    stands = middles[~gone & (np.arange(len(gone)) % 11 > 5)]
    assert not stands.within(damaged).any()


def test_nothing_lies_in_unseen_ground(published: Published) -> None:
    unseen = layer(published, "not_analysed").union_all()
    assert unseen.area > 0
    for name in ("built_up", "observed_event"):
        for shape in layer(published, name).geometry:
            # The image after lies 3 m off, and so does the edge of what it shows.
            assert shape.intersection(unseen.buffer(-3.5)).area < 1
    with rasterio.open(published.folder / "rasters" / "class.tif") as raster:
        assert set(np.unique(raster.read())) <= {
            Label.OUTSIDE, Label.EVENT, Label.COMPARED, Label.NO_DATA
        }  # fmt: skip
    assert not (published.folder / "rasters" / "probability.tif").exists()


def test_the_product_says_who_found_them(published: Published, town: Town) -> None:
    summary, count = published.summary, len(layer(published, "built_up"))
    assert summary.buildings_found == count == sum(summary.buildings.values())
    notes = " ".join(summary.notes)
    assert f"{count} building outlines were found in the images by sees-roofs" in notes
    assert "F1 of building pixels was not measured" in notes
    assert "sees-roofs: It knows nothing." in notes
    assert "at least 300 m2" in notes and "other ground may be damaged, too" in notes
    assert "the image after lies 3.6 m" in notes and "the footprints lie" not in notes
    assert [(c.notation, c.layer) for c in summary.classes] == [("Damaged area", "observed_event")]
    manifest = json.loads((published.folder / "manifest.json").read_text())
    assert manifest["finder"]["name"] == "sees-roofs"
    assert manifest["model"]["name"] == "dark-is-destroyed"


def test_a_damaged_area_is_not_explained(published: Published) -> None:
    product = read_product(published.folder)
    assert product is not None
    feature = layer(published, "observed_event")["id"][0]
    with pytest.raises(RequestInvalid, match="is a damaged area"):
        find_feature(product, feature)


def test_given_footprints_keep_their_outlines_beside_damaged_areas(
    town: Town, settings: Settings, folder: Path
) -> None:
    done = mapped(
        town, folder / "given", settings, buildings=str(town.buildings), damaged_areas=True,
        model="dark-is-destroyed", min_area_m2=500,
    )  # fmt: skip
    built = layer(done, "built_up")
    assert len(built) == len(town.destroyed) and "name" in built.columns
    assert set(built["outline_src"]) == {OUTLINE_GIVEN} and built["p_building"].isna().all()
    assert (layer(done, "observed_event")["area_ha"] >= 0.05).all()
    assert done.summary.buildings_found is None
    assert not any("outlines were found" in note for note in done.summary.notes)


def test_a_place_without_buildings_is_an_answer(town: Town, tmp_path: Path) -> None:
    sure = [{"name": name, "threshold": 0.99} for name in NAMES]
    dark_is_destroyed(tmp_path / "models" / "dark")
    write_finder(tmp_path / "models" / "roofs", classes=sure)
    done = mapped(
        town, tmp_path / "store", Settings(models=tmp_path / "models"), find_buildings=True,
        damaged_areas=True, model="dark-is-destroyed",
    )  # fmt: skip
    assert layer(done, "built_up").empty and layer(done, "observed_event").empty
    assert done.summary.buildings_found == 0
    assert set(done.summary.buildings.values()) == {0}
    assert any(note.startswith("0 building outlines were found") for note in done.summary.notes)


def plan_of(town: Town, settings: Settings, **fields: Any) -> Any:
    request = asked(town, Path("store"), **fields)
    return make_plan(request, find_scenes(request), settings)


def test_who_grades_and_who_finds(town: Town, settings: Settings) -> None:
    alone = plan_of(town, settings, model="sees-roofs")
    assert alone.choice.grader == alone.finder and alone.footprints_sha256 is None
    beside = plan_of(town, settings, find_buildings=True, model="dark-is-destroyed")
    assert (beside.choice.name, beside.finder.card.name) == ("dark-is-destroyed", "sees-roofs")
    shipped = plan_of(town, Settings(), find_buildings=True)
    # Whatever the first choice among graders is; only a network sees where buildings are.
    assert shipped.choice.grader is not None and shipped.finder.card.finds_buildings
    given = plan_of(town, settings, buildings=str(town.buildings))
    assert given.finder is None
    ids = {plan.product_id for plan in (alone, beside, shipped, given)}
    areas = plan_of(town, settings, find_buildings=True, damaged_areas=True)
    assert len(ids | {areas.product_id}) == 5


@pytest.mark.parametrize("hazard", ["flood", "storm", "wildfire", "earthquake"])
def test_nobody_looks_for_buildings_unasked(hazard: str, town: Town, settings: Settings) -> None:
    try:
        plan = plan_of(town, settings, hazard=hazard)
    except NoModelFits as error:
        assert "--find-buildings" in str(error) or hazard == "wildfire"
        return
    assert plan.choice.grader is None
    assert plan.finder is None


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"hazard": "flood", "find_buildings": True}, NoModelFits, "leave out --find-buildings"),
        ({"model": "none", "damaged_areas": True}, NoModelFits, "name a grader with --model"),
        ({"before": [], "find_buildings": True}, NoModelFits, "no image; leave|no model fits"),
        ({"model": "dark-is-destroyed"}, InputsMismatch, "finds none itself; .*--find-buildings"),
    ],
)
def test_what_cannot_be_found_is_refused(
    fields: dict[str, Any], error: type[Exception], said: str, town: Town, settings: Settings,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(error, match=said):
        mapped(town, tmp_path / "store", settings, **fields)
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_grid_that_no_finder_wants_is_refused(town: Town, tmp_path: Path) -> None:
    dark_is_destroyed(tmp_path / "models" / "dark", resolution_m=0.3)
    fine = Settings(models=tmp_path / "models")
    with pytest.raises(NoModelFits, match=r"at the 0\.3 m that dark-is-destroyed grades"):
        plan_of(town, fine, find_buildings=True, model="dark-is-destroyed")


def test_footprints_are_given_or_found(town: Town) -> None:
    with pytest.raises(RequestInvalid, match="leave out one of the two"):
        asked(town, Path("store"), find_buildings=True, buildings=str(town.buildings))


def test_photos_have_no_buildings(town: Town, settings: Settings) -> None:
    for wish in ("find_buildings", "damaged_areas"):
        request = asked(town, Path("store"), before=[], **{wish: True})
        with pytest.raises(RequestInvalid, match=wish):
            plan_photos(request, (town.after,), settings)
