"""Photos mapped by a model that answers by a rule, so that every share is known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from geo.imagery.photo import Photo
from geo.types import FloatArray
from models.cards.card import ModelCard
from models.cards.registry import find
from models.errors import InputsMismatch
from models.inference.photos import FOUND, NOT_ANALYSED, NOT_FOUND, map_photo, require_photos
from models.networks.tensors import Inputs, SceneStatistics

CARD = find("flood-rgb").card


@dataclass(frozen=True)
class RedIsWater:
    """Answers 0.9 where red is above 100, 0.2 elsewhere, and nothing where it was not seen."""

    card: ModelCard = CARD
    far: bool = False

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        del samples
        if not self.far:
            return SceneStatistics()
        return SceneStatistics(
            out_of_domain={CARD.inputs[0].name: (1,)}, notes=("x is out of the domain",)
        )

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        del statistics
        (raster,) = batch[0].values()
        assert raster is not None
        assert max(raster.valid.shape) <= CARD.window_px
        red = raster.band("red")
        answer = np.where(raster.valid, np.where(red > 100, 0.9, 0.2), np.nan)
        return answer[None, None].astype(np.float32)


def picture(rows: int, cols: int, *, red_cols: int) -> Photo:
    pixels = np.full((rows, cols, 3), 60, np.uint8)
    pixels[..., 1] = 90
    pixels[:, :red_cols, 0] = 200
    return Photo(pixels, np.ones((rows, cols), bool), None, None)


@pytest.mark.parametrize("rows", [40, 2000])
def test_shares_and_confidence_of_a_photo_of_any_size(rows: int) -> None:
    answer = map_photo(RedIsWater(), picture(rows, 2 * rows, red_cols=rows // 2), "x")
    assert answer.mask.shape == (rows, 2 * rows)
    assert answer.found_share == pytest.approx(0.25, abs=0.01)
    assert answer.confidence == pytest.approx(90, abs=2)
    assert answer.not_analysed_share == 0
    assert set(np.unique(answer.mask)) == {FOUND, NOT_FOUND}


def test_what_was_not_seen_is_not_called_dry() -> None:
    photo = picture(1500, 1500, red_cols=750)
    valid = photo.valid.copy()
    valid[:500] = False
    pixels = np.where(valid[..., None], photo.pixels, np.uint8(0))
    answer = map_photo(RedIsWater(), Photo(pixels, valid, None, None), "x")
    assert (answer.mask[:500] == NOT_ANALYSED).all()
    assert answer.not_analysed_share == pytest.approx(1 / 3, abs=0.01)
    assert answer.reasons == {"no data": pytest.approx(1 / 3, abs=0.01)}
    assert answer.found_share == pytest.approx(0.5, abs=0.01), "unseen pixels darkened others"


def test_a_black_photo_has_no_answer() -> None:
    black = np.zeros((50, 50), bool)
    answer = map_photo(RedIsWater(), Photo(np.zeros((50, 50, 3), np.uint8), black, None, None), "x")
    assert (answer.mask == NOT_ANALYSED).all()
    assert answer.found_share is None
    assert answer.confidence is None


def test_a_photo_out_of_the_domain_is_not_analysed_and_says_why() -> None:
    answer = map_photo(RedIsWater(far=True), picture(50, 50, red_cols=20), "x")
    assert answer.not_analysed_share == 1
    assert answer.reasons == {"out of the model's domain": 1.0}
    assert answer.note == "x is out of the domain"


def test_only_a_model_of_pictures_fits() -> None:
    require_photos(CARD)
    for name in ("flood-s1s2", "ndwi-picture-water", "sar-water"):
        with pytest.raises(InputsMismatch, match=rf"{name} wants .*such as flood-rgb"):
            require_photos(find(name).card)
