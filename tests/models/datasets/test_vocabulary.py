"""Which words mean what, and which models learn from them."""

import pytest

from geo.vector.schema import DAMAGE_GRA, DAMAGE_XBD, LAYERS
from models.cards.registry import find
from models.datasets.vocabulary import DAMAGE, FLOOD, WATER, Vocabulary, vocabulary_of
from models.errors import InputsMismatch


@pytest.mark.parametrize(
    ("vocabulary", "word", "name"),
    [
        (DAMAGE, "Destroyed", "destroyed"),
        (DAMAGE, "possibly_damaged", "minor-damage"),
        (DAMAGE, " NO-DAMAGE ", "no-damage"),
        (DAMAGE, "Damaged", "major-damage"),
        (FLOOD, "Flooded area", "flooded"),
        (FLOOD, "Reference water", "dry or other"),
        (FLOOD, "No", "dry or other"),
        (WATER, "Reference water", "water"),
        (WATER, "Reference water, receded", "no water"),
    ],
)
def test_words_are_read_as_people_write_them(vocabulary: Vocabulary, word: str, name: str) -> None:
    number = vocabulary.meaning(word)
    assert number is not None
    assert vocabulary.names[number] == name


def test_the_words_of_products_are_known() -> None:
    """A layer of a product, corrected by hand, is a file of labels."""
    for word in (*DAMAGE_GRA, *DAMAGE_XBD):
        DAMAGE.meaning(word)
    notations = {*LAYERS["observed_event"].notations, *LAYERS["hydrography"].notations}
    of_other_events = {"Flood trace", "Burnt area", "Landslide", "Damaged area"}
    for word in notations - of_other_events:
        WATER.meaning(word)


def test_what_may_be_standing_water_is_no_word_for_a_flood() -> None:
    with pytest.raises(KeyError):
        FLOOD.meaning("Flooded area or standing water")
    assert WATER.meaning("Flooded area or standing water") == 1


@pytest.mark.parametrize("word", ["Not Analysed", "un-classified", "?"])
def test_some_words_say_that_nobody_knows(word: str) -> None:
    assert DAMAGE.meaning(word) is None


def test_each_model_has_the_words_of_its_task() -> None:
    names = ("damage-features", "damage-vhr", "flood-s1s2", "flood-rgb", "water-multispectral")
    assert [vocabulary_of(find(name).card) for name in names] == [
        DAMAGE, DAMAGE, FLOOD, WATER, WATER,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["ndwi-water", "nbr-change", "csmask-4b-l2a"])
def test_a_model_that_learns_from_no_labels_says_so(name: str) -> None:
    with pytest.raises(InputsMismatch, match=f"{name} is a .* and cannot be adapted; name"):
        vocabulary_of(find(name).card)
