"""The words for grades, as people write them."""

import pytest

from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD
from models.errors import SampleInvalid
from models.evaluation.sampling import parse_grade


def test_both_scales_say_the_same() -> None:
    for cems, xbd in zip(DAMAGE_GRA[:4], DAMAGE_XBD[:4], strict=True):
        for word in (cems, xbd, cems.upper(), f"  {xbd.title()} ", xbd.replace("-", "_")):
            assert parse_grade(word) == cems


@pytest.mark.parametrize("word", ["", " ", "?", " ? ", "Not analysed", "un-classified"])
def test_what_says_that_the_pictures_do_not_tell(word: str) -> None:
    assert parse_grade(word) is None


def test_another_word_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SampleInvalid, match=r"^'wrecked' is no grade; .*Destroyed.*no-damage, or"):
        parse_grade("wrecked ")
