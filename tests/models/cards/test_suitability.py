"""Who learned from natural colours is not given others, and is told what to do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geo.scenes.radiometry import Colours
from geo.scenes.scene import Phase, Scene
from models.cards.registry import find
from models.cards.suitability import require_natural
from models.errors import InputsMismatch
from tests.rasters import picture, scene_of, write_image


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_of(write_image(tmp_path / "x.tif", picture(3, 64, 64)), sensor="aerial-rgb")


def test_what_a_picture_holds_is_seen_when_it_is_found(tmp_path: Path, scene: Scene) -> None:
    grey = np.repeat(picture(1, 64, 64), 3, axis=0)
    found = scene_of(write_image(tmp_path / "grey.tif", grey), sensor="aerial-rgb")
    assert (scene.colours, found.colours) == (Colours.NATURAL, Colours.GREY)
    deep = write_image(tmp_path / "deep.tif", grey.astype(np.uint16) * 257)
    assert scene_of(deep, sensor="aerial-rgb").colours is Colours.GREY
    named = {"sensor": "aerial-rgbn", "bands": ("nir", "red", "green")}
    assert scene_of(tmp_path / "grey.tif", **named).colours is None


@pytest.mark.parametrize("name", ["flood-rgb", "damage-features", "damage-vhr"])
@pytest.mark.parametrize(
    ("colours", "words"),
    [(Colours.GREY, "x is grey.*in colours"), (Colours.INFRARED, "--bands nir,red,green")],
)
def test_other_colours_are_refused(scene: Scene, name: str, colours: Colours, words: str) -> None:
    card = find(name).card
    require_natural(card, [scene], checked=True)
    with pytest.raises(InputsMismatch, match=words):
        require_natural(card, [replace(scene, colours=colours)], checked=True)


def test_a_look_is_overruled_and_grey_is_not(scene: Scene) -> None:
    card = find("flood-rgb").card
    require_natural(card, [replace(scene, colours=Colours.INFRARED)], checked=False)
    with pytest.raises(InputsMismatch):
        require_natural(card, [replace(scene, colours=Colours.GREY)], checked=False)


def test_a_tile_of_many_may_be_grey(scene: Scene) -> None:
    grey = replace(scene, colours=Colours.GREY)
    require_natural(find("flood-rgb").card, [scene, grey], checked=True)
    with pytest.raises(InputsMismatch):
        require_natural(
            find("flood-rgb").card,
            [scene, scene, scene, replace(grey, phase=Phase.BEFORE)],
            checked=True,
        )


def test_a_model_of_other_bands_does_not_mind(scene: Scene) -> None:
    require_natural(
        find("ndwi-picture-water").card, [replace(scene, colours=Colours.GREY)], checked=True
    )
